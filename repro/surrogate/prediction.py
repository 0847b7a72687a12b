"""Prediction of many cells by a surrogate, with a bound of each cell's error.

`predict` calibrates the surrogate on reference solutions of some of the cells, or takes a
calibration that was measured before, and solves those cells whose bound is above the tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from repro.data.discretization import CONVERGED, Discretization
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import PAPER_LOAD, Load
from repro.data.microstructure import Microstructure, pixel_centres, shape_of
from repro.reference import ConvergenceError, simulate_many
from repro.reference.many import checked_cells
from repro.surrogate import registry
from repro.surrogate.base import Prediction, Predictor, Surrogate
from repro.surrogate.calibration import Calibration, Case, check_sample, features_of
from repro.surrogate.correction import check_load
from repro.surrogate.solver import CoarseSolve
from repro.tools.values import Value, number, required, unmasked, whole

if TYPE_CHECKING:
    import xarray

CALIBRATION = 50
"""Cells that a surrogate is calibrated on by default."""
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
        Cells to calibrate on; or a calibration on other cells, such as `Surrogate.calibration`.
        Then nothing is solved but what misses the tolerance, and the bounds are those of its
        confidence. It must be of this predictor, load, discretization, flow rule and number of
        pixels, and the cells must look like its own (`Calibration.applies_to`).
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
    if not isinstance(calibration, Calibration):
        calibration = whole(calibration, "calibration")
        check_sample(calibration, confidence)
    problem = _Problem(cells, load, discretization, flow_rule)
    if not number(tolerance, "tolerance") >= 0:
        raise ValueError(f"tolerance must not be negative (MPa), got {tolerance}")
    about = {"load": load, "discretization": discretization}
    n, ends = len(problem.cells), len(load.time)
    if isinstance(calibration, int) and n <= calibration:
        none, solved = np.zeros((n, ends)), np.ones(n, bool)
        about |= {"solved": solved, "confidence": confidence, "predictor": None}
        return Answer(sigma_vm=problem.solve(), bound=none[:, 0], field_bound=none, **about)
    predictor = _default(problem) if predictor is None else predictor
    sigma_vm, scores = problem.ask(predictor)
    if isinstance(calibration, Calibration):
        calibration.check(problem.case(predictor), problem.cells, scores)
        chosen = np.arange(0)
    else:
        chosen = np.random.default_rng(seed).permutation(n)[:calibration]
        true = problem.solve(chosen)
        calibration = problem.calibrated(
            predictor, chosen, Prediction(sigma_vm[chosen], scores[chosen]), true, confidence
        )
        sigma_vm[chosen] = true
    bound, field_bound = calibration.of_cells(scores), calibration.of_fields(scores)
    bound[chosen] = field_bound[chosen] = 0
    poor = np.flatnonzero(bound > tolerance)
    if len(poor):
        enough, bound[poor], field_bound[poor] = problem.fallback(
            chosen, sigma_vm[chosen], tolerance, calibration.confidence
        )
        sigma_vm[poor] = problem.solve(poor, enough)
    solved = np.zeros(n, bool)
    solved[chosen] = solved[poor] = True
    about |= {"solved": solved, "confidence": calibration.confidence, "predictor": _name(predictor)}
    return Answer(sigma_vm=sigma_vm, bound=bound, field_bound=field_bound, **about)


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
    problem = _Problem(cells, load, discretization, flow_rule)
    every = np.arange(len(problem.cells))
    predicted = problem.ask(predictor)
    return problem.calibrated(predictor, every, predicted, problem.solve(), confidence)


@dataclass(frozen=True)
class _Problem:
    """Cells under a load, and their reference solution."""

    cells: Sequence[Microstructure]
    load: Load
    discretization: Discretization
    flow_rule: FlowRule

    def __post_init__(self):
        required(self.flow_rule, FlowRule, "flow_rule")
        cells = checked_cells(self.cells, self.load, self.discretization)
        object.__setattr__(self, "cells", cells)

    def case(self, predictor: Predictor | str) -> Case:
        """What errors of a predictor against the reference solution are of."""
        pixels = shape_of(self.cells)
        return Case(_name(predictor), self.load, self.discretization, self.flow_rule, pixels)

    def ask(self, predictor: Predictor | str) -> Prediction:
        """What a surrogate says of all cells."""
        predictor = registry.load(predictor) if isinstance(predictor, str) else predictor
        starts = range(0, len(self.cells), TOGETHER)
        parts = [
            _answered(predictor, self.cells[start : start + TOGETHER], self.load)
            for start in starts
        ]
        return Prediction(*map(np.concatenate, zip(*parts, strict=True)))

    def solve(self, chosen=None, discretization: Discretization | None = None) -> np.ndarray:
        """Stress of the cells `chosen`, by default all, by the reference model."""
        chosen = np.arange(len(self.cells)) if chosen is None else chosen
        cells, on = [self.cells[i] for i in chosen], discretization or self.discretization
        try:
            return simulate_many(cells, self.load, on, flow_rule=self.flow_rule)
        except ConvergenceError as error:  # which counts within the sample
            error.microstructure = int(chosen[error.microstructure])
            raise

    def calibrated(self, predictor, chosen, predicted, true, confidence) -> Calibration:
        """Errors of what was predicted of the cells `chosen`, whose true stress is given."""
        cells = [self.cells[i] for i in chosen]
        errors = np.abs(predicted.sigma_vm - true).mean((2, 3))
        case = self.case(predictor)
        return Calibration(errors, predicted.score, features_of(cells), case, confidence)

    def fallback(self, chosen, true, tolerance, confidence) -> tuple:
        """The discretization that is good enough for what misses the tolerance, and its bounds.

        It is that of half as many points along an edge, if its error there, which the cells
        `chosen` tell, is within the tolerance; else that of the reference solution itself.
        """
        points = self.discretization.points_per_pixel
        if len(chosen) and points % 2 == 0:
            coarser = replace(self.discretization, points_per_pixel=points // 2)
            predicted = Prediction(self.solve(chosen, coarser), np.ones(len(chosen)))
            measured = self.calibrated(str(coarser), chosen, predicted, true, confidence)
            if measured.of_cells([1.0])[0] <= tolerance:
                return coarser, measured.of_cells([1.0])[0], measured.of_fields([1.0])[0]
        return self.discretization, 0, 0


def _default(problem: _Problem) -> Surrogate:
    """The learned correction where it suits, and else the reference model, solved coarsely."""
    discretization, flow_rule = problem.discretization, problem.flow_rule
    # Towards one point per pixel the learned correction is no faster than solving.
    if (discretization, flow_rule) == (CONVERGED, PAPER_RULE):
        try:
            check_load(problem.load)  # first, since it needs no network
            correction = registry.load("learned_correction_converged")
            correction.check(problem.cells, problem.load)
            return correction
        except ValueError:
            pass
    points = max(discretization.points_per_pixel // 2, 1)
    coarser = replace(discretization, points_per_pixel=points)
    return CoarseSolve(dtype=np.float32, discretization=coarser, flow_rule=flow_rule)


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
