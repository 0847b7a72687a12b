"""Say whether data sets, or results of DAMASK, are the paper's."""

from pathlib import Path

import tyro

from repro.tools import cli


def main(files: tyro.conf.Positional[tuple[Path, ...]]) -> int:
    """Check whether data are the paper's, and list what differs; exit status 1 if anything does.

    For results of DAMASK also say what differs in their set-up, and what that does to the stress.

    Args:
        files: Data sets (HDF5), DADF5 files of DAMASK (*.hdf5), or folders of DADF5 files.
    """
    from repro.damask import dadf5, diagnosis, exchange
    from repro.data import checks, dataset

    if not files:
        raise ValueError("name data sets, DADF5 files or folders of them")
    damask = [path for path in files if path.is_dir() or dadf5.is_dadf5(path)]
    passed, unreadable = [], {}
    for path in (path for path in files if path not in damask):
        try:
            found = checks.verify(dataset.read(path))
        except (OSError, ValueError) as error:
            unreadable[str(path)] = str(error).removeprefix(f"{path}: ")
            continue
        print(f"{path}\n{checks.report(found)}")
        passed.append(all(check.passed for check in found))
    if damask:
        text, all_passed = diagnosis.report_files(damask)
        print(text)
        passed.append(all_passed)
    if unreadable:
        raise exchange.MismatchError(unreadable)
    return 0 if all(passed) else 1


if __name__ == "__main__":
    cli.run(main)
