"""What a network takes for 0 and 1 of each channel: the paper says "normalized to 1"."""

import numpy as np

from repro import paper


def _minimum_maximum(pairs) -> np.ndarray:
    flat = _channels(pairs)
    return np.stack([[c.min() for c in flat], [c.max() for c in flat]])


def _standardized(pairs) -> np.ndarray:
    flat = _channels(pairs)
    mean, deviation = [c.mean(dtype=float) for c in flat], [c.std(dtype=float) for c in flat]
    return np.stack([mean, np.add(mean, deviation)])


def _channels(pairs):
    return [*np.moveaxis(pairs.properties, -1, 0), pairs.sigma_vm]


# Values (2, 5) of the input channels that a network maps to 0 and 1. The paper says "normalized to
# 1"; by default that is the ranges of Table 3, and `paper.STRESS_SCALE` for the stress.
TABLE_3_BOUNDS = np.array([*paper.PROPERTY_RANGES, (0.0, paper.STRESS_SCALE)]).T
NORMALIZATIONS = {
    "table 3": lambda pairs: TABLE_3_BOUNDS,
    "table 3, 1000 MPa": lambda pairs: np.array([*paper.PROPERTY_RANGES, (0.0, 1000.0)]).T,
    "min-max": _minimum_maximum,
    "per-channel": _standardized,
}
