"""Stress at all increments of a load, of who solves or predicts fewer of them."""

from functools import cache

import numpy as np
from scipy.interpolate import CubicSpline


def at_all_increments(sigma_vm: np.ndarray, increments: int) -> np.ndarray:
    """Stress at all increments of a load, from fewer that are equally spaced, by a cubic spline.

    Parameters
    ----------
    sigma_vm : ndarray, shape (n, S+1, ...)
        At S increments and at rest.
    increments : int
        All of them, T.

    Returns
    -------
    ndarray, shape (n, T+1, ...)
        Linear in the stress, so that it is one product of matrices.
    """
    steps = sigma_vm.shape[1] - 1
    if steps == increments:
        return sigma_vm
    weights = _spline(steps, increments).astype(sigma_vm.dtype)
    return np.moveaxis(np.tensordot(weights, sigma_vm, (1, 1)), 0, 1)


@cache
def _spline(steps, increments) -> np.ndarray:
    """Weights (T+1, S+1) of the values at S+1 equally spaced points in a cubic spline."""
    coarse, fine = (np.linspace(0, 1, count + 1) for count in (steps, increments))
    return CubicSpline(coarse, np.eye(steps + 1))(fine)
