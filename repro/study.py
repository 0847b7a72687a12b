"""Measure what single choices do, and write it into results."""

from pathlib import Path

from repro import paper
from repro.evaluation.campaign import load_suite
from repro.experiments import studies, surrogates
from repro.experiments.studies import Scale
from repro.report import tables
from repro.tools import cli

RUNS = Path("runs/studies")
FULL = Scale(microstructures=paper.MICROSTRUCTURES, filters=paper.FILTERS, samples=160_000)


def open_choices(
    choices: tuple[str, ...] = (),
    scale: Scale = FULL,
    out: Path = Path("results/open_choices.csv"),
    runs: Path = RUNS,
    dask: str | None = None,
) -> None:
    """Train the paper's network under each reading of what the paper does not state.

    At full width, for ten epochs of the paper's pairs: some four hours on two cores. Start it again
    to go on.

    Args:
        choices: Which of them, such as "batch size". Default: all.
        scale: How large.
        out: Table (CSV) to write.
        runs: Where the runs are kept.
        dask: Train on the workers of Dask: "local" for one per core of this machine,
            tcp://host:port of a scheduler, or the JSON file that it wrote.
    """
    rows = studies.run(studies.OPEN_CHOICES, scale, out, runs, choices, dask=dask)
    print(tables.markdown(tables.open_choices(rows)))


def ablation(
    scale: Scale = Scale(microstructures=200, filters=8, samples=19200),
    out: Path = Path("results/ablation.csv"),
    runs: Path = RUNS,
    dask: str | None = None,
) -> None:
    """Train the advanced network, narrower, without each of its ingredients.

    Takes about half an hour per seed on two cores; start it again to go on.

    Args:
        scale: How small.
        out: Table (CSV) to write.
        runs: Where the runs are kept.
        dask: Train on the workers of Dask, as for open_choices.
    """
    rows = studies.run(studies.ABLATION, scale, out, runs, dask=dask)
    print(tables.markdown(tables.ablation(rows)))


def refiner(
    epochs: int = 25,
    data: Path = Path("data"),
    out: Path = Path("results/refiners.csv"),
    runs: Path = RUNS,
) -> None:
    """Train the refiner of a coarse solve with each of its choices changed.

    Takes about a quarter of an hour on two cores; start it again to go on.

    Args:
        epochs: Passes over the training pairs.
        data: Folder of the data sets. Generated first if there is none.
        out: Table (CSV) to write.
        runs: Where the runs are kept.
    """
    table = surrogates.study(surrogates.REFINER, load_suite("paper", data), epochs, out, runs)
    print(tables.markdown(tables.whole_loads(table)))


def whole_path(
    epochs: int = 60,
    data: Path = Path("data"),
    out: Path = Path("results/whole_paths.csv"),
    runs: Path = RUNS,
) -> None:
    """Train networks that give the whole path in one pass, each in about the same time.

    Takes about an hour on two cores; start it again to go on.

    Args:
        epochs: Passes over the training part.
        data: Folder of the data sets. Generated first if there is none.
        out: Table (CSV) to write.
        runs: Where the runs are kept.
    """
    table = surrogates.study(surrogates.WHOLE_PATH, load_suite("paper", data), epochs, out, runs)
    print(tables.markdown(tables.whole_loads(table)))


if __name__ == "__main__":
    commands = open_choices, ablation, refiner, whole_path
    cli.run({command.__name__: command for command in commands})
