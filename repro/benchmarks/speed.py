"""Seconds that a simulation takes: DAMASK, our reference model and trained networks, side by side.

A simulation is a whole trajectory of the paper, microstructure in, all stress fields out. Every
contender is measured in the same run, on the same microstructures, and its error with it: that of
all increments, against the reference model at a tolerance far tighter than any contender's, and
against the converged fields of the same cells (`repro.data.discretization.CONVERGED`). Who solves
or steps fewer increments is interpolated to all of them, by a cubic spline over the load.
Beside it stands the error of single steps, as networks are trained to take: the true stress and the
increment of stress by who knows the whole load.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from repro import models, paper, reference, surrogate
from repro.damask import dadf5, export
from repro.damask import run as damask
from repro.data import dataset
from repro.data.discretization import CONVERGED, Discretization
from repro.data.load import PAPER_LOAD
from repro.data.microstructure import Microstructure
from repro.data.pairs import from_rest
from repro.evaluation import metrics
from repro.reference import Request
from repro.reference.recorded_damask import cases_like_training
from repro.surrogate import SURROGATES
from repro.surrogate.interpolation import at_all_increments
from repro.surrogate.solver import NAME, SETTINGS, CoarseSolve
from repro.tools import provenance
from repro.tools.csv_files import read_csv, replaced, write_csv
from repro.tools.processor import available_cores
from repro.tools.timing import process_on, timed

DEFAULT = CoarseSolve(paper.INCREMENTS, reference.TOLERANCE)  # as the data is made
TRUTH = CoarseSolve(paper.INCREMENTS, 1e-9)
CONVERGED_TRUTH = CoarseSolve(
    paper.INCREMENTS, **reference.accuracy(CONVERGED), discretization=CONVERGED
)
BATCHES = (4, 16, 64)  # of the networks, beside 1
DAMASK_TOLERANCE = 5e-4  # its default eps_rel_div
RECORDED_HARDWARE = "one core of a 2-core machine"
# Of the reference model all but `batch`; of DAMASK only `tol`, its eps_rel_div; of networks only
# `batch`, the cells that they take at once: 1, and the fastest of `BATCHES`.
SETTING = ["increments", "tol", "precision", "derivative", "points_per_pixel", "batch"]
COLUMNS = [
    *("contender", "kind", *SETTING, "default", "cores", "seconds", "mae", "mae_converged"),
    *("one_step",),
    *("evaluations", "n", "origin", "load", "command", "commit", "hardware", "machine"),
]


def measure(names=SURROGATES, microstructures: int = 8, repeats: int = 3) -> pd.DataFrame:
    """Measure every contender on one core and on all.

    Parameters
    ----------
    names : iterable of str
        Surrogates, as for `repro.surrogate.load`; by default all that are registered.
    microstructures : int
        Cells of the validation part that are simulated.
    repeats : int
        The fastest of them counts, since whatever else runs only slows down.

    Returns
    -------
    DataFrame
        Columns as in `COLUMNS`; seconds per simulation, MAE in MPa of the trajectory and of single
        steps from the true stress; of `SETTING` what says something of a contender, the rest
        missing; `default` marks the reference model as it made the data;
        `evaluations` of its law per increment; `origin` says "measured" or "recorded", `machine`
        where all that was measured was.

    Raises
    ------
    FileNotFoundError
        If a model does not exist.
    ValueError
        If the system cannot confine a process to one core.
    """
    # Another process may be at another place.
    names = [n if n in SURROGATES else str(models.model_path(n).absolute()) for n in names]
    validation = dataset.split_indices(paper.MICROSTRUCTURES)[1][:microstructures]
    cells = Request("paper").cells(validation)
    load = os.getloadavg()[0]
    rows = []
    for cores in sorted({1, available_cores()}):
        with process_on(cores) as call:
            rows += call(_measure_here, names, cells, cores, repeats)
    rows += damask_rows(cells)
    about = {"load": round(load, 2), **provenance.stamp(), "machine": provenance.hardware()}
    return pd.DataFrame([{**about, **row} for row in rows], columns=COLUMNS)


def write(path, table: pd.DataFrame) -> None:
    """Write a table of `measure` as CSV, before what was measured on other machines.

    What older versions measured, which says of no machine, is left out.
    """
    if Path(path).is_file() and "machine" in (before := read_csv(path)):
        table = replaced(_with_columns(before), table, ["machine"])
    write_csv(path, table, digits=5)


def read(path) -> pd.DataFrame:
    """Read a table that `write` wrote, also in an older version.

    The oldest are of one machine, and know no converged fields.
    """
    table = read_csv(path)
    if "machine" not in table:
        table = table.assign(machine=table["hardware"].iloc[0], mae_converged=np.nan)
    return _with_columns(table)


def _with_columns(table: pd.DataFrame) -> pd.DataFrame:
    """A table with the columns `SETTING`; older ones have a column of words, as of `described`."""
    if "setting" not in table:
        return table
    found = table["setting"].str.extract(
        r"(?:(?P<increments>\d+) increments, )?(?:tol|eps) (?P<tol>[^,]+)"
        r"(?:, (?P<precision>single) precision)?"
        r"(?:, (?P<derivative>\w+), (?P<points_per_pixel>\d+) x \d+ points)?"
        r"|batch (?P<batch>\d+)"
    )
    numbers = ("increments", "tol", "points_per_pixel", "batch")
    found = found.astype(dict.fromkeys(numbers, float))
    unsaid = pd.DataFrame(_columns(DEFAULT), found.index[table["contender"] == NAME])
    return table.drop(columns="setting").join(found.fillna(unsaid))


def _columns(setting: CoarseSolve) -> dict:
    """A setting of the reference model in the columns `SETTING`."""
    precision = "single" if setting.dtype is np.float32 else "double"
    about = {"increments": setting.increments, "tol": setting.tol, "precision": precision}
    return about | setting.discretization.attributes


def described(row: Mapping) -> str:
    """The setting of a row in words, for tables."""
    if row["kind"] == "network":
        return f"batch {row['batch']:.0f}" + (" (best)" if row["batch"] > 1 else "")
    if row["contender"] == "DAMASK":
        return f"eps {row['tol']:g}"
    dtype = np.float32 if row["precision"] == "single" else np.float64
    grid = Discretization(row["derivative"], int(row["points_per_pixel"]))
    return str(CoarseSolve(int(row["increments"]), row["tol"], dtype, grid))


def _measure_here(names, cells, cores, repeats) -> list[dict]:
    """Rows of the reference model and of the networks on the cores of this process."""
    truths = Truths.of(cells, cores)
    solvers = {setting: partial(solve, cells, setting, cores) for setting in SETTINGS}
    rows = [
        {
            "contender": NAME,
            "kind": "solver",
            **_columns(setting),
            "default": setting == DEFAULT,
            "seconds": timing.seconds / len(cells),
            **truths.errors(timing.result),
            "evaluations": _evaluations(cells, setting),
        }
        for setting, timing in timed(solvers, repeats).items()
    ]
    for name in names:
        one = surrogate.load(name)
        rows += _network_rows(one, cells, truths, repeats)
    common = {"cores": cores, "n": len(cells), "origin": "measured"}
    return [{**common, **row} for row in rows]


class Truths(NamedTuple):
    """What errors are against: stress (n, T, N, N) of the cells at all increments, MPa."""

    of_paper: np.ndarray  # one point per pixel and the paper's derivative, as the data are
    converged: np.ndarray

    @classmethod
    def of(cls, cells, workers: int = 1) -> "Truths":
        """Solve cells under the paper's load."""
        return cls(*(solve(cells, setting, workers) for setting in (TRUTH, CONVERGED_TRUTH)))

    def errors(self, sigma_vm) -> dict[str, float]:
        """MAE of a prediction (n, T, N, N) against both, and of its single steps, MPa.

        A step is the true stress plus the next increment of the predicted one.
        """
        steps = np.diff(from_rest(sigma_vm - self.of_paper), axis=1)
        return {
            "mae": metrics.mae(sigma_vm, self.of_paper),
            "mae_converged": metrics.mae(sigma_vm, self.converged),
            "one_step": float(np.abs(steps).mean()),
        }


