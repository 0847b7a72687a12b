"""Generate a data set with the reference model."""

from pathlib import Path
from typing import Literal

from repro import cli, generation, paper, reference


def main(
    suite: Literal[*generation.SUITES] = "paper",
    out: Path | None = None,
    count: int | None = None,
    size: int = paper.GRID,
    seed: int = 0,
    tol: float = reference.TOLERANCE,
    workers: int | None = None,
) -> None:
    """Draw microstructures and solve them. A killed run goes on when started again.

    Args:
        suite: Family of microstructures; "paper" is the training and validation data.
        out: Data set to write (HDF5); never overwritten. Default: data/SUITE.h5.
        count: Number of microstructures. Default: 1000 for "paper", 50 for the test suites.
        size: Pixels along an edge of the cell.
        seed: Another seed gives other microstructures.
        tol: Tolerance of the reference model (rms strain correction).
        workers: Simulations at a time. Default: one a core.
    """
    path = out or Path("data", f"{suite}.h5")
    generation.generate(path, suite, count, size, seed, tol, workers)
    print(f"{path} written")


if __name__ == "__main__":
    cli.run(main)
