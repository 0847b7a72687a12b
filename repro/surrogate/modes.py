"""How a network that steps is asked: from the true stress, or in rollout on its own output.

A predictor is any callable (n, N, N, 5) -> (n, N, N, 1) in physical units. One with an attribute
`input_channels` is given so many: earlier stresses stand before the present one. Both modes return
fields of shape (M, steps, N, N), the stresses predicted for increments stride, 2 stride, ..., to be
compared with `truth`.
"""

from collections.abc import Callable

import numpy as np

from repro import models, paper
from repro.data.pairs import Pairs
from repro.models.backend import keras
from repro.tools.values import unmasked

CELLS = 16  # microstructures asked at a time

Predictor = Callable[[np.ndarray], np.ndarray]


class _OfNetwork:
    def __init__(self, model, batch_size):
        self.model, self.batch_size = model, batch_size
        self.input_channels = model.input_shape[-1]

    def __call__(self, x):
        batch = max(1, self.batch_size * paper.GRID**2 // x[0, ..., 0].size)
        return models.predict(self.model, x, batch)


def network_predictor(model: keras.Model, batch_size: int = 32) -> Predictor:
    """Predictor of a network, evaluated in batches: of `batch_size` cells of the paper's size."""
    return _OfNetwork(model, batch_size)


def truth(pairs: Pairs) -> np.ndarray:
    """Stresses of the reference model that the modes predict, (M, steps, N, N), MPa."""
    return pairs.after


def one_step(predict: Predictor, pairs: Pairs) -> np.ndarray:
    """Each step from the true stress at its start, as the paper's training does."""

    def ask(some):
        x, _ = some.gather(some.in_order())
        return unmasked(predict(x), "what is predicted").reshape(some.after.shape)

    return _in_chunks(ask, _pairs_of(predict, pairs))


def rollout(predict: Predictor, pairs: Pairs) -> np.ndarray:
    """The whole trajectory from the unloaded state, each step from the predictor's own output."""
    return _in_chunks(lambda some: some.rollout(predict), _pairs_of(predict, pairs))


def _pairs_of(predict, pairs):
    return pairs.for_inputs(getattr(predict, "input_channels", len(paper.CHANNELS)))


def _in_chunks(ask, pairs):
    cells = range(len(pairs.sigma_vm))
    return np.concatenate([ask(pairs.of(cells[i : i + CELLS])) for i in cells[::CELLS]])


MODES = {"one-step": one_step, "rollout": rollout}
"""How a network that steps the stress is evaluated: name -> function of network and pairs."""
