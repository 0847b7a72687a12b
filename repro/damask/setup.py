"""The set-up of a DAMASK simulation, as its input files state it.

DAMASK's `isotropic` plasticity, in the symbols of material.yaml (S: Mandel stress)::

    Lp     = dot_gamma S_dev/|S_dev|,   dot_gamma = dot_gamma_0 (sqrt(3/2) |S_dev| / (M xi))^n
    dot_xi = dot_gamma h h_0 (1 - xi/xi_inf)^a                      (|S| for |S_dev| if dilatation)

`repro.data.flow_rule.FlowRule` is the case xi_inf -> infinity, no dilatation. Any M, h and
dot_gamma_0 are the paper's, exactly, with other xi0 and h0 (`FlowRule.rescaled`).
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from repro.data.flow_rule import FlowRule
from repro.data.load import Load
from repro.tools.files import read_text
from repro.tools.values import Value

# Defaults of DAMASK 3.0.2 for what an input file may leave out.
DEFAULT_H = 3.0  # phase_mechanical_plastic_isotropic.f90
DEFAULT_EPS_REL_DIV = 5e-4  # grid_mech_spectral_basic.f90
# Where numerics.yaml has the tolerance of div P; the second before DAMASK 3.0.
_TOLERANCES = (("solver", "grid", "mechanical", "eps_rel_div(P)"), ("grid", "eps_div_rtol"))
# Likewise the derivative in space, and its values in our words; it has a third one.
_DERIVATIVE = (("solver", "grid", "FFT", "derivative"), ("grid", "derivative"))
DERIVATIVES = {"continuous": "continuous", "FWBW_difference": "rotated"}
MAX_INCREMENTS = 100_000  # of a load step
ISOTROPY = 1e-4  # relative deviation of a stiffness, which input files give with a few digits


class SetupError(ValueError):
    """A DAMASK set-up that the paper's law cannot describe; the message says where and why."""


@dataclass(frozen=True)
class Phase:
    """Elasticity and isotropic plasticity of one phase; stresses and moduli in Pa, as in DAMASK."""

    C_12: float
    C_44: float
    xi_0: float
    h_0: float
    h: float
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
    def flow_rule(self) -> FlowRule:
        """What `repro.reference` calls so."""
        return FlowRule(self.n, self.dot_gamma_0, self.M, self.h)

    @property
    def hardening_left(self) -> float:
        """Share of h_0 that hardening starts with: (1 - xi_0/xi_inf)^a; 1 in the paper's law."""
        return max(0.0, 1 - self.xi_0 / self.xi_inf) ** self.a


@dataclass(frozen=True, eq=False)
class Step(Value):
    """One step of the load; F and P are NaN where they are not prescribed."""

    time: np.ndarray  # s since the start of the step, of its increments, (N,)
    F: np.ndarray  # mean deformation gradient at these times, (N, 3, 3)
    P: np.ndarray  # mean first Piola-Kirchhoff stress, MPa, (N, 3, 3)
    f_out: int | None  # every so many increments are written; None: none of them

    @property
    def written(self) -> int:
        """Increments of the step that DAMASK writes."""
        return len(self.time) // self.f_out if self.f_out else 0


