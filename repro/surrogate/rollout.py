"""A network that steps the stress, as a surrogate: the rollout on its own output."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from repro.data.load import PAPER_LOAD, Load
from repro.data.microstructure import Microstructure, property_maps
from repro.data.pairs import Pairs, check_stride, from_rest, unloaded
from repro.surrogate import modes
from repro.surrogate.base import OfNetwork, Prediction
from repro.surrogate.interpolation import at_all_increments


class Rollout(OfNetwork):
    """Rollout of a network from the unloaded cell; between its steps a cubic spline.

    Its score is the same for all cells, since one rollout tells nothing of its error:
    `repro.surrogate.averaged` has one that does.

    Parameters
    ----------
    model : path-like
        As for `repro.models.load`.
    stride : int, optional
        Increments per step; by default as the network was trained.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """

    def __init__(self, model, stride: int | None = None):
        super().__init__(model)
        self.stride = self.run.stride if stride is None else stride
        self.run = replace(self.run, stride=self.stride)
        self._ask = modes.network_predictor(self.network)

    def __reduce__(self):
        return type(self), (self.file, self.stride)

    def check(self, cells: Sequence[Microstructure], load: Load) -> None:
        """Raise ValueError for a grid or a time step that the network does not know."""
        super().check(cells, load)
        check_stride(self.stride, load.increments)
        if not np.allclose(np.diff(load.time), PAPER_LOAD.time[1], rtol=1e-3):
            raise ValueError(
                f"{self.name} steps {PAPER_LOAD.time[1]:g} s at a time, as it was trained: give a "
                "load of such increments"
            )

    def __call__(self, cells: Sequence[Microstructure], load: Load) -> Prediction:
        """Predict cells under a load of the paper's time step."""
        self.check(cells, load)
        pairs = unloaded(property_maps(cells), load.increments, self.stride)
        steps = from_rest(modes.rollout(self._ask, pairs))
        return Prediction(at_all_increments(steps, load.increments), np.ones(len(cells)))

    def modes(
        self, cells: Sequence[Microstructure], load: Load, true: np.ndarray
    ) -> dict[str, Callable[[], np.ndarray]]:
        """Single steps from the true stress, and the rollout; the load may have other steps."""
        super().check(cells, load)
        check_stride(self.stride, load.increments)
        pairs = Pairs(property_maps(cells), true, self.stride)
        return {mode: partial(ask, self._ask, pairs) for mode, ask in modes.MODES.items()}
