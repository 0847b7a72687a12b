"""What whole commands take: seconds by the clock, and memory."""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

import repro
from repro.tools import provenance
from repro.tools.progress import Progress

# What is done -> command, in the order in which they are run: the last reads what others wrote.
JOBS = {
    "--help": "train_paper --help",
    "make run": "train_paper --preset quick",
    "1000 cells solved": "generate_data --out data/paper.h5",
    "one epoch of the paper's pairs from a file": "train_paper --data data/paper.h5 --from-file "
    "--epochs 1 --out runs/from_file",
}


def run(jobs=JOBS) -> pd.DataFrame:
    """Run commands in an empty folder, each in a process of its own, one after another.

    Parameters
    ----------
    jobs : mapping
        What is done -> options and name of the command.

    Returns
    -------
    DataFrame
        Columns job, seconds, `memory_MiB` (largest resident size), with their provenance.

    Raises
    ------
    ValueError
        If the system does not say what a process took.
    RuntimeError
        If a command fails.
    """
    if not hasattr(os, "wait4"):
        raise ValueError("the memory of a command can be measured on Linux and macOS only")
    with TemporaryDirectory() as folder:
        rows = [
            {"job": job, **_measured(options.split(), folder)}
            for job, options in Progress(jobs.items(), "measuring", "command")
        ]
    return pd.DataFrame(rows).assign(**provenance.stamp())


# A process counts what its parent had in memory when it was started: so a small one starts it.
START = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=sys.stderr)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def _measured(arguments, folder) -> dict:
    module, *options = arguments
    command = [sys.executable, "-m", f"repro.{module}", *options]
    here = {**os.environ, "PYTHONPATH": str(Path(repro.__file__).parents[1])}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", START, *command], cwd=folder, env=here, capture_output=True
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise RuntimeError(f"{' '.join(arguments)}: {said}")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss: bytes there, else KiB
    return {"seconds": round(seconds, 2), "memory_MiB": round(int(done.stdout) / unit)}
