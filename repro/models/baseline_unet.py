"""The baseline: a plain 3x3 U-Net, what one tries first."""

from __future__ import annotations

from repro import paper
from repro.models.backend import keras
from repro.models.paper_unet import paper_unet
from repro.models.registry import register

LEVELS = 3  # poolings


@register("a plain 3x3 U-Net, what one tries first", learning_rate=1e-4, patience=10)
def baseline_unet(filters: int = paper.FILTERS, levels: int = LEVELS) -> keras.Model:
    """U-Net of standard 3x3 convolutions, 32-64-128-256 channels, zero padding.

    The classic U-Net with the kernel that everybody uses: convolution, batch normalization and
    ReLU twice per level.

    Parameters
    ----------
    filters : int
        Channels at the finest level; they double with every pooling.
    levels : int
        Number of poolings; N must be a multiple of 2^levels.

    Returns
    -------
    keras.Model
        (n, N, N, 5) in physical units -> (n, N, N, 1) in MPa.
    """
    plain = paper_unet("convolved", 2, levels, filters, kernel=3, separable=False, bias=False)
    return keras.Model(plain.input, plain.output, name="baseline_unet")
