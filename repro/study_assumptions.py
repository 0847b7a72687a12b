"""Measure what the paper's open choices do, at reduced scale."""

from pathlib import Path

from repro import cli
from repro.assumptions import Scale, study
from repro.report import tables

SHOWN = ["assumption", "stride", "batch_size", "normalization", "one-step MAE / MPa",
         "rollout MAE / MPa", "persistence MAE / MPa", "epochs", "n"]  # fmt: skip


def main(
    scale: Scale = Scale(),
    out: Path = Path("results/assumptions.csv"),
    runs: Path = Path("runs/assumptions"),
) -> None:
    """Train the paper's network, narrower, under each reading of the paper.

    Takes about an hour on two cores; start it again to go on.

    Args:
        scale: How small.
        out: Table (CSV) to write.
        runs: Where the runs are kept.
    """
    print(tables.markdown(study(out, runs, scale)[SHOWN]))


if __name__ == "__main__":
    cli.run(main)
