"""Whether the surrogate's bounds hold, suite by suite, and what they cost.

Of every suite cells are drawn anew. Some calibrate the bounds, the others say how often they hold;
beside it stand bounds that were calibrated on the paper's cells, which say nothing of other cells
and whose misuse `Calibration.applies_to` should notice.
"""

import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from repro import paper, surrogate
from repro.data.discretization import PAPER
from repro.data.flow_rule import PAPER_RULE
from repro.data.suites import SUITES
from repro.reference import Request, simulate_many
from repro.surrogate import SURROGATES
from repro.surrogate.calibration import Calibration, features_of
from repro.tools import provenance

FIRST = 10_000  # index of the first cell: no data set holds it
CONFIDENCE = 0.9


def suites() -> list[str]:
    """The suites that are measured: those on the paper's grid and with its flow rule."""
    ours = (paper.GRID, PAPER_RULE)
    return [name for name, suite in SUITES.items() if (suite.size, suite.flow_rule) == ours]


def run(
    names: Iterable[str] = (), cells: int = 200, surrogates: Iterable[str] = ()
) -> pd.DataFrame:
    """Measure suites; one row for each predictor of each, with its provenance.

    Parameters
    ----------
    names : iterable of str
        Keys of `SUITES`; by default `suites()`.
    cells : int
        Cells of each; `surrogate.CALIBRATION` of them calibrate.
    surrogates : iterable of str
        Keys of `SURROGATES`; by default those with a tolerance that is worth asking for.

    Raises
    ------
    ValueError
        If there are no cells beside those that calibrate, or there is no such surrogate.
    """
    if cells <= surrogate.CALIBRATION:
        raise ValueError(f"cells must be more than {surrogate.CALIBRATION}, got {cells}")
    for one in surrogates:
        if one not in SURROGATES:
            raise ValueError(f"no surrogate {one}: choose from {', '.join(SURROGATES)}")
    predictors = [surrogate.load(one) for one in surrogates or SURROGATES]
    predictors = [one for one in predictors if surrogates or one.tolerance is not None]
    sample = _drawn("paper", FIRST + cells, surrogate.CALIBRATION)
    of_paper = {
        one.name: surrogate.calibrate(
            one, sample, confidence=CONFIDENCE, discretization=one.against
        )
        for one in predictors
    }
    rows = []
    for name in names or suites():
        drawn, load = _drawn(name, FIRST, cells), SUITES[name].load
        kinds = {one.against for one in predictors}
        solved = {against: _timed(drawn, load, against) for against in kinds}
        for one in predictors:
            about = {"suite": name, "against": str(one.against)}
            true, about["seconds, all solved"] = solved[one.against]
            rows.append(about | _row(one, drawn, load, true, of_paper[one.name]))
            row = rows[-1]
            print(f"{name}, {one.name}: {row['MAE / MPa']:.3f} MPa, {row['own']:.0%} within bounds")
    return pd.DataFrame(rows).assign(**provenance.stamp())


def _timed(cells, load, against) -> tuple[np.ndarray, float]:
    """Reference solution of cells, and the seconds that solving them takes.

    A converged solution counts with the time of one on half as many points along an edge, which is
    good enough for whoever does without a surrogate.
    """
    enough = against if against == PAPER else replace(against, points_per_pixel=2)
    simulate_many(cells[:1], load, enough)  # compiles
    started = time.perf_counter()
    solved = simulate_many(cells, load, enough)
    seconds = time.perf_counter() - started
    return solved if against == enough else simulate_many(cells, load, against), seconds


def _drawn(suite, first, count):
    return Request(suite).cells(range(first, first + count))


def _row(one, cells, load, true, of_paper) -> dict:
    options = {"predictor": one, "confidence": CONFIDENCE, "discretization": one.against}
    one(cells[:1], load)  # compiles
    started = time.perf_counter()
    answer = surrogate.predict(cells, one.tolerance, load, **options)
    seconds = time.perf_counter() - started
    sigma_vm, scores = one(cells, load)
    fields = np.abs(sigma_vm - true).mean((2, 3))
    errors, own = fields[:, 1:].mean(1), slice(surrogate.CALIBRATION)
    case = replace(of_paper.case, load=load)
    of_own = Calibration(fields[own], scores[own], features_of(cells[own]), case, CONFIDENCE)
    new = slice(surrogate.CALIBRATION, None)
    bounds = of_own.of_cells(scores[new])
    return {
        "predictor": one.name,
        "MAE / MPa": errors.mean(),
        "own": (errors[new] <= bounds).mean(),
        "own, fields": (fields[new, 1:] <= of_own.of_fields(scores[new])[:, 1:]).mean(),
        "paper": (errors[new] <= of_paper.of_cells(scores[new])).mean(),
        "like the paper's": of_paper.applies_to(cells[new], scores[new]),
        "bound / MPa": np.median(bounds),
        "rank correlation": _rank_correlation(scores[new], errors[new]),
        "solved": answer.solved.mean(),
        "seconds": seconds,
        "confidence": CONFIDENCE,
        "tolerance / MPa": one.tolerance,
        "n": len(errors[new]),
        "calibration": surrogate.CALIBRATION,
    }


def _rank_correlation(scores, errors) -> float:
    """NaN if all scores are the same."""
    return spearmanr(scores, errors).statistic if np.ptp(scores) else np.nan
