"""What differs from the paper in results of DAMASK, and what that does to the answer.

The results become a data set and are asked what every data set is asked (`repro.data.checks`);
beside it stand the questions to the set-up that only DAMASK's files answer.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from repro import paper, reference
from repro.damask import dadf5, deviations, exchange
from repro.damask.dadf5 import Result
from repro.damask.setup import DEFAULT_EPS_REL_DIV
from repro.data import checks
from repro.data.checks import Check
from repro.data.dataset import LINEAR
from repro.data.load import Load
from repro.data.microstructure import Microstructure

AGREEMENT = 0.5  # MPa; DAMASK's default tolerance alone makes a tenth of it


def diagnose(result: Result, solve: bool = True) -> list[Check]:
    """All checks of one simulation.

    Parameters
    ----------
    result : Result
    solve : bool
        Also solve the same grains with our own solver: under the paper's settings, under the
        file's, and under each departing setting alone. A second or two.

    Raises
    ------
    ValueError
        If the result cannot be a data set.
    """
    data = exchange.as_data_set(result)
    questions = (
        _complete,
        _boundary_conditions,
        _M,
        _h,
        _dilatation,
        _exponent,
        _gamma_dot_0,
        _saturation,
        _tolerance,
    )
    found = [*checks.verify(data), *(question(result) for question in questions)]
    return _with_effects(result, data, found) if solve else found


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
    groups, lines, first = {}, [], {}
    for path in dadf5.find(paths):
        name = dadf5.shown(path)
        try:
            result = dadf5.read(path)
            failed = tuple(c.question for c in diagnose(result, solve=False) if not c.passed)
            key = failed, exchange.microstructure_key(exchange.as_data_set(result))
            if first.setdefault(key, name) != name:
                lines.append(f"FAIL {name}: the same microstructure as {first[key]}")
            else:
                groups.setdefault(failed, []).append(path)
        except (OSError, ValueError) as error:
            lines.append(f"FAIL {name}: {str(error).removeprefix(f'{name}: ')}")
    all_passed = not lines
    for files in groups.values():
        found = diagnose(dadf5.read(files[0]))
        all_passed &= all(check.passed for check in found)
        more = f" (and {len(files) - 1} more with the same departures)" if files[1:] else ""
        lines += [f"{dadf5.shown(files[0])}{more}", checks.report(found)]
    return "\n".join(lines), all_passed


def _complete(result):
    written, wanted = len(result.time) - 1, result.setup.increments
    return Check("increments written", str(written), f"all {wanted} asked for", result.is_complete)


def _boundary_conditions(result):
    off = exchange.off_uniaxial(result)
    passed = off < exchange.UNIAXIAL
    found = "diag(F11, 1, 1)" + f" but for {off:.2g}" * (not passed)
    return Check(
        "mean deformation gradient",
        found,
        "diag(F11, 1, 1)",
        passed,
        "another load, with other stresses",
    )


def _M(result):
    M = result.setup.of_phases("M")
    return Check(
        "M",
        _numbers(M),
        f"sqrt(3/2) = {paper.DAMASK_M:.6g}",
        np.allclose(M, paper.DAMASK_M, rtol=1e-5),
        f"xi0 and h0 act as {_numbers(M / paper.DAMASK_M)} times what they are said to be",
    )


def _h(result):
    h = result.setup.of_phases("h")
    return Check(
        "h",
        _numbers(h),
        f"{paper.DAMASK_H:g}",
        np.allclose(h, paper.DAMASK_H),
        f"h0 acts as {_numbers(h)} times what it is said to be",
    )


def _dilatation(result):
    on = bool(result.setup.of_phases("dilatation").any())
    return Check(
        "dilatation",
        str(on).lower(),
        "false",
        not on,
        "pressure counts in hardening, so that xi runs away and the response turns elastic",
    )


def _exponent(result):
    n = result.setup.of_phases("n")
    return Check(
        "stress exponent n",
        _numbers(n),
        str(paper.STRESS_EXPONENT),
        np.allclose(n, paper.STRESS_EXPONENT),
        "flow stress goes with rate to the power 1/n: another rate sensitivity",
    )


def _gamma_dot_0(result):
    values, n = result.setup.of_phases("dot_gamma_0"), result.setup.of_phases("n")
    factors = (paper.GAMMA_DOT_0 / values) ** (1 / n)
    return Check(
        "reference rate dot_gamma_0",
        f"{_numbers(values)} 1/s",
        f"{paper.GAMMA_DOT_0:g} 1/s",
        np.allclose(values, paper.GAMMA_DOT_0, rtol=1e-6),
        f"xi0 and h0 act as {_numbers(factors)} times what they are said to be",
    )


def _saturation(result):
    a, xi_inf, left = map(result.setup.of_phases, ("a", "xi_inf", "hardening_left"))
    return Check(
        "saturation of hardening",
        f"a = {_numbers(a)}, xi_inf = {_numbers(xi_inf)} Pa: {left.min():.2%} of h0 at the start",
        "none, 100 %",
        left.min() > LINEAR,
        "hardening is weaker than h0 says",
    )


def _tolerance(result):
    eps = result.setup.eps_rel_div
    return Check(
        "tolerance eps_rel_div(P)",
        f"{eps:g}",
        f"not stated; DAMASK's default is {DEFAULT_EPS_REL_DIV:g}",
        eps <= DEFAULT_EPS_REL_DIV,
        "the stresses are out of equilibrium, more than by default",
    )


def _numbers(values) -> str:
    return " to ".join(dict.fromkeys(f"{value:.4g}" for value in (min(values), max(values))))


def _with_effects(result, data, found) -> list[Check]:
    """Add what our own solver says of the same grains."""
    wanted = {"question": "our solver on these grains", "wanted": "converges", "passed": False}
    try:
        priced = [*_priced(result, data, found)]
        return [*priced, *_agreement(result, data)]
    except (reference.ConvergenceError, ValueError) as error:
        return [*found, Check(found=str(error), **wanted)]


def _solve(result, data, load=None, **settings) -> np.ndarray:
    """sigma_vM by our own solver of the grains and increments of a simulation, (T+1, N, N)."""
    cell = Microstructure(result.grain_id, result.setup.properties)
    load = load or _at_rate(data.solved_load)
    return deviations.simulate(cell, load, **settings).sigma_vm[data.kept]


def _at_rate(load) -> Load:
    """The same stretches at the paper's rate; pauses stay as long as they are."""
    dt, dF11 = np.diff(load.time), abs(np.diff(load.F11))
    return Load(np.cumsum([0, *np.where(dF11 > 0, dF11 / paper.RATE, dt)]), load.F11)


