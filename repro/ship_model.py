"""Ship a trained network with the package."""

from pathlib import Path

import tyro

from repro.tools import cli


def main(run: tyro.conf.Positional[Path], name: str | None = None, best_only: bool = False) -> None:
    """Copy a run to repro/models/shipped/NAME, with a golden input and output for checks elsewhere.

    Args:
        run: Directory of the run.
        name: Default: the name of the directory.
        best_only: Leave behind what only going on with the training needs.
    """
    from repro.experiments import shipping

    print(f"{shipping.ship(run, name, best_only)} written")


if __name__ == "__main__":
    cli.run(main)
