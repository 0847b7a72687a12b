"""Measure what single choices do, and write it into results."""

from collections.abc import Callable
from pathlib import Path

from repro import paper
from repro.experiments.options import Scale
from repro.tools import cli

RUNS = Path("runs/studies")
CELLS = paper.MICROSTRUCTURES


def _command(name: str, what: str, takes: str, scale: Scale) -> Callable[..., None]:
    """The command of a study: `name` in capitals is its list of variants."""

    def main(
        choices: tuple[str, ...] = (),
        scale: Scale = scale,
        out: Path = Path(f"results/{name}.csv"),
        runs: Path = RUNS,
        dask: str | None = None,
    ) -> None:
        from repro.experiments import studies
        from repro.report import tables

        variants = getattr(studies, name.upper())
        rows = studies.run(variants, scale, out, runs, choices, dask=dask)
        print(tables.markdown(getattr(tables, name, tables.study)(rows)))

    main.__doc__ = f"""{what}

    Takes {takes} with AVX-512. Start it again to go on.

    Args:
        choices: Which of them, by the names in the table, such as "batch size". Default: all.
        scale: How large.
        out: Table (CSV) to write.
        runs: Where the runs are kept.
        dask: Train on the workers of Dask: "local" for one per core of this machine,
            tcp://host:port of a scheduler, or the JSON file that it wrote.
    """
    return main


if __name__ == "__main__":
    commands = {
        "open_choices": _command(
            "open_choices",
            "Train the paper's network under each reading of what the paper does not state.",
            "some four hours on two cores",
            Scale(CELLS, paper.FILTERS, 160_000),
        ),
        "ablation": _command(
            "ablation",
            "Train the advanced network, at a third of its width, without each of its ingredients.",
            "about three quarters of an hour per training on one core",
            Scale(CELLS, 16, 160_000),
        ),
        "learned_correction": _command(
            "learned_correction",
            "Train the network that corrects a coarse solve with each of its choices changed.",
            "about a quarter of an hour on two cores",
            Scale(CELLS, 48, 40_000),
        ),
        "direct_prediction": _command(
            "direct_prediction",
            "Train the network that predicts the trajectory directly, in several sizes.",
            "about an hour and a half on two cores",
            Scale(CELLS, 16, 48_000),
        ),
    }
    cli.run(commands)
