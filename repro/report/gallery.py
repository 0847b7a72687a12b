"""Single microstructures solved and predicted on the spot: what the figures of fields show."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from repro import paper, reference
from repro.data import dataset
from repro.data.dataset import DataSet
from repro.data.discretization import DERIVATIVES, Discretization, pixel_means
from repro.reference import Request
from repro.report import figures
from repro.surrogate import Case, Surrogate
from repro.surrogate.base import TRAJECTORY
from repro.tools.values import Value


@dataclass(frozen=True, eq=False)
class Example(Value):
    """One cell, its solution and what a surrogate predicts in S steps."""

    property_maps: np.ndarray  # (N, N, 4): E/GPa, nu, xi0/MPa, h0/GPa
    F11: np.ndarray  # (S,)
    sigma_rm: np.ndarray  # (S, N, N), MPa
    sigma_network: np.ndarray  # (S, N, N), MPa
    score: float | None = None  # of the surrogate for the cell, if it tells cells apart
    bound: float | None = None  # of its error, if it was calibrated for such cells, MPa

    @property
    def mean_rm(self) -> np.ndarray:
        """Mean stress of the solution, (S,), MPa."""
        return self.sigma_rm.mean((1, 2))

    @property
    def mean_network(self) -> np.ndarray:
        """Mean stress of the prediction, (S,), MPa."""
        return self.sigma_network.mean((1, 2))


def example_index(suite: str) -> int:
    """Number of the microstructure that is shown: the first that no network was trained on."""
    if suite == "paper":
        return int(dataset.split_indices(paper.MICROSTRUCTURES)[1][0])
    return 0


def solve_example(suite: str, discretization: Discretization | None = None) -> DataSet:
    """The shown microstructure of a suite and its solution, as a data set of one."""
    return Request(suite, discretization=discretization).solve([example_index(suite)])


def predict_example(one: Surrogate, data: DataSet, i: int = 0, mode: str | None = None) -> Example:
    """What a surrogate predicts for cell i of a data set, by default over the whole load.

    Parameters
    ----------
    one : Surrogate
    data : DataSet
    i : int
    mode : str, optional
        One of its modes; by default, and where it has no such mode, the whole load.
    """
    cell, true = data.microstructure(i), data.sigma_vm[i : i + 1]
    modes = one.modes([cell], data.load, true)
    ask = modes.get(mode, [*modes.values()][-1])
    steps = slice(one.stride, None, one.stride)
    about = cell.property_maps(), data.F11[steps], true[0, steps]
    if TRAJECTORY not in modes:
        return Example(*about, ask()[0])
    sigma_vm, (score,) = one([cell], data.load)
    bound = _bound(one, cell, data, score)
    return Example(*about, sigma_vm[0, steps], float(score) if score != 1 else None, bound)


def _bound(one, cell, data, score) -> float | None:
    calibration, solved = one.calibration, data.solver_options
    if calibration is None or solved is None:
        return None
    pixels = cell.grain_id.shape
    case = Case(one.name, data.load, one.against, solved["flow_rule"], pixels)
    return None if calibration.case.difference(case) else float(calibration.of_cells([score])[0])


def prediction_figure(one: Surrogate, data: DataSet, i: int = 0) -> Figure:
    """The form of the paper's Figs. 1-8 for cell i: a prediction beside the solution."""
    return figures.prediction_figure(*fields_of(predict_example(one, data, i)))


def fields_of(example: Example) -> tuple[np.ndarray, ...]:
    """Arguments of `figures.prediction_figure`."""
    return example.property_maps, example.F11, example.sigma_rm, example.sigma_network


def points_example(points=(1, 2, 4, 8)) -> tuple[dict[str, dict[int, np.ndarray]], float]:
    """The shown validation cell at the end of the load, on more and more points per pixel.

    Returns
    -------
    dict
        For `figures.points_figure`: the quarter of the cell around its highest stress.
    float
        Mean stretch.
    """
    _, cell = Request("paper").microstructure(example_index("paper"))
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
