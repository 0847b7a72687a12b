"""Ship a trained network under results/models."""

from pathlib import Path

import tyro

from repro import cli, shipping


def main(run: tyro.conf.Positional[Path], name: str | None = None, best_only: bool = False) -> None:
    """Copy a run to results/models/NAME, with a golden input and output for checks elsewhere.

    Args:
        run: Directory of the run.
        name: Default: the name of the directory.
        best_only: Leave behind what only going on with the training needs.
    """
    print(f"{shipping.ship(run, name, best_only)} written")


if __name__ == "__main__":
    cli.run(main)
