"""Test-time augmentation: the mean of a surrogate's predictions for a cell and its mirror images.

The true stress of a mirrored cell is the mirrored stress. A network has learned that only nearly,
so the distance between the predictions tells in which cells it errs.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.surrogate.base import Prediction, Surrogate

REFLECTIONS = ((), (0,), (1,), (0, 1))
"""All reflections of a cell: the axes, x1 = 0 and x2 = 1, that each of them reverses."""
TURNED = ((), (0, 1))  # as it is, and by 180 degrees
SMALLEST_SCORE = 1e-3  # MPa; avoids dividing by zero where a network is symmetric


class Averaged(Surrogate):
    """Mean over mirror images of the cells, with the mean distance from it as score, MPa.

    The score ranks cells of one kind by their errors. An error that all predictions share is not
    detected.

    Parameters
    ----------
    of : Surrogate
    reflections : sequence
        Of the axes that are reversed, () for the cell as it is.
    """

    def __init__(self, of: Surrogate, reflections: Sequence[tuple[int, ...]] = TURNED):
        self.of, self.reflections = of, reflections
        self.run = replace(of.run, model=f"{of.run.model}_averaged")
        self.labels, self.stride, self.tolerance = of.labels, of.stride, of.tolerance
        if of.calibrated:
            self.calibrated = of.calibrated.with_stem(f"{of.calibrated.stem}_averaged")

    def check(self, cells: Sequence[Microstructure], load: Load) -> None:
        """Raise ValueError for what the averaged surrogate does not know."""
        self.of.check(cells, load)

    def __call__(self, cells: Sequence[Microstructure], load: Load) -> Prediction:
        """Predict every cell once per reflection."""
        self.check(cells, load)
        found = [self._reflected(cells, load, axes) for axes in self.reflections]
        mean = sum(found) / len(found)
        score = np.mean([np.abs(one - mean)[:, 1:].mean((1, 2, 3)) for one in found], axis=0)
        return Prediction(mean, np.maximum(score, SMALLEST_SCORE))

    def _reflected(self, cells, load, axes) -> np.ndarray:
        mirrored = [replace(cell, grain_id=np.flip(cell.grain_id, axes)) for cell in cells]
        sigma_vm, _ = self.of(mirrored, load)
        return np.flip(sigma_vm, [2 + axis for axis in axes])
