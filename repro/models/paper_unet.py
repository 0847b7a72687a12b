"""The paper's network (Methods, Fig. 12), in the two readings that its authors' code allows."""

from __future__ import annotations

from typing import Literal

from repro import paper
from repro.models.backend import keras, layers
from repro.models.layers import (
    convolve,
    normalize,
    physical_inputs,
    to_stress,
    u_shape,
    u_shape_of_pooled_skips,
)
from repro.models.normalization import TABLE_3_BOUNDS
from repro.models.registry import register


@register("the paper's U-Net of separable 9x9 convolutions")
def paper_unet(
    skips: Literal["pooled", "convolved"] = "pooled",
    convolutions: int = 1,
    levels: int = paper.LEVELS,
    filters: int = paper.FILTERS,
    separable: bool = True,
    circular: bool = False,
    bias: bool = True,
    glorot_bias: bool = False,
    relu_first: bool = False,
    sigmoid: bool = False,
    *,
    kernel: int = paper.KERNEL,
    bounds=TABLE_3_BOUNDS,
) -> keras.Model:
    """U-Net of separable 9x9 convolutions, zero padding, Glorot initialization.

    Parameters
    ----------
    skips : {"pooled", "convolved"}
        Where the skip connections start. "pooled": after the pooling, so that the oldest skip is
        the input as it is; the last convolution maps it, and what the decoder makes of the rest,
        to the stress. "convolved": after the convolutions of a level, as in the classic U-Net,
        which has convolutions at its bottom and ends in a 1x1 convolution. The paper says neither;
        its authors' later code has both (`repro.paper`).
    convolutions : int
        Convolutions per level.
    levels : int
        Number of poolings; N must be a multiple of 2^levels.
    filters : int
        Channels at the finest level; they double with every level.
    separable : bool
        False for standard convolutions, a variant of ours.
    circular : bool
        Circular instead of zero padding.
    bias : bool
        Whether the convolutions have a bias, beside that of the batch normalization.
    glorot_bias : bool
        Whether biases start at a Glorot draw, as the paper says, instead of at zero. Before a batch
        normalization a bias has no effect. The one at the output is drawn between -1.7 and 1.7
        then, where the normalized stress is about 0.2: training takes long to make up for it.
    relu_first : bool
        ReLU before batch normalization instead of after it.
    sigmoid : bool
        Whether the normalized stress is the sigmoid of the last convolution.
    kernel : int
        Edge of the kernels.
    bounds : array_like, shape (2, 5)
        Values of the channels that are normalized to 0 and 1.

    Returns
    -------
    keras.Model
        (n, N, N, 5) in physical units -> (n, N, N, 1) in MPa.

    Raises
    ------
    ValueError
        If `skips` is neither.
    """
    if skips not in ("pooled", "convolved"):
        raise ValueError(f"skips must be pooled or convolved, got {skips}")
    convolution = layers.SeparableConv2D if separable else layers.Conv2D
    padding = "circular" if circular else "same"
    # Glorot is the initialization of kernels by default. An initializer that is not needed would
    # draw a seed all the same, and a seed stand for other weights.
    start = {"bias_initializer": "glorot_uniform" if glorot_bias else "zeros"}
    options = start if bias else {"use_bias": False}

    def block(x, channels):
        for _ in range(convolutions):
            x = convolve(x, channels, kernel, padding, convolution, **options)
            after = layers.BatchNormalization(), layers.ReLU()
            for layer in reversed(after) if relu_first else after:
                x = layer(x)
        return x

    inputs = physical_inputs()
    x = normalize(inputs, bounds)
    if skips == "pooled":
        x = u_shape_of_pooled_skips(x, filters, levels, block, circular)
        x = convolve(x, 1, kernel, padding, convolution, **start)
    else:
        x = u_shape(x, filters, levels, block, circular=circular)
        x = layers.Conv2D(1, 1, **start)(x)
    if sigmoid:
        x = layers.Activation("sigmoid")(x)
    return keras.Model(inputs, to_stress(x, bounds), name="paper_unet")
