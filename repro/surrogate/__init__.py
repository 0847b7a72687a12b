"""Surrogates of the reference model, and conformal bounds of their errors.

A surrogate takes cells and a load, and gives stress over the load with a score for each cell
(`repro.surrogate.base`). There are five kinds: the rollout of a network that steps the stress, the
learned correction of a coarse solution, the direct prediction of the trajectory, the average over
symmetries (test-time augmentation), and the coarse solution itself. `SURROGATES` lists those that
come with the project.

`predict` predicts cells by a surrogate, calibrates its error on reference solutions of some of
them, and solves those cells whose bound is above the tolerance. By default the reference solution
has converged in the grid. The only assumption is that the cells to calibrate on are drawn from all
cells at random. For other loads and flow rules than the paper's, which no network learned, and for
fields on one point per pixel, the surrogate is the reference model itself, solved coarsely: no
network is faster than it there at equal error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from repro.data.discretization import CONVERGED, Discretization
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import PAPER_LOAD, Load
from repro.data.microstructure import Microstructure, as_cells, pixel_centres, shape_of
from repro.reference import ConvergenceError, simulate_many
from repro.surrogate import registry
from repro.surrogate.averaged import REFLECTIONS, Averaged
from repro.surrogate.base import Prediction, Predictor, Surrogate
from repro.surrogate.calibration import Calibration, check_sample, features_of
from repro.surrogate.correction import Corrected, check_load
from repro.surrogate.direct import Direct
from repro.surrogate.modes import MODES, network_predictor, one_step, rollout
from repro.surrogate.registry import SURROGATES, load, of_network, register
from repro.surrogate.rollout import Rollout
from repro.surrogate.solver import CoarseSolve
from repro.tools.values import Value, number, required, unmasked, whole

if TYPE_CHECKING:
    import xarray

__all__ = [
    "MODES",
    "REFLECTIONS",
    "SURROGATES",
    "Answer",
    "Averaged",
    "Calibration",
    "CoarseSolve",
    "Corrected",
    "Direct",
    "Prediction",
    "Predictor",
    "Rollout",
    "Surrogate",
    "calibrate",
    "load",
    "network_predictor",
    "of_network",
    "one_step",
    "predict",
    "register",
    "rollout",
]

CALIBRATION = 50  # cells
TOGETHER = 100  # cells that a surrogate is asked at a time: their inputs are in memory


@dataclass(frozen=True, eq=False)
class Answer(Value):
    """Stress of some cells under a load, and bounds of its error.

    The arrays are read-only views of those that were given, since they may take gigabytes.
    """

    COPIES = False

    load: Load
    sigma_vm: np.ndarray  # von Mises stress, MPa, (n, T+1, N, N)
    solved: np.ndarray  # whether a cell was solved by the reference model, (n,)
    bound: np.ndarray  # of a cell's mean absolute error over the load, MPa, (n,)
    field_bound: np.ndarray  # of the mean absolute error of each field, MPa, (n, T+1)
    confidence: float  # share of all cells, and of all fields of an increment, within the bounds
    discretization: Discretization  # of the reference solution, which errors are against
    predictor: str | None  # name of the surrogate that was asked; None if all cells were solved

    def to_xarray(self) -> xarray.Dataset:
        """Labelled arrays, for analysis and for NetCDF; needs the package xarray.

        Returns
        -------
        xarray.Dataset
            Dimensions cell, increment, x1 and x2; coordinates time/s and F11 of the increments, x1
            and x2 of the pixels' centres in edges of the cell. The attribute `units` of an array
            names its unit.
        """
        import xarray

        x1, x2 = pixel_centres(self.sigma_vm.shape[2:])
        mpa = {"units": "MPa"}
        return xarray.Dataset(
            {
                "sigma_vm": (("cell", "increment", "x1", "x2"), self.sigma_vm, mpa),
                "solved": ("cell", self.solved.astype(np.int8)),
                "bound": ("cell", self.bound, mpa),
                "field_bound": (("cell", "increment"), self.field_bound, mpa),
            },
            {
                "time": ("increment", self.load.time, {"units": "s"}),
                "F11": ("increment", self.load.F11),
                "x1": ("x1", x1, {"units": "cell edge"}),
                "x2": ("x2", x2, {"units": "cell edge"}),
            },
            {
                "predictor": self.predictor or "",
                "confidence": self.confidence,
                **self.discretization.attributes,
            },
        )


def predict(
    cells: Sequence[Microstructure],
    tolerance: float,
    load: Load = PAPER_LOAD,
    *,
    discretization: Discretization = CONVERGED,
    flow_rule: FlowRule = PAPER_RULE,
    predictor: Predictor | str | None = None,
    calibration: int | Calibration = CALIBRATION,
    confidence: float = 0.9,
    seed: int = 0,
) -> Answer:
    """Stress of many cells of one kind, with a bound of the error of each.

    Some of the cells, drawn at random, are solved for the reference solution, which calibrates the
    predictor. Cells whose bound is above the tolerance are solved as well: on half as many points
    along an edge, if the bound of that, calibrated on the same cells, is within the tolerance.
    If there are no more cells than are needed to calibrate, all are solved, and the predictor is
    not used.

    Parameters
    ----------
    cells : sequence of Microstructure
    tolerance : float
        Largest bound of the mean absolute error of a cell over the load that is good enough, MPa.
    load : Load
        By default the paper's.
    discretization : Discretization
        Of the reference solution. By default it is converged: 0.03 MPa from the limit of ever more
        points on the paper's cells. `PAPER` is the solution on one point per pixel, as the paper's
        data and DAMASK's default are.
    flow_rule : FlowRule
        Of the reference solution; by default the paper's. A predictor of your own has to know it.
    predictor : callable or str, optional
        A surrogate, or its name in `SURROGATES`. By default the learned correction, if it knows
        cells, load, flow rule and discretization, and else a coarse solve, which knows all.
    calibration : int or Calibration
        Cells to calibrate on; or a calibration on other cells, under such a load and against such a
        reference solution, such as `Surrogate.calibration`. Then nothing is solved but what misses
        the tolerance, and the bounds are those of its confidence. It must apply to the cells
        (`Calibration.applies_to`).
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
        If `calibration` is too small for `confidence` or does not apply, the grids differ, or the
        predictor does not know the load.
    ConvergenceError
        As `repro.reference.simulate_many`.
    """
    seed = whole(seed, "seed", least=0)
    given = isinstance(calibration, Calibration)
    if given:
        confidence = calibration.confidence
    else:
        calibration = whole(calibration, "calibration")
        check_sample(calibration, confidence)
    cells = _checked(cells, load, discretization)
    if not number(tolerance, "tolerance") >= 0:
        raise ValueError(f"tolerance must not be negative (MPa), got {tolerance}")
    about = {"load": load, "confidence": confidence, "discretization": discretization}
    solve = partial(_reference, cells, load=load, flow_rule=flow_rule)
    if not given and len(cells) <= calibration:
        sigma_vm = solve(np.arange(len(cells)), discretization)
        none, solved = np.zeros(sigma_vm.shape[:2]), np.ones(len(cells), bool)
        bounds = {"bound": none[:, 0], "field_bound": none}
        return Answer(sigma_vm=sigma_vm, solved=solved, predictor=None, **bounds, **about)
    if predictor is None:
        predictor = _default(cells, load, discretization, flow_rule)
    sigma_vm, scores = _asked(predictor, cells, load)
    chosen = np.random.default_rng(seed).permutation(len(cells))[: 0 if given else calibration]
    sample = [cells[i] for i in chosen]
    if given:
        measured, true = _applied(calibration, cells, load, scores), sigma_vm[chosen]
    else:
        true = solve(chosen, discretization)
        measured = _measured(sample, sigma_vm[chosen], true, scores[chosen], confidence)
    bound, field_bound = measured.of_cells(scores), measured.of_fields(scores)
    sigma_vm[chosen], bound[chosen], field_bound[chosen] = true, 0, 0
    poor = np.flatnonzero(bound > tolerance)
    if len(poor):
        sigma_vm[poor], bound[poor], field_bound[poor] = _solved(
            solve, poor, chosen, sample, true, tolerance, confidence, discretization
        )
    solved = np.zeros(len(cells), bool)
    solved[chosen] = solved[poor] = True
    bounds = {"bound": bound, "field_bound": field_bound}
    return Answer(sigma_vm=sigma_vm, solved=solved, predictor=_name(predictor), **bounds, **about)


def calibrate(
    predictor: Predictor | str,
    cells: Sequence[Microstructure],
    load: Load = PAPER_LOAD,
    confidence: float = 0.9,
    discretization: Discretization = CONVERGED,
    flow_rule: FlowRule = PAPER_RULE,
) -> Calibration:
    """Measure the errors of a predictor on some cells, for bounds of other cells drawn like them.

    `Calibration.applies_to` tests whether other cells look like these.

    Parameters
    ----------
    predictor : callable or str
        As for `predict`.
    cells : sequence of Microstructure
    load : Load
    confidence : float
        Share of the errors that the bounds are to hold for.
    discretization : Discretization
    flow_rule : FlowRule
        Of the reference solution, as for `predict`.

    Raises
    ------
    ValueError, ConvergenceError
        As `predict`.
    """
    cells = _checked(cells, load, discretization)
    sigma_vm, scores = _asked(predictor, cells, load)
    true = simulate_many(cells, load, discretization, flow_rule=flow_rule)
    return _measured(cells, sigma_vm, true, scores, confidence)


def _checked(cells, load, discretization) -> list[Microstructure]:
    """The cells; ValueError if something is of another kind, or the grids differ."""
    required(load, Load, "load")
    required(discretization, Discretization, "discretization")
    cells = as_cells(cells)
    shape_of(cells)  # raises if there are several
    return cells


def _default(cells, load, discretization, flow_rule) -> Surrogate:
    """The learned correction where it suits, and else the reference model, solved coarsely."""
    # Towards one point per pixel the learned correction is no faster than solving.
    if (discretization, flow_rule) == (CONVERGED, PAPER_RULE):
        try:
            check_load(load)  # first, since it needs no network
            correction = registry.load("learned_correction_converged")
            correction.check(cells, load)
            return correction
        except ValueError:
            pass
    points = max(discretization.points_per_pixel // 2, 1)
    coarser = replace(discretization, points_per_pixel=points)
    return CoarseSolve(dtype=np.float32, discretization=coarser, flow_rule=flow_rule)


def _asked(predictor, cells, load) -> Prediction:
    predictor = registry.load(predictor) if isinstance(predictor, str) else predictor
    starts = range(0, len(cells), TOGETHER)
    parts = [_answered(predictor, cells[start : start + TOGETHER], load) for start in starts]
    return Prediction(*map(np.concatenate, zip(*parts, strict=True)))


def _answered(predictor, cells, load) -> Prediction:
    """What a surrogate says of cells; ValueError names one that says what it must not."""
    name = f"the surrogate {_name(predictor)}"
    if not callable(predictor):
        raise ValueError(f"{name} cannot be called: give a function of cells and load")
    said = predictor(cells, load)
    if not isinstance(said, tuple) or len(said) != 2:
        raise ValueError(f"{name} must return a pair, stress and scores")
    sigma_vm = unmasked(said[0], f"the stress of {name}")
    scores = unmasked(said[1], f"the scores of {name}")
    wanted = (len(cells), len(load.time), *cells[0].grain_id.shape)
    if sigma_vm.shape != wanted or scores.shape != (len(cells),):
        raise ValueError(
            f"{name} returned stress {sigma_vm.shape} and scores {scores.shape}, not "
            f"{wanted} and {(len(cells),)}"
        )
    if not (scores > 0).all():
        raise ValueError(f"{name} returned a score of {scores.min():g}, not above 0")
    # An infinite score says of a cell that it is not predicted.
    if np.isnan(sigma_vm[np.isfinite(scores)]).any():
        raise ValueError(f"{name} returned a stress that is not a number")
    return Prediction(sigma_vm, scores)


def _name(predictor) -> str:
    if isinstance(predictor, str | Surrogate):
        return getattr(predictor, "name", predictor)
    return getattr(predictor, "__qualname__", type(predictor).__name__)


def _applied(calibration, cells, load, scores) -> Calibration:
    """A calibration on other cells; ValueError if it says nothing of these."""
    increments = calibration.errors.shape[1] - 1
    if increments != load.increments:
        raise ValueError(
            f"the calibration is under a load of {increments} increments, not {load.increments}: "
            "calibrate on some of your cells (calibration=50)"
        )
    if not calibration.applies_to(cells, scores):
        raise ValueError(
            "the cells differ from those of the calibration in their properties or scores: "
            "calibrate on some of your cells (calibration=50)"
        )
    return calibration


def _solved(solve, poor, chosen, sample, true, tolerance, confidence, discretization) -> tuple:
    """Stress of the cells `poor` by the reference model, and bounds of its error.

    On half as many points along an edge, if its error there, which the cells `chosen` tell, is
    within the tolerance; else it is the reference solution itself.
    """
    points = discretization.points_per_pixel
    if sample and points % 2 == 0:
        coarser = replace(discretization, points_per_pixel=points // 2)
        alike = np.ones(len(chosen))
        calibrated = _measured(sample, solve(chosen, coarser), true, alike, confidence)
        if calibrated.of_cells([1.0])[0] <= tolerance:
            same = np.ones(len(poor))
            return solve(poor, coarser), calibrated.of_cells(same), calibrated.of_fields(same)
    return solve(poor, discretization), 0, 0


def _reference(cells, chosen, discretization, load, flow_rule) -> np.ndarray:
    """Stress of the cells with the indices `chosen` by the reference model; errors name those."""
    try:
        sample = [cells[i] for i in chosen]
        return simulate_many(sample, load, discretization, flow_rule=flow_rule)
    except ConvergenceError as error:
        error.microstructure = int(chosen[error.microstructure])
        raise


def _measured(cells, sigma_vm, true, scores, confidence) -> Calibration:
    errors = np.abs(sigma_vm - true).mean((2, 3))
    return Calibration(errors, scores, features_of(cells), confidence)
