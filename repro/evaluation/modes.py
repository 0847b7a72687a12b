"""How a network is asked: one step from the true stress, or a rollout on its own output.

A predictor is any callable (n, N, N, 5) -> (n, N, N, 1) in physical units: a network, or one of the
naive references below. Both modes return fields of shape (M, steps, N, N), the stresses predicted
for increments stride, 2 stride, ..., to be compared with `truth`.
"""

from collections.abc import Callable

import numpy as np

from repro.backend import keras
from repro.pipeline import Pairs

CHUNK = 256  # pairs gathered at a time

Predictor = Callable[[np.ndarray], np.ndarray]


def network_predictor(model: keras.Model, batch_size: int = 32) -> Predictor:
    """Predictor of a network, evaluated in batches."""
    return lambda x: np.asarray(model.predict(x, batch_size=batch_size, verbose=0))


def persistence(x: np.ndarray) -> np.ndarray:
    """Naive reference: the stress does not change."""
    return x[..., 4:]


def truth(pairs: Pairs) -> np.ndarray:
    """Stresses of the reference model that the modes predict, (M, steps, N, N), MPa."""
    return pairs.after


def one_step(predict: Predictor, pairs: Pairs) -> np.ndarray:
    """Each step from the true stress at its start, as the paper's training does."""
    batches = pairs.batches(pairs.in_order(), CHUNK)
    predicted = np.concatenate([predict(x)[..., 0] for x, _ in batches])
    return predicted.reshape(len(pairs.sigma_vm), pairs.steps, *predicted.shape[1:])


def rollout(predict: Predictor, pairs: Pairs) -> np.ndarray:
    """The whole trajectory from the unloaded state, each step from the predictor's own output."""
    return pairs.rollout(predict)


MODES = {"one-step": one_step, "rollout": rollout}