def solve(cells, setting: CoarseSolve, workers: int = 1) -> np.ndarray:
    """Stress (n, T, N, N) under the paper's load, `workers` at a time, as data is generated."""

    def stress(cell):
        return setting.solve(cell, PAPER_LOAD).sigma_vm

    with ThreadPoolExecutor(workers) as pool:
        found = np.stack(list(pool.map(stress, cells)))
    return at_all_increments(found, paper.INCREMENTS)[:, 1:]


def _evaluations(cells, setting) -> float:
    """Evaluations of the law per increment: one alone if the start value were the solution."""
    runs = (setting.solve(cell, PAPER_LOAD) for cell in cells)
    return np.mean([run.evaluations[1:].mean() for run in runs])


def _network_rows(one: surrogate.Surrogate, cells, truths, repeats) -> list[dict]:
    """One row for single cells, one for the larger batch at which a simulation takes least."""

    def in_batches(size):
        starts = range(0, len(cells), size)
        found = [one(cells[start : start + size], PAPER_LOAD).sigma_vm for start in starts]
        return np.concatenate(found)[:, 1:]

    known = _single_steps(one, cells, truths)
    sizes = sorted({1, *(min(b, len(cells)) for b in BATCHES)})
    asked = {size: partial(in_batches, size) for size in sizes}
    rows = [
        {
            "contender": one.name,
            "kind": "network",
            "batch": batch,
            "default": False,
            "seconds": timing.seconds / len(cells),
            **truths.errors(timing.result),
            **known,
        }
        for batch, timing in timed(asked, repeats).items()
    ]
    return [rows[0], *sorted(rows[1:], key=lambda row: row["seconds"])[:1]]


