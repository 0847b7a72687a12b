"""Errors of predicted stress fields, in MPa."""

import numpy as np


def mae(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean absolute error over all pixels, MPa: the paper's measure."""
    return float(np.mean(np.abs(predicted - true), dtype=np.float64))


def rmse(predicted: np.ndarray, true: np.ndarray) -> float:
    """Root mean square error over all pixels, MPa."""
    return float(np.sqrt(np.mean(np.square(predicted - true), dtype=np.float64)))


METRICS = {"MAE": mae, "RMSE": rmse}
