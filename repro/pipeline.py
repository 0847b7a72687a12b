"""From a data set to training samples: pairs of fields one stride apart.

A sample is (E, nu, xi0, h0, sigma_vM(t)) -> sigma_vM(t + dt), shapes (N, N, 5) and (N, N, 1), in
physical units; the networks scale inside. Samples are gathered batch by batch from the fields of
the data set, which are held once, and what is shuffled are their indices.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from repro.dataset import DataSet


@dataclass(frozen=True)
class Pairs:
    """All pairs (t, t + stride) of some microstructures, in order of microstructure and time.

    Starting increments are multiples of the stride, so that pairs of a trajectory follow on each
    other, as in a rollout.
    """

    properties: np.ndarray  # (M, N, N, 4) float32
    sigma_vm: np.ndarray  # (M, T+1, N, N) float32, MPa
    stride: int  # increments from input to output

    @property
    def steps(self) -> int:
        """Pairs a microstructure."""
        return (self.sigma_vm.shape[1] - 1) // self.stride

    def __len__(self):
        return len(self.sigma_vm) * self.steps

    def gather(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, N, N, 5) and outputs (n, N, N, 1) of the pairs `indices` (n,)."""
        cell, step = np.divmod(indices, self.steps)
        start = step * self.stride
        before = self.sigma_vm[cell, start][..., None]
        after = self.sigma_vm[cell, start + self.stride][..., None]
        return np.concatenate([self.properties[cell], before], axis=-1), after

    def batches(self, size: int, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of the pairs in the given order; the last may be smaller."""
        for start in range(0, len(order), size):
            yield self.gather(order[start : start + size])


def make_pairs(data: DataSet, microstructures, stride: int = 1) -> Pairs:
    """Pairs of the given microstructures of a data set.

    Raises
    ------
    ValueError
        If `stride` does not divide the number of increments.
    """
    increments = len(data.time) - 1
    if not 1 <= stride <= increments or increments % stride:
        raise ValueError(
            f"stride {stride} does not divide the {increments} increments of the data set"
        )
    return Pairs(
        data.property_maps(microstructures), data.sigma_vm[np.asarray(microstructures)], stride
    )


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Shuffled indices of an epoch, a function of seed and epoch: a resumed run repeats it."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def tf_dataset(pairs: Pairs, size: int, order: np.ndarray):
    """`Pairs.batches` as a prefetching `tf.data.Dataset`."""
    import tensorflow as tf

    n = pairs.sigma_vm.shape[-1]
    signature = (
        tf.TensorSpec((None, n, n, 5), tf.float32),
        tf.TensorSpec((None, n, n, 1), tf.float32),
    )

    def gather(indices):
        x, y = tf.numpy_function(pairs.gather, [indices], [s.dtype for s in signature])
        return tf.ensure_shape(x, signature[0].shape), tf.ensure_shape(y, signature[1].shape)

    indices = tf.data.Dataset.from_tensor_slices(order.astype(np.int64))
    return indices.batch(size).map(gather, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
