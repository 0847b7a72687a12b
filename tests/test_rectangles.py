"""Cells of N1 x N2 pixels that need not be square, from the tessellation to DAMASK."""

import re
from dataclasses import replace

import numpy as np
import pytest
from loads import FREE, ONE, stretch
from measurements import assert_within_bounds

from repro import surrogate
from repro.benchmarks import verification
from repro.data import dataset
from repro.data import microstructure as ms
from repro.data.discretization import DERIVATIVES, Discretization
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.data.pairs import make_pairs
from repro.reference import exact, simulate, simulate_many
from repro.reference.audit import audit
from repro.tools import vtk


def wide(edges=(1, 1.5)):
    return ms.polycrystal(ms.generator(1), grains=4, size=(8, 16), edges=edges)


def test_a_pixel_is_of_the_nearest_seed():
    points, edges = ms.generator(3).random((7, 2)), np.array([2.0, 3.0])
    found = ms.voronoi(points, (16, 12), edges=edges)
    pixels = (np.indices((16, 12)) + 0.5) / np.array([16, 12])[:, None, None]
    offset = abs(pixels[None] - points[:, :, None, None])
    distance = np.minimum(offset, 1 - offset) * edges[:, None, None]
    np.testing.assert_array_equal(found, np.hypot(*np.moveaxis(distance, 1, 0)).argmin(0))
    np.testing.assert_allclose(ms.polycrystal(ms.generator(0), size=(16, 12)).edges, [1, 0.75])


@pytest.mark.parametrize("points_per_pixel", [1, 2])
@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_a_cell_beside_itself_has_the_same_field(derivative, points_per_pixel):
    how = {"discretization": Discretization(derivative, points_per_pixel), "increments": 5}
    cell = ms.polycrystal(ms.generator(2), size=16)
    twice = Microstructure(np.tile(cell.grain_id, (1, 2)), cell.properties)
    found, alone = simulate(twice, **how).sigma_vm, simulate(cell, **how).sigma_vm
    np.testing.assert_allclose(found, np.tile(alone, (1, 1, 2)), atol=0.01)


@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize("edges", [None, (1, 1.5), (3, 1)])
def test_rectangles_satisfy_the_equations(edges, derivative):
    cell = wide(edges)
    found = audit(
        cell,
        simulate(cell, discretization=Discretization(derivative), keep_fields=True),
        derivative,
    )
    assert_within_bounds(verification._worst("rectangle", str(edges), [found]))


def test_narrow_pixels_resolve_the_same_cell():
    """An ellipse of other pixels is another cell."""
    circle = ms.inclusion(ms.generator(5), size=32)
    narrow = circle.grain_id.repeat(2, 0)
    how = {"increments": 5, "discretization": Discretization("rotated")}
    mean = [
        simulate(Microstructure(grain_id, circle.properties, edges), **how)
        .sigma_vm[-1]
        .mean((0, 1))
        for grain_id, edges in ((circle.grain_id, None), (narrow, (1, 1)), (narrow, (2, 1)))
    ]
    assert abs(mean[1] - mean[0]) < abs(mean[2] - mean[0]) / 3


def test_laminates_of_any_pixels():
    laws, load = (
        [exact.Law(300, 0.2, 150, 5), exact.Law(50, 0.4, 80, 10)],
        Load.stretch(increments=2),
    )
    cell = Microstructure([[0, 0, 1, 1, 1]] * 3, [law[:4] for law in laws], (7, 2))
    found = simulate(cell, load.refined(100), tol=1e-9).sigma_vm[::100, 0, [0, -1]]
    np.testing.assert_allclose(found, exact.laminate(laws, [0.4, 0.6], 1, load).sigma_vm, atol=1)


def test_a_turned_rectangle_along_x2_is_the_rectangle_along_x1():
    cell = wide()
    turned = Microstructure(np.rot90(cell.grain_id), cell.properties, cell.edges[::-1])
    one, other = (
        Load([0, 4], [ONE, F]).refined(10) for F in (stretch(1.004), stretch(FREE, 1.004))
    )
    found = simulate(turned, other).sigma_vm
    np.testing.assert_allclose(
        found, np.rot90(simulate(cell, one).sigma_vm, axes=(1, 2)), atol=0.02
    )


def test_data_sets_keep_rectangles_and_networks_refuse_them(tmp_path):
    cells = [wide(), replace(wide(), properties=1.1 * wide().properties)]
    runs = [simulate(cell, increments=2) for cell in cells]
    dataset.write(tmp_path / "wide.h5", dataset.of(cells, runs))
    data = dataset.read(tmp_path / "wide.h5")
    assert [data.microstructure(i) for i in range(2)] == cells
    np.testing.assert_array_equal(data.sigma_vm[1], runs[1].sigma_vm.astype(np.float32))
    square = "networks take square cells of N x N square pixels only"
    with pytest.raises(ValueError, match=square):
        make_pairs(data, [0])
    with pytest.raises(ValueError, match=square):
        surrogate.load("learned_correction")(cells, runs[0].load)
    assert simulate_many(cells, runs[0].load).shape == (2, 3, 8, 16)


def test_labelled_arrays_have_the_edges():
    pytest.importorskip("xarray")
    labelled = dataset.of([wide()], [simulate(wide(), increments=2)]).to_xarray()
    np.testing.assert_allclose(labelled.x1, (np.arange(8) + 0.5) / 8)
    np.testing.assert_allclose(labelled.x2, (np.arange(16) + 0.5) / 16 * 1.5)


def test_the_grid_of_damask_has_the_edges():
    text = vtk.image({"material": wide().grain_id}, (2, 3))
    assert 'WholeExtent="0 8 0 16 0 1"' in text
    spacing = re.search('Spacing="(.*?)"', text)[1].split()
    np.testing.assert_allclose([float(s) for s in spacing], [2 / 8, 3 / 16, 2 / 8])
