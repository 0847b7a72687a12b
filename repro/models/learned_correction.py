"""The learned correction: a network that corrects what large increments and few points get wrong.

Equilibrium, once per increment, is what takes the reference model its time. What large increments
get wrong is mostly the integration of the flow rule in time, which is local; what a coarse grid
gets wrong, neighbours tell. So the reference model solves coarsely (`repro.surrogate.correction`),
and this network, trained on the errors of that, gives the stress at all increments.
"""

from __future__ import annotations

import numpy as np

from repro import paper
from repro.data.corrections import COARSENING, FINE, INPUTS, WINDOW, Corrections
from repro.models.backend import keras, layers
from repro.models.layers import (
    at_half_resolution,
    convolve,
    custom_layers,
    normalize,
    residual_blocks,
    residual_u,
)
from repro.models.registry import register

CORRECTION_SCALE = 10.0  # MPa, a usual error of the coarse solve


@register(
    "the network that corrects a coarse solve of the reference model",
    samples=Corrections,
    epochs=100,
    batch_size=8,
    learning_rate=3e-3,
    cosine=True,
)
def learned_correction(
    filters: int = 48, hidden: int = 2, kernel: int = 1, levels: int = 0, fine: int = 0
) -> keras.Model:
    """Network that corrects the linear interpolation of a coarse solve, of few convolutions or a U.

    Parameters
    ----------
    filters : int
        Channels between the convolutions.
    hidden : int
        How many convolutions there are before the last.
    kernel : int
        Their edge in pixels, with circular padding.
    levels : int
        Instead, so many poolings of a U of residual blocks, at half the resolution, which can mend
        equilibrium too. N must then be a multiple of 2^(levels + 1).
    fine : int
        Channels of two residual blocks behind it, at full resolution, whose correction is added:
        two thirds of the error are within a pixel of the grain boundaries. 0 for none.

    Returns
    -------
    keras.Model
        (n, N, N, 11) = `repro.data.corrections.INPUTS` in physical units -> (n, N, N, 20):
        sigma_vM/MPa at the increments of the paper that the window is made of.
    """
    low, high = np.array(paper.PROPERTY_RANGES).T
    stresses = len(INPUTS) - len(low)
    bounds = [[*low, *[0.0] * stresses], [*high, *[paper.STRESS_SCALE] * stresses]]
    inputs = keras.Input((None, None, len(INPUTS)), name="coarse_solve")
    x = known = normalize(inputs, bounds)
    if levels:
        x = at_half_resolution(x, filters, lambda x: residual_u(x, filters, levels))
    else:
        for _ in range(hidden):
            style = {"activation": "relu", "kernel_initializer": "he_normal"}
            x = convolve(x, filters, kernel, "circular", **style)
    y = layers.Conv2D(FINE, 1, kernel_initializer="zeros")(x)
    if fine:
        x = residual_blocks(layers.Concatenate()([x, known]), fine)
        y = layers.Add()([y, layers.Conv2D(FINE, 1, kernel_initializer="zeros")(x)])
    correction = layers.Rescaling(CORRECTION_SCALE, name="correction")(y)
    linear = custom_layers.LinearRefinement(COARSENING, WINDOW, name="interpolation")(inputs)
    outputs = layers.Add(name="sigma_vm")([linear, correction])
    return keras.Model(inputs, outputs, name="learned_correction")
