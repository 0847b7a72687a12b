"""What a setting of DAMASK that departs from the paper's does to the answer, by our own solver."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from repro import paper, reference
from repro.damask.setup import PAPER_M, rescaled
from repro.data.microstructure import Microstructure
from repro.reference import Trajectory
from repro.tools.files import write_csv
from repro.tools.provenance import code_commit, hardware

# Out of reach of any stress: (|S|/xi)^20 vanishes, which leaves elasticity.
UNREACHABLE_XI0 = 1e7  # MPa


def simulate(
    microstructure: Microstructure,
    F11_max: float = paper.F11_TRAINING,
    increments: int = paper.INCREMENTS,
    rate: float = paper.RATE,
    M: float | np.ndarray = PAPER_M,
    dilatation: bool = False,
) -> Trajectory:
    """Solve the paper's problem under DAMASK's settings.

    Parameters
    ----------
    microstructure : Microstructure
        With xi0 and h0 as DAMASK's input names them.
    F11_max, increments, rate
        As for `repro.reference.simulate`. DAMASK's dot_gamma_0 acts as a rate that is lower by the
        same factor, exactly.
    M : float or ndarray, shape (G,)
        Exact: the paper's law with xi0 and h0 times M/sqrt(3/2).
    dilatation : bool
        True is solved as elastic: in DAMASK pressure then counts in hardening, which lifts xi of a
        grain that hardens at all out of reach of the deviator. Not exact; the tests hold it
        against DAMASK.

    Raises
    ------
    ValueError, ConvergenceError
        As `repro.reference.simulate`.
    """
    properties = rescaled(microstructure.properties, M)
    if dilatation:
        properties[:, 2] = UNREACHABLE_XI0
    cell = Microstructure(microstructure.grain_id, properties)
    return reference.simulate(cell, F11_max=F11_max, increments=increments, rate=rate)


def cost(sigma_vm, wanted) -> tuple[float, float]:
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


# Those of an earlier, public replication of the paper with DAMASK.
_RATE, _M, _DILATATION = {"rate": 2e-2}, {"M": 1.0}, {"dilatation": True}
DEVIATIONS = (
    Deviation("t: 0.2 for F11 = 1.004 (2e-2 1/s)", "t: 4 (1e-3 1/s)", _RATE),
    Deviation("M: 1", "M: sqrt(3/2)", _M),
    Deviation("dilatation: true", "dilatation: false", _DILATATION),
    Deviation("all three", "none", _RATE | _M | _DILATATION),
    Deviation("cells reshaped x2 first, beside properties x1 first", "x1 fastest", transposed=True),
)


def costs(microstructures: Sequence[Microstructure], **about) -> list[dict]:
    """Result rows: what each of `DEVIATIONS` costs, mean over microstructures; `about` is added."""
    started = time.perf_counter()
    wanted = [simulate(cell).sigma_vm for cell in microstructures]
    rows = []
    for deviation in DEVIATIONS:
        pairs = [
            cost(deviation.solve(cell), sigma)
            for cell, sigma in zip(microstructures, wanted, strict=True)
        ]
        over_increments, last = np.mean(pairs, axis=0).round(3)
        rows.append({
            "setting": deviation.there, "needed": deviation.needed,
            "mean_difference_MPa": over_increments, "at_last_increment_MPa": last,
            "n": len(microstructures), "increments": paper.INCREMENTS,
            "F11_last": paper.F11_TRAINING, **about, "commit": code_commit(),
            "hardware": hardware(),
        })  # fmt: skip
    wall = round(time.perf_counter() - started, 2)
    return [{**row, "wall_s": wall} for row in rows]


def write_costs(path, rows: list[dict]) -> None:
    """Write result rows as CSV, in place of the rows on the same data that the file holds."""
    path = Path(path)
    table = pd.DataFrame(rows)
    if path.exists():
        old = pd.read_csv(path)
        table = pd.concat([old[~old["data"].isin(table["data"])], table])
    write_csv(path, table)
