"""Evaluate a trained network on the test suites, or on a data set of your own."""

from pathlib import Path
from typing import Literal

from repro.data.discretization import CONVERGED, PAPER
from repro.data.suites import OF_PROJECT, SUITES
from repro.tools import cli

AGAINST = {"paper": PAPER, "converged": CONVERGED}
RESULTS = Path("results")  # of the networks that come with the project
OWN = RESULTS / "own"  # of all others, and of data of one's own; git ignores it


def main(
    model: str,
    suite: tuple[Literal["all", *SUITES], ...] = (),
    data: Path | None = None,
    stride: int | None = None,
    against: Literal["paper", "converged"] = "paper",
    directory: Path = Path("data"),
    results: Path | None = None,
    dask: str | None = None,
) -> None:
    """Add the errors of a surrogate and of the naive references to a table of results.

    Networks that step the stress are evaluated in single steps and in rollout, others over the
    trajectory. The paper's data are evaluated by training and validation part, test suites as a
    whole.

    Args:
        model: A .keras file, a run directory, or a name in `repro.surrogate.SURROGATES`, such as
            that of a shipped network.
        suite: Test suites, generated first if their files are missing; "all" takes half an hour.
            Default: the training data, "paper". If that exists or is chosen, its mean is one
            of the naive references.
        data: Data set (HDF5) of your own instead of a suite.
        stride: Increments per step. Default: as the network was trained if its run says so, else 1.
        against: What suites are solved for: fields of the paper's kind, or fields that have
            converged in the grid, which take ten times as long.
        directory: Where the suites are, SUITE.h5; converged ones are SUITE_rotated_4x4.h5.
        results: Table (CSV) that the rows are added to. Default: results/own/results.csv, for data
            of your own results/own/DATA/results.csv, and results/results.csv for networks that come
            with the project on its own suites.
        dask: Generate and evaluate suites on the workers of Dask: "local" for one per core of this
            machine, tcp://host:port of a scheduler, or the JSON file that it wrote.
    """
    from repro.data import dataset
    from repro.evaluation import campaign
    from repro.report import tables
    from repro.report.numbers import summary
    from repro.surrogate import load

    one = load(model, stride)
    if data and suite:
        raise ValueError("--data and --suite exclude each other")
    suites = tuple(SUITES) if "all" in suite else suite or ("paper",)
    table = results or _table(model, data, suites)
    if data:
        own = dataset.read(data)
        rows = campaign.evaluate_data(one, own, table)
        if own.solver_options is None:
            print(
                f"note: {data} was solved by a flow rule or a derivative in space that our "
                "reference model does not have: no label noise and no Taylor estimate"
            )
    else:
        rows = campaign.evaluate_suites(one, suites, directory, table, dask, AGAINST[against])
    checks = campaign.read_checks(table.with_name("data_checks.csv"))
    print(tables.markdown(tables.errors(rows)))
    print(summary(rows, checks), end="")
    print(f"the rows are in {table}")
    trained_on = one.run.split_hash
    validated = rows.loc[rows["split"] == "validation", "split_hash"]
    if trained_on and (validated != trained_on).any():
        print(
            f"warning: {model} was trained on another data set: it may have seen some of the "
            "microstructures that are called validation here"
        )


def _table(model: str, data: Path | None, suites: tuple[str, ...]) -> Path:
    """The table for rows of a network on a data set or on suites, by default."""
    from repro import models
    from repro.surrogate import AVERAGED, SURROGATES

    if data:
        return OWN / data.stem / "results.csv"
    if model in SURROGATES:
        shipped = AVERAGED.get(model, model) in models.shipped()
    else:
        shipped = models.SHIPPED in models.model_path(model).absolute().parents
    return (RESULTS if shipped and OF_PROJECT.issuperset(suites) else OWN) / "results.csv"


if __name__ == "__main__":
    cli.run(main)
