"""What can be said without a network: the references that any network has to beat.

Each returns fields like those of `repro.surrogate.modes`, (M, steps, N, N) in MPa.
"""

import numpy as np

from repro.data.dataset import DataSet
from repro.data.discretization import PAPER
from repro.data.microstructure import Microstructure, units_known
from repro.data.pairs import Pairs
from repro.reference import simulate_batch


def persistence(pairs: Pairs) -> np.ndarray:
    """The stress does not change in a step."""
    return pairs.sigma_vm[:, : -pairs.stride : pairs.stride]


def linear_extrapolation(pairs: Pairs) -> np.ndarray:
    """The stress goes on as in the step before: 2 sigma(t) - sigma(t - dt), from two true states.

    Says nothing about the first step: one step fewer than the others.
    """
    true = pairs.sigma_vm[:, :: pairs.stride]
    return 2 * true[:, 1:-1] - true[:, :-2]


def mean_curve(training: DataSet, indices) -> np.ndarray:
    """Mean stress of the training data over pixels and microstructures, (T+1,), MPa."""
    return np.mean([training.sigma_vm[i].mean((1, 2), dtype=np.float64) for i in indices], axis=0)


def training_mean(pairs: Pairs, curve: np.ndarray) -> np.ndarray:
    """The same for every pixel of every microstructure: the `mean_curve` of the training data.

    A random microstructure is statistically homogeneous, so its expected field is constant.
    """
    steps = curve[pairs.stride :: pairs.stride].astype(np.float32)
    cells, _, n, _ = pairs.sigma_vm.shape
    return np.broadcast_to(steps[:, None, None], (cells, len(steps), n, n))


def taylor_estimate(data: DataSet, indices, stride: int) -> np.ndarray:
    """Every grain on its own under the mean strain: a cell of one pixel, which cannot fluctuate.

    Raises
    ------
    ValueError
        If the data was solved in a way that is not ours.
    """
    if data.solver_options is None:
        raise ValueError("the reference model cannot solve the data as they were solved")
    properties = data.properties[indices]
    valid = ~np.isnan(properties).any(-1)
    with units_known():
        pixels = [Microstructure(np.zeros((1, 1), int), grain[None]) for grain in properties[valid]]
    # One point says as much of a homogeneous cell as many.
    options = {**data.solver_options, "discretization": PAPER}
    runs = simulate_batch(pixels, data.solved_load, **options)
    curves = np.full((*valid.shape, len(data.F11[stride::stride])), np.nan, np.float32)
    curves[valid] = [run.sigma_vm[data.kept[stride::stride], 0, 0] for run in runs]
    return np.stack(
        [np.moveaxis(curves[i][data.grain_id[cell]], -1, 0) for i, cell in enumerate(indices)]
    )
