"""The reference model itself, solved coarsely, as a surrogate: what a network has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from repro import paper, reference
from repro.data.discretization import PAPER, Discretization
from repro.data.load import Load
from repro.data.microstructure import Microstructure, grid_of
from repro.models.runs import Run
from repro.reference.many import on_all_cores
from repro.surrogate.base import Prediction, Surrogate
from repro.surrogate.interpolation import at_all_increments

NAME = "reference model"


@dataclass(frozen=True)
class CoarseSolve(Surrogate):
    """The reference model in fewer increments, to a looser tolerance, on few points.

    Parameters
    ----------
    increments : int
        Of the load: equal ones, with a cubic spline between them.
    tol : float
        As for `repro.reference.simulate`.
    dtype : type
        np.float64 or np.float32.
    discretization : Discretization
    """

    increments: int
    tol: float
    dtype: type = np.float64
    discretization: Discretization = PAPER

    @property
    def run(self) -> Run:
        """What results say of it."""
        return Run(f"{NAME}, {self}")

    @property
    def labels(self) -> Discretization:
        """Of the fields that it approximates."""
        return self.discretization

    def __str__(self):
        single = ", single precision" if self.dtype is np.float32 else ""
        points = "" if self.discretization == PAPER else f", {self.discretization}"
        return f"{self.increments} increments, tol {self.tol:g}{single}{points}"

    def check(self, cells: Sequence[Microstructure], load: Load) -> None:
        """Raise ValueError for a load that its increments do not follow."""
        grid_of(cells)
        if not np.allclose(load.rates, load.rates[0], rtol=1e-3):
            raise ValueError(f"{self.name} takes equal increments: give a load at a constant rate")

    def __call__(self, cells: Sequence[Microstructure], load: Load) -> Prediction:
        """Solve cells on all cores."""
        self.check(cells, load)
        stress = on_all_cores(lambda cell: self.solve(cell, load).sigma_vm, cells)
        found = at_all_increments(np.stack(stress), load.increments)
        return Prediction(found, np.ones(len(cells)))

    def solve(self, cell: Microstructure, load: Load) -> reference.Trajectory:
        """Solve one cell in these increments."""
        if self.increments != load.increments:
            ends = np.linspace(0, load.increments, self.increments + 1)
            load = load.at(ends)
        how = {"tol": self.tol, "dtype": self.dtype, "discretization": self.discretization}
        return reference.simulate(cell, load, **how)


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
