"""Ship a trained network with the package."""

from pathlib import Path

import tyro

from repro.tools import cli


def main(run: tyro.conf.Positional[Path], name: str | None = None, best_only: bool = False) -> None:
    """Copy a run to repro/models/shipped/NAME, with a golden input and output for checks elsewhere.

    Of a network that predicts whole loads, errors on 50 cells as the paper's are kept as well: they
    give bounds without a solve.

    Args:
        run: Directory of the run.
        name: Default: the name of the directory.
        best_only: Leave behind what only going on with the training needs.
    """
    from repro.experiments import shipping

    shipped = shipping.ship(run, name, best_only)
    for path in (shipped, *shipping.calibrate(shipped.name)):
        print(f"{path} written")


if __name__ == "__main__":
    cli.run(main)
