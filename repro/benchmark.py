"""Measure, and write what was measured into results."""

from pathlib import Path

from repro import cli
from repro.benchmarks import pages
from repro.benchmarks.damask import TRAJECTORIES


def verification(damask: Path = TRAJECTORIES, out: Path = Path("results")) -> int:
    """Verify the reference model: DAMASK, exact solutions, equations. Exit status 1 if it fails.

    Args:
        damask: Directory of trajectories computed with DAMASK.
        out: Directory for verification.csv and VERIFICATION.md.
    """
    from repro.benchmarks.verification import run

    rows = run(damask)
    print(f"{pages.write_verification(rows, out)} written")
    return int(not rows["passed"].all())


def reference(damask: Path = TRAJECTORIES, out: Path = Path("results")) -> None:
    """Measure the speed of the reference model over tolerance, grid, batch size and cores.

    Args:
        damask: Directory of trajectories computed with DAMASK.
        out: Directory for benchmark_reference.csv, its pictures and BENCHMARK_REFERENCE.md.
    """
    from repro.benchmarks.reference import run

    print(f"{pages.write_reference(run(damask), out)} written")


if __name__ == "__main__":
    cli.run({"verification": verification, "reference": reference})
