"""Measure what the project claims, and write it into results."""

from pathlib import Path
from typing import Literal

from repro.data.suites import SUITES
from repro.models import NETWORKS
from repro.tools import cli


def verification(damask: Path | None = None, out: Path = Path("results")) -> int:
    """Verify the reference model: DAMASK, exact solutions, equations. Exit status 1 if it fails.

    Args:
        damask: Directory of trajectories computed with DAMASK. Default: those of the package.
        out: Directory for verification.csv and VERIFICATION.md.
    """
    from repro.benchmarks import verification as verify
    from repro.report import benchmark_pages

    rows = verify.run(damask or verify.TRAJECTORIES)
    print(benchmark_pages.write("verification", rows, out), "written")
    return int(not rows["passed"].all())


def reference(damask: Path | None = None, out: Path = Path("results")) -> None:
    """Measure the speed of the reference model over tolerance, grid, batch size and cores.

    Args:
        damask: Directory of trajectories computed with DAMASK. Default: those of the package.
        out: Directory for benchmark_reference.csv, its pictures and BENCHMARK_REFERENCE.md.
    """
    from repro.benchmarks import reference as solver
    from repro.report import benchmark_pages

    rows = solver.run(damask or solver.TRAJECTORIES)
    print(benchmark_pages.write("benchmark_reference", rows, out), "written")


def speed(
    models: tuple[str, ...] = (),
    microstructures: int = 8,
    repeats: int = 3,
    out: Path = Path("results/speed.csv"),
) -> None:
    """Seconds per simulation, on one core and on all: DAMASK, the reference model, the networks.

    Args:
        models: .keras files, run directories or names in `repro.surrogate.SURROGATES`. Default: all
            of these.
        microstructures: How many are simulated.
        repeats: How often; the fastest counts.
        out: Table (CSV) to write.
    """
    from repro.benchmarks import speed as measurement
    from repro.report import tables
    from repro.surrogate import SURROGATES

    table = measurement.measure(models or SURROGATES, microstructures, repeats)
    measurement.write(out, table)
    print(tables.markdown(tables.speed(table)))


def bounds(
    suites: tuple[Literal[*SUITES], ...] = (),
    cells: int = 200,
    surrogates: tuple[str, ...] = (),
    out: Path = Path("results/bounds.csv"),
) -> None:
    """How often the bounds of `repro.surrogate` hold, suite by suite, and what they cost.

    Takes about a quarter of an hour on two cores with AVX-512. What was measured of others stays.

    Args:
        suites: Which suites. Default: all on the paper's grid.
        cells: How many cells of each are drawn; 50 of them calibrate.
        surrogates: Names in `repro.surrogate.SURROGATES`. Default: those with a
            tolerance that is worth asking for.
        out: Table (CSV) to write.
    """
    from repro.benchmarks import bounds as holding
    from repro.report import tables
    from repro.tools.csv_files import update_csv

    table = holding.run(suites, cells, surrogates)
    update_csv(out, table, ["predictor", "suite"], digits=5)
    for predictor in table["predictor"].unique():
        print(f"\n{predictor}\n\n{tables.markdown(tables.bounds(table, predictor))}")


def training(
    networks: tuple[Literal[*NETWORKS], ...] = ("paper_unet",),
    batches: int = 50,
    repeats: int = 3,
    out: Path = Path("results"),
) -> None:
    """Samples per second of the trainer and of plain `keras.Model.fit`, and where a step goes.

    What was measured on other hardware, or with another backend, stays.

    Args:
        networks: Which networks.
        batches: Steps in one measurement.
        repeats: Measurements of each, in turn; the fastest counts.
        out: Directory for benchmark_training.csv and BENCHMARK_TRAINING.md.
    """
    from repro.benchmarks import training as trainer
    from repro.reference import Request
    from repro.report import benchmark_pages

    rows = trainer.run(Request("paper").solve(range(20)), networks, batches, repeats)
    page = benchmark_pages.write("benchmark_training", rows, out)
    print(f"{page.read_text(encoding='utf-8')}\n{page} written")


def scaling(count: int = 200, repeats: int = 3, out: Path = Path("results")) -> None:
    """What Dask costs beside threads, and what a million simulations would take. Needs .[cluster].

    Args:
        count: Simulations in one measurement.
        repeats: Measurements of each, in turn; the fastest counts.
        out: Directory for benchmark_scaling.csv and BENCHMARK_SCALING.md.
    """
    from repro.benchmarks import scaling as engines
    from repro.report import benchmark_pages

    page = benchmark_pages.write("benchmark_scaling", engines.run(count, repeats), out)
    print(f"{page.read_text(encoding='utf-8')}\n{page} written")


def commands(out: Path = Path("results")) -> None:
    """Measure the time and the memory of whole commands, `make run` among them.

    Takes about ten minutes on two cores with AVX-512. What was measured on other hardware stays.

    Args:
        out: Directory for benchmark_commands.csv and BENCHMARK_COMMANDS.md.
    """
    from repro.benchmarks import commands as whole
    from repro.report import benchmark_pages

    page = benchmark_pages.write("benchmark_commands", whole.run(), out)
    print(f"{page.read_text(encoding='utf-8')}\n{page} written")


if __name__ == "__main__":
    measured = (verification, reference, speed, bounds, training, scaling, commands)
    cli.run({command.__name__: command for command in measured})