@dataclass(frozen=True)
class Setup:
    """What was simulated."""

    phases: dict[str, Phase]  # those of the grid, in order of first use in `material`
    steps: list[Step]
    eps_rel_div: float  # relative tolerance of the divergence of P
    derivative: str  # in space, as in `repro.data.discretization`; DAMASK's word if we have none

    @property
    def increments(self) -> int:
        """Results that a complete simulation writes, besides the initial state."""
        return sum(step.written for step in self.steps)

    @property
    def load(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Time/s (S+1,), F and P/MPa (S+1, 3, 3) of every increment that is solved.

        NaN where they are not prescribed, or start where they were not.
        """
        return _joined(self.steps)

    @property
    def properties(self) -> np.ndarray:
        """E/GPa, nu, xi0/MPa, h0/GPa of the phases as the input file names them, (G, 4)."""
        return np.array([phase.properties for phase in self.phases.values()])

    @property
    def paper_properties(self) -> np.ndarray:
        """E/GPa, nu, xi0/MPa, h0/GPa with which the paper's law, but for n, is theirs, (G, 4)."""
        return self.rescaled([phase.flow_rule for phase in self.phases.values()])

    def rescaled(self, flow_rules: Sequence[FlowRule]) -> np.ndarray:
        """Properties (G, 4) with which each phase's own flow rule is as the paper's, but for n."""
        rows = zip(flow_rules, self.properties, strict=True)
        return np.stack([flow_rule.rescaled(row) for flow_rule, row in rows])

    def of_phases(self, name: str) -> np.ndarray:
        """Parameter `name` of `Phase` of each phase, (G,)."""
        return np.array([getattr(phase, name) for phase in self.phases.values()])


def parse(texts: dict[str, str], used: Collection[str] | None = None) -> Setup:
    """Read the set-up from the texts of its input files, told apart by their content.

    Parameters
    ----------
    texts : dict
        File name -> content; what is not YAML is ignored.
    used : collection of str, optional
        The phases that the grid uses, since a material file may list others; by default all.

    Raises
    ------
    SetupError
        If material or load are missing, or the material is not isotropic in the paper's sense.
    """
    files = [tree for name, text in texts.items() if isinstance(tree := _tree(name, text), dict)]

    def holding(*keys):
        found = [file for file in files if all(key in file for key in keys)]
        if not found:
            raise SetupError(f"no input file with '{keys[0]}' among {sorted(texts) or 'none'}")
        return found[0]

    def stated(places, default):
        found = (_at(file, *place) for file in files for place in places)
        return next((value for value in found if value is not None), default)

    derivative = str(stated(_DERIVATIVE, "continuous"))
    try:
        return Setup(
            # Numerics have a section "phase" as well.
            phases=_phases(holding("phase", "material"), used),
            steps=_steps(holding("loadstep")["loadstep"]),
            eps_rel_div=float(stated(_TOLERANCES, DEFAULT_EPS_REL_DIV)),
            derivative=DERIVATIVES.get(derivative, derivative),
        )
    except SetupError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise SetupError(f"incomplete set-up, at {error}") from None
    except (ValueError, OverflowError) as error:
        raise SetupError(f"set-up not understood: {error}") from None


def read_load(path) -> Load:
    """Read a load file of DAMASK, with every increment that it asks to solve.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    SetupError
        If it is none, or prescribes what a `Load` cannot say.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        tree = _tree(path.name, read_text(path))
        if not isinstance(tree, dict) or "loadstep" not in tree:
            raise SetupError("no load file of DAMASK: it has no 'loadstep'")
        return Load(*_joined(_steps(tree["loadstep"])))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise SetupError(f"{path}: incomplete load, at {error}") from None
    except (ValueError, OverflowError) as error:
        raise SetupError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None


class _Text(yaml.SafeLoader):
    """YAML with every scalar left as text, as DAMASK takes names: 001, 1e3, no."""


_Text.yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile("<<"))]}


def _tree(name, text):
    """Content of a YAML file; None for a file of another kind."""
    if text.lstrip().startswith("<"):
        return None  # the grid, XML
    try:
        return yaml.load(yaml.reader.Reader.NON_PRINTABLE.sub("?", text), _Text)
    except Exception as error:  # a damaged file may raise anything
        if not re.search(r"\.ya?ml(\.\d+)?$", name):
            return None
        reason = " ".join(str(error).split())
        raise SetupError(f"{name} is not valid YAML: {reason}") from None


def _at(tree, *keys):
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _steps(loadsteps) -> list[Step]:
    steps, F, P = [], np.eye(3), np.zeros((3, 3))
    for tree in loadsteps:
        discretization, f_out = tree["discretization"], tree.get("f_out", "1")
        t, N = float(discretization["t"]), int(discretization["N"])
        r = float(discretization.get("r", 1))  # of the length of an increment to that before
        if not (0 < t < np.inf and 1 <= N <= MAX_INCREMENTS and 0 < r < np.inf):
            raise SetupError(f"a load step of {N} increments in {t:g} s with r = {r:g}")
        ends = np.cumsum(r ** np.arange(N))
        time = t * ends / ends[-1]
        conditions = tree["boundary_conditions"]["mechanical"]
        every = None if f_out == "none" else max(1, int(f_out))
        F, P = _course(_F, conditions, F, time), _course(_P, conditions, P, time)
        steps.append(Step(time, F, P / 1e6, every))
        F, P = F[-1], P[-1]
    return steps


def _joined(steps) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`Setup.load` of steps that follow one another."""
    time = [np.zeros(1)]
    for step in steps:
        time.append(time[-1][-1] + step.time)
    F, P = (np.concatenate([getattr(step, name) for step in steps]) for name in "FP")
    F0, P0 = np.where(np.isnan(F[0]), np.nan, np.eye(3)), np.where(np.isnan(P[0]), np.nan, 0)
    return np.concatenate(time), np.stack([F0, *F]), np.stack([P0, *P])


# What a boundary condition says of a component, after t of the T seconds of a step.
_F = {
    "dot_F": lambda start, rate, t, T: start + rate * t,
    "F": lambda start, end, t, T: start + (end - start) * t / T,
    "L": lambda start, L, t, T: start * np.exp(_diagonal(L) * t),
}
_P = {"dot_P": _F["dot_F"], "P": _F["F"]}


def _diagonal(L):
    """Rates (3, 1) of a velocity gradient; NaN if it is not diagonal."""
    rates = np.diag(L)[:, None]
    return rates if np.array_equal(L, np.diag(np.diag(L))) else np.nan * rates


def _course(kinds, conditions, start, time):
    """A tensor (N, 3, 3) at times since the start of a step; NaN where nothing prescribes it."""
    kind = next((kind for kind in kinds if kind in conditions), None)
    if kind is None:
        return np.full((len(time), 3, 3), np.nan)
    values = [np.nan if value == "x" else float(value) for row in conditions[kind] for value in row]
    with np.errstate(over="ignore", invalid="ignore"):
        course = [kinds[kind](start, np.reshape(values, (3, 3)), t, time[-1]) for t in time]
    return np.array(course)


def _phases(material, used) -> dict[str, Phase]:
    entries = [entry["constituents"] for entry in material["material"]]
    names = dict.fromkeys(constituent["phase"] for entry in entries for constituent in entry)
    chosen = [name for name in names if used is None or name in used]
    missing = set(used or ()) - names.keys()
    if missing or not chosen:
        raise SetupError(f"no material of phase {min(missing, default='any')}")
    return {name: _phase(name, material["phase"][name]) for name in chosen}


def _phase(name, tree) -> Phase:
    mechanical = tree["mechanical"]
    elastic, plastic = mechanical.get("elastic") or {}, mechanical.get("plastic") or {}
    if elastic.get("type") != "Hooke" or plastic.get("type") != "isotropic":
        raise SetupError(
            f"phase {name} is {elastic.get('type')} / {plastic.get('type')}, "
            "expected elastic Hooke and plastic isotropic"
        )
    if mechanical.get("eigen") or tree.get("damage"):
        raise SetupError(f"phase {name} has eigenstrains or damage")
    defaults = {"h": DEFAULT_H, "dilatation": "false", "h_ln": 0, "c_1": 0}
    given = {**defaults, **elastic, **plastic}
    try:
        for key in ("h_ln", "c_1"):
            if float(given[key]) != 0:
                raise SetupError(f"phase {name} has rate-dependent hardening ({key})")
        _check_isotropy(name, elastic)
        phase = Phase(
            dilatation=given["dilatation"].lower() in ("true", "yes", "on"),
            **{key: float(given[key]) for key in Phase.__annotations__ if key != "dilatation"},
        )
    except KeyError as error:
        raise SetupError(f"phase {name} lacks {error.args[0]}") from None
    for key in ("xi_inf", "a"):
        if not getattr(phase, key) > 0:
            raise SetupError(f"phase {name} has {key} = {given[key]}")
    try:
        _ = phase.flow_rule  # raises if it is none
    except ValueError as error:
        raise SetupError(f"phase {name}: {error}") from None
    return phase


def _check_isotropy(name, elastic):
    """Refuse stiffnesses that no isotropic material has, by the first constant that is not its."""
    C_11, C_12 = float(elastic["C_11"]), float(elastic["C_12"])
    for key, value in elastic.items():
        match = re.fullmatch(r"C_([1-6])([1-6])(,T.*)?", key)
        if match is None:
            continue
        i, j = sorted(map(int, match.group(1, 2)))
        isotropic = {
            "normal": C_11 if i == j else C_12,
            "shear": (C_11 - C_12) / 2 if i == j else 0.0,
            "coupled": 0.0,
        }["normal" if j <= 3 else "shear" if i > 3 else "coupled"]
        isotropic *= match[3] is None  # no dependence on temperature either
        if not abs(float(value) - isotropic) <= ISOTROPY * abs(C_11):
            raise SetupError(
                f"phase {name} is elastically anisotropic: {key} is {float(value):.6g} Pa, not the "
                f"{isotropic:.6g} Pa that follow from C_11 and C_12"
            )
