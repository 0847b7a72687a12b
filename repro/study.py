"""Measure what single choices do, at reduced scale, and write it into results."""

from pathlib import Path

from repro.experiments import studies
from repro.experiments.studies import Scale
from repro.report import tables
from repro.tools import cli

RUNS = Path("runs/studies")


def assumptions(
    scale: Scale = Scale(microstructures=100, filters=16, samples=9600),
    out: Path = Path("results/assumptions.csv"),
    runs: Path = RUNS,
) -> None:
    """Train the paper's network, narrower, under each reading of what the paper does not state.

    Takes about half an hour on two cores; start it again to go on.

    Args:
        scale: How small.
        out: Table (CSV) to write.
        runs: Where the runs are kept.
    """
    print(tables.markdown(tables.open_choices(studies.run(studies.ASSUMPTIONS, scale, out, runs))))


def ablation(
    scale: Scale = Scale(microstructures=200, filters=8, samples=19200),
    out: Path = Path("results/ablation.csv"),
    runs: Path = RUNS,
) -> None:
    """Train the advanced network, narrower, without each of its ingredients.

    Takes about half an hour a seed on two cores; start it again to go on.

    Args:
        scale: How small.
        out: Table (CSV) to write.
        runs: Where the runs are kept.
    """
    print(tables.markdown(tables.ablation(studies.run(studies.ABLATION, scale, out, runs))))


if __name__ == "__main__":
    cli.run({command.__name__: command for command in (assumptions, ablation)})
