"""A coarse solve, refined by a network: a quarter of the increments, and the rest pixel by pixel.

What takes the reference model its time is equilibrium, once per increment. What large increments
get wrong is mostly the integration of the flow rule in time, which is local. So the reference model
takes increments `COARSENING` times as large, in single precision and to a loose tolerance, and a
network of 1x1 convolutions that was trained on its errors gives the stress at all increments.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from repro import models, paper, reference
from repro.data.dataset import DataSet
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.data.pairs import Pairs, make_pairs, pixels
from repro.models import files
from repro.models.backend import as_networks_need_it, keras, layers
from repro.models.layers import LinearRefinement, convolve

NAME = "refiner"
SHIPPED = Path(__file__).with_name("shipped")
COARSENING = 4  # increments of the paper in one of the coarse solve
COARSE_TOLERANCE = 3e-5
# The properties, and the stress at the ends of the increment before and of the increment itself.
CHANNELS = (*paper.PROPERTY_NAMES, "sigma_vm before", "sigma_vm at start", "sigma_vm at end")
LOAD = Load.stretch()  # whose increments and rate the network knows, however many they are
CORRECTION_SCALE = 10.0  # MPa, a usual error of the coarse solve


@as_networks_need_it()
def increment_refiner(filters: int = 32, hidden: int = 2, kernel: int = 1) -> keras.Model:
    """Network of few convolutions that corrects the linear interpolation of a coarse increment.

    Parameters
    ----------
    filters : int
        Channels between the convolutions.
    hidden : int
        How many convolutions there are before the last.
    kernel : int
        Their edge in pixels, with circular padding.

    Returns
    -------
    keras.Model
        (n, N, N, 7) = `CHANNELS` in physical units -> (n, N, N, 4): sigma_vM/MPa at the four
        increments of the paper that the coarse increment is made of.
    """
    low, high = np.array(paper.PROPERTY_RANGES).T
    stresses = len(CHANNELS) - len(low)
    scale = np.append(1 / (high - low), np.full(stresses, 1 / paper.STRESS_SCALE))
    offset = np.append(-low / (high - low), np.zeros(stresses))
    inputs = keras.Input((None, None, len(CHANNELS)), name="coarse_increment")
    x = layers.Rescaling(scale.tolist(), offset.tolist(), name="normalize")(inputs)
    for _ in range(hidden):
        style = {"activation": "relu", "kernel_initializer": "he_normal"}
        x = convolve(x, filters, kernel, "circular", **style)
    x = layers.Conv2D(COARSENING, 1, kernel_initializer="zeros")(x)
    correction = layers.Rescaling(CORRECTION_SCALE, name="correction")(x)
    linear = LinearRefinement(COARSENING, name="interpolation")(inputs)
    return keras.Model(inputs, layers.Add(name="sigma_vm")([linear, correction]), name=NAME)


def check_load(load: Load) -> None:
    """Raise ValueError if a load is not made of increments that the refiner knows."""
    increments = load.increments
    known = np.allclose(np.diff(load.time), LOAD.time[1]) and np.allclose(load.rates, paper.RATE)
    if not known or increments % COARSENING:
        raise ValueError(
            f"the refiner knows increments of {LOAD.F11[1] - 1:g} at {paper.RATE:g} 1/s, a "
            f"multiple of {COARSENING} of them: solve other loads with repro.reference.simulate"
        )


class Coarse(NamedTuple):
    """The coarse solve of some cells, at the ends of its increments."""

    sigma_vm: np.ndarray  # (n, K+1, N, N) float32, MPa
    missing: np.ndarray  # strain that equilibrium still asks for, (n, K+1)

    # Where a cell did not converge, its stress is NaN and the missing strain infinite.


def coarse_solve(
    cells: Sequence[Microstructure], load: Load = LOAD, tol: float = COARSE_TOLERANCE
) -> Coarse:
    """Solve cells in large increments, in single precision, on all cores.

    Raises
    ------
    ValueError
        If the load does not suit (`check_load`).
    """
    check_load(load)
    coarse = Load(load.time[::COARSENING], load.F11[::COARSENING])

    def solve(cell):
        try:
            path = reference.simulate(cell, coarse, tol=tol, dtype=np.float32)
            return path.sigma_vm, path.residual
        except reference.ConvergenceError:
            ends = len(coarse.time)
            return np.full((ends, *cell.grain_id.shape), np.nan, np.float32), np.full(ends, np.inf)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return Coarse(*map(np.stack, zip(*pool.map(solve, cells), strict=True)))


@dataclass(frozen=True)
class Refinements(Pairs):
    """Pairs for the refiner: coarse increments in, the increments of the paper in them out.

    A step is a coarse increment.
    """

    coarse: np.ndarray | None = None  # (M, K+1, N, N) float32, MPa

    channels = len(CHANNELS), COARSENING
    in_memory = False  # of a device: the host gathers them

    @property
    def steps(self) -> int:
        """Coarse increments per microstructure."""
        return self.coarse.shape[1] - 1

    def of(self, microstructures) -> "Refinements":
        """Those of some of the microstructures."""
        return replace(super().of(microstructures), coarse=self.coarse[microstructures])

    def gather(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, N, N, 7) and outputs (n, N, N, 4) of samples (n, 5)."""
        cell, step = (index[:, None, None] for index in np.divmod(samples[:, 0], self.steps))
        x1, x2 = pixels(samples, self.sigma_vm.shape[-1])
        before, start, end = (self.coarse[cell, at, x1, x2] for at in _ends(step))
        inputs = [self.properties[cell, x1, x2], np.stack([before, start, end], axis=-1)]
        fine = COARSENING * step + 1
        outputs = [self.sigma_vm[cell, fine + i, x1, x2] for i in range(COARSENING)]
        return np.concatenate(inputs, axis=-1), np.stack(outputs, axis=-1)


