"""What a setting of DAMASK that departs from the paper's does to the answer, by our own solver."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from repro import paper, reference
from repro.data.dataset import DataSet
from repro.data.discretization import DERIVATIVES, PAPER, Discretization
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure, units_known
from repro.reference import Trajectory
from repro.tools import provenance
from repro.tools.progress import Progress
from repro.tools.values import unmasked

# Out of reach of any stress: (|S|/xi)^20 vanishes, which leaves elasticity.
UNREACHABLE_XI0 = 1e5  # MPa


def simulate(
    microstructure: Microstructure,
    load: Load | None = None,
    dilatation: bool = False,
    tol: float = reference.TOLERANCE,
    discretization: Discretization = PAPER,
    flow_rule: FlowRule = PAPER_RULE,
) -> Trajectory:
    """Solve the paper's problem under DAMASK's settings.

    Parameters
    ----------
    microstructure : Microstructure
        With xi0 and h0 as DAMASK's input names them.
    load : Load, optional
        By default the paper's.
    dilatation : bool
        True is solved as elastic: in DAMASK pressure then counts in hardening, which lifts xi of a
        grain that hardens at all out of reach of the deviator. Not exact; the tests hold it
        against DAMASK.
    tol, discretization, flow_rule
        As for `repro.reference.simulate`.

    Raises
    ------
    ValueError, ConvergenceError
        As `repro.reference.simulate`.
    """
    properties = microstructure.properties.copy()
    if dilatation:
        properties[:, 2] = UNREACHABLE_XI0
    with units_known():
        cell = Microstructure(microstructure.grain_id, properties, microstructure.edges)
    how = {"tol": tol, "discretization": discretization, "flow_rule": flow_rule}
    return reference.simulate(cell, load, **how)


def solve_again(data: DataSet, indices, tol: float = reference.TOLERANCE) -> np.ndarray:
    """Solve imported microstructures as the data set says that they were solved.

    Returns
    -------
    ndarray, shape (len(indices), T+1, N, N)
        sigma_vM at the increments of the data set, MPa.

    Raises
    ------
    ValueError
        If they were solved with a flow rule that our solver does not have.
    ConvergenceError
        As `repro.reference.simulate`.
    """
    dilatation = data.attributes.get("dilatation", False)
    plastic = replace(data, attributes={**data.attributes, "dilatation": False})
    options = plastic.solver_options
    if data.attributes.get("derivative", PAPER.derivative) not in DERIVATIVES:
        raise ValueError(f"our solver has no derivative {data.attributes['derivative']}")
    if options is None:
        raise ValueError("our solver has no saturation of the hardening")
    cells = [data.microstructure(i) for i in indices]
    runs = [simulate(cell, data.solved_load, dilatation, tol, **options) for cell in cells]
    return np.stack([run.sigma_vm[data.kept] for run in runs])


def effect(sigma_vm, wanted) -> tuple[float, float]:
    """Mean |difference| of stresses (T+1, N, N): over the increments 1...T, and at the last."""
    sigma_vm, wanted = unmasked(sigma_vm, "sigma_vm"), unmasked(wanted, "wanted")
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
_RATE, _DILATATION = {"load": Load.stretch(rate=2e-2)}, {"dilatation": True}
_M = {"flow_rule": FlowRule(M=1)}
DEVIATIONS = (
    Deviation("t: 0.2 for F11 = 1.004 (2e-2 1/s)", "t: 4 (1e-3 1/s)", _RATE),
    Deviation("M: 1", "M: sqrt(3/2)", _M),
    Deviation("h left out, which is h: 3", "h: 1", {"flow_rule": FlowRule(h=3)}),
    Deviation("dilatation: true", "dilatation: false", _DILATATION),
    Deviation("rate, M and dilatation together", "none", _RATE | _M | _DILATATION),
    Deviation("cells reshaped x2 first, beside properties x1 first", "x1 fastest", transposed=True),
)


def effects(microstructures: Sequence[Microstructure], **about) -> list[dict]:
    """Result rows: the effect of each of `DEVIATIONS`, mean over microstructures, and `about`."""
    started = time.perf_counter()
    wanted = [simulate(cell).sigma_vm for cell in microstructures]
    rows = []
    for deviation in Progress(DEVIATIONS, "solving", "deviation"):
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
        rows.append(row)
    about |= {**provenance.stamp(), "wall_s": round(time.perf_counter() - started, 2)}
    return [row | about for row in rows]
