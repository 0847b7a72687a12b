"""Whether the surrogate's bounds hold, suite by suite, and what they cost.

Of every suite cells are drawn anew. Some calibrate the bounds, the others say how often they hold;
beside it stand bounds that were calibrated on the paper's cells, which say nothing of other cells
and whose misuse `Calibration.applies_to` should notice.
"""

import time
from collections.abc import Iterable

import numpy as np
import pandas as pd

from repro import paper, surrogate
from repro.data.suites import SUITES
from repro.reference import generation
from repro.surrogate.calibration import Calibration, features_of
from repro.tools import provenance

FIRST = 10_000  # index of the first cell: no data set holds it
CONFIDENCE = 0.9
TOLERANCE = 1.5  # MPa


def suites() -> list[str]:
    """The suites that are measured: those on the paper's grid and with its flow rule."""
    ours = (paper.GRID, paper.DAMASK_M, paper.DAMASK_H)
    return [name for name, suite in SUITES.items() if (suite.size, suite.M, suite.h) == ours]


def run(names: Iterable[str] = (), cells: int = 200) -> pd.DataFrame:
    """Measure suites; one row each, with its provenance.

    Parameters
    ----------
    names : iterable of str
        Keys of `SUITES`; by default `suites()`.
    cells : int
        Cells of each; `surrogate.CALIBRATION` of them calibrate.

    Raises
    ------
    ValueError
        If there are no cells beside those that calibrate.
    """
    if cells <= surrogate.CALIBRATION:
        raise ValueError(f"cells must be more than {surrogate.CALIBRATION}, got {cells}")
    predictor, one_pass = surrogate.refined_solve(), surrogate.in_one_pass()
    sample = _drawn("paper", FIRST + cells, surrogate.CALIBRATION)
    of_paper = surrogate.calibrate(predictor, sample, confidence=CONFIDENCE)
    rows = []
    for name in names or suites():
        rows.append(_row(name, _drawn(name, FIRST, cells), predictor, of_paper, one_pass))
        row = rows[-1]
        print(f"{name}: {row['MAE / MPa']:.3f} MPa, {row['own']:.0%} within their bounds")
    return pd.DataFrame(rows).assign(**provenance.stamp())


def _drawn(suite, first, count):
    job = generation.Job(suite)
    return [job.microstructure(first + i)[1] for i in range(count)]


def _row(name, cells, predictor, of_paper, one_pass) -> dict:
    load = SUITES[name].load
    started = time.perf_counter()
    true = surrogate.solve(cells, load)
    solved = time.perf_counter()
    options = {"predictor": predictor, "confidence": CONFIDENCE}
    answer = surrogate.predict(cells, TOLERANCE, load, **options)
    answered = time.perf_counter()
    sigma_vm, scores = predictor(cells, load)
    fields = np.abs(sigma_vm - true).mean((2, 3))
    errors, own = fields[:, 1:].mean(1), slice(surrogate.CALIBRATION)
    of_own = Calibration(fields[own], scores[own], features_of(cells[own]), CONFIDENCE)
    new = slice(surrogate.CALIBRATION, None)
    bounds = of_own.of_cells(scores[new])
    beside = np.abs(one_pass(cells, load)[0] - true)[:, 1:].mean()
    return {
        "suite": name,
        "MAE / MPa": errors.mean(),
        "whole path, MAE / MPa": beside,
        "own": (errors[new] <= bounds).mean(),
        "own, fields": (fields[new, 1:] <= of_own.of_fields(scores[new])[:, 1:]).mean(),
        "paper": (errors[new] <= of_paper.of_cells(scores[new])).mean(),
        "like the paper's": of_paper.applies_to(cells[new], scores[new]),
        "bound / MPa": np.median(bounds),
        "exact": answer.exact.mean(),
        "seconds": answered - solved,
        "seconds, all exact": solved - started,
        "confidence": CONFIDENCE,
        "tolerance / MPa": TOLERANCE,
        "n": len(errors[new]),
        "calibration": surrogate.CALIBRATION,
    }
