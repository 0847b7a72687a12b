"""A coarse solve of the reference model and a network that corrects it, as a surrogate.

The reference model takes increments `COARSENING` times as large as the paper's, in single
precision, to a loose tolerance and on one point per pixel; the network of
`repro.models.learned_correction` gives the stress at all increments, a window at a time.
"""

from collections.abc import Callable, Sequence

import numpy as np

from repro import models, paper
from repro.data.corrections import COARSENING, FINE, inputs_of, windows
from repro.data.discretization import PAPER, Discretization
from repro.data.load import PAPER_LOAD, Load
from repro.data.microstructure import Microstructure, property_maps
from repro.data.pairs import from_rest
from repro.models.runs import config_of
from repro.surrogate.base import TOLERANCE, OfNetwork, Prediction
from repro.surrogate.modes import network_predictor
from repro.surrogate.solver import Coarse, coarse_solve, score_of
from repro.tools.values import unmasked

COARSE_TOLERANCE = 3e-5
BATCH = 8  # windows that the network is asked at a time: what is between layers stays in the cache


class Corrected(OfNetwork):
    """A coarse solve, corrected by a trained network.

    Its score is that of the coarse solve (`score_of`).

    Parameters
    ----------
    model : path-like
        As for `repro.models.load`. Tolerance and derivative of the coarse solve are those that the
        network was trained with, as its run says.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """

    tolerance = TOLERANCE

    def __init__(self, model):
        super().__init__(model)
        config = config_of(models.model_path(model))
        self.coarse = {name: config[name] for name in ("tol", "derivative") if name in config}
        self._ask = network_predictor(self.network, BATCH)

    def check(self, cells: Sequence[Microstructure], load: Load) -> None:
        """Raise ValueError for a grid or a load that it does not know."""
        super().check(cells, load)
        check_load(load)

    def __call__(self, cells: Sequence[Microstructure], load: Load) -> Prediction:
        """Solve cells coarsely on all cores, and correct them."""
        self.check(cells, load)
        coarse, maps = solve_coarsely(cells, load, **self.coarse), property_maps(cells)
        stress = from_rest(corrected(self._ask, maps, coarse.sigma_vm))
        return Prediction(stress, score_of(cells, coarse.missing))


def check_load(load: Load) -> None:
    """Raise ValueError if a load is not made of increments that the correction knows."""
    step, increments = PAPER_LOAD.time[1], load.increments
    known = np.allclose(np.diff(load.time), step) and np.allclose(load.rates, paper.RATE)
    if not known or increments % FINE:
        raise ValueError(
            f"the learned correction knows increments of {PAPER_LOAD.F11[1] - 1:g} at "
            f"{paper.RATE:g} 1/s, a multiple of {FINE} of them: solve other loads with "
            "repro.reference.simulate_many"
        )


def solve_coarsely(
    cells: Sequence[Microstructure],
    load: Load = PAPER_LOAD,
    tol: float = COARSE_TOLERANCE,
    derivative: str = PAPER.derivative,
    progress: bool = False,
) -> Coarse:
    """Solve cells in large increments, in single precision, one point per pixel, on all cores.

    Raises
    ------
    ValueError
        If the load does not suit (`check_load`).
    """
    check_load(load)
    coarse = Load(load.time[::COARSENING], load.F11[::COARSENING])
    how = {"tol": tol, "dtype": np.float32, "discretization": Discretization(derivative)}
    return coarse_solve(cells, coarse, progress, **how)


def corrected(
    ask: Callable[[np.ndarray], np.ndarray], maps: np.ndarray, coarse: np.ndarray
) -> np.ndarray:
    """Stress at all increments of the paper, (n, T, N, N), MPa.

    Parameters
    ----------
    ask : callable
        The network, (n, N, N, 11) -> (n, N, N, 20).
    maps : ndarray, shape (n, N, N, 4)
        Properties of each pixel.
    coarse : ndarray, shape (n, K+1, N, N)
        Stress of the coarse solve, MPa.
    """
    maps, coarse = unmasked(maps, "maps"), unmasked(coarse, "coarse")
    found = [ask(inputs_of(maps, coarse, window)) for window in range(windows(coarse))]
    return np.moveaxis(np.concatenate(found, axis=-1), -1, 1)
