"""Fast predictors of whole loads, each with a score that is large where its error may be.

A predictor is a callable: cells and a load in; stress (n, T+1, N, N) in MPa at all increments, and
a positive score per cell (n,) out. A score need not be an error: only its order and its proportions
count, since `repro.surrogate.calibration` measures what it means. It is infinite for a cell that
cannot be predicted.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from repro import models
from repro.data.load import Load
from repro.data.microstructure import Microstructure, property_maps
from repro.data.pairs import from_rest, unloaded
from repro.evaluation import modes
from repro.surrogate import refiner, whole_path
from repro.surrogate.solves import LOAD
from repro.training.run_directory import run_of

Predictor = Callable[[Sequence[Microstructure], Load], tuple[np.ndarray, np.ndarray]]
BATCH = 8  # windows for the refiner at a time: what is between its layers stays in the cache
SMALLEST_SCORE = 1e-3  # MPa, of a network that is symmetric up to rounding
REFLECTIONS = ((), (1,), (2,), (1, 2))  # axes of (n, N, N, ...): exact symmetries of the problem


def refined_solve(path=refiner.SHIPPED, tol: float = refiner.COARSE_TOLERANCE) -> Predictor:
    """The coarse solve and its refinement (`repro.surrogate.refiner`).

    Its score is the strain that the coarse solve still misses, as a stress: times the mean shear
    modulus of the cell, MPa.

    Parameters
    ----------
    path : path-like
        As for `refiner.load`.
    tol : float
        Tolerance of the coarse solve, with which the network was trained.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """
    ask = modes.network_predictor(refiner.load(path), BATCH)

    def predict(cells, load):
        coarse, maps = refiner.coarse_solve(cells, load, tol), property_maps(cells)
        sigma_vm = refiner.refined(ask, maps, coarse.sigma_vm)
        E, nu = maps[..., 0], maps[..., 1]
        modulus = 1e3 * (E / (2 * (1 + nu))).mean((1, 2))
        return from_rest(sigma_vm), modulus * coarse.missing[:, 1:].mean(1)

    return predict


def rollout(model) -> Predictor:
    """Rollout of a network that steps the stress, averaged over the reflections of the cell.

    They are exact symmetries, which the network has learned only nearly: its score is how far the
    reflected predictions are apart.

    Parameters
    ----------
    model : path-like
        As for `repro.models.load`.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """
    path = models.model_path(model)
    stride = run_of(path).stride or 1
    if stride != 1:
        raise ValueError(f"{path}: steps {stride} increments at once, but all are asked for")
    ask = modes.network_predictor(models.load(path))

    def predict(cells, load):
        _check_load(load)
        maps = property_maps(cells)
        reflected = [_reflected_rollout(ask, maps, axes, load) for axes in REFLECTIONS]
        mean = np.mean(reflected, axis=0)
        score = np.mean([np.abs(one - mean).mean((1, 2, 3)) for one in reflected], axis=0)
        return from_rest(mean), np.maximum(score, SMALLEST_SCORE)

    return predict


def in_one_pass(path=whole_path.SHIPPED) -> Predictor:
    """A network for the whole path (`repro.surrogate.whole_path`), under any load that it knows.

    Its score is the same for all cells, since one pass tells nothing of its error.

    Parameters
    ----------
    path : path-like
        As for `repro.surrogate.whole_path.load`.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """
    network = whole_path.load(path)

    @lru_cache(8)  # each is compiled once
    def at(strains):
        return modes.network_predictor(whole_path.at_strains(network, strains), BATCH)

    def predict(cells, load):
        whole_path.check_load(load)
        ask = at(tuple(load.F11[1:] - 1))
        sigma_vm = np.moveaxis(ask(property_maps(cells)), -1, 1)
        return from_rest(sigma_vm), np.ones(len(cells))

    return predict


def _check_load(load):
    """Raise ValueError for a load that is not the paper's, which networks that step know."""
    if not load.same_as(LOAD):
        raise ValueError(
            "this network knows the paper's training load only: predict others with refined_solve()"
        )


def _reflected_rollout(ask, maps, axes, load) -> np.ndarray:
    """Rollout (n, T, N, N) on the reflected cells, reflected back."""
    maps = np.flip(maps, axes)
    sigma_vm = modes.rollout(ask, unloaded(maps, load.increments))
    return np.flip(sigma_vm, [axis + 1 for axis in axes])
