"""Write the input files that make DAMASK solve the paper's problem: grid, material and load."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import yaml

from repro.damask.setup import DERIVATIVES
from repro.data.discretization import PAPER, Discretization
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure, of_grains
from repro.tools import vtk
from repro.tools.files import write_text

GRID, MATERIAL, LOAD, NUMERICS = "grid.vti", "material.yaml", "load.yaml", "numerics.yaml"
NO_SATURATION = 1e20  # Pa; (1 - xi/xi_inf)^a is 1 to machine precision


def write_inputs(
    directory,
    microstructure: Microstructure,
    load: Load,
    tolerance: float | None = None,
    discretization: Discretization = PAPER,
    flow_rule: FlowRule = PAPER_RULE,
) -> None:
    """Write the input files of one simulation into `directory`.

    Parameters
    ----------
    directory : path-like
        Created if need be; files of the same name are replaced.
    microstructure : Microstructure
    load : Load
    tolerance : float, optional
        eps_rel_div(P); by default DAMASK's own, 5e-4. The reference solutions of this project were
        computed with 5e-6.
    discretization : Discretization
        By default the paper's; with several points per pixel the grid has all of them.
    flow_rule : FlowRule
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    points = microstructure.refined(discretization.points_per_pixel)
    texts = {
        GRID: vtk.image({"material": points.grain_id}, points.edges),
        MATERIAL: yaml.safe_dump(material(microstructure.properties, flow_rule)),
        LOAD: yaml.safe_dump(load_steps(load)),
    }
    settings = numerics(tolerance, discretization.derivative)
    if settings:
        texts[NUMERICS] = yaml.safe_dump(settings)
    (directory / NUMERICS).unlink(missing_ok=True)
    for name, text in texts.items():
        write_text(directory / name, text)


def material(properties: np.ndarray, flow_rule: FlowRule = PAPER_RULE) -> dict:
    """Content of material.yaml for properties (G, 4): grain i is material i and phase g<i>."""
    properties = of_grains(properties)
    return {
        "homogenization": {
            "SX": {"N_constituents": 1, "mechanical": {"type": "pass", "output": ["F", "P"]}}
        },
        "material": [
            {
                "homogenization": "SX",
                "constituents": [{"phase": f"g{i}", "v": 1.0, "O": [1.0, 0.0, 0.0, 0.0]}],
            }
            for i in range(len(properties))
        ],
        "phase": {f"g{i}": _phase(flow_rule, *map(float, row)) for i, row in enumerate(properties)},
    }


def _phase(flow_rule, E, nu, xi0, h0) -> dict:
    mu = 1e9 * E / (2 * (1 + nu))
    lam = 2 * mu * nu / (1 - 2 * nu)
    return {
        "lattice": "cI",
        "mechanical": {
            "output": ["F", "P"],
            "elastic": {"type": "Hooke", "C_11": lam + 2 * mu, "C_12": lam, "C_44": mu},
            "plastic": {
                "type": "isotropic",
                "output": ["xi"],
                "dilatation": False,
                **flow_rule.attributes,
                "xi_0": 1e6 * xi0,
                "h_0": 1e9 * h0,
                "a": 1.0,
                "xi_inf": NO_SATURATION,
            },
        },
    }


def load_steps(load: Load) -> dict:
    """Content of load.yaml: a step of the load for every row of equal increments."""
    F, P = (array.reshape(-1, 9) for array in (load.F, 1e6 * load.P))
    changes = np.diff(np.column_stack([load.time, F, load.P.reshape(-1, 9)]), axis=0)
    corners = [0]
    for k, change in enumerate(changes):
        if not np.allclose(change, changes[corners[-1]], rtol=1e-6, atol=1e-9, equal_nan=True):
            corners.append(k)
    corners.append(load.increments)

    def step(start, end):
        t = float(load.time[end] - load.time[start])
        conditions = {"dot_F": _rows((F[end] - F[start]) / t)}
        if load.free:
            conditions["P"] = _rows(P[end])
        return {
            "boundary_conditions": {"mechanical": conditions},
            "discretization": {"t": t, "N": end - start},
            "f_out": 1,
        }

    steps = [step(start, end) for start, end in pairwise(corners)]
    return {"solver": {"mechanical": "spectral_basic"}, "loadstep": steps}


def _rows(components) -> list:
    """Nine components as rows of a tensor, x where nothing is prescribed."""
    values = ["x" if np.isnan(value) else float(value) or 0 for value in components]
    return [values[:3], values[3:6], values[6:]]


def numerics(tolerance: float | None = None, derivative: str = PAPER.derivative) -> dict:
    """Content of numerics.yaml, as far as it departs from DAMASK's own.

    Parameters
    ----------
    tolerance : float, optional
        Of div P, relative; with iterations enough to reach it.
    derivative : str
        As for `repro.data.discretization.Discretization`.
    """
    grid: dict = {}
    if tolerance is not None:
        grid["mechanical"] = {"eps_rel_div(P)": tolerance, "N_iter_max": 500}
    if derivative != PAPER.derivative:
        (theirs,) = (theirs for theirs, ours in DERIVATIVES.items() if ours == derivative)
        grid["FFT"] = {"derivative": theirs}
    return {"solver": {"grid": grid}} if grid else {}
