"""Microstructures: what is drawn, and what is refused."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from repro import paper
from repro.data import dataset
from repro.data import microstructure as ms
from repro.data.microstructure import Microstructure
from repro.data.suites import SUITES
from repro.evaluation import naive


@pytest.mark.parametrize(("grains", "size"), [(1, 4), (5, 64), (10, 64), (20, 64), (60, 16)])
def test_grain_counts_are_exact(grains, size):
    for seed in range(20):
        grain_id = ms.periodic_voronoi(ms.generator(seed), grains, size)
        assert grain_id.shape == (size, size)
        assert np.array_equal(np.unique(grain_id), np.arange(grains))


def test_tessellation_is_periodic_and_nearest():
    """The grain of a pixel is that of the nearest seed or image of a seed."""
    grains, size = 7, 16
    grain_id = ms.periodic_voronoi(ms.generator(3), grains, size)
    seeds = ms.generator(3).random((grains, 2))
    pixels = (np.indices((size, size)) + 0.5) / size
    offset = abs(pixels[None] - seeds[:, :, None, None])
    distance = np.hypot(*np.moveaxis(np.minimum(offset, 1 - offset), 1, 0))
    np.testing.assert_array_equal(grain_id, distance.argmin(0))
    across = (grain_id[0] == grain_id[-1]).mean() + (grain_id[:, 0] == grain_id[:, -1]).mean()
    assert across > 1, "grains go on across the edges of the cell"


def test_table_3_is_filled_and_kept():
    properties = ms.table3_properties(np.random.default_rng(0), 4000)
    low, high = np.array(paper.PROPERTY_RANGES).T
    assert (properties >= low).all() and (properties <= high).all()
    deciles = ((properties - low) / (high - low) * 10).astype(int)
    for column in deciles.T:
        counts = np.bincount(column, minlength=10)
        assert (abs(counts - 400) < 5 * np.sqrt(400)).all(), "not uniform"


@pytest.mark.parametrize("case", paper.CASES)
def test_cases_draw_from_both_intervals_and_nothing_between(case):
    properties = ms.case_properties(np.random.default_rng(case), 4000, case)
    for column, intervals in zip(properties.T, paper.CASES[case], strict=True):
        inside = [(column >= low) & (column <= high) for low, high in intervals]
        assert (inside[0] | inside[1]).all()
        assert abs(inside[0].sum() - 2000) < 5 * np.sqrt(1000)
    # Each property of a grain chooses on its own.
    upper = properties > np.mean(np.array(paper.CASES[case]).reshape(4, 4), 1)
    correlation = np.corrcoef(upper.T) - np.eye(4)
    assert abs(correlation).max() < 0.1


def test_microstructure_depends_on_its_seed_alone():
    alone = ms.polycrystal(ms.generator(0, 5))
    beside = [ms.polycrystal(ms.generator(0, i)) for i in range(7)]
    np.testing.assert_array_equal(alone.grain_id, beside[5].grain_id)
    np.testing.assert_array_equal(alone.properties, beside[5].properties)
    assert not np.array_equal(beside[4].properties, beside[5].properties)
    assert not np.array_equal(ms.polycrystal(ms.generator(1, 5)).properties, alone.properties)


def test_inclusions_have_the_area_asked_for():
    circle, square = ms.circular_inclusion(256), ms.square_inclusion(256)
    assert circle.mean() == pytest.approx(np.pi * paper.CIRCLE_RADIUS**2, rel=0.01)
    assert square.mean() == pytest.approx(paper.SQUARE_EDGE**2, rel=1e-12)
    for outline in (circle, square):
        assert outline[128, 128] == 1 and outline[0, 0] == 0
        np.testing.assert_array_equal(outline, outline.T)
        np.testing.assert_array_equal(outline, outline[::-1])
    cell = ms.inclusion(ms.generator(0), ms.square_inclusion, size=16)
    assert cell.grain_count == 2 and cell.properties.shape == (2, 4)


def test_property_maps_give_each_pixel_its_grain():
    cell = Microstructure([[0, 1], [1, 1]], [[50, 0.2, 60, 1], [70, 0.3, 80, 2]])
    maps = cell.property_maps()
    assert maps.shape == (2, 2, 4)
    np.testing.assert_array_equal(maps[0, 0], [50, 0.2, 60, 1])
    np.testing.assert_array_equal(maps[1, 0], [70, 0.3, 80, 2])


GOOD = [100.0, 0.3, 100.0, 10.0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("E", [0.0, -1.0, np.nan, np.inf]),
        ("nu", [0.5, -1.0, 0.7, np.nan]),
        ("xi0", [0.0, -5.0, np.nan, np.inf]),
        ("h0", [-1e-9, np.nan, np.inf]),
    ],
)
def test_unphysical_properties_are_refused_by_name_and_grain(name, values):
    column = paper.PROPERTY_NAMES.index(name)
    for value in values:
        properties = np.array([GOOD, GOOD])
        properties[1, column] = value
        with pytest.raises(ValueError, match=f"^{name} of grain 1 is "):
            Microstructure(np.array([[0, 1], [1, 0]]), properties)


@pytest.mark.parametrize(
    ("grain_id", "properties", "message"),
    [
        (np.zeros(4, int), [GOOD], r"an \(N1, N2\) map, got shape \(4,\)"),
        (np.zeros((2, 2)), [GOOD], "integers, got float64"),
        (np.zeros((2, 2), int), [GOOD[:3]], r"\(G, 4\)"),
        (np.zeros((2, 2), int), GOOD, r"\(G, 4\)"),
        (np.array([[0, 1], [0, 2]]), [GOOD, GOOD], "runs from 0 to 2, but .* grains 0 to 1"),
        (np.array([[0, -1], [0, 0]]), [GOOD], "runs from -1"),
    ],
)
def test_malformed_microstructures_are_refused(grain_id, properties, message):
    with pytest.raises(ValueError, match=message):
        Microstructure(grain_id, properties)


def test_impossible_draws_are_refused():
    with pytest.raises(ValueError, match=r"grains must lie in 1\.\.\.16, got 17"):
        ms.periodic_voronoi(ms.generator(0), 17, 4)
    with pytest.raises(ValueError, match="got 0"):
        ms.periodic_voronoi(ms.generator(0), 0)
    with pytest.raises(ValueError, match="do not fit a 4x4 cell"):
        ms.periodic_voronoi(ms.generator(0), 16, 4)
    with pytest.raises(ValueError, match=r"case must be one of \[1, 2, 3, 4\], got 5"):
        ms.case_properties(ms.generator(0), 3, 5)


ONE_GRAIN = np.zeros((2, 2), int)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("E", 210_000.0, "E of grain 1 is 210000, above 2000 GPa, which no solid has: give E in"),
        ("E", 210e9, "E of grain 1 is 2.1e.11, above 2000 GPa"),
        ("xi0", 0.1, "xi0 of grain 1 is 0.1, below 0.5 MPa, which no solid has: give xi0 in MPa"),
        ("xi0", 1e8, "xi0 of grain 1 is 1e.08, above 100000 MPa"),
        ("h0", 1e4, "h0 of grain 1 is 10000, above 2000 GPa"),
    ],
)
def test_properties_in_another_unit_are_warned_of_where_the_cell_is_made(name, value, text):
    properties = np.array([GOOD, GOOD])
    properties[1, paper.PROPERTY_NAMES.index(name)] = value
    with pytest.warns(UserWarning, match=f"^{text}") as said:
        cell = Microstructure(ONE_GRAIN, properties)
    (warning,) = said
    assert warning.filename == __file__
    with warnings.catch_warnings(action="error"):
        cell.refined(2)


@pytest.mark.parametrize("properties", [[0.001, 0.3, 0.5, 0], [2000, 0.3, 1e5, 2000]])
def test_unusual_solids_are_not_warned_of(properties):
    with warnings.catch_warnings(action="error"):
        Microstructure(ONE_GRAIN, [properties])


@pytest.mark.parametrize("suite", SUITES)
def test_cells_of_the_suites_are_not_warned_of(suite):
    with warnings.catch_warnings(action="error"):
        SUITES[suite].draw(ms.generator(0), size=SUITES[suite].size)


def test_a_data_set_is_warned_of_once(data_file, tmp_path):
    path, data = tmp_path / "gigapascal.h5", dataset.read(data_file)
    with pytest.warns(UserWarning):
        dataset.write(path, replace(data, properties=data.properties * [1, 1, 1e-3, 1]))
    with pytest.warns(UserWarning, match="^xi0 of grain 0 of microstructure 0 is 0") as said:
        found = dataset.read(path)
    assert len(said) == 1
    with warnings.catch_warnings(action="error"):
        cells = [found.microstructure(i) for i in range(len(found))]
        naive.taylor_estimate(found.first(1), [0], 20)
    assert cells[0].properties[0, 2] < 0.5


def test_a_cell_is_resampled_onto_another_grid():
    cell = ms.polycrystal(ms.generator(0), 4, (6, 9), edges=(2, 3))
    assert cell.refined(3).resampled((6, 9)) == cell
    finer = cell.resampled((9, 9))
    assert finer.grain_id.shape == (9, 9) and not finer.is_square
    np.testing.assert_array_equal(finer.edges, cell.edges)
    # Centres of nine pixels, in pixels of six: 0.33, 1, 1.67, 2.33, ...
    np.testing.assert_array_equal(finer.grain_id[:4], cell.grain_id[[0, 1, 1, 2]])
    assert cell.resampled(4).grain_id.shape == (4, 4)
    with pytest.raises(ValueError, match="grid must be a positive whole number, got 2.5"):
        cell.resampled(2.5)
