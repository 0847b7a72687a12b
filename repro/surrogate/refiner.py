"""A coarse solve, refined by a network: a quarter of the increments, and the rest pixel by pixel.

What takes the reference model its time is equilibrium, once per increment. What large increments
get wrong is mostly the integration of the flow rule in time, which is local. So the reference model
takes increments `COARSENING` times as large, in single precision and to a loose tolerance, and a
network of 1x1 convolutions that was trained on its errors gives the stress at all increments, a
window of `FINE` of them at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from repro import models, paper, reference
from repro.data.discretization import PAPER, Discretization
from repro.data.load import Load
from repro.data.microstructure import Microstructure, property_maps
from repro.data.pairs import Pairs, pixels
from repro.models import files
from repro.models.backend import as_networks_need_it, keras, layers
from repro.models.custom_layers import LinearRefinement
from repro.models.layers import (
    at_half_resolution,
    convolve,
    normalize,
    residual_u,
)
from repro.models.runs import CONFIG, read_config
from repro.surrogate.solves import LOAD, LONGER_LOAD, labels, on_all_cores

NAME = "refiner"
TITLE = "refined coarse solve"
SHIPPED = Path(__file__).with_name("shipped") / NAME
COARSENING = 4  # increments of the paper in one of the coarse solve
COARSE_TOLERANCE = 3e-5
WINDOW = 5  # coarse increments that the network is given at a time
FINE = COARSENING * WINDOW  # increments of the paper in a window
# The properties, and the stress at the end of the increment before the window and at all of its.
CHANNELS = (*paper.PROPERTY_NAMES, "sigma_vm before", *(f"sigma_vm {i}" for i in range(WINDOW + 1)))
CORRECTION_SCALE = 10.0  # MPa, a usual error of the coarse solve


@as_networks_need_it()
def increment_refiner(
    filters: int = 48, hidden: int = 2, kernel: int = 1, levels: int = 0
) -> keras.Model:
    """Network that corrects the linear interpolation of a coarse solve, of few convolutions or a U.

    Parameters
    ----------
    filters : int
        Channels between the convolutions.
    hidden : int
        How many convolutions there are before the last.
    kernel : int
        Their edge in pixels, with circular padding.
    levels : int
        Instead, so many poolings of a U of residual blocks, at half the resolution, which can mend
        equilibrium too. N must then be a multiple of 2^(levels + 1).

    Returns
    -------
    keras.Model
        (n, N, N, 11) = `CHANNELS` in physical units -> (n, N, N, 20): sigma_vM/MPa at the
        increments of the paper that the window is made of.
    """
    low, high = np.array(paper.PROPERTY_RANGES).T
    stresses = len(CHANNELS) - len(low)
    bounds = [[*low, *[0.0] * stresses], [*high, *[paper.STRESS_SCALE] * stresses]]
    inputs = keras.Input((None, None, len(CHANNELS)), name="coarse_solve")
    x = normalize(inputs, bounds)
    if levels:
        x = at_half_resolution(x, filters, lambda x: residual_u(x, filters, levels))
    else:
        for _ in range(hidden):
            style = {"activation": "relu", "kernel_initializer": "he_normal"}
            x = convolve(x, filters, kernel, "circular", **style)
    x = layers.Conv2D(FINE, 1, kernel_initializer="zeros")(x)
    correction = layers.Rescaling(CORRECTION_SCALE, name="correction")(x)
    linear = LinearRefinement(COARSENING, WINDOW, name="interpolation")(inputs)
    return keras.Model(inputs, layers.Add(name="sigma_vm")([linear, correction]), name=NAME)


def check_load(load: Load) -> None:
    """Raise ValueError if a load is not made of increments that the refiner knows."""
    increments = load.increments
    known = np.allclose(np.diff(load.time), LOAD.time[1]) and np.allclose(load.rates, paper.RATE)
    if not known or increments % FINE:
        raise ValueError(
            f"the refiner knows increments of {LOAD.F11[1] - 1:g} at {paper.RATE:g} 1/s, a "
            f"multiple of {FINE} of them: predict other loads with surrogate.in_two_passes, or "
            "solve them with surrogate.solve"
        )


class Coarse(NamedTuple):
    """The coarse solve of some cells, at the ends of its increments."""

    sigma_vm: np.ndarray  # (n, K+1, N, N) float32, MPa
    missing: np.ndarray  # strain that equilibrium still asks for, (n, K+1)

    # Where a cell did not converge, its stress is NaN and the missing strain infinite.


def coarse_solve(
    cells: Sequence[Microstructure],
    load: Load = LOAD,
    tol: float = COARSE_TOLERANCE,
    derivative: str = PAPER.derivative,
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

    def solve_coarsely(cell):
        try:
            path = reference.simulate(cell, coarse, **how)
            return path.sigma_vm, path.residual
        except reference.ConvergenceError:
            ends = len(coarse.time)
            return np.full((ends, *cell.grain_id.shape), np.nan, np.float32), np.full(ends, np.inf)

    return Coarse(*map(np.stack, zip(*on_all_cores(solve_coarsely, cells), strict=True)))


@dataclass(frozen=True, eq=False)
class Refinements(Pairs):
    """Pairs for the refiner: windows of the coarse solve in, the increments of the paper out.

    A step is a window.
    """

    coarse: np.ndarray | None = None  # (M, K+1, N, N) float32, MPa

    channels = len(CHANNELS), FINE
    in_memory = False  # of a device: the host gathers them

    @property
    def steps(self) -> int:
        """Windows per microstructure."""
        return (self.coarse.shape[1] - 1) // WINDOW

    def of(self, microstructures) -> "Refinements":
        """Those of some of the microstructures."""
        return replace(super().of(microstructures), coarse=self.coarse[microstructures])

    def gather(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, N, N, 11) and outputs (n, N, N, 20) of samples (n, 5)."""
        cell, step = (index[:, None, None] for index in np.divmod(samples[:, 0], self.steps))
        x1, x2 = pixels(samples, self.sigma_vm.shape[-1])
        stresses = [self.coarse[cell, end, x1, x2] for end in _ends(step)]
        inputs = [self.properties[cell, x1, x2], np.stack(stresses, axis=-1)]
        outputs = [self.sigma_vm[cell, FINE * step + 1 + i, x1, x2] for i in range(FINE)]
        return np.concatenate(inputs, axis=-1), np.stack(outputs, axis=-1)


