"""Single microstructures solved and predicted on the spot: what the figures of fields show."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from repro import paper
from repro.data import dataset
from repro.data.dataset import DataSet
from repro.data.pairs import make_pairs
from repro.evaluation import modes
from repro.models.backend import keras
from repro.reference import generation
from repro.report import figures

Mode = Literal[*modes.MODES]


@dataclass(frozen=True)
class Example:
    """One microstructure, its solution and a network's prediction; S steps of the network."""

    property_maps: np.ndarray  # (N, N, 4): E/GPa, nu, xi0/MPa, h0/GPa
    F11: np.ndarray  # (S,)
    sigma_rm: np.ndarray  # (S, N, N), MPa
    sigma_network: np.ndarray  # (S, N, N), MPa


def example_index(suite: str) -> int:
    """Number of the microstructure that is shown: the first that no network was trained on."""
    if suite == "paper":
        return int(dataset.split_indices(paper.MICROSTRUCTURES)[1][0])
    return 0


def solve_example(suite: str, size: int | None = None) -> DataSet:
    """The shown microstructure of a suite and its solution, as a data set of one."""
    return generation.Job(suite, size=size).solve([example_index(suite)])


def predict_example(
    model: keras.Model, data: DataSet, stride: int, i: int = 0, mode: Mode = "rollout"
) -> Example:
    """What a network predicts in a mode of `modes.MODES` for microstructure i of a data set."""
    pairs = make_pairs(data, [i], stride)
    predicted = modes.MODES[mode](modes.network_predictor(model), pairs)[0]
    return Example(pairs.properties[0], data.F11[stride::stride], modes.truth(pairs)[0], predicted)


def prediction_figure(model: keras.Model, data: DataSet, stride: int, i: int = 0) -> Figure:
    """The form of the paper's Figs. 1-8 for microstructure i: a rollout beside the solution."""
    example = predict_example(model, data, stride, i)
    return figures.prediction_figure(
        example.property_maps, example.F11, example.sigma_rm, example.sigma_network
    )
