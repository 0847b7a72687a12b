"""The advanced network: a residual U-Net that keeps what is exact about the problem."""

from __future__ import annotations

from repro.models.backend import keras, layers
from repro.models.layers import (
    convolve,
    custom_layers,
    normalize,
    physical_inputs,
    to_stress,
    u_shape,
)
from repro.models.registry import register

FILTERS = 48
LEVELS = 3  # poolings
INCREMENT_SCALE = 100.0  # MPa, a usual stress increment


@register(
    "a residual U-Net that keeps what is exact about the problem",
    weight_decay=1e-4,
    clip_norm=1.0,
    warmup_epochs=5,
    cosine=True,
    patience=50,
    augment=True,
)
def res_unet(
    filters: int = FILTERS,
    levels: int = LEVELS,
    circular: bool = True,
    increment: bool = True,
    stresses: int = 1,
) -> keras.Model:
    """Residual U-Net of 3x3 convolutions, two residual blocks a level, no normalization layers.

    Parameters
    ----------
    filters : int
        Channels at the finest level; they double with every pooling.
    levels : int
        Number of poolings; N must be a multiple of 2^levels.
    circular : bool
        Circular padding instead of zeros keeps the periodicity of the cell: a translation of the
        input by a multiple of 2^levels pixels translates the output.
    increment : bool
        Predict sigma_vM(t + dt) - sigma_vM(t): the untrained network is close to persistence.
    stresses : int
        Stress fields in the input, one stride apart. Two gain little: of the state, the properties
        and the present stress leave little open under a load that only grows.

    Returns
    -------
    keras.Model
        (n, N, N, 4 + stresses) in physical units -> (n, N, N, 1) in MPa.
    """
    padding = "circular" if circular else "same"

    def convolution(x, channels, kernel=3, scale=2.0):
        # He initialization where scale is 2; residual branches start small.
        he = keras.initializers.VarianceScaling(scale, "fan_in", "truncated_normal")
        return convolve(x, channels, kernel, padding, kernel_initializer=he)

    def residual_blocks(x, channels):
        if x.shape[-1] != channels:
            x = convolution(x, channels, 1, scale=1.0)
        for _ in range(2):
            branch = convolution(layers.Activation("silu")(x), channels)
            branch = convolution(layers.Activation("silu")(branch), channels, scale=0.1)
            x = layers.Add()([x, branch])
        return x

    inputs = physical_inputs(stresses)
    x = convolution(normalize(inputs), filters)
    x = u_shape(x, filters, levels, residual_blocks, lambda: layers.AveragePooling2D(2), circular)
    x = convolution(layers.Activation("silu")(x), 1, 1, scale=0.01)
    if not increment:
        return keras.Model(inputs, to_stress(x), name="res_unet")
    change = layers.Rescaling(INCREMENT_SCALE, name="stress_increment")(x)
    outputs = layers.Add(name="sigma_vm")([custom_layers.Stress(name="stress")(inputs), change])
    return keras.Model(inputs, outputs, name="res_unet")
