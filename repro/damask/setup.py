"""The set-up of a DAMASK simulation, as its input files state it.

DAMASK's `isotropic` plasticity, in the symbols of material.yaml (S: Mandel stress)::

    Lp     = dot_gamma S_dev/|S_dev|,   dot_gamma = dot_gamma_0 (sqrt(3/2) |S_dev| / (M xi))^n
    dot_xi = dot_gamma h h_0 (1 - xi/xi_inf)^a                      (|S| for |S_dev| if dilatation)

The paper's law (Methods) is the case M = sqrt(3/2), xi_inf -> infinity, no dilatation. Any other M
is the paper's law as well, exactly, with xi0 and h0 multiplied by M/sqrt(3/2).
"""

from dataclasses import dataclass

import numpy as np
import yaml

PAPER_M = np.sqrt(1.5)
# Defaults of DAMASK 3.0.2 for what an input file may leave out.
DEFAULT_H = 3.0  # phase_mechanical_plastic_isotropic.f90
DEFAULT_EPS_REL_DIV = 5e-4  # grid_mech_spectral_basic.f90


class SetupError(ValueError):
    """A DAMASK set-up that the paper's law cannot describe; the message says where and why."""


@dataclass(frozen=True)
class Phase:
    """Elasticity and isotropic plasticity of one phase; stresses and moduli in Pa, as in DAMASK."""

    C_11: float
    C_12: float
    C_44: float
    xi_0: float
    h_0: float  # times h
    M: float
    n: float
    dot_gamma_0: float  # 1/s
    xi_inf: float
    a: float
    dilatation: bool

    @property
    def properties(self) -> tuple[float, float, float, float]:
        """E/GPa, nu, xi0/MPa, h0/GPa as the input file names them."""
        lam, mu = self.C_12, self.C_44
        E = mu * (3 * lam + 2 * mu) / (lam + mu)
        return E / 1e9, lam / (2 * (lam + mu)), self.xi_0 / 1e6, self.h_0 / 1e9

    @property
    def hardening_left(self) -> float:
        """Share of h_0 that hardening starts with: (1 - xi_0/xi_inf)^a; 1 in the paper's law."""
        return max(0.0, 1 - self.xi_0 / self.xi_inf) ** self.a


@dataclass(frozen=True)
class Setup:
    """What was simulated."""

    phases: dict[str, Phase]  # in order of first use in `material`
    time: float  # s, all load steps
    increments: int  # results that a complete simulation writes, besides the initial state
    eps_rel_div: float  # relative tolerance of the divergence of P

    @property
    def properties(self) -> np.ndarray:
        """E/GPa, nu, xi0/MPa, h0/GPa of the phases as the input file names them, (G, 4)."""
        return np.array([phase.properties for phase in self.phases.values()])

    @property
    def paper_properties(self) -> np.ndarray:
        """E/GPa, nu, xi0/MPa, h0/GPa with which the paper's law is that of the phases, (G, 4)."""
        M = np.array([phase.M for phase in self.phases.values()])
        return rescaled(self.properties, M)

    def values(self, name: str) -> list:
        """The distinct values of parameter `name` of `Phase`, in order; the paper has one."""
        return sorted({getattr(phase, name) for phase in self.phases.values()})


def rescaled(properties, M) -> np.ndarray:
    """Properties (G, 4) of the paper's law that equal DAMASK's with this M (a number or (G,))."""
    scaled = np.array(properties, dtype=float)
    scaled[:, 2:] *= (np.broadcast_to(M, len(scaled)) / PAPER_M)[:, None]
    return scaled


def parse(texts: dict[str, str]) -> Setup:
    """Read the set-up from the texts of its input files, told apart by their content.

    Parameters
    ----------
    texts : dict
        File name -> content; files other than YAML are ignored.

    Raises
    ------
    SetupError
        If material or load are missing, or the material is not isotropic in the paper's sense.
    """
    files = [_load_yaml(name, text) for name, text in texts.items() if _is_yaml(name)]

    def holding(key):
        found = [file for file in files if isinstance(file, dict) and key in file]
        if not found:
            raise SetupError(f"no input file with '{key}' among {sorted(texts) or 'none'}")
        return found[0]

    tolerances = [_at(file, "solver", "grid", "mechanical", "eps_rel_div(P)") for file in files]
    stated = [float(eps) for eps in tolerances if eps is not None]
    try:
        load = holding("loadstep")["loadstep"]
        return Setup(
            phases=_phases(holding("phase")),
            time=sum(float(step["discretization"]["t"]) for step in load),
            increments=sum(_written_increments(step) for step in load),
            eps_rel_div=stated[0] if stated else DEFAULT_EPS_REL_DIV,
        )
    except (KeyError, TypeError) as error:
        raise SetupError(f"incomplete set-up, at {error}") from None


def _is_yaml(name):
    return name.endswith((".yaml", ".yml"))


def _load_yaml(name, text):
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SetupError(f"{name} is not valid YAML: {error}") from None


def _at(tree, *keys):
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _written_increments(step) -> int:
    return int(step["discretization"]["N"]) // int(step.get("f_out", 1))


def _phases(material) -> dict[str, Phase]:
    used = {}
    for entry in material["material"]:
        if len(entry["constituents"]) != 1:
            raise SetupError("material points with several constituents are not supported")
        name = entry["constituents"][0]["phase"]
        used[name] = _phase(name, material["phase"][name])
    return used


def _phase(name, tree) -> Phase:
    elastic = _at(tree, "mechanical", "elastic") or {}
    plastic = _at(tree, "mechanical", "plastic") or {}
    if elastic.get("type") != "Hooke" or plastic.get("type") != "isotropic":
        raise SetupError(
            f"phase {name} is {elastic.get('type')} / {plastic.get('type')}, "
            "expected elastic Hooke and plastic isotropic"
        )
    try:
        # float(): YAML 1.1 takes 1e-3, without a point, for text.
        C_11, C_12, C_44 = (float(elastic[key]) for key in ("C_11", "C_12", "C_44"))
        direct = ("xi_0", "M", "n", "dot_gamma_0", "xi_inf", "a")
        phase = Phase(
            C_11=C_11,
            C_12=C_12,
            C_44=C_44,
            h_0=float(plastic["h_0"]) * float(plastic.get("h", DEFAULT_H)),
            dilatation=bool(plastic.get("dilatation", False)),
            **{key: float(plastic[key]) for key in direct},
        )
    except KeyError as error:
        raise SetupError(f"phase {name} lacks {error.args[0]}") from None
    if not np.isclose(C_11 - C_12, 2 * C_44, rtol=1e-4):
        raise SetupError(f"phase {name} is elastically anisotropic: C_11 - C_12 is not 2 C_44")
    if plastic.get("h_ln") or plastic.get("c_1"):
        raise SetupError(f"phase {name} has rate-dependent hardening (h_ln or c_1)")
    return phase
