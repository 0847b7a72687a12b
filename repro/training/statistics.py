"""Statistics of batch normalization, measured instead of averaged while the weights still moved.

Keras averages them over the last hundred or so batches, each of other weights: they lag, and the
validation error jumps. "PreciseBN" (arXiv:2105.07576, section 3) measures them before validating,
on a thousand samples or more with the weights fixed. Training itself never uses them.
"""

from collections.abc import Iterable
from contextlib import contextmanager

import numpy as np

from repro.models.backend import keras


def normalizations(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The layers of a network that have such statistics."""
    return [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]


class Statistics:
    """Measures the statistics of a network, as often as asked.

    Parameters
    ----------
    network : keras.Model
    """

    def __init__(self, network: keras.Model):
        self._layers = normalizations(network)
        self._forward = _compiled(lambda x: network(x, training=True))

    def measure(self, batches: Iterable[np.ndarray]) -> None:
        """Set the statistics to those of all samples of some batches; weights stay as they are.

        Parameters
        ----------
        batches : iterable of ndarray, (n, N, N, C)
            Inputs, in batches of the size that the network was trained with: every batch is
            normalized by its own statistics on the way to deeper layers, as in training.
        """
        means, variances = [], []
        with self.of_last_batch():
            for x in batches:
                self._forward(x)
                means.append([_array(layer.moving_mean) for layer in self._layers])
                variances.append([_array(layer.moving_variance) for layer in self._layers])
        self.set(zip(*means, strict=True), zip(*variances, strict=True))

    def set(self, means: Iterable, variances: Iterable) -> None:
        """Set the statistics to those of all batches.

        Parameters
        ----------
        means, variances : iterable of array_like, (batches, C)
            Of every batch, one array per normalization.
        """
        for layer, mean, variance in zip(self._layers, means, variances, strict=True):
            layer.moving_mean.assign(np.mean(mean, axis=0))
            # Within the batches, and between them.
            layer.moving_variance.assign(np.mean(variance, axis=0) + np.var(mean, axis=0))

    @contextmanager
    def of_last_batch(self):
        """Let the moving statistics be those of the last batch alone."""
        momenta = [layer.momentum for layer in self._layers]
        try:
            for layer in self._layers:
                layer.momentum = 0.0
            yield
        finally:
            for layer, momentum in zip(self._layers, momenta, strict=True):
                layer.momentum = momentum


def _compiled(function):
    """A graph under TensorFlow, where single operations are slow."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    # XLA is ruinous for depthwise convolution on a CPU.
    return tf.function(function, reduce_retracing=True, jit_compile=False)


def _array(variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable)
