"""Training on all devices of this machine: each takes an equal part of every batch."""

import os

import numpy as np

from repro.models.backend import keras
from repro.training.engine import TrainingEngine


class DistributedEngine(TrainingEngine):
    """Takes the steps of an epoch on all devices; its state, between epochs, is that of one.

    So validation and snapshots do not know of it, and a run may go on with another number of
    devices. The last batch of an epoch, if it is smaller, is a step of one device: no sample is
    lost or repeated to make it divisible.

    Raises
    ------
    ValueError
        If the devices cannot share a batch equally, or Keras has no way to train on all of them.
    """

    def __init__(self, network, training, validation, config):
        self.scope, count = all_devices()
        if config.batch_size % count:
            raise ValueError(
                f"{count} devices cannot share a batch of {config.batch_size} pairs equally: "
                f"choose a --batch-size that is a multiple of {count}"
            )
        super().__init__(network, training, validation, config)
        self.replicas = None
        if count == 1:
            return
        with self.scope():
            self.replicas = keras.models.clone_model(network, clone_function=_synchronized)
            # XLA and MirroredStrategy do not go together.
            self._compile(
                self.replicas, False if keras.backend.backend() == "tensorflow" else "auto"
            )

    def fit(self, samples, epoch=0, callbacks=()):
        """Take one step per batch of samples; return the logs."""
        full = len(samples) - len(samples) % self.config.batch_size if self.replicas else 0
        parts = []
        if full:
            _copy(self.network, self.replicas)
            with self.scope():
                parts.append(self._fit(self.replicas, samples[:full], epoch, callbacks))
            _copy(self.replicas, self.network)
        if full < len(samples):
            parts.append(super().fit(samples[full:], epoch, callbacks))
        counts = [count for count in (full, len(samples) - full) if count]
        return {"mae": [np.average([logs["mae"][0] for logs in parts], weights=counts)]}


def all_devices():
    """Scope in which variables and steps are of all devices, and how many these are."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        if jax.process_count() > 1:
            raise ValueError("--distribute uses the devices of one process: start only one")
        distribution = keras.distribution.DataParallel()
        return distribution.scope, distribution.device_mesh.devices.size
    if backend == "tensorflow":
        import tensorflow as tf

        if "TF_CONFIG" in os.environ:
            raise ValueError(
                "--distribute uses the devices of one machine, the one way of TensorFlow that "
                "Keras 3 tests: unset TF_CONFIG"
            )
        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        strategy = tf.distribute.MirroredStrategy([device.name for device in found])
        return strategy.scope, strategy.num_replicas_in_sync
    raise ValueError(f"--distribute needs the backend jax or tensorflow, not {backend}")


def _synchronized(layer):
    """A copy of a layer, which normalizes by the statistics of the whole batch as JAX's does."""
    config = layer.get_config()
    if isinstance(layer, keras.layers.BatchNormalization):
        config["synchronized"] = keras.backend.backend() == "tensorflow"
    return type(layer).from_config(config)


def _copy(network, to):
    """Copy weights and the state of the optimizer."""
    to.set_weights(network.get_weights())
    for variable, value in zip(to.optimizer.variables, network.optimizer.variables, strict=True):
        variable.assign(keras.ops.convert_to_numpy(value))