def _priced(result, data, found) -> Iterator[Check]:
    """The checks, each departing setting with what it alone does to the stress."""
    of_phases = result.setup.of_phases
    settings = {
        "loading rate": {"load": data.solved_load},
        "reference rate dot_gamma_0": {"dot_gamma_0": of_phases("dot_gamma_0")},
        "M": {"M": of_phases("M")},
        "h": {"h": of_phases("h")},
        "dilatation": {"dilatation": bool(of_phases("dilatation").any())},
    }
    wanted = _solve(result, data)
    for check in found:
        if not check.passed and check.question in settings:
            alone = _solve(result, data, **settings[check.question])
            over_increments, last = deviations.effect(alone, wanted)
            text = (
                f"alone it moves sigma_vM by {over_increments:.3g} MPa, {last:.3g} MPa at the end"
            )
            check = replace(check, effect=f"{check.effect}; {text}")
        yield check


def _agreement(result, data) -> Iterator[Check]:
    """How far the stress is from ours under the paper's settings and under the file's."""
    wanted = f"under {AGREEMENT} MPa"
    solutions = {
        "stress against the paper's problem on these grains": lambda: _solve(result, data),
        "stress against our solver with the settings of the file": lambda: deviations.solve_again(
            data, [0]
        )[0],
    }
    for question, solution in solutions.items():
        try:
            over_increments, last = deviations.effect(data.sigma_vm[0], solution())
        except ValueError as error:
            yield Check(question, f"not known: {error}", wanted, False)
            continue
        found = f"mean |difference| {over_increments:.3g} MPa, {last:.3g} MPa at the end"
        yield Check(question, found, wanted, over_increments < AGREEMENT)
