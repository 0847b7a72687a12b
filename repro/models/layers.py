"""What the networks share: physical units at both ends, the U, and periodic padding."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from repro import paper
from repro.models.backend import OnFirstUse, keras, layers
from repro.models.normalization import TABLE_3_BOUNDS
from repro.tools.values import unmasked

custom_layers = OnFirstUse("repro.models.custom_layers")
plasticity = OnFirstUse("repro.models.plasticity")
Tensor: TypeAlias = "keras.KerasTensor"


def physical_inputs(stresses: int = 1) -> Tensor:
    """Input (N, N, 5): E/GPa, nu, xi0/MPa, h0/GPa, sigma_vM(t)/MPa of each pixel; any N.

    With more `stresses`, those at t - dt, t - 2 dt, ... stand before the last, the oldest first.
    """
    channels = len(paper.PROPERTY_NAMES) + stresses
    return keras.Input((None, None, channels), name="microstructure_and_stress")


def normalize(x: Tensor, bounds=TABLE_3_BOUNDS) -> Tensor:
    """Map `bounds` (2, 5) of the channels to 0 and 1, the last of them of every stress."""
    bounds = unmasked(bounds, "bounds", float)
    low, high = np.pad(bounds, [(0, 0), (0, x.shape[-1] - bounds.shape[1])], "edge")
    scale = 1 / (high - low)
    return layers.Rescaling(scale.tolist(), (-low * scale).tolist(), name="normalize")(x)


def to_stress(x: Tensor, bounds=TABLE_3_BOUNDS) -> Tensor:
    """Map the normalized output back to sigma_vM(t + dt)/MPa, (N, N, 1)."""
    low, high = unmasked(bounds, "bounds", float)[:, -1]
    return layers.Rescaling(float(high - low), float(low), name="sigma_vm")(x)


def on_grid(model: keras.Model, n: int, batch_size: int | None = None) -> keras.Model:
    """An untrained copy of a network for cells of n x n pixels.

    It is built anew: only so does Keras know the size of every field, and refuse those that do not
    fit together.
    """
    fields = keras.Input((n, n, model.input_shape[-1]), batch_size, name="cell")
    return keras.models.clone_model(model, input_tensors=fields)


def u_shape(
    x: Tensor,
    filters: int,
    levels: int,
    block: Callable[[Tensor, int], Tensor],
    pool: Callable[[], layers.Layer] = lambda: layers.MaxPooling2D(2),
    circular: bool = False,
) -> Tensor:
    """The U of a U-Net: `block(x, channels)` at every level, down and up again.

    Parameters
    ----------
    x : KerasTensor, (N, N, C)
        N must be a multiple of 2^levels.
    filters : int
        Channels at the finest level; they double with every pooling.
    levels : int
        Number of poolings.
    block : callable
    pool : callable
        Makes the pooling layer.
    circular : bool
        Whether the bilinear upsampling is periodic.
    """
    skips = []
    for level in range(levels):
        x = block(x, filters * 2**level)
        skips.append(x)
        x = pool()(x)
    x = block(x, filters * 2**levels)
    for level in reversed(range(levels)):
        x = layers.Concatenate()([skips[level], upsample(x, circular)])
        x = block(x, filters * 2**level)
    return x


def residual_blocks(x: Tensor, channels: int, blocks: int = 2) -> Tensor:
    """Residual blocks of two 3x3 convolutions each, periodic."""
    if x.shape[-1] != channels:
        x = layers.Conv2D(channels, 1)(x)
    for _ in range(blocks):
        branch = convolve(layers.Activation("silu")(x), channels, 3, "circular")
        branch = convolve(layers.Activation("silu")(branch), channels, 3, "circular")
        x = layers.Add()([x, branch])
    return x


def residual_u(x: Tensor, filters: int, levels: int, blocks: int = 2) -> Tensor:
    """A U of `residual_blocks`, periodic."""
    block = partial(residual_blocks, blocks=blocks)
    return u_shape(x, filters, levels, block, lambda: layers.AveragePooling2D(2), circular=True)


def at_half_resolution(maps: Tensor, filters: int, body: Callable[[Tensor], Tensor]) -> Tensor:
    """Features (N, N, filters) of fields by a `body` that works on a quarter of their pixels.

    In the end it sees the fields again as they are, so that grain boundaries stay sharp.
    """
    x = layers.Conv2D(filters, 4, strides=2, padding="valid")(
        custom_layers.CircularPadding2D(1)(maps)
    )
    x = custom_layers.DepthToSpace2D()(layers.Conv2D(4 * filters, 1)(body(x)))
    x = layers.Concatenate()([x, maps])
    return convolve(x, filters, 3, "circular", activation="silu")


def u_shape_of_pooled_skips(
    x: Tensor,
    filters: int,
    levels: int,
    block: Callable[[Tensor, int], Tensor],
    circular: bool = False,
) -> Tensor:
    """A U whose skips start after the pooling: the oldest is the input, as it is.

    There is a `block(x, channels)` before every pooling, and one after every upsampling but the
    last. So the finest level has the input beside what the decoder knows, and no block of its own.

    Parameters
    ----------
    x : KerasTensor, (N, N, C)
        N must be a multiple of 2^levels.
    filters : int
        Channels of the first block; they double with every level.
    levels : int
        Number of poolings.
    block : callable
    circular : bool
        Whether the bilinear upsampling is periodic.

    Returns
    -------
    KerasTensor, (N, N, filters + C)
    """
    skips = []
    for level in range(levels):
        skips.append(x)
        x = layers.MaxPooling2D(2)(block(x, filters * 2**level))
    for level in reversed(range(levels)):
        x = layers.Concatenate()([upsample(x, circular), skips[level]])
        if level:
            x = block(x, filters * 2 ** (level - 1))
    return x


def upsample(x: Tensor, circular: bool) -> Tensor:
    """Bilinear upsampling by two, of the periodic field if `circular`."""
    if not circular:
        return custom_layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = custom_layers.CircularPadding2D(1)(x)
    x = custom_layers.UpSampling2D(2, interpolation="bilinear")(x)
    return layers.Cropping2D(2)(x)


def convolve(
    x: Tensor,
    channels: int,
    kernel: int,
    padding: str = "same",
    layer: type[layers.Layer] | None = None,
    **options,
) -> Tensor:
    """A convolution `layer`, by default Conv2D, with zero ("same") or "circular" padding."""
    if padding == "circular":
        x, padding = custom_layers.CircularPadding2D(kernel // 2)(x), "valid"
    return (layer or layers.Conv2D)(channels, kernel, padding=padding, **options)(x)