def _ends(window) -> list:
    """Ends of increments of the coarse solve, by their number, that a window is given."""
    start = window * WINDOW
    return [np.maximum(start - 1, 0), *(start + i for i in range(WINDOW + 1))]


def refined(
    predict: Callable[[np.ndarray], np.ndarray], maps: np.ndarray, coarse: np.ndarray
) -> np.ndarray:
    """Stress at all increments of the paper, (n, T, N, N), MPa.

    Parameters
    ----------
    predict : callable
        The refiner, (n, N, N, 11) -> (n, N, N, 20).
    maps : ndarray, shape (n, N, N, 4)
        Properties of each pixel.
    coarse : ndarray, shape (n, K+1, N, N)
        Stress of the coarse solve, MPa.
    """
    windows = []
    for window in range((coarse.shape[1] - 1) // WINDOW):
        stresses = np.moveaxis(coarse[:, _ends(window)], 1, -1)
        windows.append(predict(np.concatenate([maps, stresses], axis=-1)))
    return np.moveaxis(np.concatenate(windows, axis=-1), -1, 1)


def load(path=SHIPPED) -> keras.Model:
    """A trained refiner: a `.keras` file or the directory of a run; by default the shipped one.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """
    return files.read(models.model_path(path), (len(CHANNELS), FINE))


def coarse_options(path=SHIPPED) -> dict:
    """Tolerance and derivative of the coarse solve that a trained refiner expects.

    Arguments of `coarse_solve`, as its run says; empty where no run does.
    """
    directory = models.model_path(path).parent
    config = read_config(directory) if (directory / CONFIG).is_file() else {}
    return {name: config[name] for name in ("tol", "derivative") if name in config}


def make_refinements(
    cells: Sequence[Microstructure],
    discretization: Discretization = PAPER,
    load: Load = LONGER_LOAD,
    tol: float = COARSE_TOLERANCE,
    derivative: str = PAPER.derivative,
) -> Refinements:
    """The pairs of some cells, which are solved for it: coarsely, and in full.

    The discretization is that of the full solve, tolerance and derivative are of the coarse one.

    Raises
    ------
    ValueError, ConvergenceError
        As `coarse_solve` and `repro.surrogate.solves.solve`.
    """
    coarse = coarse_solve(cells, load, tol, derivative).sigma_vm
    full = labels(cells, load, discretization)
    return Refinements(property_maps(cells), full, 1, coarse=coarse)
