"""Layers that train faster with TensorFlow on a CPU: same mathematics, same weights.

Only the order of summation differs. Six things take most of a training step of the networks there,
and can be had for less:

- the gradient of a depthwise kernel, which TensorFlow computes several times slower than a forward
  pass with as many operations. But it *is* a forward pass: the input of a sample, convolved with
  the output's gradient as the kernel;
- the last convolution, at full resolution and to one channel, of what was just upsampled: on the
  coarse pixels the channels can be summed for each tap of the kernel, with matrix products alone;
- batch normalization, which Keras puts together from a dozen operations; TensorFlow has it as one;
- the gradient of a pointwise kernel, which is a matrix product;
- ReLU before a maximum pooling, which is the same after it, on a quarter of the pixels;
- the gradient of periodic padding, for which TensorFlow fills a whole field with zeros for every
  slice, and adds these fields. But only the border gains something.
"""

import numpy as np

from repro.models import custom_layers
from repro.models.backend import keras

# Kernel gradients of samples of so many values are taken one at a time: that stays in the cache.
# The smaller ones together: alone they give an operation too little to do.
ONE_AT_A_TIME = 2**15


def accelerated(model: keras.Model) -> keras.Model:
    """A copy of a functional model that trains faster on a CPU under TensorFlow; same weights."""
    origins = {}  # layer and inputs of every tensor of the copy
    pooled_alone = _pooled_alone(model)

    def call(layer, *inputs, **options):
        if type(layer) is FastGradientSeparableConv2D:
            layer, *inputs = _with_upsampling(layer, *inputs, origins)
        if layer.name in pooled_alone:
            activation, fields = origins[id(inputs[0])]
            activation = type(activation).from_config(activation.get_config())
            return activation(layer(*fields))
        output = layer(*inputs, **options)
        origins[id(output)] = layer, keras.tree.flatten(inputs)
        return output

    classes = FastGradientSeparableConv2D, FusedBatchNormalization, FastGradientCircularPadding2D
    return copied(model, *classes, call_function=call)


def _pooled_alone(model) -> set[str]:
    """Names of the maximum poolings of what was rectified for them alone."""
    inputs = [id(x) for layer in model.layers for x in keras.tree.flatten(layer.input)]
    rectified = {id(x.output) for x in model.layers if type(x) is keras.layers.ReLU}
    return {
        layer.name
        for layer in model.layers
        if type(layer) is keras.layers.MaxPooling2D
        and id(layer.input) in rectified
        and inputs.count(id(layer.input)) == 1
    }


def copied(model: keras.Model, *classes: type[keras.layers.Layer], **options) -> keras.Model:
    """A copy of a functional model, with layers of `classes` where they suit; same weights.

    Parameters
    ----------
    model : keras.Model
    *classes : type
        Each of them stands in for layers of its base class.
    **options
        Of `keras.models.clone_model`.
    """

    def like(layer):
        for cls in classes:
            if type(layer) is cls.__base__ and cls.suits(layer):
                return cls.from_config(layer.get_config())
        return type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=like, **options)
    copy.set_weights(model.get_weights())
    return copy


def _with_upsampling(layer, x, origins):
    """A layer that does the upsampling and concatenation before it as well, and its inputs."""
    concatenation, fields = origins.get(id(x), (None, []))
    if len(fields) == 2:
        coarse, beside = fields
        upsampling, fields = origins.get(id(coarse), (None, []))
        if UpsampledSeparableConv2D.suits(layer, concatenation, upsampling):
            return UpsampledSeparableConv2D.from_config(layer.get_config()), [*fields, beside]
    return layer, x


