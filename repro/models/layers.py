"""What the networks share: physical units at both ends."""

import keras
import numpy as np

from repro import paper


def physical_inputs() -> keras.KerasTensor:
    """Input (N, N, 5): E/GPa, nu, xi0/MPa, h0/GPa, sigma_vM(t)/MPa of each pixel; any N."""
    return keras.Input((None, None, 5), name="microstructure_and_stress")


def normalize(x: keras.KerasTensor) -> keras.KerasTensor:
    """Scale to about 1: the ranges of Table 3 to [0, 1], stress by `paper.STRESS_SCALE`."""
    low, high = np.array([*paper.PROPERTY_RANGES, (0.0, paper.STRESS_SCALE)]).T
    return keras.layers.Rescaling(
        (1 / (high - low)).tolist(), (-low / (high - low)).tolist(), name="normalize"
    )(x)


def to_stress(x: keras.KerasTensor) -> keras.KerasTensor:
    """Scale the normalized output back to sigma_vM(t + dt)/MPa, (N, N, 1)."""
    return keras.layers.Rescaling(paper.STRESS_SCALE, name="sigma_vm")(x)
