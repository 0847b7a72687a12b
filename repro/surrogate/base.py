"""What a surrogate is: cells and a load in, stress over the load and a score of each cell out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from repro import models
from repro.data.discretization import CONVERGED, PAPER, Discretization
from repro.data.load import Load
from repro.data.microstructure import Microstructure, grid_of
from repro.models.runs import Run, labels_of, run_of
from repro.surrogate.calibration import Calibration

CALIBRATION = "calibration.npz"  # beside the network
TOLERANCE = 1.5  # MPa, what the networks for whole loads are asked for
TRAJECTORY = "trajectory"  # mode of a prediction of all increments without steps


class Prediction(NamedTuple):
    """Stress of cells over a load, and how uncertain each is.

    A score need not be an error: only its order and its proportions count, since
    `repro.surrogate.calibration` measures what it means in MPa. It is positive, and infinite for a
    cell that cannot be predicted.
    """

    sigma_vm: np.ndarray  # (n, T+1, N, N), MPa
    score: np.ndarray  # nonconformity score, (n,)


@runtime_checkable
class Predictor(Protocol):
    """What `repro.surrogate.predict` needs: any function of this form is a surrogate."""

    def __call__(self, cells: Sequence[Microstructure], load: Load) -> Prediction:
        """Predict cells on equal grids under a load."""
        ...


class Surrogate:
    """Base class of surrogates: a predictor with a name, the loads that it knows, and its modes.

    A new kind is a subclass with `__call__`, registered by `repro.surrogate.register`.

    Attributes
    ----------
    run : Run
        What results say of it: its name, and of a network how it was trained.
    labels : Discretization
        Of the fields that it imitates; by default the paper's.
    stride : int
        Increments that it takes at once in single steps.
    tolerance : float, optional
        Bound of a cell's error, MPa, that `python -m repro.benchmark bounds` asks it for; None if
        its errors are too large to ask for one.
    calibrated : Path, optional
        Where its `calibration` is kept.
    """

    run: Run
    labels: Discretization = PAPER
    stride: int = 1
    tolerance: float | None = None
    calibrated: Path | None = None

    def check(self, cells: Sequence[Microstructure], load: Load) -> None:
        """Raise ValueError, in one line, if it does not know such cells or such a load."""

    def __call__(self, cells: Sequence[Microstructure], load: Load) -> Prediction:
        """Predict cells on equal grids under a load.

        Raises
        ------
        ValueError
            As `check`.
        """
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Its name in results."""
        return self.run.name

    @property
    def calibration(self) -> Calibration | None:
        """Its errors on cells as the paper's, under the paper's load; None if none were measured.

        They are against a reference solution as `against` says.
        """
        kept = self.calibrated and self.calibrated.is_file()
        return Calibration.read(self.calibrated) if kept else None

    @property
    def against(self) -> Discretization:
        """Discretization of the fields that its errors are against: the paper's, or converged."""
        return PAPER if self.labels == PAPER else CONVERGED

    def modes(
        self, cells: Sequence[Microstructure], load: Load, true: np.ndarray
    ) -> dict[str, Callable[[], np.ndarray]]:
        """The ways in which it is evaluated: name -> what gives the fields (n, S, N, N), MPa.

        They are of the increments stride, 2 stride, ... of the load, under which the true stress of
        the cells is `true`, (n, T+1, N, N).
        """
        return {TRAJECTORY: lambda: self(cells, load).sigma_vm[:, self.stride :: self.stride]}


class OfNetwork(Surrogate):
    """A surrogate that asks a trained network; another process loads that from its file.

    Parameters
    ----------
    model : path-like
        As for `repro.models.load`.

    Attributes
    ----------
    network : keras.Model

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    """

    def __init__(self, model):
        path = models.model_path(model)
        self.file, self.calibrated = path.absolute(), path.with_name(CALIBRATION)
        self.network, self.run, self.labels = models.load(path), run_of(path), labels_of(path)
        # To find out takes longer than to predict.
        self._check_grid = cache(partial(models.check_grid, self.network))

    def __reduce__(self):
        return type(self), (self.file,)

    def check(self, cells: Sequence[Microstructure], load: Load) -> None:
        """Raise ValueError for a grid that the network does not suit, or a load of another kind."""
        self._check_grid(grid_of(cells))
        if not load.is_plane_strain_along_x1:
            raise ValueError(
                "networks know loads diag(F11, 1, 1) alone: solve others with "
                "repro.reference.simulate_many"
            )
