"""Training samples of cells: what every kind of network learns from.

The fields of some cells are held once. What is shuffled, and handed to the trainer, are samples:
rows of five integers that say which part of which trajectory, and under which symmetry of the cell.
`Pairs` are for networks that step the stress, `Corrections` for those that correct a coarse solve,
`Trajectories` for those that predict the trajectory directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from repro import paper
from repro.tools.values import Value, unmasked

# Columns of a sample: number, shift along x1 and x2 in pixels, reflection of x1 and of x2 (0 or 1).
NUMBER, SHIFTS, REFLECTIONS = 0, slice(1, 3), slice(3, 5)
COLUMNS = 5
PROPERTIES = len(paper.PROPERTY_NAMES)


@dataclass(frozen=True, eq=False)
class Samples(Value):
    """Samples of some cells, `steps` of each, in order of cell and time.

    The fields are read-only views of the arrays that were given, since they may take gigabytes: do
    not change those afterwards.

    Raises
    ------
    ValueError
        If the fields are no numbers, or not of the same cells.
    """

    COPIES = False
    # Arrays whose first axis is the cells.
    OF_CELLS: ClassVar[tuple[str, ...]] = ("properties", "sigma_vm")

    properties: np.ndarray  # (M, N, N, 4) float32
    sigma_vm: np.ndarray  # (M, T+1, N, N) float32, MPa

    def __post_init__(self):
        for name in Samples.OF_CELLS:
            if not _elsewhere(getattr(self, name)):
                object.__setattr__(self, name, unmasked(getattr(self, name), name))
        properties, sigma_vm = self.properties.shape, self.sigma_vm.shape
        if (len(properties), len(sigma_vm)) != (4, 4) or (
            (sigma_vm[0], *sigma_vm[2:]) != properties[:3]
        ):
            raise ValueError(
                "samples need properties (M, N, N, 4) and sigma_vm (M, T+1, N, N), got shapes "
                f"{properties} and {sigma_vm}"
            )
        super().__post_init__()

    # --- What every kind says of itself ---

    @staticmethod
    def suit(inputs: int, outputs: int) -> bool:
        """Whether a network of so many input and output channels learns from such samples."""
        raise NotImplementedError

    @property
    def channels(self) -> tuple[int, int]:
        """Number of channels of an input and of an output."""
        raise NotImplementedError

    @property
    def steps(self) -> int:
        """Samples per cell."""
        raise NotImplementedError

    def gather(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, N, N, C) and outputs (n, N, N, K), in physical units, of samples (n, 5)."""
        raise NotImplementedError

    @property
    def on_device(self) -> bool:
        """Whether the fields may be kept on a device, which then gathers; else the host does."""
        return isinstance(self.sigma_vm, np.ndarray)

    def for_inputs(self, channels: int) -> Samples:
        """The same samples for a network of so many input channels."""
        if channels != self.channels[0]:
            raise ValueError(f"{channels} input channels instead of {self.channels[0]}")
        return self

    # --- What follows from it ---

    def __len__(self):
        return len(self.sigma_vm) * self.steps

    def of(self, cells) -> Samples:
        """The samples of some of the cells."""
        return replace(self, **{name: getattr(self, name)[cells] for name in self.OF_CELLS})

    def joined(self, other: Samples) -> Samples:
        """These samples and others of the same kind, in memory."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in self.OF_CELLS}
        return replace(self, **{name: np.concatenate(pair) for name, pair in pairs.items()})

    def batches(self, samples: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of the samples in their order; the last may be smaller."""
        for start in range(0, len(samples), size):
            yield self.gather(samples[start : start + size])

    def in_order(self) -> np.ndarray:
        """All samples (len, 5), in order and as they are."""
        samples = np.zeros((len(self), COLUMNS), np.int32)
        samples[:, NUMBER] = np.arange(len(self))
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
            samples[:, SHIFTS] = rng.integers(self.sigma_vm.shape[-1], size=(len(self), 2))
            samples[:, REFLECTIONS] = rng.integers(2, size=(len(self), 2))
        return samples


def _elsewhere(field) -> bool:
    """Whether a field stays in a file, or on a device: it is not brought into memory."""
    return hasattr(field, "shape") and not isinstance(field, np.ndarray | memoryview)


def pixels(samples, n: int):
    """Pixels that make up the fields of samples, transformed: x1 (n, N, 1) and x2 (n, 1, N)."""
    along = np.arange(n, dtype=np.int32)
    shifts, reflections = samples[:, SHIFTS], samples[:, REFLECTIONS]
    x1, x2 = (
        (shifts[:, axis, None] + (1 - 2 * reflections[:, axis, None]) * along) % n
        for axis in (0, 1)
    )
    return x1[:, :, None], x2[:, None, :]
