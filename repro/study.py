"""Measure what single choices do, and write it into results."""

from dataclasses import dataclass, replace
from pathlib import Path

from repro import paper
from repro.experiments.options import Scale
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

    At full width, for ten epochs of the paper's pairs: some four hours on two cores with
    AVX-512. Start it again to go on.

    Args:
        choices: Which of them, such as "batch size". Default: all.
        scale: How large.
        out: Table (CSV) to write.
        runs: Where the runs are kept.
        dask: Train on the workers of Dask: "local" for one per core of this machine,
            tcp://host:port of a scheduler, or the JSON file that it wrote.
    """
    from repro.experiments import studies
    from repro.report import tables

    rows = studies.run(studies.OPEN_CHOICES, scale, out, runs, choices, dask=dask)
    print(tables.markdown(tables.open_choices(rows)))


def ablation(
    choices: tuple[str, ...] = (),
    scale: Scale = Scale(microstructures=1000, filters=16, samples=160000),
    out: Path = Path("results/ablation.csv"),
    runs: Path = RUNS,
    dask: str | None = None,
) -> None:
    """Train the advanced network without each of its ingredients.

    With the paper's cells and a third of its default width: about three quarters of an hour per
    training on one core with AVX-512. Start it again to go on.

    Args:
        choices: Which of them, such as "symmetries". Default: all.
        scale: How large.
        out: Table (CSV) to write.
        runs: Where the runs are kept.
        dask: Train on the workers of Dask, as for open_choices.
    """
    from repro.experiments import studies
    from repro.report import tables

    rows = studies.run(studies.ABLATION, scale, out, runs, choices, dask=dask)
    print(tables.markdown(tables.ablation(rows)))


@dataclass(frozen=True)
class WholeLoads:
    """Options of the studies of networks for whole loads.

    Parameters
    ----------
    variants : tuple of str
        Those to train, by name. Default: all.
    further : int
        Microstructures to train on beside the paper's 800.
    batch_size : int, optional
        Samples per step. Default: as the networks that are shipped.
    data : Path
        Folder of the data sets, which are generated if they are not there.
    out : Path, optional
        Table (CSV) to write. Default: results/refiners.csv or results/whole_paths.csv.
    runs : Path
        Where the runs are kept.
    """

    variants: tuple[str, ...] = ()
    further: int = 0
    batch_size: int | None = None
    data: Path = Path("data")
    out: Path | None = None
    runs: Path = RUNS


def refiner(epochs: int = 25, training: WholeLoads = WholeLoads()) -> None:
    """Train the refiner of a coarse solve with each of its choices changed.

    Takes about a quarter of an hour on two cores with AVX-512; start it again to go on.

    Args:
        epochs: Passes over the training pairs.
        training: What to train, on what, and where to put it.
    """
    _whole_loads("refiner", epochs, training, Path("results/refiners.csv"))


def whole_path(epochs: int = 60, training: WholeLoads = WholeLoads()) -> None:
    """Train networks that give the whole path in one pass.

    Takes about an hour and a half on two cores with AVX-512; start it again to go on.

    Args:
        epochs: Passes over the training part.
        training: What to train, on what, and where to put it.
    """
    _whole_loads("whole_path", epochs, training, Path("results/whole_paths.csv"))


def _whole_loads(name, epochs, options, out):
    from repro.evaluation.campaign import load_suite
    from repro.experiments import surrogates
    from repro.report import tables

    kind = surrogates.KINDS[name]
    data = load_suite("paper", options.data)
    config = replace(kind.recipe, epochs=epochs)
    if options.batch_size is not None:
        config = replace(config, batch_size=options.batch_size)
    table = surrogates.study(
        kind, data, config, options.out or out, options.runs, options.variants, options.further
    )
    print(tables.markdown(tables.whole_loads(table)))


if __name__ == "__main__":
    commands = open_choices, ablation, refiner, whole_path
    cli.run({command.__name__: command for command in commands})
