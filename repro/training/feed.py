"""How pairs reach the network: through tf.data, or from the memory of the device."""

import numpy as np

from repro import paper
from repro.data.pairs import Pairs, pixels
from repro.models.backend import keras


class Batches(keras.utils.PyDataset):
    """`Pairs.batches`, gathered by the host: for data that a device does not hold."""

    def __init__(self, pairs: Pairs, samples: np.ndarray, size: int):
        super().__init__()
        self.pairs, self.samples, self.size = pairs, samples, size

    def __len__(self):
        return -(-len(self.samples) // self.size)

    def __getitem__(self, i):
        return self.pairs.gather(self.samples[i * self.size : (i + 1) * self.size])


def batches(pairs: Pairs, samples: np.ndarray, size: int):
    """`Pairs.batches` as `keras.Model.fit` takes them best."""
    on_tensorflow = keras.backend.backend() == "tensorflow"
    return (tf_dataset if on_tensorflow else Batches)(pairs, samples, size)


def tf_dataset(pairs: Pairs, samples: np.ndarray, size: int):
    """`Pairs.batches` as a prefetching `tf.data.Dataset`."""
    import tensorflow as tf

    n = pairs.sigma_vm.shape[-1]

    def gather(batch):
        x, y = tf.numpy_function(pairs.gather, [batch], [tf.float32, tf.float32])
        return tuple(
            tf.ensure_shape(field, (batch.shape[0], n, n, channels))
            for field, channels in zip((x, y), pairs.channels, strict=True)
        )

    rows = tf.data.Dataset.from_tensor_slices(samples)
    # Where all batches are full, none is dropped, and TensorFlow knows their size.
    batches = rows.batch(size, drop_remainder=len(samples) % size == 0)
    # Nothing to tune here, and the end of a pass waits for the tuner, for up to twice its time.
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.map(gather).prefetch(2).with_options(options)


class Resident(keras.Model):
    """Model of samples, with the data set on the device: the host sends a few integers per step.

    Maps samples (n, 5) to the error of the network, its output minus the true stress, in MPa, so
    that it is trained towards zero. It shares its weights with `network`; the fields are weights
    that are not trained.
    """

    def __init__(self, network: keras.Model, pairs: Pairs):
        super().__init__()
        if pairs.sigma_vm.size > np.iinfo(np.int32).max:
            raise ValueError("the data set has too many pixels for 32-bit indices")
        self.network, self.steps, self.n = network, pairs.steps, pairs.sigma_vm.shape[-1]
        self.properties = self._resident(pairs.properties.reshape(-1, len(paper.PROPERTY_NAMES)))
        self.before = self._resident(pairs.before.reshape(-1, 1))
        self.after = self._resident(pairs.after.reshape(-1, 1))
        self.built = True

    def _resident(self, array):
        weight = self.add_weight(array.shape, "zeros", trainable=False)
        weight.assign(array)
        return weight

    def call(self, samples, training=None):
        """Output of the network for `Pairs.gather(samples)`, minus the true one."""
        x1, x2 = pixels(samples, self.n)
        pixel = x1 * self.n + x2
        cell = (samples[:, 0] // self.steps)[:, None, None] * self.n**2 + pixel
        pair = samples[:, 0, None, None] * self.n**2 + pixel
        x = keras.ops.concatenate(
            [
                keras.ops.take(self.properties, cell, axis=0),
                keras.ops.take(self.before, pair, axis=0),
            ],
            axis=-1,
        )
        return self.network(x, training=training) - keras.ops.take(self.after, pair, axis=0)