def _ends(step):
    """Number, in the coarse solve, of the end before an increment, of its start, and of its end."""
    return np.maximum(step - 1, 0), step, step + 1


def refined(
    predict: Callable[[np.ndarray], np.ndarray], maps: np.ndarray, coarse: np.ndarray
) -> np.ndarray:
    """Stress at all increments of the paper, (n, T, N, N), MPa.

    Parameters
    ----------
    predict : callable
        The refiner, (n, N, N, 7) -> (n, N, N, 4).
    maps : ndarray, shape (n, N, N, 4)
        Properties of each pixel.
    coarse : ndarray, shape (n, K+1, N, N)
        Stress of the coarse solve, MPa.
    """
    step = np.arange(coarse.shape[1] - 1)
    stresses = np.stack([coarse[:, at] for at in _ends(step)], axis=-1)  # (n, K, N, N, 3)
    maps = np.broadcast_to(maps[:, None], (*stresses.shape[:-1], maps.shape[-1]))
    x = np.concatenate([maps, stresses], axis=-1)
    y = predict(x.reshape(-1, *x.shape[2:]))
    y = np.moveaxis(y, -1, 1)  # (n K, 4, N, N)
    return y.reshape(len(coarse), -1, *y.shape[2:])


def load(path=SHIPPED) -> keras.Model:
    """A trained refiner: a `.keras` file or the directory of a run; by default the shipped one.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """
    return files.read(models.model_path(path), (len(CHANNELS), COARSENING))


def make_refinements(data: DataSet, microstructures, tol: float = COARSE_TOLERANCE) -> Refinements:
    """The pairs of some microstructures of a data set, whose coarse solves are made for it.

    Raises
    ------
    ValueError
        If the load of the data set does not suit (`check_load`), or as `make_pairs`.
    """
    pairs = make_pairs(data, microstructures)
    cells = [data.microstructure(i) for i in microstructures]
    coarse = coarse_solve(cells, data.load, tol).sigma_vm
    return Refinements(pairs.properties, pairs.sigma_vm, 1, coarse=coarse)
