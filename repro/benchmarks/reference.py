"""Speed of the reference model: seconds per simulation over tolerance, grid, batch and cores.

A simulation is the paper's: 20 increments to F11 = 1.004, one of its microstructures. Everything is
measured within one run, after compilation, as `repro.tools.timing` says.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import numpy as np
import pandas as pd

from repro import paper
from repro.data import microstructure as ms
from repro.reference import TOLERANCE, simulate, simulate_batch
from repro.reference.recorded_damask import TRAJECTORIES, read_cases
from repro.tools import provenance
from repro.tools.processor import available_cores
from repro.tools.timing import process_on, timed

TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
TRUTH = 1e-10  # tolerance of the solutions that errors are measured against
GRIDS = {32: 8, 64: 8, 128: 4, 256: 2, 512: 1}  # pixels along an edge: simulations
BATCHES = (1, 2, 4, 8, 16)


def _cells(count: int, size: int = paper.GRID):
    return [ms.polycrystal(ms.generator(0, 0, i), size=size) for i in range(count)]


def _simulate_all(cells, tol=TOLERANCE):
    return [simulate(cell, tol=tol) for cell in cells]


def over_tolerance(
    directory=TRAJECTORIES,
    tolerances: Sequence[float] = TOLERANCES,
    count: int = 8,
    size: int = paper.GRID,
    repeats: int = 3,
) -> list[dict]:
    """Time and error against the tightest tolerance and against tight DAMASK; DAMASK's own beside.

    DAMASK's times are those of its own runs, with its error at its default tolerance.
    """
    cells, damask = _cells(count, size), read_cases(directory)
    truth = np.stack([simulate(cell, tol=TRUTH).sigma_vm for cell in cells])
    times = timed({tol: partial(_simulate_all, cells, tol=tol) for tol in tolerances}, repeats)
    rows = []
    for tol in tolerances:
        paths = times[tol].result
        error = abs(np.stack([path.sigma_vm for path in paths]) - truth)[:, 1:]
        rows.append(
            {
                "sweep": "tolerance",
                "solver": "this",
                "tol": tol,
                "N": size,
                "n": count,
                **times[tol].each(count),
                "evaluations": np.mean([path.evaluations.sum() for path in paths]),
                "mae": error.mean(),
                "max_error": error.max(),
                "mae_damask": np.mean([_error(c, tol).mean() for c in damask if c.tight]),
            }
        )
    for eps in sorted({case.eps_rel_div_P for case in damask}):
        cases = [c for c in damask if c.eps_rel_div_P == eps and len(c.F11) == len(truth[0])]
        errors = [_error(case, TRUTH) for case in cases]
        rows.append(
            {
                "sweep": "tolerance",
                "solver": "DAMASK",
                "tol": eps,
                "N": paper.GRID,
                "n": len(cases),
                "seconds": np.mean([case.wall_seconds for case in cases]),
                "mae": np.mean([error.mean() for error in errors]),
                "max_error": max(error.max() for error in errors),
            }
        )
    return rows


def _error(case, tol):
    ours = simulate(case.microstructure, case.load, tol=tol).sigma_vm
    return abs(ours - case.sigma_vm)[1:]


def over_grid(grids: dict[int, int] | None = None, repeats: int = 2) -> list[dict]:
    """Time over the number of pixels."""
    cells = {size: _cells(count, size) for size, count in (grids or GRIDS).items()}
    times = timed({size: partial(_simulate_all, c) for size, c in cells.items()}, repeats)
    return [
        {"sweep": "grid", "solver": "this", "tol": TOLERANCE, "N": size, "n": len(cells[size])}
        | times[size].each(len(cells[size]))
        | {"evaluations": np.mean([path.evaluations.sum() for path in times[size].result])}
        for size in cells
    ]


def over_batch(
    batches: Sequence[int] = BATCHES, size: int = paper.GRID, repeats: int = 3
) -> list[dict]:
    """Time over the batch size; every variant solves the same cells."""
    cells = _cells(max(batches), size)

    def solve(batch):
        for start in range(0, len(cells), batch):
            simulate_batch(cells[start : start + batch])

    times = timed({batch: partial(solve, batch) for batch in batches}, repeats)
    return [
        {"sweep": "batch", "solver": "this", "tol": TOLERANCE, "N": size, "n": len(cells)}
        | {"batch": batch}
        | times[batch].each(len(cells))
        for batch in batches
    ]


def over_workers(count: int = 32, size: int = paper.GRID, repeats: int = 3) -> list[dict]:
    """Time over the number of threads that solve cells, as the generation of data does."""
    cells = _cells(count, size)

    def solve(workers):
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(simulate, cells))

    cores = available_cores()
    workers = sorted({1, cores} | {2**k for k in range(1, 7) if 2**k < cores})
    times = timed({w: partial(solve, w) for w in workers}, repeats)
    return [
        {"sweep": "workers", "solver": "this", "tol": TOLERANCE, "N": size, "n": count}
        | {"workers": w}
        | times[w].each(count)
        for w in workers
    ]


def compilation(size: int = paper.GRID) -> list[dict]:
    """Time of the first simulation of a shape on a machine, compilation included."""
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        jax.clear_caches()
        wall, cpu = time.perf_counter(), time.process_time()
        _simulate_all(_cells(1, size))
        found = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
    about = {"sweep": "first simulation", "solver": "this", "tol": TOLERANCE, "N": size, "n": 1}
    return [about | found]


def run(directory=TRAJECTORIES) -> pd.DataFrame:
    """All sweeps at full size; one row per variant, with its provenance."""
    one_core = [partial(over_tolerance, directory), over_grid, over_batch, compilation]
    all_cores = [over_workers]
    rows = []
    for cores, sweeps in ((1, one_core), (available_cores(), all_cores)):
        with process_on(cores) as call:
            for sweep in sweeps:
                load = os.getloadavg()[0]
                start = time.perf_counter()
                found, device = call(_on_device, sweep)
                about = {"cores": cores, "device": device, "load_before": round(load, 1)}
                rows += [row | about for row in found]
                print(f"{found[0]['sweep']}: {time.perf_counter() - start:.0f} s")
    return pd.DataFrame(rows).assign(**provenance.stamp())


def _on_device(sweep: Callable[[], Iterable[dict]]):
    return sweep(), jax.devices()[0].device_kind
