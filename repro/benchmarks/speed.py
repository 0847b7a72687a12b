"""Seconds that a simulation takes: DAMASK, our reference model and trained networks, side by side.

A simulation is a whole trajectory of the paper, microstructure in, all stress fields out. Every
contender is measured in the same run, on the same microstructures, and its error with it: against
the reference model at a tolerance that is far tighter than any contender's.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from repro import models, paper, reference
from repro.benchmarks.timing import available_cores, process_on, timed
from repro.damask import dadf5, export
from repro.damask import run as damask
from repro.damask.trajectories import cases_like_training
from repro.data import dataset
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.evaluation import metrics
from repro.reference import generation
from repro.tools import provenance
from repro.tools.csv_files import write_csv
from repro.training.run_directory import run_of

TOLERANCES = (1e-5, 1e-6, 1e-7, 1e-8)  # of the reference model
TRUTH_TOLERANCE = 1e-9
BATCHES = (4, 16, 64)  # of the networks, beside 1
DAMASK_TOLERANCE = 5e-4  # its default eps_rel_div
RECORDED_HARDWARE = "one core of a 2-core machine"
MEASURED = ["contender", "kind", "setting", "default", "cores", "seconds", "mae", "n", "origin"]
COLUMNS = [*MEASURED, "load", "command", "commit", "hardware"]


def measure(names, microstructures: int = 8, repeats: int = 3) -> pd.DataFrame:
    """Measure every contender on one core and on all.

    Parameters
    ----------
    names : sequence of str
        Trained networks, as for `repro.models.load`.
    microstructures : int
        Cells of the validation part that are simulated.
    repeats : int
        The fastest of them counts, since whatever else runs only slows down.

    Returns
    -------
    DataFrame
        Columns as in `COLUMNS`; seconds per simulation, MAE of the trajectory in MPa; `default`
        marks the reference model as it made the data; `origin` says "measured" or "recorded".

    Raises
    ------
    FileNotFoundError
        If a model does not exist.
    ValueError
        If the system cannot confine a process to one core.
    """
    paths = [str(models.model_path(name)) for name in names]
    validation = dataset.split_indices(paper.MICROSTRUCTURES)[1][:microstructures]
    cells = [generation.Job("paper").microstructure(int(i))[1] for i in validation]
    load = os.getloadavg()[0]
    rows = []
    for cores in sorted({1, available_cores()}):
        with process_on(cores) as call:
            rows += call(_measure_here, paths, cells, cores, repeats)
    rows += damask_rows(cells)
    about = {"load": round(load, 2), **provenance.stamp()}
    return pd.DataFrame([{**about, **row} for row in rows], columns=COLUMNS)


def shipped() -> list[str]:
    """Names of the trained networks that come with the project."""
    return sorted(path.parent.name for path in models.SHIPPED.glob("*/best.keras"))


def write(path, table: pd.DataFrame) -> None:
    """Write a table of `measure` as CSV."""
    write_csv(path, table, digits=5)


def _measure_here(paths, cells, cores, repeats) -> list[dict]:
    """Rows of the reference model and of the networks on the cores of this process."""
    truth = np.stack([run.sigma_vm for run in _solve(cells, TRUTH_TOLERANCE)])
    rows = []
    solvers = {tol: partial(_solve, cells, tol, cores) for tol in TOLERANCES}
    for tol, timing in timed(solvers, repeats).items():
        predicted = np.stack([run.sigma_vm for run in timing.result])[:, 1:]
        rows.append(
            {
                "contender": "reference model",
                "kind": "solver",
                "setting": f"tol {tol:g}",
                "default": tol == reference.TOLERANCE,
                "seconds": timing.seconds / len(cells),
                "mae": metrics.mae(predicted, truth[:, 1:]),
            }
        )
    for path in paths:
        rows += _network_rows(path, cells, truth, repeats)
    common = {"cores": cores, "n": len(cells), "origin": "measured"}
    return [{**common, **row} for row in rows]


def _solve(cells, tol, workers=1):
    """Simulations, `workers` at a time in threads, as in the generation of data."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda cell: reference.simulate(cell, tol=tol), cells))


