"""Single microstructures solved and predicted on the spot: what the figures of fields show."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from repro import paper, reference
from repro.data import dataset
from repro.data.dataset import DataSet
from repro.data.discretization import DERIVATIVES, Discretization, pixel_means
from repro.data.pairs import make_pairs
from repro.evaluation import modes
from repro.models.backend import keras
from repro.reference import generation
from repro.report import figures
from repro.tools.values import Value

Mode = Literal[*modes.MODES]


@dataclass(frozen=True, eq=False)
class Example(Value):
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


def points_example(points=(1, 2, 4, 8)) -> tuple[dict[str, dict[int, np.ndarray]], float]:
    """The shown validation cell at the end of the load, on more and more points per pixel.

    Returns
    -------
    dict
        For `figures.points_figure`: the quarter of the cell around its highest stress.
    float
        Mean stretch.
    """
    _, cell = generation.Job("paper").microstructure(example_index("paper"))
    fields: dict = {}
    for derivative in DERIVATIVES:
        fields[derivative] = {}
        for p in points:
            how = {"discretization": Discretization(derivative), "tol": 1e-6}
            run = reference.simulate(cell.refined(p), dtype=np.float32, **how)
            fields[derivative][p] = run.sigma_vm[-1]
    finest = fields[DERIVATIVES[-1]][points[-1]]
    place = np.unravel_index(pixel_means(finest, points[-1]).argmax(), cell.grain_id.shape)
    quarter = len(cell.grain_id) // 4
    for by_points in fields.values():
        for p, field in by_points.items():
            corner = [p * (quarter // 2 - int(i)) for i in place]
            moved = np.roll(field, corner, (0, 1))
            by_points[p] = moved[: p * quarter, : p * quarter]
    return fields, float(run.F11[-1])
