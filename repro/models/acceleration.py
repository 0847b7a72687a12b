"""Layers that train faster with TensorFlow on a CPU: same mathematics, same weights.

Only the order of summation differs. Three things take most of a training step of the paper's
network there, and can be had for less:

- the gradient of a depthwise kernel, which TensorFlow computes several times slower than a forward
  pass with as many operations. But it *is* a forward pass: the input of a sample, convolved with
  the output's gradient as the kernel;
- batch normalization, which Keras puts together from a dozen operations; TensorFlow has it as one;
- the gradient of a pointwise kernel, which is a matrix product.
"""

from repro.models.backend import keras


def accelerated(model: keras.Model) -> keras.Model:
    """A copy of a functional model that trains faster on a CPU under TensorFlow; same weights."""

    def faster(layer):
        for cls in (FastGradientSeparableConv2D, FusedBatchNormalization):
            if type(layer) is cls.__base__ and cls.suits(layer):
                return cls.from_config(layer.get_config())
        return type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=faster)
    copy.set_weights(model.get_weights())
    return copy


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


class FastGradientSeparableConv2D(keras.layers.SeparableConv2D):
    """`SeparableConv2D` without stride or dilation, with faster gradients of the kernels."""

    @staticmethod
    def suits(layer: keras.layers.SeparableConv2D) -> bool:
        """Whether this class can stand in for a layer."""
        plain = (layer.strides, layer.dilation_rate) == ((1, 1), (1, 1))
        same = layer.padding == "same" and layer.data_format == "channels_last"
        return plain and same and layer.depth_multiplier == 1

    def call(self, x):
        import tensorflow as tf

        y = _depthwise_convolution()(x, tf.convert_to_tensor(self.depthwise_kernel))
        y = _pointwise_convolution(y, tf.convert_to_tensor(self.pointwise_kernel))
        if self.use_bias:
            y = tf.nn.bias_add(y, self.bias)
        return self.activation(y)


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
    if batch is None:
        return _correlation(x, dy, size)
    # One sample at a time stays in the cache.
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
