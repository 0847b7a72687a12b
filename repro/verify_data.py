"""Say whether a data set is the paper's."""

from pathlib import Path

import tyro

from repro import cli, dataset, verification


def main(file: tyro.conf.Positional[Path]) -> int:
    """Answer what a reader of the paper would ask of a data set; exit 1 if it is not the paper's.

    Args:
        file: Data set (HDF5).
    """
    checks = verification.verify(dataset.read(file))
    print(verification.report(checks))
    return 0 if all(check.passed for check in checks) else 1


if __name__ == "__main__":
    cli.run(main)
