"""Speed of the reference model: seconds a simulation over tolerance, grid, batch and cores.

A simulation is the paper's: 20 increments to F11 = 1.004, one of its microstructures. Everything is
measured within one run, variants in turn, after compilation; of the repetitions the fastest counts,
since all that disturbs a measurement makes it slower.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from repro import paper
from repro.damask.trajectories import TRAJECTORIES, read_cases
from repro.data import microstructure as ms
from repro.reference import TOLERANCE, simulate, simulate_batch
from repro.tools.provenance import code_commit, command_line, hardware

TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
TRUTH = 1e-10  # tolerance of the solutions that errors are measured against
GRIDS = {32: 8, 64: 8, 128: 4, 256: 2, 512: 1}  # pixels along an edge: simulations
BATCHES = (1, 2, 4, 8, 16)


class Timing(NamedTuple):
    """Seconds a simulation."""

    seconds: float  # wall time
    cpu_seconds: float  # processor time of all threads: what `seconds` is on a machine at leisure


def timed(variants: dict[object, Callable[[], int]], repeats: int) -> dict[object, Timing]:
    """Time calls that return how many simulations they did; each once more before, to compile."""
    for call in variants.values():
        call()
    best = dict.fromkeys(variants, Timing(np.inf, np.inf))
    for _ in range(repeats):
        for name, call in variants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            count = call()
            found = (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count
            best[name] = Timing(*map(min, best[name], found))
    return best


def _cells(count: int, size: int = paper.GRID):
    return [ms.polycrystal(ms.generator(0, 0, i), size=size) for i in range(count)]


def _simulate_all(cells, **load) -> int:
    for cell in cells:
        simulate(cell, **load)
    return len(cells)


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
        paths = [simulate(cell, tol=tol) for cell in cells]
        error = abs(np.stack([path.sigma_vm for path in paths]) - truth)[:, 1:]
        rows.append(
            {
                "sweep": "tolerance",
                "solver": "this",
                "tol": tol,
                "N": size,
                "n": count,
                **times[tol]._asdict(),
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
    ours = simulate(case.microstructure, case.F11[-1], len(case.F11) - 1, tol=tol).sigma_vm
    return abs(ours - case.sigma_vm)[1:]


def over_grid(grids: dict[int, int] | None = None, repeats: int = 2) -> list[dict]:
    """Time over the number of pixels."""
    cells = {size: _cells(count, size) for size, count in (grids or GRIDS).items()}
    times = timed({size: partial(_simulate_all, c) for size, c in cells.items()}, repeats)
    return [
        {"sweep": "grid", "solver": "this", "tol": TOLERANCE, "N": size, "n": len(cells[size])}
        | times[size]._asdict()
        | {"evaluations": np.mean([simulate(cell).evaluations.sum() for cell in cells[size]])}
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
        return len(cells)

    times = timed({batch: partial(solve, batch) for batch in batches}, repeats)
    return [
        {"sweep": "batch", "solver": "this", "tol": TOLERANCE, "N": size, "n": len(cells)}
        | {"batch": batch}
        | times[batch]._asdict()
        for batch in batches
    ]


def over_workers(count: int = 32, size: int = paper.GRID, repeats: int = 3) -> list[dict]:
    """Time over the number of threads that solve cells, as the generation of data does."""
    cells = _cells(count, size)

    def solve(workers):
        with ThreadPoolExecutor(workers) as pool:
            return len(list(pool.map(simulate, cells)))

    workers = sorted({1, os.cpu_count()} | {2**k for k in range(1, 7) if 2**k < os.cpu_count()})
    times = timed({w: partial(solve, w) for w in workers}, repeats)
    return [
        {"sweep": "workers", "solver": "this", "tol": TOLERANCE, "N": size, "n": count}
        | {"workers": w}
        | times[w]._asdict()
        for w in workers
    ]


def compilation(size: int = paper.GRID) -> list[dict]:
    """Time of the first simulation of a shape on a machine, compilation included."""
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        jax.clear_caches()
        wall, cpu = time.perf_counter(), time.process_time()
        _simulate_all(_cells(1, size))
        found = Timing(time.perf_counter() - wall, time.process_time() - cpu)
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
    about = {"sweep": "first simulation", "solver": "this", "tol": TOLERANCE, "N": size, "n": 1}
    return [about | found._asdict()]


def run(directory=TRAJECTORIES) -> pd.DataFrame:
    """All sweeps at full size; one row a variant, with its provenance."""
    one_core = [partial(over_tolerance, directory), over_grid, over_batch, compilation]
    all_cores = [over_workers]
    rows = []
    for cores, sweeps in ((1, one_core), (os.cpu_count(), all_cores)):
        # A process of its own: its threads inherit the cores that it is bound to.
        with ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=_bind, initargs=(cores,)
        ) as pool:
            for sweep in sweeps:
                load = os.getloadavg()[0]
                start = time.perf_counter()
                found, device = pool.submit(_on_device, sweep).result()
                about = {"cores": cores, "device": device, "load_before": round(load, 1)}
                rows += [row | about for row in found]
                print(f"{found[0]['sweep']}: {time.perf_counter() - start:.0f} s")
    about = {"command": command_line(), "commit": code_commit(), "hardware": hardware()}
    return pd.DataFrame(rows).assign(**about)


def _bind(cores: int):
    """Bind this process to so many of its cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def _on_device(sweep: Callable[[], Iterable[dict]]):
    return sweep(), jax.devices()[0].device_kind
