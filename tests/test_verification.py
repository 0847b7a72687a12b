import dataclasses

import numpy as np
import pytest

from repro.data import checks
from repro.data import microstructure as ms


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


# --- Grains across the edge ---------------------------------------------------------------


def test_periodic_grains(rng):
    for _ in range(20):
        cell = ms.periodic_voronoi(rng, 10, 64)[None]
        assert checks.is_periodic(cell) and checks.is_periodic(cell.swapaxes(1, 2))


def test_grains_cut_off_at_the_edge(rng):
    """A window of a larger map, and a tessellation that ignores the edge as in earlier data."""
    for _ in range(20):
        window = ms.periodic_voronoi(rng, 40, 128)[None, :64, :64]
        assert not checks.is_periodic(window) and not checks.is_periodic(window.swapaxes(1, 2))
        one_way = ms.periodic_voronoi(rng, 20, 128)[None, :64]
        assert not checks.is_periodic(one_way)


@pytest.mark.parametrize("outline", [ms.circular_inclusion, ms.square_inclusion])
def test_inclusions_are_periodic(outline):
    assert checks.is_periodic(outline(64)[None])


def test_cut_grains_are_named_by_axis(data, rng):
    cut = np.stack([ms.periodic_voronoi(rng, 20, 32)[:16, ::2] for _ in range(len(data))])
    changed = dataclasses.replace(data, grain_id=cut % 10)
    found = {c.question: c for c in checks.verify(changed)}["grains across the edge"]
    assert not found.passed and found.found == "cut off along x1"


def test_mean_stress_that_was_not_kept_is_not_missing(data):
    assert failures(dataclasses.replace(data, P_mean=np.full_like(data.P_mean, np.nan))) == {
        "pixels"
    }


@pytest.mark.parametrize("turn", [lambda x: 2 - x, lambda x: np.minimum(x, x[-1] + 1 - x)])
def test_other_loads_are_named_without_a_crash(data, turn):
    changed = dataclasses.replace(data, F11=turn(data.F11))
    assert {"loading rate", "final stretch F11"} <= failures(changed)
