"""Evaluate a trained network on a data set."""

from pathlib import Path

import pandas as pd

from repro import cli, dataset
from repro.evaluation.assessment import assess
from repro.evaluation.results import KEYS, read_rows, write_rows
from repro.report import tables


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
    rows = assess(model, dataset.read(data), stride)
    write_rows(results, rows)
    written = read_rows(results).merge(pd.DataFrame(rows)[KEYS])
    print(tables.markdown(tables.errors(written)))


if __name__ == "__main__":
    cli.run(main)
