"""From a data set to pairs of fields one stride apart, for networks that step the stress.

A pair is (E, nu, xi0, h0, sigma_vM(t)) -> sigma_vM(t + dt), shapes (N, N, 5) and (N, N, 1), in
physical units; the networks scale inside. An input may hold earlier stresses too, before the
present one: (N, N, C).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from repro.data.dataset import DataSet, DataSetError, indices_of
from repro.data.microstructure import check_square
from repro.data.samples import NUMBER, PROPERTIES, Samples, pixels
from repro.tools.values import unmasked, whole


@dataclass(frozen=True, eq=False)
class Pairs(Samples):
    """All pairs (t, t + stride) of some cells: a step is a pair.

    Starting increments are multiples of the stride, so that pairs of a trajectory follow on each
    other, as in a rollout.
    """

    stride: int  # increments from input to output
    stresses: int = 1  # of an input: the one at its start, and those one, two ... strides earlier

    def __post_init__(self):
        for name in ("stride", "stresses"):
            object.__setattr__(self, name, whole(getattr(self, name), name))
        super().__post_init__()

    @staticmethod
    def suit(inputs: int, outputs: int) -> bool:
        """Whether a network of so many input and output channels learns from such samples."""
        return inputs > PROPERTIES and outputs == 1

    @property
    def channels(self) -> tuple[int, int]:
        """Number of channels of an input and of an output."""
        return PROPERTIES + self.stresses, 1

    def for_inputs(self, channels: int) -> Pairs:
        """The same pairs for a network of so many input channels.

        Raises
        ------
        ValueError
            If there is no stress among them.
        """
        stresses = channels - PROPERTIES
        if stresses < 1:
            raise ValueError(f"{channels} input channels: the properties and no stress")
        return replace(self, stresses=stresses)

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
        """Pairs per cell."""
        return (self.sigma_vm.shape[1] - 1) // self.stride

    def gather(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, N, N, C) and outputs (n, N, N, 1) of samples (n, 5); also of JAX's arrays.

        Before the load began there was no stress, as at its beginning.
        """
        xp = samples.__array_namespace__()
        cell, step = xp.divmod(samples[:, NUMBER], self.steps)
        x1, x2 = pixels(samples, self.sigma_vm.shape[-1])
        cell, step = cell[:, None, None], step[:, None, None]
        start = step * self.stride
        earlier = [
            self.sigma_vm[cell, xp.maximum(start - lag * self.stride, 0), x1, x2][..., None]
            for lag in reversed(range(self.stresses))
        ]
        after = self.sigma_vm[cell, start + self.stride, x1, x2]
        return xp.concat([self.properties[cell, x1, x2], *earlier], axis=-1), after[..., None]

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
            predicted = predict(np.concatenate([self.properties, *known], axis=-1))
            fields.append(unmasked(predicted, "what is predicted"))
        return np.stack(fields[self.stresses :], axis=1)[..., 0]


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
        self.shape = (*self.grain_id.shape, self.properties.shape[-1])

    def __getitem__(self, index) -> np.ndarray:
        cell, x1, x2 = index
        return self.properties[cell, self.grain_id[cell, x1, x2]]


def make_pairs(data: DataSet, microstructures, stride: int = 1) -> Pairs:
    """Pairs of the given microstructures of a data set.

    Of a data set whose stress is in its file (`dataset.read`), they are not in memory either.

    Raises
    ------
    ValueError
        If `stride` does not divide the number of increments, the cells are not square, or a stress
        or a property is not finite (DataSetError), which of stress in a file is not asked.
    """
    check_stride(stride, len(data.time) - 1)
    check_square(data.microstructure(0).is_square)
    microstructures = indices_of(microstructures)
    if not isinstance(data.sigma_vm, np.ndarray):
        stress = _StoredStress(data.sigma_vm, microstructures)
        return Pairs(_PropertyMaps(data, microstructures), stress, stride)
    # All of them are not copied: they may take gigabytes.
    every = np.array_equal(microstructures, np.arange(len(data)))
    sigma_vm = data.sigma_vm if every else data.sigma_vm[microstructures]
    pairs = Pairs(data.property_maps(microstructures), sigma_vm, stride)
    _check_finite(pairs, microstructures)
    return pairs


def from_rest(sigma_vm: np.ndarray) -> np.ndarray:
    """Stress with increment 0, at which all is at rest: (n, T, ...) -> (n, T+1, ...)."""
    sigma_vm = unmasked(sigma_vm, "sigma_vm")
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
    stride = whole(stride, "stride", least=0)
    if not 1 <= stride <= increments or increments % stride:
        raise ValueError(
            f"stride {stride} does not divide the {increments} increments of the data set"
        )
