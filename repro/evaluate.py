"""Evaluate a trained network on the test suites, or on a data set of your own."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from repro import cli, dataset, generation
from repro.evaluation import campaign
from repro.report import reality, tables


def main(
    model: str,
    suite: tuple[Literal["all", *generation.SUITES], ...] = ("paper",),
    data: Path | None = None,
    stride: int | None = None,
    count: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    directory: Path = Path("data"),
    results: Path | None = None,
) -> None:
    """Add the errors of a network and of the naive references to a table of results.

    One-step and rollout; the paper's data by training and validation split, test suites as a whole.

    Args:
        model: A .keras file, a run directory, or the name of a shipped model.
        suite: Test suites, generated first if their files are missing; "all" takes half an hour.
        data: Data set (HDF5) of your own instead of a suite.
        stride: Increments a step. Default: as the network was trained, if its run says so, else 1.
        count: Microstructures of a suite that is generated. Default: those of the suite.
        directory: Where the suites are, SUITE.h5.
        results: Table (CSV) that the rows are added to. Default: results/results.csv, for data of
            your own results/DATA/results.csv.
    """
    table = results or Path("results", data.stem if data else "", "results.csv")
    if data:
        rows = campaign.evaluate_data(model, dataset.read(data), table, stride)
    else:
        suites = generation.SUITES if "all" in suite else suite
        rows = campaign.evaluate_suites(model, suites, directory, table, stride, count)
    checks = campaign.read_checks(table.with_name("data_checks.csv"))
    print(tables.markdown(tables.errors(rows)))
    print(reality.verdict(checks, rows))


if __name__ == "__main__":
    cli.run(main)
