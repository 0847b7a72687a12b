"""Errors of predicted stress fields, in MPa: a metric is one entry of `METRICS`."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from repro.data.load import Load
from repro.evaluation.regions import FRAME, REGIONS, boundary_distance, frame, regions
from repro.tools.values import unmasked

MAX_DISTANCE = 15  # pixels; beyond it there are too few pixels for a mean


class Measurement(NamedTuple):
    """One number about the error: over the whole cell and all steps unless it says otherwise."""

    metric: str
    value: float
    unit: str = "MPa"
    region: str = "all"
    increment: float = np.nan  # of the load, at the end of the step it is about
    F11: float = np.nan  # mean stretch at that increment
    distance_px: float = np.nan  # to the nearest grain boundary


def mae(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean absolute error over all pixels, MPa: the paper's measure."""
    return float(np.mean(np.abs(_error(predicted, true)), dtype=np.float64))


def rmse(predicted: np.ndarray, true: np.ndarray) -> float:
    """Root mean square error over all pixels, MPa."""
    return float(np.sqrt(np.mean(np.square(_error(predicted, true)), dtype=np.float64)))


def quantile(predicted: np.ndarray, true: np.ndarray, q: float) -> float:
    """The absolute error that a share `q` of the pixels stays under, MPa."""
    return float(np.quantile(np.abs(_error(predicted, true)), q))


def mean_stress_error(predicted: np.ndarray, true: np.ndarray) -> float:
    """Relative error of the cell's mean stress, mean over the cells (..., N, N), %.

    The quantity of part (c) of the paper's Figs. 1-8.
    """
    fields = _both(predicted, true)
    if fields[0].ndim < 2:
        raise ValueError(f"fields must be (..., N, N), got {fields[0].shape}")
    means = (field.mean((-2, -1), dtype=np.float64) for field in fields)
    return float(100 * np.abs(np.divide(*means) - 1).mean())


def _error(predicted, true) -> np.ndarray:
    predicted, true = _both(predicted, true)
    return predicted - true


def _both(predicted, true) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays; ValueError if values are missing, or one would be repeated to fit."""
    predicted, true = unmasked(predicted, "predicted"), unmasked(true, "true")
    if predicted.shape != true.shape:
        raise ValueError(
            f"predicted and true stress must have one shape, got {predicted.shape} and {true.shape}"
        )
    return predicted, true


class Metric(NamedTuple):
    """How an error is measured, and for which parts of the fields it is measured and shown."""

    function: Callable[[np.ndarray, np.ndarray], float]  # (predicted, true), of any equal shape
    unit: str = "MPa"
    whole: bool = True  # one number over all: a column of the tables of errors
    by_increment: bool = False  # fields (M, 1, N, N)
    by_place: bool = False  # by region and by distance to a boundary: pixels over time, (P, S)


METRICS = {
    "MAE": Metric(mae, by_increment=True, by_place=True),
    "RMSE": Metric(rmse),
    "median": Metric(partial(quantile, q=0.5)),
    "q90": Metric(partial(quantile, q=0.9)),
    "q99": Metric(partial(quantile, q=0.99)),
    "mean stress error": Metric(mean_stress_error, "%", whole=False, by_increment=True),
}
"""All registered metrics: name -> `Metric`."""


def measure(predicted, true, increments, load: Load, grain_id) -> Iterator[Measurement]:
    """Every measurement of this project.

    Parameters
    ----------
    predicted, true : ndarray, shape (M, S, N, N)
        von Mises stress of M microstructures after S steps, MPa.
    increments : sequence of int, length S
        Increments of the load at which the steps end.
    load : Load
    grain_id : ndarray, shape (M, N, N)

    Raises
    ------
    ValueError
        If values are missing (masked), the shapes of `predicted` and `true` differ, or the load
        does not prescribe F11, which the measurements are listed by.
    """
    predicted, true = _both(predicted, true)
    if np.isnan(load.F11).any():
        raise ValueError("errors are listed by F11, which this load does not prescribe")
    for name, metric in METRICS.items():
        if metric.whole:
            yield Measurement(name, metric.function(predicted, true), metric.unit)
        if metric.by_increment:
            for step, increment in enumerate(increments):
                value = metric.function(predicted[:, [step]], true[:, [step]])
                about = {"increment": int(increment), "F11": round(load.F11[increment], 9)}
                yield Measurement(name, value, metric.unit, **about)
    over_time = [np.moveaxis(field, 1, -1) for field in (predicted, true)]
    for about, pixels in _places(grain_id):
        of_pixels = [field[pixels] for field in over_time]
        for name, metric in METRICS.items():
            if metric.by_place:
                yield Measurement(name, metric.function(*of_pixels), metric.unit, **about)


def _places(grain_id) -> Iterator[tuple[dict, np.ndarray]]:
    """What a place is called, and which pixels (M, N, N) belong to it; only places that exist."""
    for names, where in ((REGIONS, regions), (FRAME, frame)):
        labels = np.stack([where(cell) for cell in grain_id])
        for i in np.unique(labels):
            yield {"region": names[i]}, labels == i
    distances = np.rint([boundary_distance(cell) for cell in grain_id])
    for distance in np.unique(distances[distances <= MAX_DISTANCE]):
        yield {"distance_px": int(distance)}, distances == distance
