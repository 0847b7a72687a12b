"""From a data set to training samples: pairs of fields one stride apart.

A pair is (E, nu, xi0, h0, sigma_vM(t)) -> sigma_vM(t + dt), shapes (N, N, 5) and (N, N, 1), in
physical units; the networks scale inside. An input may hold earlier stresses too, before the
present one: (N, N, C). The fields of the data set are held once. What is shuffled, and handed to
the trainer, are samples: rows of five integers that say which pair, and under which symmetry of the
cell.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from repro import paper
from repro.data.dataset import DataSet, DataSetError
from repro.tools.values import Value

# Columns of a sample: pair, shift along x1 and x2 in pixels, reflection of x1 and of x2 (0 or 1).
SAMPLE_COLUMNS = 5


@dataclass(frozen=True, eq=False)
class Pairs(Value):
    """All pairs (t, t + stride) of some microstructures, in order of microstructure and time.

    Starting increments are multiples of the stride, so that pairs of a trajectory follow on each
    other, as in a rollout. The fields are read-only views of the arrays that were given, since they
    may take gigabytes: do not change those afterwards.
    """

    COPIES = False

    properties: np.ndarray  # (M, N, N, 4) float32
    sigma_vm: np.ndarray  # (M, T+1, N, N) float32, MPa
    stride: int  # increments from input to output
    stresses: int = 1  # of an input: the one at its start, and those one, two ... strides earlier

    @property
    def channels(self) -> tuple[int, int]:
        """Of the inputs and of the outputs."""
        return len(paper.PROPERTY_NAMES) + self.stresses, 1

    def for_inputs(self, channels: int) -> "Pairs":
        """The same pairs for a predictor of so many input channels.

        Raises
        ------
        ValueError
            If there is no stress among them.
        """
        stresses = channels - len(paper.PROPERTY_NAMES)
        if stresses < 1:
            raise ValueError(f"{channels} input channels: the properties and no stress")
        return replace(self, stresses=stresses)

    @property
    def in_memory(self) -> bool:
        """Whether the fields are; else they can be gathered, and nothing more."""
        return isinstance(self.sigma_vm, np.ndarray)

    @property
    def before(self) -> np.ndarray:
        """Stress at the start of each pair, (M, steps, N, N), MPa."""
        return self.sigma_vm[:, : -self.stride : self.stride]

    @property
    def after(self) -> np.ndarray:
        """True stress at the end of each pair, (M, steps, N, N), MPa."""
        return self.sigma_vm[:, self.stride :: self.stride]

    @property
    def steps(self) -> int:
        """Pairs per microstructure."""
        return (self.sigma_vm.shape[1] - 1) // self.stride

    def __len__(self):
        return len(self.sigma_vm) * self.steps

    def of(self, microstructures) -> "Pairs":
        """The pairs of some of the microstructures."""
        return replace(
            self,
            properties=self.properties[microstructures],
            sigma_vm=self.sigma_vm[microstructures],
        )

    def gather(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, N, N, C) and outputs (n, N, N, 1) of samples (n, 5); also of JAX's arrays.

        Before the load began there was no stress, as at its beginning.
        """
        xp = samples.__array_namespace__()
        cell, step = xp.divmod(samples[:, 0], self.steps)
        x1, x2 = pixels(samples, self.sigma_vm.shape[-1])
        cell, step = cell[:, None, None], step[:, None, None]
        start = step * self.stride
        earlier = [
            self.sigma_vm[cell, xp.maximum(start - lag * self.stride, 0), x1, x2][..., None]
            for lag in reversed(range(self.stresses))
        ]
        after = self.sigma_vm[cell, start + self.stride, x1, x2]
        return xp.concat([self.properties[cell, x1, x2], *earlier], axis=-1), after[..., None]

    def batches(self, samples: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of the samples in their order; the last may be smaller."""
        for start in range(0, len(samples), size):
            yield self.gather(samples[start : start + size])

    def rollout(self, predict: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Stress after each step of `predict` from its own output, from no stress on.

        Parameters
        ----------
        predict : callable
            (n, N, N, C) -> (n, N, N, 1) in physical units.

        Returns
        -------
        ndarray, shape (M, steps, N, N)
            To be compared with `after`, MPa.
        """
        fields = [np.zeros_like(self.sigma_vm[:, 0])[..., None]] * self.stresses
        for _ in range(self.steps):
            known = fields[-self.stresses :]
            fields.append(predict(np.concatenate([self.properties, *known], axis=-1)))
        return np.stack(fields[self.stresses :], axis=1)[..., 0]

    def in_order(self) -> np.ndarray:
        """Samples (len, 5) of all pairs, in order and as they are."""
        samples = np.zeros((len(self), SAMPLE_COLUMNS), np.int32)
        samples[:, 0] = np.arange(len(self))
        return samples

    def epoch(self, seed: int, epoch: int, augment: bool = False) -> np.ndarray:
        """Samples (len, 5) of an epoch, shuffled: a function of seed and epoch alone.

        With `augment` every sample comes under a symmetry of the problem drawn at random: a
        translation by whole pixels and reflections of x1 and of x2. These map a solution to a
        solution; a rotation by 90 degrees would turn the load.
        """
        rng = np.random.default_rng((seed, epoch))
        samples = rng.permutation(self.in_order())
        if augment:
            samples[:, 1:3] = rng.integers(self.sigma_vm.shape[-1], size=(len(self), 2))
            samples[:, 3:5] = rng.integers(2, size=(len(self), 2))
        return samples


class _StoredStress:
    """Stress (M, T+1, N, N) of some microstructures, read from an open file where it is indexed."""

    def __init__(self, stored, microstructures):
        self.stored, self.microstructures = stored, microstructures
        self.shape = (len(microstructures), *stored.shape[1:])

    def __len__(self):
        return len(self.microstructures)

    def __getitem__(self, index) -> np.ndarray:
        """Fields (n, N, N) at cells and increments (n, 1, 1) and pixels (n, N, 1) and (n, 1, N)."""
        cell, increment, x1, x2 = index
        places = zip(self.microstructures[cell.ravel()], increment.ravel(), strict=True)
        fields = np.stack([self.stored[place] for place in places])
        return fields[np.arange(len(fields))[:, None, None], x1, x2]


class _PropertyMaps:
    """Property maps (M, N, N, 4) of some microstructures, put together where they are indexed."""

    def __init__(self, data, microstructures):
        self.grain_id = data.grain_id[microstructures]
        self.properties = data.properties[microstructures].astype(np.float32)

    def __getitem__(self, index) -> np.ndarray:
        cell, x1, x2 = index
        return self.properties[cell, self.grain_id[cell, x1, x2]]


def make_pairs(data: DataSet, microstructures, stride: int = 1) -> Pairs:
    """Pairs of the given microstructures of a data set.

    Of a data set whose stress is in its file (`dataset.read`), they are not in memory either.

    Raises
    ------
    ValueError
        If `stride` does not divide the number of increments, or if a stress or a property is not
        finite (DataSetError), which of stress in a file is not asked.
    """
    check_stride(stride, len(data.time) - 1)
    microstructures = np.asarray(microstructures)
    if not isinstance(data.sigma_vm, np.ndarray):
        stress = _StoredStress(data.sigma_vm, microstructures)
        return Pairs(_PropertyMaps(data, microstructures), stress, stride)
    pairs = Pairs(data.property_maps(microstructures), data.sigma_vm[microstructures], stride)
    _check_finite(pairs, microstructures)
    return pairs


def from_rest(sigma_vm: np.ndarray) -> np.ndarray:
    """Stress with increment 0, at which all is at rest: (n, T, ...) -> (n, T+1, ...)."""
    return np.concatenate([np.zeros_like(sigma_vm[:, :1]), sigma_vm], axis=1)


def unloaded(properties: np.ndarray, increments: int, stride: int = 1) -> Pairs:
    """Pairs for the rollout of cells (M, N, N, 4) of which no stress is known but that at rest."""
    n, *grid, _ = properties.shape
    return Pairs(properties, np.zeros((n, increments + 1, *grid), np.float32), stride)


def _check_finite(pairs: Pairs, microstructures) -> None:
    """Raise DataSetError for a property or stress that is NaN or infinite: nothing learns from it.

    The message names the first by its number in the data set.
    """
    for name, finite in (
        ("stress", np.isfinite(pairs.sigma_vm).all(axis=(2, 3))),
        ("material property", np.isfinite(pairs.properties).all(axis=(1, 2, 3))[:, None]),
    ):
        if not finite.all():
            row, increment = np.argwhere(~finite)[0]
            where = f" at increment {increment}" if name == "stress" else ""
            raise DataSetError(
                f"microstructure {microstructures[row]} has a {name}{where} that is NaN or infinite"
                f" ({(~finite).any(axis=1).sum()} microstructures have): repair or remove them"
            )


def check_stride(stride: int, increments: int) -> None:
    """Raise ValueError if `stride` does not divide the number of increments."""
    if not 1 <= stride <= increments or increments % stride:
        raise ValueError(
            f"stride {stride} does not divide the {increments} increments of the data set"
        )


def pixels(samples, n: int):
    """Pixels that make up the fields of samples, transformed: x1 (n, N, 1) and x2 (n, 1, N)."""
    along = np.arange(n, dtype=np.int32)
    x1, x2 = (
        (samples[:, 1 + axis, None] + (1 - 2 * samples[:, 3 + axis, None]) * along) % n
        for axis in (0, 1)
    )
    return x1[:, :, None], x2[:, None, :]
