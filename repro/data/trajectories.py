"""Training samples of the direct prediction: the properties of a cell, and its whole trajectory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from repro import paper
from repro.data.load import LONGER_LOAD, Load
from repro.data.samples import NUMBER, PROPERTIES, Samples, pixels

# All increments of the paper's load, which so weighs most; beyond it every fourth.
INCREMENTS = [
    *range(paper.INCREMENTS + 1),
    *range(paper.INCREMENTS + 4, LONGER_LOAD.increments + 1, 4),
]
TRAINING_LOAD = Load(LONGER_LOAD.time[INCREMENTS], LONGER_LOAD.F11[INCREMENTS])
STRAINS = (TRAINING_LOAD.F11[1:] - 1).tolist()


@dataclass(frozen=True, eq=False)
class Trajectories(Samples):
    """Samples for a network that predicts the trajectory directly: a cell is one sample.

    An input holds the properties in physical units, an output the stress at the mean strains
    `STRAINS`, MPa.
    """

    steps = 1

    @staticmethod
    def suit(inputs: int, outputs: int) -> bool:
        """Whether a network of so many input and output channels learns from such samples."""
        return (inputs, outputs) == (PROPERTIES, len(STRAINS))

    @property
    def channels(self) -> tuple[int, int]:
        """Number of channels of an input and of an output."""
        return PROPERTIES, len(STRAINS)

    def gather(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, N, N, 4) and outputs (n, N, N, 25) of samples (n, 5); also of JAX's arrays."""
        cell = samples[:, NUMBER, None, None]
        x1, x2 = pixels(samples, self.sigma_vm.shape[-1])
        return self.properties[cell, x1, x2], self.sigma_vm[cell, 1:, x1, x2]
