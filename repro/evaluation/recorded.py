"""Trajectories of the paper's kind that DAMASK computed, as recorded with the tests."""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from repro import paper
from repro.microstructure import Microstructure

DIRECTORY = Path(__file__).parents[2] / "tests" / "data" / "damask_trajectories"


class Recorded(NamedTuple):
    """A microstructure and DAMASK's answer."""

    microstructure: Microstructure
    F11: np.ndarray  # (T+1,)
    sigma_vm: np.ndarray  # (T+1, N, N), MPa
    rate: float  # dF11/dt, 1/s
    tolerance: float  # eps_rel_div of P
    seconds: float  # of wall time, one thread


def recorded_runs() -> list[Recorded]:
    """The recorded runs with as many grains and increments as in training, tightest first."""
    runs = [read(path) for path in sorted(DIRECTORY.glob("*.h5"))]
    alike = [
        run
        for run in runs
        if run.microstructure.grain_count == paper.GRAINS
        and np.isclose(run.F11[-1], paper.F11_TRAINING)
    ]
    return sorted(alike, key=lambda run: run.tolerance)


def read(path) -> Recorded:
    """One recorded run."""
    with h5py.File(path) as file:
        attributes = file.attrs
        return Recorded(
            Microstructure(file["grain_id"][()], file["properties"][()]),
            file["F11"][()],
            file["sigma_vm"][()],
            float(attributes["rate_per_s"]),
            float(attributes["eps_rel_div_P"]),
            float(attributes["wall_seconds"]),
        )
