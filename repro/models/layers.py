"""What the networks share: physical units at both ends, the U, and periodic padding."""

from collections.abc import Callable
from functools import partial

import numpy as np

from repro import paper
from repro.models.backend import keras, layers, ops
from repro.models.normalization import TABLE_3_BOUNDS

Tensor = keras.KerasTensor


def physical_inputs(stresses: int = 1) -> Tensor:
    """Input (N, N, 5): E/GPa, nu, xi0/MPa, h0/GPa, sigma_vM(t)/MPa of each pixel; any N.

    With more `stresses`, those at t - dt, t - 2 dt, ... stand before the last, the oldest first.
    """
    channels = len(paper.PROPERTY_NAMES) + stresses
    return keras.Input((None, None, channels), name="microstructure_and_stress")


def normalize(x: Tensor, bounds=TABLE_3_BOUNDS) -> Tensor:
    """Map `bounds` (2, 5) of the channels to 0 and 1, the last of them of every stress."""
    bounds = np.asarray(bounds, float)
    low, high = np.pad(bounds, [(0, 0), (0, x.shape[-1] - bounds.shape[1])], "edge")
    scale = 1 / (high - low)
    return layers.Rescaling(scale.tolist(), (-low * scale).tolist(), name="normalize")(x)


def to_stress(x: Tensor, bounds=TABLE_3_BOUNDS) -> Tensor:
    """Map the normalized output back to sigma_vM(t + dt)/MPa, (N, N, 1)."""
    low, high = np.asarray(bounds, float)[:, -1]
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
    x = layers.Conv2D(filters, 4, strides=2, padding="valid")(CircularPadding2D(1)(maps))
    x = DepthToSpace2D()(layers.Conv2D(4 * filters, 1)(body(x)))
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
        return layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(CircularPadding2D(1)(x))
    return layers.Cropping2D(2)(x)


def convolve(
    x: Tensor,
    channels: int,
    kernel: int,
    padding: str = "same",
    layer: type[layers.Layer] = layers.Conv2D,
    **options,
) -> Tensor:
    """A convolution `layer` with zero ("same") or "circular" padding."""
    if padding == "circular":
        x, padding = CircularPadding2D(kernel // 2)(x), "valid"
    return layer(channels, kernel, padding=padding, **options)(x)


@keras.saving.register_keras_serializable("repro")
class CircularPadding2D(layers.Layer):
    """Continue a periodic field (N1, N2, C) by `width` pixels on each side."""

    def __init__(self, width: int, **options):
        super().__init__(**options)
        self.width = width

    def call(self, x):
        """Concatenate slices: TensorFlow has no circular padding."""
        w = self.width
        if not w:
            return x
        x = ops.concatenate([x[:, -w:], x, x[:, :w]], axis=1)
        return ops.concatenate([x[:, :, -w:], x, x[:, :, :w]], axis=2)

    def compute_output_shape(self, shape):
        """Shape (n, N1 + 2 width, N2 + 2 width, C)."""
        n, n1, n2, channels = shape
        grown = [None if edge is None else edge + 2 * self.width for edge in (n1, n2)]
        return (n, *grown, channels)

    def get_config(self):
        """For saving."""
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable("repro")
class DepthToSpace2D(layers.Layer):
    """Every pixel becomes 2 x 2 of them, each with channels of its own.

    (N1, N2, 4 C) -> (2 N1, 2 N2, C).
    """

    def call(self, x):
        """Channels are the offset along x1, that along x2, and C."""
        n1, n2 = ops.shape(x)[1:3]
        channels = x.shape[-1] // 4
        # The pixels of a row at each of the two offsets along x1: the rest is in order already.
        rows = ops.swapaxes(ops.reshape(x, (-1, n2, 2, 2 * channels)), 1, 2)
        return ops.reshape(rows, (-1, 2 * n1, 2 * n2, channels))

    def compute_output_shape(self, shape):
        """Shape (n, 2 N1, 2 N2, C)."""
        n, n1, n2, channels = shape
        finer = [None if edge is None else 2 * edge for edge in (n1, n2)]
        return (n, *finer, channels // 4)


@keras.saving.register_keras_serializable("repro")
class Stress(layers.Layer):
    """sigma_vM(t)/MPa, (N, N, 1), of the physical inputs."""

    def call(self, x):
        """Take the last channel."""
        return x[..., -1:]


@keras.saving.register_keras_serializable("repro")
class ElasticStiffness(layers.Layer):
    """E/(1 + nu) of the physical inputs, (N, N, 1): 1 for the stiffest grain of Table 3."""

    def call(self, x):
        """Twice the shear modulus, scaled."""
        largest = paper.PROPERTY_RANGES[0][1] / (1 + paper.PROPERTY_RANGES[1][0])
        return x[..., 0:1] / (1 + x[..., 1:2]) / largest


@keras.saving.register_keras_serializable("repro")
class LinearRefinement(layers.Layer):
    """Values at `factor` equal parts of each of `intervals`, linear between the last channels.

    The last `intervals` + 1 channels are the values at the ends of the intervals.
    """

    def __init__(self, factor: int, intervals: int, **options):
        super().__init__(**options)
        self.factor, self.intervals = factor, intervals
        ends = np.arange(intervals + 1)
        fine = np.arange(1, factor * intervals + 1) / factor
        self._weights = np.maximum(0, 1 - np.abs(ends[:, None] - fine)).astype(np.float32)

    def call(self, x):
        """Weigh the values at the ends; the one at the start of all is not repeated."""
        return ops.matmul(x[..., -self.intervals - 1 :], self._weights)

    def compute_output_shape(self, shape):
        """Shape (n, N1, N2, factor intervals)."""
        return (*shape[:-1], self.factor * self.intervals)

    def get_config(self):
        """For saving."""
        return {**super().get_config(), "factor": self.factor, "intervals": self.intervals}