def _network_rows(path, cells, truth, repeats) -> list[dict]:
    """One row for single cells, one for the batch at which a simulation takes least."""
    run, model = run_of(path), models.load(path)
    stride = run.stride or 1
    true = truth[:, stride::stride]
    sizes = sorted({1, *(min(b, len(cells)) for b in BATCHES)})
    asked = {batch: partial(_trajectories, model, cells, stride, batch) for batch in sizes}
    rows = [
        {
            "contender": run.model,
            "kind": "network",
            "setting": f"batch {batch}",
            "default": False,
            "seconds": timing.seconds / len(cells),
            "mae": metrics.mae(timing.result, true),
        }
        for batch, timing in timed(asked, repeats).items()
    ]
    best = min(rows[1:], key=lambda row: row["seconds"], default=rows[0])
    if best is rows[0]:
        return rows[:1]
    return [rows[0], {**best, "setting": f"{best['setting']} (best)"}]


def _trajectories(model, cells, stride, batch) -> np.ndarray:
    """Rollouts (n, S, N, N) from the microstructures, everything included."""
    parts = []
    for start in range(0, len(cells), batch):
        properties = np.stack([cell.property_maps() for cell in cells[start : start + batch]])
        properties = properties.astype(np.float32)
        stress = np.zeros_like(properties[..., :1])
        steps = []
        for _ in range(paper.INCREMENTS // stride):
            stress = np.asarray(
                model.predict_on_batch(np.concatenate([properties, stress], axis=-1))
            )
            steps.append(stress[..., 0])
        parts.append(np.stack(steps, axis=1))
    return np.concatenate(parts)


# --- DAMASK --------------------------------------------------------------------------------


def damask_rows(cells: list[Microstructure]) -> list[dict]:
    """DAMASK on one core: measured where it is on the PATH, else as recorded with its results."""
    about = {"contender": "DAMASK", "kind": "solver", "default": False, "cores": 1}
    if shutil.which(damask.EXECUTABLE):
        return [{**about, **_measured_damask(cells)}]
    return [{**about, **row} for row in _recorded_damask()]


def _measured_damask(cells) -> dict:
    load = Load.stretch()
    seconds, errors = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for i, cell in enumerate(cells):
            directory = Path(scratch, str(i))
            export.write_inputs(directory, cell, load.F11, load.time)
            started = time.perf_counter()
            failures = damask.run([directory], workers=1)
            seconds.append(time.perf_counter() - started)
            if failures:
                raise ValueError(f"DAMASK failed: {next(iter(failures.values()))}")
            predicted = dadf5.read(dadf5.find([directory])[0]).sigma_vm
            errors.append(_error(cell, predicted, load))
    return {
        "setting": f"eps {DAMASK_TOLERANCE:g}",
        "seconds": float(np.mean(seconds)),
        "mae": float(np.mean(errors)),
        "n": len(cells),
        "origin": "measured",
    }


def _recorded_damask() -> Iterator[dict]:
    """The recorded runs of the paper's trajectory, one row per tolerance."""
    for tolerance, runs in cases_like_training().items():
        errors = [_error(run.microstructure, run.sigma_vm, run.load) for run in runs]
        yield {
            "setting": f"eps {tolerance:g}",
            "n": len(runs),
            "origin": "recorded",
            "load": np.nan,
            "command": "DAMASK_grid",
            "hardware": RECORDED_HARDWARE,
            "seconds": float(np.mean([run.wall_seconds for run in runs])),
            "mae": float(np.mean(errors)),
        }


def _error(cell, predicted, load) -> float:
    true = reference.simulate(cell, load, tol=TRUTH_TOLERANCE).sigma_vm
    return metrics.mae(predicted[1:], true[1:])
