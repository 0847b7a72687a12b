"""What a setting of DAMASK that departs from the paper's does to the answer, by our own solver."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from repro import paper, reference
from repro.damask.setup import UNSATURATED, rescaled
from repro.data.dataset import DataSet
from repro.data.microstructure import Microstructure
from repro.reference import Trajectory
from repro.tools.files import write_csv
from repro.tools.provenance import code_commit, hardware

# Out of reach of any stress: (|S|/xi)^20 vanishes, which leaves elasticity.
UNREACHABLE_XI0 = 1e7  # MPa
F11 = np.linspace(1, paper.F11_TRAINING, paper.INCREMENTS + 1)


def simulate(
    microstructure: Microstructure,
    F11: np.ndarray = F11,
    rate: float = paper.RATE,
    dilatation: bool = False,
    tol: float = reference.TOLERANCE,
    **law,
) -> Trajectory:
    """Solve the paper's problem under DAMASK's settings.

    Parameters
    ----------
    microstructure : Microstructure
        With xi0 and h0 as DAMASK's input names them.
    F11 : ndarray, shape (T+1,)
        Mean stretch of the increments to solve, which must grow from 1 in equal steps.
    rate : float
        dF11/dt, 1/s.
    dilatation : bool
        True is solved as elastic: in DAMASK pressure then counts in hardening, which lifts xi of a
        grain that hardens at all out of reach of the deviator. Not exact; the tests hold it
        against DAMASK.
    tol : float
        As for `repro.reference.simulate`.
    **law
        M, h and dot_gamma_0 as for `repro.damask.setup.rescaled`; exact.

    Raises
    ------
    ValueError
        If F11 is of another form, or as `repro.reference.simulate`.
    ConvergenceError
        As `repro.reference.simulate`.
    """
    increments = len(F11) - 1
    if not np.allclose(F11, np.linspace(1, F11[-1], increments + 1), rtol=0, atol=1e-7):
        raise ValueError("our solver takes F11 that grows from 1 in equal increments")
    properties = rescaled(microstructure.properties, **law)
    if dilatation:
        properties[:, 2] = UNREACHABLE_XI0
    cell = Microstructure(microstructure.grain_id, properties)
    return reference.simulate(cell, F11_max=F11[-1], increments=increments, rate=rate, tol=tol)


def solve_again(data: DataSet, indices, tol: float = reference.TOLERANCE) -> np.ndarray:
    """Solve microstructures of a data set as its attributes say that they were solved.

    Returns
    -------
    ndarray, shape (len(indices), T+1, N, N)
        sigma_vM at the increments of the data set, MPa.

    Raises
    ------
    ValueError
        If they were solved by a law or under a load that our solver does not take.
    ConvergenceError
        As `repro.reference.simulate`.
    """
    about = data.attributes
    if np.any(about.get("n", paper.STRESS_EXPONENT) != paper.STRESS_EXPONENT):
        raise ValueError(f"our solver has the stress exponent {paper.STRESS_EXPONENT} alone")
    if about.get("hardening_left", 1) < UNSATURATED:
        raise ValueError("our solver has no saturation of hardening")
    time, F11 = solved_load(data)
    steps = np.diff(F11) / np.diff(time)
    if not np.allclose(steps, steps[0]):
        raise ValueError("our solver takes a constant rate")
    settings = {"rate": steps[0], "dilatation": about.get("dilatation", False), "tol": tol}
    runs = [simulate(data.microstructure(i), F11, **settings) for i in indices]
    return np.stack([run.sigma_vm[written(data)] for run in runs])


def solved_load(data: DataSet) -> tuple[np.ndarray, np.ndarray]:
    """Time/s and F11 of the increments that were solved; a data set may keep fewer."""
    about = data.attributes
    return about.get("solved_time", data.time), about.get("solved_F11", data.F11)


def written(data: DataSet) -> np.ndarray:
    """Which of the increments that were solved the data set keeps, (T+1,)."""
    return abs(solved_load(data)[0][:, None] - data.time).argmin(0)


def effect(sigma_vm, wanted) -> tuple[float, float]:
    """Mean |difference| of stresses (T+1, N, N): over the increments 1...T, and at the last."""
    difference = np.abs(sigma_vm - wanted)[1:].mean((1, 2))
    return float(difference.mean()), float(difference[-1])


@dataclass(frozen=True)
class Deviation:
    """One setting that departs from what the paper's model needs."""

    there: str
    needed: str
    settings: dict = field(default_factory=dict)  # keyword arguments of `simulate`
    transposed: bool = False

    def solve(self, microstructure: Microstructure) -> np.ndarray:
        """The stress (T+1, N, N) that comes of it, MPa."""
        sigma_vm = simulate(microstructure, **self.settings).sigma_vm
        return sigma_vm.swapaxes(1, 2) if self.transposed else sigma_vm


# Those of an earlier, public replication of the paper with DAMASK, and a default of DAMASK's.
_RATE, _M, _DILATATION = {"rate": 2e-2}, {"M": 1.0}, {"dilatation": True}
DEVIATIONS = (
    Deviation("t: 0.2 for F11 = 1.004 (2e-2 1/s)", "t: 4 (1e-3 1/s)", _RATE),
    Deviation("M: 1", "M: sqrt(3/2)", _M),
    Deviation("h left out, which is h: 3", "h: 1", {"h": 3.0}),
    Deviation("dilatation: true", "dilatation: false", _DILATATION),
    Deviation("rate, M and dilatation together", "none", _RATE | _M | _DILATATION),
    Deviation("cells reshaped x2 first, beside properties x1 first", "x1 fastest", transposed=True),
)


def effects(microstructures: Sequence[Microstructure], **about) -> list[dict]:
    """Result rows: the effect of each of `DEVIATIONS`, mean over microstructures, and `about`."""
    started = time.perf_counter()
    wanted = [simulate(cell).sigma_vm for cell in microstructures]
    rows = []
    for deviation in DEVIATIONS:
        pairs = [
            effect(deviation.solve(cell), sigma)
            for cell, sigma in zip(microstructures, wanted, strict=True)
        ]
        over_increments, last = np.mean(pairs, axis=0).round(3)
        row = {
            "setting": deviation.there,
            "needed": deviation.needed,
            "mean_difference_MPa": over_increments,
            "at_last_increment_MPa": last,
            "n": len(microstructures),
            "increments": paper.INCREMENTS,
            "F11_last": paper.F11_TRAINING,
        }
        rows.append({**row, **about, "commit": code_commit(), "hardware": hardware()})
    wall = round(time.perf_counter() - started, 2)
    return [{**row, "wall_s": wall} for row in rows]


def write_effects(path, rows: list[dict]) -> None:
    """Write result rows as CSV, in place of the rows on the same data that the file holds."""
    path = Path(path)
    table = pd.DataFrame(rows)
    if path.exists():
        old = pd.read_csv(path)
        table = pd.concat([old[~old["data"].isin(table["data"])], table])
    write_csv(path, table)