class FastGradientCircularPadding2D(custom_layers.CircularPadding2D):
    """`CircularPadding2D` whose gradient is that of the field, with what its border gains."""

    @staticmethod
    def suits(layer: custom_layers.CircularPadding2D) -> bool:
        """Whether this class can stand in for a layer: the two borders must not overlap."""
        edges = layer.input.shape[1:3]
        return layer.width > 0 and all(edge and edge >= 2 * layer.width for edge in edges)

    def call(self, x):
        import tensorflow as tf

        @tf.custom_gradient
        def padded(x):
            y = super(FastGradientCircularPadding2D, self).call(x)
            return y, lambda gradient: self._folded(self._folded(gradient, axis=2), axis=1)

        return padded(x)

    def _folded(self, gradient, axis):
        """The gradient without the padding along an axis, which is added where it came from."""
        import tensorflow as tf

        w, inside = self.width, gradient.shape[axis] - 4 * self.width
        before, first, middle, last, after = tf.split(gradient, [w, w, inside, w, w], axis)
        return tf.concat([first + after, middle, last + before], axis)


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`BatchNormalization` of the last of four axes that trains with one operation."""

    @staticmethod
    def suits(layer: keras.layers.BatchNormalization) -> bool:
        """Whether this class can stand in for a layer."""
        renorm = getattr(layer, "renorm", False)  # newer Keras
        plain = layer.center and layer.scale and not (renorm or layer.synchronized)
        last_of_four = layer.input.ndim == 4 and layer.axis in (-1, 3)
        return plain and last_of_four and layer.epsilon > 1.001e-5  # less is not taken

    def call(self, x, training=None, mask=None):
        import tensorflow as tf

        if mask is not None or not (training and self.trainable):
            return super().call(x, training, mask)
        gamma, beta = (tf.convert_to_tensor(weight) for weight in (self.gamma, self.beta))
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=self.epsilon)
        # TensorFlow gives the variance of a sample, divided by n - 1; Keras averages that by n.
        n = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
        for moving, now in (
            (self.moving_mean, mean),
            (self.moving_variance, variance * (n - 1) / n),
        ):
            moving.assign(self.momentum * moving + (1 - self.momentum) * now)
        return y


def is_plain(layer: keras.layers.SeparableConv2D) -> bool:
    """Whether a layer has no stride, no dilation, one kernel per channel, and the channels last."""
    counts = *layer.strides, *layer.dilation_rate, layer.depth_multiplier
    return set(counts) == {1} and layer.data_format == "channels_last"


class FastGradientSeparableConv2D(keras.layers.SeparableConv2D):
    """`SeparableConv2D` without stride or dilation, with faster gradients of the kernels."""

    @staticmethod
    def suits(layer: keras.layers.SeparableConv2D) -> bool:
        """Whether this class can stand in for a layer."""
        return layer.padding == "same" and is_plain(layer)

    def call(self, x):
        import tensorflow as tf

        depthwise, pointwise = map(
            tf.convert_to_tensor, (self.depthwise_kernel, self.pointwise_kernel)
        )
        return self._finished(_separable_convolution(x, depthwise, pointwise))

    def _finished(self, y):
        import tensorflow as tf

        if self.use_bias:
            y = tf.nn.bias_add(y, self.bias)
        return self.activation(y)


class UpsampledSeparableConv2D(FastGradientSeparableConv2D):
    """`SeparableConv2D` to one channel, of two fields: one to be upsampled, and one beside it.

    Upsampling is linear, and the same for all channels. So they are summed before it, where there
    are a quarter as many pixels: into one coarse field for each tap of the kernel. The rest knows
    no weights: fields are upsampled, shifted by their tap and summed, which is a matrix an axis.
    """

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.input_spec = None  # two inputs

    @staticmethod
    def suits(layer, concatenation, upsampling) -> bool:
        """Whether this class can stand in for three layers that follow on each other."""
        return (
            FastGradientSeparableConv2D.suits(layer)
            and layer.filters == 1
            and type(concatenation) is keras.layers.Concatenate
            and concatenation.axis in (-1, 3)
            and isinstance(upsampling, keras.layers.UpSampling2D)
            and (upsampling.size, upsampling.interpolation) == ((2, 2), "bilinear")
            and upsampling.data_format == "channels_last"
        )

    def build(self, shapes):
        """As for the concatenated fields."""
        coarse, beside = shapes
        super().build((*beside[:-1], coarse[-1] + beside[-1]))
        self.input_spec = None

    def compute_output_spec(self, fields):
        """Shape (n, N1, N2, 1)."""
        return keras.KerasTensor((*fields[1].shape[:-1], 1), self.compute_dtype)

    def call(self, fields):
        import tensorflow as tf

        coarse, beside = fields
        split = [coarse.shape[-1], beside.shape[-1]]
        depthwise = tf.split(self.depthwise_kernel, split, axis=2)
        pointwise = tf.split(self.pointwise_kernel, split, axis=2)
        y = _convolution_of_upsampled(coarse, depthwise[0][..., 0] * pointwise[0][..., 0])
        return self._finished(y + _separable_convolution(beside, depthwise[1], pointwise[1]))


def _convolution_of_upsampled(x, kernel):
    """Convolution (B, 2 N1, 2 N2, 1) with a kernel (k1, k2, C) of x (B, N1, N2, C), upsampled."""
    import tensorflow as tf

    (n1, n2, channels), (k1, k2) = x.shape[1:], kernel.shape[:2]
    taps = tf.matmul(tf.reshape(kernel, (k1 * k2, channels)), x, transpose_b=True)
    # (B, N1, k1 k2, N2), now the second axis and then the first.
    rows, columns = upsampled_taps(n1, k1), upsampled_taps(n2, k2)
    columns = tf.constant(columns.transpose(1, 2, 0).reshape(k2 * n2, 2 * n2), x.dtype)
    rows = tf.constant(rows.transpose(0, 2, 1).reshape(2 * n1, n1 * k1), x.dtype)
    y = tf.matmul(tf.reshape(taps, (-1, k2 * n2)), columns)
    return tf.matmul(rows, tf.reshape(y, (-1, n1 * k1, 2 * n2)))[..., None]


def upsampled_taps(n: int, k: int) -> np.ndarray:
    """What each tap of a kernel sees of a field that is upsampled bilinearly, along one axis.

    Parameters
    ----------
    n : int
        Pixels before upsampling.
    k : int
        Taps.

    Returns
    -------
    ndarray, shape (2 n, k, n)
        Weights of the coarse pixels; none for what a tap sees beyond the edge.
    """
    places = np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1)
    upsampling = np.maximum(0, 1 - abs(places[:, None] - np.arange(n)))
    padded = np.pad(upsampling, [((k - 1) // 2, k // 2), (0, 0)])
    return np.stack([padded[tap : tap + 2 * n] for tap in range(k)], axis=1)


def _separable_convolution(x, depthwise, pointwise):
    return _pointwise_convolution(_depthwise_convolution()(x, depthwise), pointwise)


def _pointwise_convolution(x, kernel):
    """Convolution with a kernel (1, 1, C, D), as the matrix product that it is."""
    import tensorflow as tf

    channels, filters = kernel.shape[2:]
    y = tf.matmul(tf.reshape(x, (-1, channels)), kernel[0, 0])
    return tf.reshape(y, (*tf.unstack(tf.shape(x))[:3], filters))


def _depthwise_convolution():
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(x, kernel):
        def gradient(dy):
            return input_gradient(dy, kernel), kernel_gradient(x, dy, kernel.shape[:2])

        return tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "SAME"), gradient

    return convolve


def input_gradient(dy, kernel):
    """Gradient (B, N, N, C) of the input of a depthwise convolution, from dy and its kernel."""
    import tensorflow as tf

    padding = [(k // 2, (k - 1) // 2) for k in kernel.shape[:2]]
    mirrored = tf.reverse(kernel, (0, 1))
    return tf.nn.depthwise_conv2d(dy, mirrored, (1, 1, 1, 1), [(0, 0), *padding, (0, 0)])


def kernel_gradient(x, dy, size):
    """Gradient (k1, k2, C, 1) of a depthwise kernel (k1, k2), from x and dy (B, N, N, C)."""
    import tensorflow as tf

    batch = x.shape[0]
    if None in x.shape or np.prod(x.shape[1:]) < ONE_AT_A_TIME:
        return _correlation(x, dy, size)
    samples = zip(tf.split(x, batch), tf.split(dy, batch), strict=True)
    return tf.add_n([_correlation(*sample, size) for sample in samples])


def _correlation(x, dy, size):
    """Sum over pixels and samples of x, shifted by up to half of `size`, times dy."""
    import tensorflow as tf

    # Samples and channels alike become channels: (1, N, N, B C) and (N, N, B C, 1).
    (batch, n1, n2), channels = tf.unstack(tf.shape(dy))[:3], dy.shape[-1]
    fields, kernels = (
        tf.reshape(tf.transpose(field, (1, 2, 0, 3)), shape)
        for field, shape in (
            (x, (1, n1, n2, batch * channels)),
            (dy, (n1, n2, batch * channels, 1)),
        )
    )
    padding = [((k - 1) // 2, k // 2) for k in size]
    sums = tf.nn.depthwise_conv2d(fields, kernels, (1, 1, 1, 1), [(0, 0), *padding, (0, 0)])
    return tf.reduce_sum(tf.reshape(sums, (*size, batch, channels)), axis=2)[..., None]
