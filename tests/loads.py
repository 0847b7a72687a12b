"""Loads of every kind, each to a few tenths of a per cent."""

import numpy as np

from repro.data.load import Load

FREE, ONE = np.nan, np.eye(3)
SHEAR = 0.004 * np.outer(ONE[0], ONE[1])


def stretch(F11, F22=FREE, F33=FREE):
    return np.diag([F11, F22, F33])


def stress(**components):
    """Mean stress whose other components are not prescribed."""
    P = np.full((3, 3), np.nan)
    for name, value in components.items():
        P[int(name[1]) - 1, int(name[2]) - 1] = value
    return P


LOADS = {
    "uniaxial tension": Load([0, 4], [ONE, stretch(1.004)]),
    "plane strain, the side free": Load([0, 4], [ONE, stretch(1.004, F33=1)]),
    "equibiaxial tension": Load([0, 4], [ONE, stretch(1.004, 1.004)]),
    "all prescribed": Load([0, 4], [ONE, [[1.003, 0.002, 0], [-0.001, 0.999, 0], [0, 0, 0.998]]]),
    "simple shear": Load([0, 4], [ONE, ONE + SHEAR]),
    "pure shear": Load([0, 4], [ONE, ONE + (SHEAR + SHEAR.T) / 2]),
    "shear, the rest free": Load([0, 4], [ONE, stretch(FREE) + SHEAR]),
    "tension, hold, compression": Load(
        [0, 4, 6, 12], [ONE, stretch(1.004), stretch(1.004), stretch(0.998)]
    ),
    "creep": Load(
        [0, 1, 6],
        [stretch(FREE)] * 3,
        [stress(P11=P11, P22=0, P33=0) for P11 in (0, 110, 110)],
    ),
    "shear by a stress": Load(
        [0, 1, 2],
        np.where(SHEAR, FREE, [ONE, stretch(1.001, 1, 1), stretch(1.002, 1, 1)]),
        [stress(P12=P12) for P12 in (0, 20, -20)],
    ),
}
