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
    M: float | None = None,
    h: float | None = None,
) -> None:
    """Draw microstructures and solve them. A killed run goes on when started again.

    Args:
        suite: Family of microstructures; "paper" is the training and validation data.
        out: Data set to write (HDF5); never overwritten. Default: data/SUITE.h5.
        count: Number of microstructures. Default: those of the suite, 1000 for "paper".
        size: Pixels along an edge of the cell. Default: those of the suite, 64 for the paper's.
        seed: Another seed gives other microstructures.
        tol: Tolerance of the reference model (rms strain correction).
        workers: Simulations at a time. Default: one per core.
        M: DAMASK's parameter M of the flow rule. Default: that of the suite, sqrt(3/2), which is
            the law in the paper's text; 1 in the generator that its authors published.
        h: DAMASK's factor of the hardening. Default: that of the suite, 1; 3 if DAMASK's input does
            not name it.
    """
    path = out or Path("data", f"{suite}.h5")
    generation.generate(path, suite, count, size, seed, tol, workers, M=M, h=h)
    print(f"{path} written")


if __name__ == "__main__":
    cli.run(main)
