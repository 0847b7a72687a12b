"""Say whether a data set, or a result of DAMASK, is the paper's."""

from pathlib import Path

import tyro

from repro.damask import dadf5, diagnosis
from repro.data import checks, dataset
from repro.tools import cli


def main(file: tyro.conf.Positional[Path]) -> int:
    """Answer what a reader of the paper would ask of a data set; exit 1 if it is not the paper's.

    Of results of DAMASK also say what in their set-up differs, and what that does to the answer.

    Args:
        file: Data set (HDF5), or DADF5 file of DAMASK (*.hdf5), or a folder of DADF5 files.
    """
    if file.is_dir() or dadf5.is_dadf5(file):
        text, passed = diagnosis.report_files([file])
    else:
        found = checks.verify(dataset.read(file))
        text, passed = checks.report(found), all(check.passed for check in found)
    print(text)
    return 0 if passed else 1


if __name__ == "__main__":
    cli.run(main)
