"""Run DAMASK_grid on exported directories: in parallel, going on from what is done already."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from repro.damask import dadf5, export
from repro.tools.processor import available_cores
from repro.tools.progress import Progress

EXECUTABLE = "DAMASK_grid"
LOG = "DAMASK_grid.log"


def executable() -> str:
    """Path of DAMASK_grid.

    Raises
    ------
    FileNotFoundError
        If it is not on the PATH.
    """
    found = shutil.which(EXECUTABLE)
    if found is None:
        raise FileNotFoundError(
            f"{EXECUTABLE} is not on the PATH: install DAMASK 3 (https://damask-multiphysics.org)"
        )
    return found


def run(directories: Sequence[Path], workers: int | None = None) -> dict[str, str]:
    """Simulate every directory of input files that has no complete result of them yet.

    Parameters
    ----------
    directories : sequence of Path
        Each written by `repro.damask.export.write_inputs`; the results are put beside the inputs.
    workers : int, optional
        Simulations at a time, one thread each; by default one per core.

    Returns
    -------
    dict
        Directory -> reason, of the simulations that failed; the others are complete.

    Raises
    ------
    FileNotFoundError
        If DAMASK_grid is not on the PATH.
    """
    command = executable()
    todo = [directory for directory in directories if not is_done(directory)]
    done = len(directories) - len(todo)
    bar = Progress(what=EXECUTABLE, unit="run", total=len(directories), initial=done)

    def simulate(directory):
        failure = _simulate(command, directory)
        bar.update()
        return failure

    pool = ThreadPoolExecutor(workers or available_cores())
    try:
        with bar:
            failures = dict(zip(map(str, todo), pool.map(simulate, todo), strict=True))
    finally:
        pool.shutdown(cancel_futures=True)
    return {directory: reason for directory, reason in failures.items() if reason}


def is_done(directory: Path) -> bool:
    """Whether a directory holds all increments, computed from the inputs that lie there now."""
    return any(_is_complete(path, directory) for path in _results(directory))


def _results(directory) -> list[Path]:
    return [path for path in directory.glob("*.hdf5") if not dadf5.is_restart(path)]


def _is_complete(path, directory) -> bool:
    try:
        result = dadf5.read(path)
    except (OSError, ValueError):
        return False  # killed while writing
    solved = result.input_files
    same = all(
        text.strip() == solved.get(name, "").strip() for name, text in _inputs(directory).items()
    )
    return same and result.is_complete


def _inputs(directory) -> dict[str, str]:
    names = (export.GRID, export.MATERIAL, export.LOAD, export.NUMERICS)
    paths = [directory / name for name in names]
    return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}


def _simulate(command, directory) -> str | None:
    """Run one simulation; the reason if it failed."""
    for path in _results(directory):
        path.unlink()
    call = [command, "-g", export.GRID, "-m", export.MATERIAL, "-l", export.LOAD]
    if (directory / export.NUMERICS).exists():
        call += ["-n", export.NUMERICS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (directory / LOG).open("wb") as log:
        status = subprocess.run(
            call, cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT
        ).returncode
    if status:
        return f"exit status {status}, see {directory / LOG}"
    if not is_done(directory):
        return f"did not write all increments, see {directory / LOG}"
    return None
