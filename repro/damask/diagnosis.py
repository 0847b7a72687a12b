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
from repro.data.discretization import DERIVATIVES, PAPER, Discretization
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure, units_known
from repro.tools.progress import Progress

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
    asked = [check for check in checks.verify(data) if check.question != checks.FLOW_RULE]
    found = [*asked, *_written(result), *_law(result), *_numerics(result)]
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
    for path in Progress(dict.fromkeys(dadf5.find(paths)), "reading", "file"):
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


def _written(result) -> Iterator[Check]:
    written, wanted = len(result.time) - 1, result.setup.increments
    yield Check("increments written", str(written), f"all {wanted} asked for", result.is_complete)
    off, wanted = exchange.off_uniaxial(result), "diag(F11, 1, 1)"
    passed = off < exchange.UNIAXIAL
    found = wanted if passed else f"off {wanted} by {off:.2g}"
    effect = "another load, with other stresses"
    yield Check("mean deformation gradient", found, wanted, passed, effect)


def _law(result) -> Iterator[Check]:
    of_phases = result.setup.of_phases
    M, h, n, rate = map(of_phases, ("M", "h", "n", "dot_gamma_0"))
    strength = _numbers((paper.GAMMA_DOT_0 / rate) ** (1 / n))
    acts = "xi0 and h0 act as {} times what they are said to be"
    effects = {
        "M": acts.format(_numbers(M / paper.DAMASK_M)),
        "h": f"h0 acts as {_numbers(h)} times what it is said to be",
        "stress exponent n": "flow stress goes with rate to the power 1/n: another sensitivity",
        "reference rate dot_gamma_0": acts.format(strength),
    }
    ours = (paper.DAMASK_M, paper.DAMASK_H, paper.STRESS_EXPONENT, paper.GAMMA_DOT_0)
    for (question, effect), found, wanted in zip(
        effects.items(), (M, h, n, rate), ours, strict=True
    ):
        passed = bool(np.allclose(found, wanted, rtol=1e-5))
        yield Check(question, _numbers(found), f"{wanted:.6g}", passed, effect)
    on = bool(of_phases("dilatation").any())
    effect = "pressure counts in hardening, so that xi runs away and the response turns elastic"
    yield Check("dilatation", str(on).lower(), "false", not on, effect)
    a, xi_inf, left = map(of_phases, ("a", "xi_inf", "hardening_left"))
    yield Check(
        "saturation of hardening",
        f"a = {_numbers(a)}, xi_inf = {_numbers(xi_inf)} Pa: {left.min():.2%} of h0 at the start",
        "none, 100 %",
        bool(left.min() > LINEAR),
        "hardening is weaker than h0 says",
    )


def _numerics(result) -> Iterator[Check]:
    derivative, eps = result.setup.derivative, result.setup.eps_rel_div
    yield Check(
        "derivative in space",
        derivative,
        f"not stated; DAMASK's default is {PAPER.derivative}",
        derivative == PAPER.derivative,
        "other stresses near grain boundaries",
    )
    yield Check(
        "tolerance eps_rel_div(P)",
        f"{eps:g}",
        f"not stated; DAMASK's default is {DEFAULT_EPS_REL_DIV:g}",
        eps <= DEFAULT_EPS_REL_DIV,
        "the stresses are out of equilibrium, more than by default",
    )


def _numbers(values) -> str:
    return " to ".join(dict.fromkeys(f"{value:.6g}" for value in (min(values), max(values))))


def _with_effects(result, data, found) -> list[Check]:
    """Add what our own solver says of the same grains."""
    wanted = {"question": "our solver on these grains", "wanted": "converges", "passed": False}
    try:
        priced = [*_priced(result, data, found)]
        return [*priced, *_agreement(result, data)]
    except (reference.ConvergenceError, ValueError) as error:
        return [*found, Check(found=str(error), **wanted)]


def _solve(result, data, load=None, flow_rules=(), **settings) -> np.ndarray:
    """sigma_vM by our own solver of the grains and increments of a simulation, (T+1, N, N).

    The flow rules are of the phases, and have one exponent; by default the paper's.
    """
    flow_rules = flow_rules or [PAPER_RULE] * len(result.setup.phases)
    with units_known():
        cell = Microstructure(result.grain_id, result.setup.rescaled(flow_rules), result.edges)
    settings["flow_rule"] = FlowRule(flow_rules[0].n)
    load = load or _at_rate(data.solved_load)
    return deviations.simulate(cell, load, **settings).sigma_vm[data.kept]


def _at_rate(load) -> Load:
    """The same at the paper's rate; pauses stay as long as they are."""
    dt = np.where(load.changes > 0, load.changes / paper.RATE, np.diff(load.time))
    return Load(np.cumsum([0, *dt]), load.F, load.P)


def _priced(result, data, found) -> Iterator[Check]:
    """The checks, each departing setting with what it alone does to the stress."""
    of_phases = result.setup.of_phases

    def alone(name):
        return [FlowRule(**{name: value}) for value in of_phases(name)]

    settings = {
        "loading rate": {"load": data.solved_load},
        "reference rate dot_gamma_0": {"flow_rules": alone("dot_gamma_0")},
        "M": {"flow_rules": alone("M")},
        "h": {"flow_rules": alone("h")},
        "dilatation": {"dilatation": bool(of_phases("dilatation").any())},
    }
    if len(np.unique(of_phases("n"))) == 1:  # our solver takes one for all grains
        settings["stress exponent n"] = {"flow_rules": alone("n")}
    if result.setup.derivative in DERIVATIVES:
        discretization = Discretization(result.setup.derivative)
        settings["derivative in space"] = {"discretization": discretization}
    wanted = _solve(result, data)
    for check in found:
        if not check.passed and check.question in settings:
            departing = _solve(result, data, **settings[check.question])
            mean, last = deviations.effect(departing, wanted)
            text = f"alone it moves sigma_vM by {mean:.3g} MPa, {last:.3g} MPa at the end"
            check = replace(check, effect="; ".join(filter(None, (check.effect, text))))
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
