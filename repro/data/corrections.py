"""Training samples of the learned correction: windows of a coarse solve, and the solution there.

The coarse solve takes increments `COARSENING` times as large as the paper's. The network is given a
window of `WINDOW` of them at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from repro import paper
from repro.data.samples import NUMBER, Samples, pixels

COARSENING = 4  # increments of the paper in one of the coarse solve
WINDOW = 5  # coarse increments that the network is given at a time
FINE = COARSENING * WINDOW  # increments of the paper in a window
# The properties, and the stress at the end of the increment before the window and at all of its.
INPUTS = (*paper.PROPERTY_NAMES, "sigma_vm before", *(f"sigma_vm {i}" for i in range(WINDOW + 1)))


@dataclass(frozen=True, eq=False)
class Corrections(Samples):
    """Samples for a network that corrects a coarse solve: a step is a window.

    An input holds the channels `INPUTS` in physical units, an output the stress at the `FINE`
    increments of the paper that the window is made of, MPa.
    """

    OF_CELLS: ClassVar[tuple[str, ...]] = (*Samples.OF_CELLS, "coarse")

    coarse: np.ndarray  # stress of the coarse solve at the ends of its increments, (M, K+1, N, N)

    on_device = False  # its windows overlap, and are gathered by the host

    @staticmethod
    def suit(inputs: int, outputs: int) -> bool:
        """Whether a network of so many input and output channels learns from such samples."""
        return (inputs, outputs) == (len(INPUTS), FINE)

    @property
    def channels(self) -> tuple[int, int]:
        """Number of channels of an input and of an output."""
        return len(INPUTS), FINE

    @property
    def steps(self) -> int:
        """Windows per cell."""
        return windows(self.coarse)

    def gather(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, N, N, 11) and outputs (n, N, N, 20) of samples (n, 5)."""
        cell, step = (index[:, None, None] for index in np.divmod(samples[:, NUMBER], self.steps))
        x1, x2 = pixels(samples, self.sigma_vm.shape[-1])
        stresses = [self.coarse[cell, end, x1, x2] for end in ends_of(step)]
        inputs = [self.properties[cell, x1, x2], np.stack(stresses, axis=-1)]
        outputs = [self.sigma_vm[cell, FINE * step + 1 + i, x1, x2] for i in range(FINE)]
        return np.concatenate(inputs, axis=-1), np.stack(outputs, axis=-1)


def windows(coarse: np.ndarray) -> int:
    """Number of windows of a coarse solve (M, K+1, N, N)."""
    return (coarse.shape[1] - 1) // WINDOW


def ends_of(window) -> list:
    """Ends of increments of the coarse solve, by their number, that a window is given."""
    start = window * WINDOW
    return [np.maximum(start - 1, 0), *(start + i for i in range(WINDOW + 1))]


def inputs_of(properties: np.ndarray, coarse: np.ndarray, window: int) -> np.ndarray:
    """Inputs (n, N, N, 11) of one window of cells (n, N, N, 4) and their coarse solve."""
    stresses = np.moveaxis(coarse[:, ends_of(window)], 1, -1)
    return np.concatenate([properties, stresses], axis=-1)
