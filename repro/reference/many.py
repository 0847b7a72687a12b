"""The reference model on many cells at once, on all cores."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from repro import paper, reference
from repro.data import dataset
from repro.data.dataset import DataSet
from repro.data.discretization import PAPER, Discretization
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import PAPER_LOAD, Load
from repro.data.microstructure import Microstructure, as_cells, shape_of, units_known
from repro.tools.processor import available_cores
from repro.tools.progress import Progress
from repro.tools.provenance import code_commit
from repro.tools.values import required


def simulate_many(
    cells: Sequence[Microstructure],
    load: Load = PAPER_LOAD,
    discretization: Discretization = PAPER,
    *,
    flow_rule: FlowRule = PAPER_RULE,
    tol: float | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Stress (n, T+1, N, N) float32, MPa, by the reference model, on all cores.

    The networks learned from increments of 0.0002 of F11. So larger ones are divided, and the
    stress is not what `repro.reference.simulate` makes of them as they are. A hold is not divided.

    Parameters
    ----------
    cells : sequence of Microstructure
        On equal grids.
    load : Load
    discretization : Discretization
        By default the paper's.
    flow_rule : FlowRule
        By default the paper's.
    tol : float, optional
        As for `repro.reference.simulate`; by default, and the precision, by
        `repro.reference.accuracy`.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        If there are no cells, or on grids of several shapes.
    ConvergenceError
        As `repro.reference.simulate`, with the number of the cell and of the load's increment.
    """
    cells, how = _checked(cells, load, discretization, flow_rule, tol)
    finer, ends = divided(load)
    # Filled in place: the cells of a training take gigabytes.
    sigma_vm = np.empty((len(cells), len(load.time), *shape_of(cells)), np.float32)

    def fill(i):
        try:
            sigma_vm[i] = _solved(i, cells, finer, how).sigma_vm[ends]
        except reference.ConvergenceError as error:
            error.increment = int(np.searchsorted(ends, error.increment))
            raise

    on_all_cores(fill, range(len(cells)), progress)
    return sigma_vm


def solve(
    cells: Sequence[Microstructure],
    load: Load = PAPER_LOAD,
    discretization: Discretization = PAPER,
    *,
    flow_rule: FlowRule = PAPER_RULE,
    tol: float | None = None,
    kept: np.ndarray | None = None,
    attributes: dict | None = None,
    progress: bool = False,
) -> DataSet:
    """Cells and their trajectories as a data set, by the reference model, on all cores.

    The increments are solved as the load has them. Other parameters are as for `simulate_many`.

    Parameters
    ----------
    kept : array of int, optional
        Increments that the data set keeps; by default all.
    attributes : dict, optional
        What the data set says of itself beside how it was solved.

    Raises
    ------
    DataSetError
        If a cell has more grains than a data set can keep.
    ValueError, ConvergenceError
        As `simulate_many`.
    """
    cells, how = _checked(cells, load, discretization, flow_rule, tol)
    dataset.most_grains(cells)

    solved = partial(_solved, cells=cells, load=load, how=how)
    runs = on_all_cores(solved, range(len(cells)), progress)
    about = how_solved(how["tol"], flow_rule, discretization) | (attributes or {})
    with units_known():
        return dataset.of(cells, runs, about, kept=kept)


def how_solved(tol: float, flow_rule: FlowRule, discretization: Discretization) -> dict:
    """Attributes of a data set that the reference model has solved."""
    return {
        "generator": "repro.reference",
        "tolerance": tol,
        **flow_rule.attributes,
        **discretization.attributes,
        "commit": code_commit(),
    }


def checked_cells(cells, load, discretization) -> list[Microstructure]:
    """The cells as a list; ValueError for several grids, or if something is of another class."""
    cells = as_cells(cells)
    shape_of(cells)  # raises if there are several
    required(load, Load, "load")
    required(discretization, Discretization, "discretization")
    return cells


def _checked(cells, load, discretization, flow_rule, tol) -> tuple[list[Microstructure], dict]:
    """The cells (`checked_cells`), and how to solve them."""
    cells = checked_cells(cells, load, discretization)
    accuracy = reference.accuracy(discretization, tol)
    return cells, {**accuracy, "discretization": discretization, "flow_rule": flow_rule}


def _solved(i, cells, load, how):
    try:
        return reference.simulate(cells[i], load, **how)
    except reference.ConvergenceError as error:
        if how["dtype"] is np.float64:
            error.microstructure = i
            raise
    # Single precision does not resolve what a soft grain misses beside stiff ones.
    return _solved(i, cells, load, how | {"dtype": np.float64})


def divided(load: Load) -> tuple[Load, np.ndarray]:
    """A load in increments as small as the paper's, and which of them end those that were given.

    A hold is not divided.
    """
    parts = np.ceil(load.changes / paper.STRETCH_STEP - 1e-6).clip(1).astype(int)
    ends = np.concatenate([[0], np.cumsum(parts)])
    return load.at(np.interp(np.arange(ends[-1] + 1), ends, np.arange(len(ends)))), ends


def on_all_cores(solve: Callable, cells: Sequence, progress: bool = False) -> list:
    """`solve(cell)` of all cells; threads will do, since the compiled solver frees the GIL."""
    with ThreadPoolExecutor(available_cores()) as pool:
        results = pool.map(solve, cells)
        return list(Progress(results, "solving", "cell", progress, total=len(cells)))
