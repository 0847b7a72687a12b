"""Bring results of DAMASK into a data set."""

from pathlib import Path

import tyro

from repro.tools import cli


def main(files: tyro.conf.Positional[tuple[Path, ...]], out: Path, skip: bool = False) -> None:
    """Read the DADF5 files of one campaign into a data set.

    python -m repro.verify_data FILES says what differs from the paper.

    Args:
        files: DADF5 files (*.hdf5), or folders of them.
        out: Data set to write (HDF5); an existing file is never overwritten.
        skip: Leave out what cannot be used, instead of stopping.
    """
    from repro.damask import exchange
    from repro.data import dataset

    data, problems = exchange.import_damask(files, skip)
    for line in exchange.listed(problems):
        print(f"left out {line}")
    dataset.write(out, data)
    print(f"{out} written: {len(data)} microstructures")


if __name__ == "__main__":
    cli.run(main)
