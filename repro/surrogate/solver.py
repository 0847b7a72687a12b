"""The reference model itself, solved coarsely, as a surrogate: what a network has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from repro import paper, reference
from repro.data.discretization import PAPER, Discretization
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure, shape_of
from repro.models.runs import Run
from repro.reference.many import divided, on_all_cores
from repro.surrogate.base import Prediction, Surrogate
from repro.surrogate.interpolation import at_all_increments

NAME = "reference model"


class Coarse(NamedTuple):
    """The coarse solve of some cells."""

    sigma_vm: np.ndarray  # (n, T+1, N1, N2), MPa
    missing: np.ndarray  # strain that equilibrium still asks for, (n, T+1)

    # Where a cell did not converge, its stress is NaN and the missing strain infinite.


def coarse_solve(
    cells: Sequence[Microstructure], load: Load, progress: bool = False, **how
) -> Coarse:
    """Solve cells on all cores with the arguments `how` of `reference.simulate`."""

    def solve(cell):
        try:
            path = reference.simulate(cell, load, **how)
            return path.sigma_vm, path.residual
        except reference.ConvergenceError:
            ends = len(load.time)
            return np.full((ends, *cell.grain_id.shape), np.nan, np.float32), np.full(ends, np.inf)

    sigma_vm, missing = zip(*on_all_cores(solve, cells, progress), strict=True)
    return Coarse(np.stack(sigma_vm), np.stack(missing))


def score_of(cells: Sequence[Microstructure], missing: np.ndarray) -> np.ndarray:
    """The strain that a coarse solve still misses as a stress, (n,), MPa: a nonconformity score.

    It is the mean over the load (n, T+1), times the mean shear modulus of the cell.
    """
    modulus = [(E / (2 * (1 + nu))).mean() for E, nu, *_ in map(_by_property, cells)]
    return 1e3 * np.array(modulus) * missing[:, 1:].mean(1)


def _by_property(cell) -> np.ndarray:
    return np.moveaxis(cell.property_maps(), -1, 0)


@dataclass(frozen=True)
class CoarseSolve(Surrogate):
    """The reference model in fewer increments, to a looser tolerance, on few points.

    Parameters
    ----------
    increments : int, optional
        Of the load: equal ones, with a cubic spline between them. By default those of the reference
        solution (`reference.simulate_many`), and then any load will do.
    tol : float
        As for `repro.reference.simulate`.
    dtype : type
        np.float64 or np.float32.
    discretization : Discretization
    flow_rule : FlowRule
    """

    increments: int | None = None
    tol: float = 3e-5
    dtype: type = np.float64
    discretization: Discretization = PAPER
    flow_rule: FlowRule = PAPER_RULE

    @property
    def run(self) -> Run:
        """Its entry in result rows."""
        return Run(f"{NAME}, {self}")

    @property
    def labels(self) -> Discretization:
        """Discretization of the fields that it approximates."""
        return self.discretization

    def __str__(self):
        increments = f"{self.increments or 'all'} increments, tol {self.tol:g}"
        single = ", single precision" if self.dtype is np.float32 else ""
        points = "" if self.discretization == PAPER else f", {self.discretization}"
        return f"{increments}{single}{points}"

    def check(self, cells: Sequence[Microstructure], load: Load) -> None:
        """Raise ValueError for a load of changing rate, if it takes equal increments."""
        shape_of(cells)
        if self.increments and not np.allclose(load.rates, load.rates[0], rtol=1e-3):
            raise ValueError(f"{self.name} takes equal increments: give a load at a constant rate")

    def __call__(self, cells: Sequence[Microstructure], load: Load) -> Prediction:
        """Solve cells on all cores."""
        self.check(cells, load)
        solved, ends = self._steps(load)
        sigma_vm, missing = coarse_solve(cells, solved, **self._how)
        found = at_all_increments(sigma_vm, load.increments) if ends is None else sigma_vm[:, ends]
        return Prediction(found, score_of(cells, missing))

    def solve(self, cell: Microstructure, load: Load) -> reference.Trajectory:
        """Solve one cell in these increments."""
        return reference.simulate(cell, self._steps(load)[0], **self._how)

    def _steps(self, load) -> tuple[Load, np.ndarray | None]:
        """The load in its increments, and which of them are the ends of those that were given."""
        if self.increments is None:
            return divided(load)
        if self.increments == load.increments:
            return load, None
        return load.at(np.linspace(0, load.increments, self.increments + 1)), None

    @property
    def _how(self) -> dict:
        names = ("tol", "dtype", "discretization", "flow_rule")
        return {name: getattr(self, name) for name in names}


# As fast as a network: what is best for its time, of three to ten increments and all tolerances.
LOOSE = (
    *(CoarseSolve(10, tol, np.float32) for tol in (1e-5, 3e-5)),
    *(CoarseSolve(5, tol, np.float32) for tol in (3e-5, 1e-4, 2e-4)),
    *(CoarseSolve(3, tol, np.float32) for tol in (2e-4, 6e-4)),
)
# Towards the converged fields: another derivative, and more points.
FINE = tuple(
    CoarseSolve(increments, tol, np.float32, Discretization("rotated", points))
    for points, settings in {
        1: ((20, 1e-5), (10, 3e-5), (5, 1e-4)),
        2: ((20, 1e-5), (10, 3e-5), (5, 1e-4)),
        4: ((20, 1e-5),),
    }.items()
    for increments, tol in settings
)
SETTINGS = (
    *(CoarseSolve(paper.INCREMENTS, tol) for tol in (1e-5, 1e-6, 1e-7, 1e-8)),
    *(CoarseSolve(paper.INCREMENTS, tol, np.float32) for tol in (1e-6, 1e-5)),
    *LOOSE,
    *FINE,
)
