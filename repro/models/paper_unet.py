"""The paper's network (Methods, Fig. 12)."""

import keras
from keras import layers

from repro import paper
from repro.models.layers import normalize, physical_inputs, to_stress


def paper_unet(
    filters: int = paper.FILTERS, levels: int = paper.LEVELS, kernel: int = paper.KERNEL
) -> keras.Model:
    """U-Net of separable 9x9 convolutions, zero padding, Glorot initialization.

    Parameters
    ----------
    filters : int
        Channels at the finest level; they double with every pooling.
    levels : int
        Number of poolings; N must be a multiple of 2^levels.
    kernel : int
        Edge of the depthwise kernels.

    Returns
    -------
    keras.Model
        (n, N, N, 5) in physical units -> (n, N, N, 1) in MPa.
    """

    def double_convolution(x, channels):
        for _ in range(2):
            x = layers.SeparableConv2D(
                channels,
                kernel,
                padding="same",
                use_bias=False,  # batch normalization brings its own
                depthwise_initializer="glorot_uniform",
                pointwise_initializer="glorot_uniform",
            )(x)
            x = layers.BatchNormalization()(x)
            x = layers.ReLU()(x)
        return x

    inputs = physical_inputs()
    x = normalize(inputs)
    skips = []
    for level in range(levels):
        x = double_convolution(x, filters * 2**level)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = double_convolution(x, filters * 2**levels)
    for level in reversed(range(levels)):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = layers.Concatenate()([skips[level], x])
        x = double_convolution(x, filters * 2**level)
    x = layers.Conv2D(1, 1, bias_initializer="glorot_uniform")(x)
    return keras.Model(inputs, to_stress(x), name="paper_unet")
