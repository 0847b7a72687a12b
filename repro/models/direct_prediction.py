"""The direct prediction: a network from the properties to the stress at any strain.

What a point does under its strain is known, and is not learned: the stress is the lesser of an
elastic one and that of plastic flow (`repro.models.plasticity.LocalLaw`). How the mean strain is
distributed over the grains, a few iterations towards equilibrium tell roughly, at eight strains and
without the increments between them (`repro.models.plasticity.DeformationTheory`).

The network corrects both. It says by which factor the elastic stress and that of flow are larger at
each pixel, as a function of the mean strain, so that any strain can be asked for (`at_strains`).
At 64x64 pixels it works on a quarter of the pixels; in the end it sees them all, so that grain
boundaries stay sharp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from repro import paper
from repro.data.discretization import DERIVATIVES, PAPER
from repro.data.trajectories import STRAINS, Trajectories
from repro.models.backend import as_networks_need_it, keras, layers
from repro.models.layers import (
    at_half_resolution,
    normalize,
    plasticity,
    residual_blocks,
    residual_u,
)
from repro.models.registry import register

LAW = "sigma_vm"  # name of the last layer


@register(
    "the network that predicts the trajectory directly, without steps in time",
    samples=Trajectories,
    epochs=40,
    learning_rate=3e-3,
    beta_2=0.98,
    cosine=True,
    warmup_epochs=1,
    clip_norm=1.0,
    augment=True,
)
def direct_prediction(
    filters: int = 16,
    blocks: int = 2,
    levels: int = 2,
    knots: int = 10,
    iterations: int = 2,
    derivative: Literal[*DERIVATIVES] = PAPER.derivative,
    fine: int = 16,
) -> keras.Model:
    """U-Net from the properties to the stress at the increments of its training.

    Parameters
    ----------
    filters : int
        Channels at the finest level of the U.
    blocks : int
        Residual blocks at each level, on each side.
    levels : int
        Poolings.
    knots : int
        Strains at which it gives the factors of the local law.
    iterations : int
        Towards equilibrium in `plasticity.DeformationTheory`, which then says the local strain.
        0 for the mean strain.
    derivative : {"continuous", "rotated"}
        How it takes derivatives in space: best as the fields that are learned from do.
    fine : int
        Channels of two residual blocks behind the U, at full resolution, whose factors are added.
        0 for none.

    Returns
    -------
    keras.Model
        (n, N, N, 4) in physical units -> (n, N, N, 25): sigma_vM/MPa, N a multiple of
        2^(levels + 1).
    """
    low, high = np.array(paper.PROPERTY_RANGES).T
    inputs = keras.Input((None, None, len(low)), name="microstructure")
    maps = normalize(inputs, [(low + high) / 2, high])
    known = [inputs]
    if iterations:
        known.append(
            plasticity.DeformationTheory(iterations, derivative, name="local_strain")(inputs)
        )
        maps = layers.Concatenate()([maps, known[-1]])
    x = at_half_resolution(maps, filters, lambda x: residual_u(x, filters, levels, blocks))
    y = layers.Conv2D(2 * filters, 1, activation="silu")(x)
    factors = layers.Conv2D(2 * knots, 1, kernel_initializer="zeros")(y)
    if fine:
        y = residual_blocks(layers.Concatenate()([x, maps]), fine)
        y = layers.Conv2D(2 * knots, 1, kernel_initializer="zeros")(y)
        factors = layers.Add()([factors, y])
    outputs = plasticity.LocalLaw(STRAINS, name=LAW)([inputs, factors, *known[1:]])
    return keras.Model(inputs, outputs, name="direct_prediction")


@as_networks_need_it()
def at_strains(network: keras.Model, strains: Sequence[float]) -> keras.Model:
    """The same network, for the stress (n, N, N, T) at other mean strains F11 - 1, length T."""
    law = plasticity.LocalLaw(strains, name=LAW)
    return keras.Model(network.input, law(network.get_layer(LAW).input), name=network.name)
