import dataclasses

import numpy as np
import pytest

from repro.data import checks


def failures(data):
    return {c.question for c in checks.verify(data) if not c.passed}


def test_small_cells_differ_from_the_paper_in_size_only(data):
    assert failures(data) == {"pixels"}


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        (lambda d: {"sigma_vm": np.where(d.sigma_vm > 250, np.nan, d.sigma_vm)}, "NaN or infinite"),
        (lambda d: {"grain_id": np.minimum(d.grain_id, 8)}, "grains a microstructure"),
        (lambda d: {"properties": 2 * d.properties}, "property ranges"),
        (lambda d: {"sigma_vm": d.sigma_vm[[0] * 6]}, "split by microstructure"),
        (lambda d: {"time": d.time / 20}, "loading rate"),
        (lambda d: {"F11": 1 + 2 * (d.F11 - 1), "time": 2 * d.time}, "final stretch"),
        (lambda d: {"sigma_vm": np.arange(21)[:, None, None] * d.sigma_vm[:, 1:2]}, "stress over"),
    ],
)
def test_each_departure_is_named(data, change, failed):
    changed = dataclasses.replace(data, **change(data))
    assert any(question.startswith(failed) for question in failures(changed))
    assert failed in checks.report(checks.verify(changed)).splitlines()[-1]


def test_report_marks_failures(data):
    text = checks.report(checks.verify(data))
    assert "FAIL pixels: 16x16 (paper: 64x64)" in text
    assert "ok   grains a microstructure: 10 grains x 6 (paper: exactly 10)" in text
    assert text.endswith("not the paper's data: pixels")
