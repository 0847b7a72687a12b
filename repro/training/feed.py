"""How pairs reach the network that Keras trains: through tf.data, or gathered batch by batch."""

import numpy as np

from repro.data.samples import Samples
from repro.models.backend import keras


class Batches(keras.utils.PyDataset):
    """`Samples.batches`, gathered by the host."""

    def __init__(self, pairs: Samples, samples: np.ndarray, size: int):
        super().__init__()
        self.pairs, self.samples, self.size = pairs, samples, size

    def __len__(self):
        return -(-len(self.samples) // self.size)

    def __getitem__(self, i):
        return self.pairs.gather(self.samples[i * self.size : (i + 1) * self.size])


def batches(pairs: Samples, samples: np.ndarray, size: int):
    """`Samples.batches` as `keras.Model.fit` takes them best."""
    on_tensorflow = keras.backend.backend() == "tensorflow"
    return (tf_dataset if on_tensorflow else Batches)(pairs, samples, size)


def tf_dataset(pairs: Samples, samples: np.ndarray, size: int):
    """`Samples.batches` as a prefetching `tf.data.Dataset`."""
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
