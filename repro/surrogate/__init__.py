"""Stress fields faster than the reference model, with a bound of their error that was measured.

`predict` asks a fast predictor, calibrates its error on exact solutions of some of the same cells,
and solves exactly where the bound misses the tolerance. Nothing is assumed of the cells but that
those to calibrate on are drawn from them at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from repro.data.load import Load
from repro.data.microstructure import Microstructure, grid_of
from repro.reference import ConvergenceError
from repro.surrogate.calibration import Calibration, check_sample, features_of
from repro.surrogate.predictors import Predictor, in_one_pass, in_two_passes, refined_solve, rollout
from repro.surrogate.solves import LOAD, solve

__all__ = [
    "Answer",
    "Calibration",
    "calibrate",
    "in_one_pass",
    "in_two_passes",
    "predict",
    "refined_solve",
    "rollout",
    "solve",
]

CALIBRATION = 50  # cells
TOGETHER = 100  # cells that a predictor is asked at a time: their inputs are in memory


@dataclass(frozen=True)
class Answer:
    """Stress of some cells under a load, and how far off it may be."""

    load: Load
    sigma_vm: np.ndarray  # von Mises stress, MPa, (n, T+1, N, N)
    exact: np.ndarray  # whether a cell was solved by the reference model, (n,)
    bound: np.ndarray  # of a cell's mean absolute error over the load, MPa, (n,)
    field_bound: np.ndarray  # of the mean absolute error of each field, MPa, (n, T+1)
    confidence: float  # share of all cells, and of all fields of an increment, within the bounds


def predict(
    cells: Sequence[Microstructure],
    tolerance: float,
    load: Load = LOAD,
    *,
    predictor: Predictor | None = None,
    calibration: int = CALIBRATION,
    confidence: float = 0.9,
    seed: int = 0,
) -> Answer:
    """Stress of many cells of one kind, with a bound of the error of each.

    Some of the cells, drawn at random, are solved exactly (`solve`) to calibrate the predictor; so
    are those whose bound is above the tolerance. Where there are no more cells than to calibrate
    on, all are solved, and the predictor is not asked.

    Parameters
    ----------
    cells : sequence of Microstructure
    tolerance : float
        Largest bound of the mean absolute error of a cell over the load that is good enough, MPa.
    load : Load
        By default the paper's.
    predictor : callable, optional
        By default `refined_solve()`.
    calibration : int
        Cells to calibrate on.
    confidence : float
        Share of the cells whose error is to be below its bound.
    seed : int
        Of the choice of the cells to calibrate on.

    Returns
    -------
    Answer

    Raises
    ------
    ValueError
        If `calibration` is too small for `confidence`, the grids differ, or the predictor does not
        know the load.
    ConvergenceError
        As `solve`.
    """
    check_sample(calibration, confidence)
    grid_of(cells)  # raises if there are several
    if not tolerance >= 0:
        raise ValueError(f"tolerance must not be negative (MPa), got {tolerance}")
    if len(cells) <= calibration:
        return _all_exact(cells, load, confidence)
    sigma_vm, scores = _asked(predictor or refined_solve(), cells, load)
    chosen = np.random.default_rng(seed).permutation(len(cells))[:calibration]
    sample, true = [cells[i] for i in chosen], _exact(cells, chosen, load)
    measured = _measured(sample, sigma_vm[chosen], true, scores[chosen], confidence)
    sigma_vm[chosen] = true
    bound, field_bound = measured.of_cells(scores), measured.of_fields(scores)
    bound[chosen] = 0
    poor = np.flatnonzero(bound > tolerance)
    if len(poor):
        sigma_vm[poor] = _exact(cells, poor, load)
    exact = np.zeros(len(cells), bool)
    exact[chosen] = exact[poor] = True
    bound[exact] = field_bound[exact] = 0
    return Answer(load, sigma_vm, exact, bound, field_bound, confidence)


def calibrate(
    predictor: Predictor,
    cells: Sequence[Microstructure],
    load: Load = LOAD,
    confidence: float = 0.9,
) -> Calibration:
    """Measure a predictor on cells, for bounds of others that are drawn as these.

    Whether others look so, `Calibration.applies_to` says of their scores.

    Raises
    ------
    ValueError, ConvergenceError
        As `predict`.
    """
    sigma_vm, scores = _asked(predictor, cells, load)
    return _measured(cells, sigma_vm, solve(cells, load), scores, confidence)


def _asked(predictor, cells, load) -> tuple[np.ndarray, np.ndarray]:
    starts = range(0, len(cells), TOGETHER)
    parts = [predictor(cells[start : start + TOGETHER], load) for start in starts]
    sigma_vm, scores = zip(*parts, strict=True)
    return np.concatenate(sigma_vm), np.concatenate(scores)


def _exact(cells, chosen, load) -> np.ndarray:
    """Of some of the cells, by their numbers."""
    try:
        return solve([cells[i] for i in chosen], load)
    except ConvergenceError as error:
        error.microstructure = int(chosen[error.microstructure])
        raise


def _measured(cells, sigma_vm, true, scores, confidence) -> Calibration:
    errors = np.abs(sigma_vm - true).mean((2, 3))
    return Calibration(errors, scores, features_of(cells), confidence)


def _all_exact(cells, load, confidence) -> Answer:
    """Too few cells to gain anything."""
    sigma_vm = solve(cells, load)
    none = np.zeros(sigma_vm.shape[:2])
    return Answer(load, sigma_vm, np.ones(len(cells), bool), none[:, 0], none, confidence)
