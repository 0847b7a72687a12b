"""Bring simulations by DAMASK, or the data of an earlier replication, into a data set."""

from pathlib import Path

import tyro

from repro.tools import cli


def main(
    files: tyro.conf.Positional[tuple[Path, ...]],
    out: Path,
    F11: float | None = None,
    time: float | None = None,
    skip: bool = False,
) -> None:
    """Read the DADF5 files of one campaign into a data set, or a folder of an earlier replication.

    Such a folder holds simulations, labels_seedK.npy, props_seedK.npy and seedK.hdf5, in it or in
    folders below; or ready pairs, {train,val,test}/{inputs,outputs}/sample_*.npy with
    metadata/normalization.json. python -m repro.verify_data FILES says what differs from the paper.

    Args:
        files: DADF5 files (*.hdf5), or folders of them; or one folder of an earlier replication.
        out: Data set to write (HDF5); an existing file is never overwritten.
        F11: Of ready pairs, which do not say: mean stretch at the end.
        time: Of ready pairs, which do not say: seconds to the end.
        skip: Leave out what cannot be used, instead of stopping.
    """
    from repro.damask import earlier_replication, exchange
    from repro.data import dataset

    data, problems = earlier_replication.import_files(files, F11, time, skip)
    for line in exchange.listed(problems):
        print(f"left out {line}")
    dataset.write(out, data)
    print(f"{out} written: {len(data)} microstructures")
    for line in earlier_replication.remarks(data):
        print(line)


if __name__ == "__main__":
    cli.run(main)
