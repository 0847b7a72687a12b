"""Generate a data set with the reference model."""

from pathlib import Path
from typing import Literal

from repro import reference
from repro.data.suites import SUITES
from repro.reference import generation
from repro.tools import cli


def main(
    suite: Literal[*SUITES] = "paper",
    out: Path | None = None,
    count: int | None = None,
    size: int | None = None,
    seed: int = 0,
    tol: float = reference.TOLERANCE,
    workers: int | None = None,
) -> None:
    """Draw microstructures and solve them. A killed run goes on when started again.

    Args:
        suite: Family of microstructures; "paper" is the training and validation data.
        out: Data set to write (HDF5); never overwritten. Default: data/SUITE.h5.
        count: Number of microstructures. Default: those of the suite, 1000 for "paper".
        size: Pixels along an edge of the cell. Default: those of the suite, 64 for the paper's.
        seed: Another seed gives other microstructures.
        tol: Tolerance of the reference model (rms strain correction).
        workers: Simulations at a time. Default: one a core.
    """
    path = out or Path("data", f"{suite}.h5")
    generation.generate(path, suite, count, size, seed, tol, workers)
    print(f"{path} written")


if __name__ == "__main__":
    cli.run(main)
