"""What differs from the paper in results of DAMASK, and what that does to the answer."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from repro import paper, reference
from repro.damask import dadf5, deviations
from repro.damask.dadf5 import Result
from repro.damask.setup import DEFAULT_EPS_REL_DIV, PAPER_M
from repro.data.microstructure import Microstructure

ELASTIC = 1e-3  # relative difference from an elastic response that still is one
AGREEMENT = 0.5  # MPa; DAMASK's default tolerance alone makes a tenth of it


@dataclass(frozen=True)
class Finding:
    """One question to a simulation, judged, and what a departure does to the answer."""

    question: str
    found: str
    wanted: str
    passed: bool
    effect: str = ""

    def __str__(self):
        mark = "ok  " if self.passed else "FAIL"
        effect = f"\n       -> {self.effect}" if self.effect and not self.passed else ""
        return f"{mark} {self.question}: {self.found} (wanted: {self.wanted}){effect}"


def diagnose(result: Result, solve: bool = True) -> list[Finding]:
    """All findings about one simulation.

    Parameters
    ----------
    result : Result
    solve : bool
        Also solve the same grains with our own solver: under the paper's settings, under the
        file's, and under each departing setting alone. A second or two.
    """
    checks = (
        _complete, _finite, _size, _grains, _periodic, _properties, _boundary_conditions, _stretch,
        _rate, _M, _dilatation, _exponent, _gamma_dot_0, _saturation, _tolerance, _response,
    )  # fmt: skip
    findings = [check(result) for check in checks]
    return _with_costs(result, findings) if solve else findings


def report(findings: list[Finding]) -> str:
    """Findings as text and a verdict."""
    failed = [finding.question for finding in findings if not finding.passed]
    verdict = f"not the paper's: {', '.join(failed)}" if failed else "the paper's problem"
    return "\n".join([*map(str, findings), verdict])


def report_files(paths: Iterable) -> tuple[str, bool]:
    """Diagnose DADF5 files and folders of them.

    Files that depart in the same respects are reported by the first of them.

    Returns
    -------
    str
        The report.
    bool
        Whether every file is the paper's.

    Raises
    ------
    FileNotFoundError
        If a path does not exist or a folder has no results.
    """
    groups, lines = {}, []
    for path in dadf5.find(paths):
        try:
            findings = diagnose(dadf5.read(path), solve=False)
            failed = tuple(f.question for f in findings if not f.passed)
            groups.setdefault(failed, []).append(path)
        except (OSError, ValueError) as error:
            lines.append(f"FAIL {path}: {str(error).removeprefix(f'{path}: ')}")
    all_passed = not lines
    for files in groups.values():
        findings = diagnose(dadf5.read(files[0]))
        all_passed &= all(f.passed for f in findings)
        more = f" (and {len(files) - 1} more with the same departures)" if files[1:] else ""
        lines += [f"{files[0]}{more}", report(findings)]
    return "\n".join(lines), all_passed


def _complete(result):
    written, wanted = len(result.time) - 1, result.setup.increments
    return Finding("increments written", str(written), f"all {wanted} asked for", written == wanted)


def _finite(result):
    bad = int((~np.isfinite(result.P)).sum() + (~np.isfinite(result.F)).sum())
    return Finding("NaN or infinite values", str(bad), "none", bad == 0)


def _size(result):
    N = len(result.grain_id)
    return Finding("pixels", f"{N}x{N}", f"{paper.GRID}x{paper.GRID}", N == paper.GRID)


def _grains(result):
    count = len(np.unique(result.grain_id))
    return Finding("grains", str(count), f"exactly {paper.GRAINS}", count == paper.GRAINS)


def _periodic(result):
    periodic = [is_periodic(grain_id) for grain_id in (result.grain_id, result.grain_id.T)]
    open_edges = [axis for axis, closed in zip(("x1", "x2"), periodic, strict=True) if not closed]
    return Finding(
        "grains across the edge",
        f"cut off along {' and '.join(open_edges)}" if open_edges else "periodic",
        "periodic",
        not open_edges,
        "the solver is periodic: the edge acts as a grain boundary that the map does not show",
    )


def is_periodic(grain_id: np.ndarray) -> bool:
    """Whether the grains of a map (N, N) go on across the edge along axis 0.

    The share of neighbours of different grain across the edge is compared with that between
    neighbouring rows within and with that of two rows that do not know each other.
    """
    inside = (grain_id[1:] != grain_id[:-1]).mean()
    across = (grain_id[0] != grain_id[-1]).mean()
    counts = [np.bincount(row, minlength=grain_id.max() + 1) for row in (grain_id[0], grain_id[-1])]
    unrelated = 1 - counts[0] @ counts[1] / len(grain_id) ** 2
    return bool(across <= (inside + max(inside, unrelated)) / 2)


def _properties(result):
    properties = result.setup.properties
    limits = np.array(paper.PROPERTY_RANGES)
    low, high = properties.min(0), properties.max(0)

    def text(ranges):
        rows = zip(paper.PROPERTY_NAMES, paper.PROPERTY_UNITS, ranges, strict=True)
        return ", ".join(f"{name} {a:.4g}...{b:.4g} {u}".rstrip() for name, u, (a, b) in rows)

    slack = 1e-9 * limits[:, 1]  # of unit conversion
    inside = bool((low >= limits[:, 0] - slack).all() and (high <= limits[:, 1] + slack).all())
    return Finding(
        "property ranges", text(np.stack([low, high], 1)), f"Table 3: {text(limits)}", inside,
        "a network for the paper's ranges is asked to extrapolate",
    )  # fmt: skip


def _boundary_conditions(result):
    rest = result.F_mean - np.eye(3)
    rest[:, 0, 0] = 0
    off = float(np.abs(rest).max())
    return Finding(
        "mean deformation gradient",
        "diag(F11, 1, 1)" if off < 1e-8 else f"off diag(F11, 1, 1) by {off:.2g}",
        "diag(F11, 1, 1)", off < 1e-8, "another load, with other stresses",
    )  # fmt: skip


def _stretch(result):
    F11 = result.F_mean[-1, 0, 0]
    steps = len(result.time) - 1
    return Finding(
        "final stretch F11", f"{F11:g} in {steps} increments", f"{paper.F11_TRAINING:g}",
        bool(np.isclose(F11, paper.F11_TRAINING, rtol=0, atol=1e-6)),
    )  # fmt: skip


def rate(result: Result) -> float:
    """Mean dF11/dt, 1/s."""
    return float((result.F_mean[-1, 0, 0] - 1) / result.time[-1])


def _rate(result):
    n = result.setup.values("n")[0]
    factor = abs(rate(result) / paper.RATE) ** (1 / n)
    return Finding(
        "loading rate", f"{rate(result):.4g} 1/s, {result.time[-1]:.4g} s in all",
        f"{paper.RATE:g} 1/s", bool(np.isclose(rate(result), paper.RATE, rtol=1e-3)),
        f"the flow stress is {factor:.3f} times the paper's",
    )  # fmt: skip


def _numbers(values) -> str:
    return " to ".join(f"{value:.6g}" for value in dict.fromkeys((values[0], values[-1])))


def _M(result):
    M = result.setup.values("M")
    return Finding(
        "M", _numbers(M), f"sqrt(3/2) = {PAPER_M:.6g}", bool(np.allclose(M, PAPER_M, rtol=1e-5)),
        f"xi0 and h0 act as {M[0] / PAPER_M:.3f} times what they are said to be",
    )  # fmt: skip


def _dilatation(result):
    on = any(result.setup.values("dilatation"))
    return Finding(
        "dilatation", str(on).lower(), "false", not on,
        "pressure counts in hardening, so that xi runs away and the response turns elastic",
    )  # fmt: skip


def _exponent(result):
    n = result.setup.values("n")
    return Finding(
        "stress exponent n", _numbers(n), str(paper.STRESS_EXPONENT),
        bool(np.allclose(n, paper.STRESS_EXPONENT)),
        "flow stress goes with rate to the power 1/n: another rate sensitivity",
    )  # fmt: skip


def _gamma_dot_0(result):
    values = result.setup.values("dot_gamma_0")
    factor = (paper.GAMMA_DOT_0 / values[0]) ** (1 / result.setup.values("n")[0])
    return Finding(
        "reference rate dot_gamma_0", f"{_numbers(values)} 1/s", f"{paper.GAMMA_DOT_0:g} 1/s",
        bool(np.allclose(values, paper.GAMMA_DOT_0, rtol=1e-6)),
        f"the flow stress is {factor:.3f} times the paper's",
    )  # fmt: skip


def _saturation(result):
    setup = result.setup
    left = min(phase.hardening_left for phase in setup.phases.values())
    return Finding(
        "saturation of hardening",
        f"a = {_numbers(setup.values('a'))}, xi_inf = {_numbers(setup.values('xi_inf'))} Pa: "
        f"{left:.2%} of h0 at the start",
        "none, 100 %", left > 0.99, "hardening is weaker than h0 says",
    )  # fmt: skip


def _tolerance(result):
    eps = result.setup.eps_rel_div
    return Finding(
        "tolerance eps_rel_div(P)", f"{eps:g}",
        f"not stated; DAMASK's default is {DEFAULT_EPS_REL_DIV:g}",
        eps <= DEFAULT_EPS_REL_DIV, "the stresses are out of equilibrium, more than by default",
    )  # fmt: skip


def _response(result):
    sigma_vm, elastic = result.sigma_vm[-1], elastic_sigma_vm(result)
    off = float(np.abs(sigma_vm - elastic).mean())
    is_elastic = off < ELASTIC * elastic.mean()
    return Finding(
        "response",
        f"{'elastic' if is_elastic else 'plastic'}: at the end sigma_vM is {off:.3g} MPa off that "
        "of the same deformation without plasticity",
        "plastic", not is_elastic,
        "these fields hold no plasticity: xi0, h0 and the rate have no part in them",
    )  # fmt: skip


def elastic_sigma_vm(result: Result) -> np.ndarray:
    """sigma_vM (N, N) in MPa that the last deformation gradient would cause without plasticity."""
    constants = np.array([(p.C_12, p.C_44) for p in result.setup.phases.values()]) / 1e6
    lam, mu = np.moveaxis(constants[result.grain_id], -1, 0)[..., None, None]
    F = result.F[-1]
    strain = (np.swapaxes(F, -1, -2) @ F - np.eye(3)) / 2
    trace = np.trace(strain, axis1=-2, axis2=-1)[..., None, None]
    P = F @ (lam * trace * np.eye(3) + 2 * mu * strain)
    return dadf5.von_mises(dadf5.cauchy_stress(F, P))


def _with_costs(result, findings):
    """Add what our own solver says of the same grains."""
    F11 = result.F_mean[:, 0, 0]
    if not np.allclose(np.diff(F11), (F11[-1] - 1) / (len(F11) - 1), rtol=1e-4):
        return findings  # our solver takes equal increments only
    try:
        return [*_priced(result, findings), *_agreement(result)]
    except (reference.ConvergenceError, ValueError) as error:
        return [*findings, Finding("our solver on these grains", str(error), "converges", False)]


def _solve(result, **settings):
    """sigma_vM by our own solver of the grains and increments of a simulation."""
    F11 = result.F_mean[:, 0, 0]
    cell = Microstructure(result.grain_id, result.setup.properties)
    return deviations.simulate(cell, F11[-1], len(F11) - 1, **settings).sigma_vm


def _settings(result) -> dict[str, dict]:
    """Question -> the setting of the file, as `deviations.simulate` takes it."""
    phases = result.setup.phases.values()
    gamma_dot_0 = result.setup.values("dot_gamma_0")[0]
    return {
        "loading rate": {"rate": rate(result)},
        # dgamma = dt dot_gamma_0 (...)^n: the larger dot_gamma_0, the slower the load appears.
        "reference rate dot_gamma_0": {"rate": paper.RATE * paper.GAMMA_DOT_0 / gamma_dot_0},
        "M": {"M": np.array([phase.M for phase in phases])},
        "dilatation": {"dilatation": any(phase.dilatation for phase in phases)},
    }


def _priced(result, findings) -> list[Finding]:
    """Findings with what each departing setting alone would change."""
    wanted, settings = _solve(result), _settings(result)

    def price(finding):
        if finding.passed or finding.question not in settings:
            return finding
        alone = _solve(result, **settings[finding.question])
        over_increments, last = deviations.cost(alone, wanted)
        text = f"alone it moves sigma_vM by {over_increments:.3g} MPa, {last:.3g} MPa at the end"
        return replace(finding, effect=f"{finding.effect}; {text}")

    return [price(finding) for finding in findings]


def _agreement(result) -> list[Finding]:
    """How far the stress is from ours under the paper's settings and under the file's."""
    gamma_dot_0 = result.setup.values("dot_gamma_0")[0]
    settings = _settings(result)
    own = {
        "rate": rate(result) * paper.GAMMA_DOT_0 / gamma_dot_0,
        **settings["M"],
        **settings["dilatation"],
    }
    return [
        _compared("stress against the paper's problem on these grains", result, _solve(result)),
        _compared(
            "stress against our solver with the settings of the file", result,
            _solve(result, **own),
        ),
    ]  # fmt: skip


def _compared(question, result, sigma_vm):
    over_increments, last = deviations.cost(result.sigma_vm, sigma_vm)
    return Finding(
        question, f"mean |difference| {over_increments:.3g} MPa, {last:.3g} MPa at the end",
        f"under {AGREEMENT} MPa", over_increments < AGREEMENT,
    )  # fmt: skip
