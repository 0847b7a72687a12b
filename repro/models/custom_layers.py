"""Layers that Keras lacks. Keras is imported with this file; `repro.models.layers` waits for it."""

import numpy as np

from repro import paper
from repro.models.backend import keras, layers, ops


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
class UpSampling2D(layers.UpSampling2D):
    """Keras' layer, also for fields whose size TensorFlow does not know when it builds a graph.

    It has the same name, options and numbers. Where the size is unknown, as in an exported network
    or in `keras.Model.predict` after a second size, Keras' own layer fails.
    """

    def call(self, x):
        """Ask TensorFlow for the size when the graph runs, where it is unknown before."""
        on_tensorflow = keras.backend.backend() == "tensorflow"
        if None not in x.shape[1:3] or not on_tensorflow or self.data_format != "channels_last":
            return super().call(x)
        import tensorflow as tf

        size = tf.shape(x)[1:3] * self.size
        return tf.cast(tf.image.resize(x, size, self.interpolation), x.dtype)


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
