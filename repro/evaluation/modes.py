"""How a network is asked: one step from the true stress, or a rollout on its own output.

A predictor is any callable (n, N, N, 5) -> (n, N, N, 1) in physical units. Both modes return fields
of shape (M, steps, N, N), the stresses predicted for increments stride, 2 stride, ..., to be
compared with `truth`.
"""

from collections.abc import Callable

import numpy as np

from repro import paper
from repro.backend import keras
from repro.pipeline import Pairs

CELLS = 16  # microstructures asked at a time

Predictor = Callable[[np.ndarray], np.ndarray]


def network_predictor(model: keras.Model, batch_size: int = 32) -> Predictor:
    """Predictor of a network, evaluated in batches: of `batch_size` cells of the paper's size."""

    def predict(x):
        batch = max(1, batch_size * paper.GRID**2 // x[0, ..., 0].size)
        return np.asarray(model.predict(x, batch_size=batch, verbose=0))

    return predict


def truth(pairs: Pairs) -> np.ndarray:
    """Stresses of the reference model that the modes predict, (M, steps, N, N), MPa."""
    return pairs.sigma_vm[:, pairs.stride :: pairs.stride]


def one_step(predict: Predictor, pairs: Pairs) -> np.ndarray:
    """Each step from the true stress at its start, as the paper's training does."""

    def ask(properties, sigma_vm):
        x = [
            np.concatenate([maps, before[..., None]], axis=-1)
            for maps, trajectory in zip(properties, sigma_vm, strict=True)
            for before in trajectory[: -pairs.stride : pairs.stride]
        ]
        return predict(np.stack(x)).reshape(len(properties), pairs.steps, *sigma_vm.shape[2:])

    return _in_chunks(ask, pairs)


def rollout(predict: Predictor, pairs: Pairs) -> np.ndarray:
    """The whole trajectory from the unloaded state, each step from the predictor's own output."""

    def ask(properties, sigma_vm):
        stress = np.zeros_like(sigma_vm[:, 0])[..., None]
        steps = []
        for _ in range(pairs.steps):
            stress = predict(np.concatenate([properties, stress], axis=-1))
            steps.append(stress[..., 0])
        return np.stack(steps, axis=1)

    return _in_chunks(ask, pairs)


def _in_chunks(ask, pairs):
    starts = range(0, len(pairs.sigma_vm), CELLS)
    parts = [ask(pairs.properties[i : i + CELLS], pairs.sigma_vm[i : i + CELLS]) for i in starts]
    return np.concatenate(parts)


MODES = {"one-step": one_step, "rollout": rollout}
