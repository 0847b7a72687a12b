"""The paper's network (Methods, Fig. 12)."""

from repro import paper
from repro.backend import keras, layers
from repro.models.layers import convolve, normalize, physical_inputs, to_stress, u_shape
from repro.pipeline import TABLE_3_BOUNDS


def paper_unet(
    filters: int = paper.FILTERS,
    levels: int = paper.LEVELS,
    kernel: int = paper.KERNEL,
    separable: bool = True,
    circular: bool = False,
    bias: bool = False,
    relu_first: bool = False,
    bounds=TABLE_3_BOUNDS,
) -> keras.Model:
    """U-Net of separable 9x9 convolutions, zero padding, Glorot initialization.

    Parameters
    ----------
    filters : int
        Channels at the finest level; they double with every pooling.
    levels : int
        Number of poolings; N must be a multiple of 2^levels.
    kernel : int
        Edge of the kernels.
    separable : bool
        False for standard convolutions, a variant of ours.
    circular : bool
        Circular instead of zero padding, a variant of ours.
    bias : bool
        Whether the convolutions have a bias, beside that of the batch normalization.
    relu_first : bool
        ReLU before batch normalization instead of after it. The paper states neither.
    bounds : array_like, shape (2, 5)
        Values of the channels that are normalized to 0 and 1.

    Returns
    -------
    keras.Model
        (n, N, N, 5) in physical units -> (n, N, N, 1) in MPa.
    """
    convolution = layers.SeparableConv2D if separable else layers.Conv2D
    padding = "circular" if circular else "same"
    # Glorot is the initialization of kernels by default. An initializer that is not needed would
    # draw a seed all the same, and a seed stand for other weights.
    options = {"bias_initializer": "glorot_uniform"} if bias else {"use_bias": False}

    def double_convolution(x, channels):
        for _ in range(2):
            x = convolve(x, channels, kernel, padding, convolution, **options)
            after = layers.BatchNormalization(), layers.ReLU()
            for layer in reversed(after) if relu_first else after:
                x = layer(x)
        return x

    inputs = physical_inputs()
    x = u_shape(normalize(inputs, bounds), filters, levels, double_convolution, circular=circular)
    x = layers.Conv2D(1, 1, bias_initializer="glorot_uniform")(x)
    return keras.Model(inputs, to_stress(x, bounds), name="paper_unet")
