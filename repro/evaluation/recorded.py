"""Trajectories that DAMASK computed, as recorded with the tests."""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd

from repro import paper
from repro.microstructure import Microstructure

DIRECTORY = Path(__file__).parents[2] / "tests" / "data" / "damask"


class Recorded(NamedTuple):
    """A microstructure and DAMASK's answer."""

    microstructure: Microstructure
    F11: np.ndarray  # (T+1,)
    sigma_vm: np.ndarray  # (T+1, N, N), MPa
    rate: float  # dF11/dt, 1/s
    tolerance: float  # eps_rel_div of P


def index() -> pd.DataFrame:
    """The recorded runs of the paper's own kind: ten grains, the paper's increments.

    Columns case, eps_rel_div_P, damask_wall_s_one_thread and others; of some runs nothing more than
    this line is kept.
    """
    table = pd.read_csv(DIRECTORY / "index.csv")
    return table[(table["increments"] == paper.INCREMENTS) & (table["grains"] == paper.GRAINS)]


def read(case: str) -> Recorded | None:
    """A recorded run; None if its fields are not kept."""
    path = DIRECTORY / f"{case}.h5"
    if not path.is_file():
        return None
    with h5py.File(path) as file:
        cell = Microstructure(file["grain_id"][()], file["properties"][()])
        F11, time = file["F11"][()], file["time_s"][()]
        rate = (F11[-1] - 1) / time[-1]
        return Recorded(cell, F11, file["sigma_vm"][()], rate, float(file.attrs["eps_rel_div_P"]))
