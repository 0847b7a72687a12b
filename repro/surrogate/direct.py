"""Direct prediction of the trajectory by a network, without steps in time."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from repro import paper
from repro.data.load import Load
from repro.data.microstructure import Microstructure, property_maps
from repro.data.pairs import from_rest
from repro.models.direct_prediction import at_strains
from repro.surrogate.base import TOLERANCE, OfNetwork, Prediction
from repro.surrogate.modes import network_predictor

BATCH = 8  # cells that the network is asked at a time: what is between layers stays in the cache


class Direct(OfNetwork):
    """A trained network of `repro.models.direct_prediction`, under any load that it knows.

    Its score is the same for all cells, since one prediction tells nothing of its error:
    `repro.surrogate.averaged` has one that does.

    Parameters
    ----------
    model : path-like
        As for `repro.models.load`.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """

    tolerance = TOLERANCE

    def __init__(self, model):
        super().__init__(model)
        self._at = lru_cache(8)(self._compiled)  # each is compiled once

    def check(self, cells: Sequence[Microstructure], load: Load) -> None:
        """Raise ValueError for a grid or a load that it does not know."""
        super().check(cells, load)
        # What a file in single precision rounds off makes no difference to the stress.
        at_rate = np.allclose(load.rates, paper.RATE, rtol=1e-2)
        if not (at_rate and load.F11[-1] < paper.F11_EXTENSION + 1e-6):
            raise ValueError(
                f"the direct prediction knows stretch at {paper.RATE:g} 1/s up to F11 = "
                f"{paper.F11_EXTENSION:g} only: solve other loads with "
                "repro.reference.simulate_many"
            )

    def __call__(self, cells: Sequence[Microstructure], load: Load) -> Prediction:
        """Predict cells under a load, at any increments."""
        self.check(cells, load)
        found = self._at(tuple(load.F11[1:] - 1))(property_maps(cells))
        return Prediction(from_rest(np.moveaxis(found, -1, 1)), np.ones(len(cells)))

    def _compiled(self, strains):
        return network_predictor(at_strains(self.network, strains), BATCH)
