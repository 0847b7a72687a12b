"""Errors of predicted stress fields. Fields are (M, S, N, N): microstructure, step, x1, x2; MPa."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from repro.evaluation.regions import FRAME, REGIONS, boundary_distance, frame, regions

QUANTILES = {"median": 0.5, "q90": 0.9, "q99": 0.99}  # of |error|
MAX_DISTANCE = 15  # pixels; beyond it there are too few pixels for a mean


class Measurement(NamedTuple):
    """One number about the error: over the whole cell and all steps unless it says otherwise."""

    metric: str
    value: float
    unit: str = "MPa"
    region: str = "all"
    F11: float = np.nan  # of the step it is about
    distance_px: float = np.nan  # to the nearest grain boundary


def mae(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean absolute error over all pixels, MPa: the paper's measure."""
    return float(np.mean(np.abs(predicted - true), dtype=np.float64))


def rmse(predicted: np.ndarray, true: np.ndarray) -> float:
    """Root mean square error over all pixels, MPa."""
    return float(np.sqrt(np.mean(np.square(predicted - true), dtype=np.float64)))


def mean_stress_error(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Relative error of the cell's mean stress, mean over microstructures, (S,), %.

    The quantity of part (c) of the paper's Figs. 1-8.
    """
    means = (field.mean((-2, -1), dtype=np.float64) for field in (predicted, true))
    return 100 * np.abs(np.divide(*means) - 1).mean(0)


def measure(predicted, true, F11, grain_id) -> Iterator[Measurement]:
    """Every measurement of this project.

    Parameters
    ----------
    predicted, true : ndarray, shape (M, S, N, N)
        von Mises stress, MPa.
    F11 : ndarray, shape (S,)
        Mean stretch of the steps.
    grain_id : ndarray, shape (M, N, N)
    """
    yield Measurement("MAE", mae(predicted, true))
    yield Measurement("RMSE", rmse(predicted, true))
    error = np.abs(predicted - true)
    for name, value in zip(QUANTILES, np.quantile(error, list(QUANTILES.values())), strict=True):
        yield Measurement(name, float(value))
    stretches = np.round(F11, 6).tolist()
    for stretch, value in zip(stretches, error.mean((0, 2, 3), dtype=np.float64), strict=True):
        yield Measurement("MAE", float(value), F11=stretch)
    for stretch, value in zip(stretches, mean_stress_error(predicted, true), strict=True):
        yield Measurement("mean stress error", float(value), "%", F11=stretch)
    pixel_error = error.mean(1, dtype=np.float64)
    for names, where in ((REGIONS, regions), (FRAME, frame)):
        for value, i in _mean_by(pixel_error, np.stack([where(g) for g in grain_id])):
            yield Measurement("MAE", value, region=names[i])
    for value, i in _mean_by(pixel_error, np.stack([boundary_distance(g) for g in grain_id])):
        if i <= MAX_DISTANCE:
            yield Measurement("MAE", value, distance_px=i)


def _mean_by(values, labels):
    """Mean of `values` where `labels`, rounded, take each of their finite values."""
    values, labels = values[np.isfinite(labels)], np.rint(labels[np.isfinite(labels)]).astype(int)
    counts = np.bincount(labels)
    sums = np.bincount(labels, values)
    return [(float(sums[i] / counts[i]), int(i)) for i in np.flatnonzero(counts)]
