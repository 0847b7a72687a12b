"""The reference model on many cells at once, and the loads that the networks know."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from repro import paper, reference
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.tools.engine import available_cores
from repro.tools.progress import Progress

LOAD = Load.stretch()  # the paper's
LONGER_LOAD = Load.stretch(paper.F11_EXTENSION, 2 * paper.INCREMENTS)  # twice as far


def solve(cells: Sequence[Microstructure], load: Load = LOAD, progress: bool = False) -> np.ndarray:
    """Stress (n, T+1, N, N) float32, MPa, by the reference model, on all cores.

    Increments larger than the paper's are divided: the networks learned from such small ones.

    Parameters
    ----------
    cells : sequence of Microstructure
        On equal grids.
    load : Load
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    ConvergenceError
        As `repro.reference.simulate`.
    """
    parts = np.ceil(np.abs(np.diff(load.F11)) / paper.STRETCH_STEP - 1e-6).clip(1).astype(int)
    ends = np.concatenate([[0], np.cumsum(parts)])
    finer = Load(*(np.interp(np.arange(ends[-1] + 1), ends, x) for x in (load.time, load.F11)))
    # Filled in place: the cells of a training take gigabytes.
    sigma_vm = np.empty((len(cells), len(load.time), *cells[0].grain_id.shape), np.float32)

    def fill(i):
        sigma_vm[i] = reference.simulate(cells[i], finer).sigma_vm[ends]

    on_all_cores(fill, range(len(cells)), progress)
    return sigma_vm


def on_all_cores(function: Callable, cells: Sequence, progress: bool = False) -> list:
    """`function(cell)` of all cells; threads will do, since the compiled solver frees the GIL."""
    with ThreadPoolExecutor(available_cores()) as pool:
        results = pool.map(function, cells)
        return list(Progress(results, "solving", "cell", progress, total=len(cells)))