def _single_steps(one, cells, truths) -> dict:
    """Error of the single steps that a network takes, if it does; else its increments are steps."""
    true = from_rest(truths.of_paper)
    ask = one.modes(cells, PAPER_LOAD, true).get("one-step")
    return (
        {} if ask is None else {"one_step": metrics.mae(ask(), true[:, one.stride :: one.stride])}
    )


# --- DAMASK --------------------------------------------------------------------------------


def damask_rows(cells: list[Microstructure]) -> list[dict]:
    """DAMASK on one core: measured where it is on the PATH, else as recorded with its results."""
    about = {"contender": "DAMASK", "kind": "solver", "default": False, "cores": 1}
    if shutil.which(damask.EXECUTABLE):
        return [{**about, **_measured_damask(cells)}]
    return [{**about, **row} for row in _recorded_damask()]


def _measured_damask(cells) -> dict:
    load = PAPER_LOAD
    seconds, stresses = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for i, cell in enumerate(cells):
            directory = Path(scratch, str(i))
            export.write_inputs(directory, cell, load)
            started = time.perf_counter()
            failures = damask.run([directory], workers=1)
            seconds.append(time.perf_counter() - started)
            if failures:
                raise ValueError(f"DAMASK failed: {next(iter(failures.values()))}")
            predicted = dadf5.read(dadf5.find([directory])[0]).sigma_vm
            stresses.append(predicted[1:])
    return {
        "tol": DAMASK_TOLERANCE,
        "seconds": float(np.mean(seconds)),
        **_damask_errors(cells, stresses),
        "n": len(cells),
        "origin": "measured",
    }


def _recorded_damask() -> Iterator[dict]:
    """The recorded runs of the paper's trajectory, one row per tolerance."""
    for tolerance, runs in cases_like_training().items():
        cells, stresses = zip(
            *((run.microstructure, run.sigma_vm[1:]) for run in runs), strict=True
        )
        yield {
            "tol": tolerance,
            "n": len(runs),
            "origin": "recorded",
            "load": np.nan,
            "command": "DAMASK_grid",
            "hardware": RECORDED_HARDWARE,
            "seconds": float(np.mean([run.wall_seconds for run in runs])),
            **_damask_errors(cells, stresses),
        }


def _damask_errors(cells, stresses) -> dict[str, float]:
    """Errors of whole loads; DAMASK takes no single steps."""
    errors = Truths.of(cells, available_cores()).errors(np.stack(stresses))
    return {name: errors[name] for name in ("mae", "mae_converged")}
