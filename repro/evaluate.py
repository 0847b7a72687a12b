"""Evaluate a trained network on a data set."""

from pathlib import Path

from repro import cli, evaluation


def main(
    model: str,
    data: Path = Path("data/paper.h5"),
    stride: int | None = None,
    results: Path = Path("results/results.csv"),
) -> None:
    """Add the network's errors, one-step and rollout, and those of persistence to a results table.

    The paper's data set is evaluated by training and validation split, any other as a whole.

    Args:
        model: A .keras file, a run directory, or the name of a shipped model.
        data: Data set (HDF5).
        stride: Increments a step. Default: as the network was trained, if its run says so, else 1.
        results: Table (CSV) that the rows are added to.
    """


if __name__ == "__main__":
    cli.run(main)
