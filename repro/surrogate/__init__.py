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

from repro.surrogate.averaged import REFLECTIONS, Averaged
from repro.surrogate.base import Prediction, Predictor, Surrogate
from repro.surrogate.calibration import Calibration, Case
from repro.surrogate.correction import Corrected
from repro.surrogate.direct import Direct
from repro.surrogate.modes import MODES, network_predictor, one_step, rollout
from repro.surrogate.prediction import CALIBRATION, Answer, calibrate, predict
from repro.surrogate.registry import AVERAGED, SURROGATES, load, of_network, register
from repro.surrogate.rollout import Rollout
from repro.surrogate.solver import CoarseSolve

__all__ = [
    "AVERAGED",
    "CALIBRATION",
    "MODES",
    "REFLECTIONS",
    "SURROGATES",
    "Answer",
    "Averaged",
    "Calibration",
    "Case",
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
