"""Statistics of batch normalization, measured instead of averaged while the weights still moved.

Keras averages them over the last hundred or so batches, each of other weights: they lag, and the
validation error jumps. "PreciseBN" (arXiv:2105.07576, section 3) measures them before validating,
on a thousand samples or more with the weights fixed. Training itself never uses them.
"""

from collections.abc import Iterable

import numpy as np

from repro.models.backend import keras


def normalizations(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The layers of a network that have such statistics."""
    return [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]


def measure(network: keras.Model, batches: Iterable[np.ndarray]) -> None:
    """Set the statistics of a network to those of all samples of some batches.

    Parameters
    ----------
    network : keras.Model
        Its trained weights stay as they are.
    batches : iterable of ndarray, (n, N, N, C)
        Inputs, in batches of the size it was trained with: every batch is normalized by its own
        statistics on the way to deeper layers, as in training.
    """
    layers = normalizations(network)
    momenta = [layer.momentum for layer in layers]
    means, variances = [], []
    try:
        for layer in layers:
            layer.momentum = 0.0  # what it remembers is the last batch alone
        for x in batches:
            network(x, training=True)
            means.append([keras.ops.convert_to_numpy(x.moving_mean) for x in layers])
            variances.append([keras.ops.convert_to_numpy(x.moving_variance) for x in layers])
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    of_layers = zip(layers, zip(*means, strict=True), zip(*variances, strict=True), strict=True)
    for layer, mean, variance in of_layers:
        layer.moving_mean.assign(np.mean(mean, axis=0))
        # Within the batches, and between them.
        layer.moving_variance.assign(np.mean(variance, axis=0) + np.var(mean, axis=0))
