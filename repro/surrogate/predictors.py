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
from repro.models.runs import run_of
from repro.surrogate import refiner, whole_path
from repro.surrogate.solves import LOAD

Predictor = Callable[[Sequence[Microstructure], Load], tuple[np.ndarray, np.ndarray]]
BATCH = 8  # windows for the refiner at a time: what is between its layers stays in the cache
SMALLEST_SCORE = 1e-3  # MPa, of a network that is symmetric up to rounding
# Axes x1 and x2 to be reversed: exact symmetries of the problem.
REFLECTIONS = ((), (0,), (1,), (0, 1))
TURNED = ((), (0, 1))


def refined_solve(path=refiner.SHIPPED) -> Predictor:
    """The coarse solve and its refinement (`repro.surrogate.refiner`).

    Its score is the strain that the coarse solve still misses, as a stress: times the mean shear
    modulus of the cell, MPa.

    Parameters
    ----------
    path : path-like
        As for `refiner.load`. Tolerance and derivative of the coarse solve are those that the
        network was trained with, as its run says.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """
    ask, how = modes.network_predictor(refiner.load(path), BATCH), refiner.coarse_options(path)

    def predict(cells, load):
        maps, coarse = property_maps(cells), refiner.coarse_solve(cells, load, **how)
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
    stride = run_of(path).stride
    if stride != 1:
        raise ValueError(f"{path}: steps {stride} increments at once, but all are asked for")
    ask = modes.network_predictor(models.load(path))

    def stress(maps, load):
        _check_load(load)
        return modes.rollout(ask, unloaded(maps, load.increments))

    return _averaged(stress, REFLECTIONS)


def in_one_pass(path=whole_path.SHIPPED) -> Predictor:
    """A network for the whole path, under any load of `repro.surrogate.whole_path.check_load`.

    The cells' edge must be a multiple of 8 pixels. The score is the same for all cells, since one
    pass tells nothing of its error.

    Parameters
    ----------
    path : path-like
        As for `repro.surrogate.whole_path.load`.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """
    stress = _whole_path(path)

    def predict(cells, load):
        return from_rest(stress(property_maps(cells), load)), np.ones(len(cells))

    return predict


def in_two_passes(path=whole_path.SHIPPED) -> Predictor:
    """As `in_one_pass`, for the cell as it is and turned by 180 degrees: the mean of both.

    The true stress of a turned cell is the turned stress. So the score is how far both are apart,
    which ranks cells of one kind by their errors. What both get wrong alike it does not see.
    """
    return _averaged(_whole_path(path), TURNED)


def _whole_path(path):
    """Of property maps (n, N, N, 4) and a load, the stress (n, T, N, N) in one pass."""
    network = whole_path.load(path)

    @lru_cache(8)  # each is compiled once
    def at(strains):
        return modes.network_predictor(whole_path.at_strains(network, strains), BATCH)

    def stress(maps, load):
        whole_path.check_load(load)
        return np.moveaxis(at(tuple(load.F11[1:] - 1))(maps), -1, 1)

    return stress


def _averaged(stress, reflections) -> Predictor:
    """Mean of what is predicted of the reflected cells, with the mean distance from it as score."""

    def reflected(maps, axes, load):
        sigma_vm = stress(np.flip(maps, [1 + axis for axis in axes]), load)
        return np.flip(sigma_vm, [2 + axis for axis in axes])

    def predict(cells, load):
        maps = property_maps(cells)
        found = [reflected(maps, axes, load) for axes in reflections]
        mean = sum(found) / len(found)
        score = np.mean([np.abs(one - mean).mean((1, 2, 3)) for one in found], axis=0)
        return from_rest(mean), np.maximum(score, SMALLEST_SCORE)

    return predict


def _check_load(load):
    """Raise ValueError for a load that is not the paper's, which networks that step know."""
    if not load.same_as(LOAD):
        raise ValueError(
            "this network knows the paper's training load only: predict others with refined_solve()"
        )
