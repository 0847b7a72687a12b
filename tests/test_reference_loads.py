"""The reference model under any mean deformation gradient or mean stress."""

from dataclasses import replace

import numpy as np
import pytest
from loads import FREE, LOADS, ONE, stress, stretch
from measurements import assert_within_bounds

from repro.benchmarks import verification
from repro.data import microstructure as ms
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.reference import exact, simulate
from repro.reference.audit import audit

INCREMENTS = 120  # divided by those of each load


def divided(load, increments=INCREMENTS):
    return load.at(np.linspace(0, load.increments, increments + 1))


def check_against(wanted, path, load):
    every = INCREMENTS // load.increments
    found = path.sigma_vm[::every, [0, -1], [0, -1]]
    np.testing.assert_allclose(found, wanted.sigma_vm, atol=2)
    np.testing.assert_allclose(path.P_mean[::every], wanted.P_mean, atol=2)
    np.testing.assert_allclose(path.F_mean[::every], wanted.F_mean, atol=2e-5)
    assert abs(wanted.sigma_vm[-1]).max() > 20


@pytest.mark.parametrize("name", LOADS)
def test_laminates_under_any_load(name):
    """Across x1 and across x2; of equal layers it is a homogeneous cell."""
    load, laws = LOADS[name], [exact.Law(300, 0.2, 150, 5), exact.Law(50, 0.4, 80, 10)]
    grain_id = np.repeat([[0, 0, 1, 1, 1]], 5, axis=0)
    for normal, pair in ((0, laws), (1, laws), (1, laws[:1] * 2)):
        cell = Microstructure(grain_id.T if normal == 0 else grain_id, [law[:4] for law in pair])
        path = simulate(cell, divided(load), tol=1e-9)
        check_against(exact.laminate(pair, [0.4, 0.6], normal, load), path, load)


@pytest.mark.parametrize("name", ["uniaxial tension", "all prescribed", "creep"])
def test_polycrystals_under_any_load_satisfy_the_equations(name):
    cell, load = ms.polycrystal(ms.generator(1), size=16), divided(LOADS[name], 24)
    assert_within_bounds(
        verification._worst("loads", name, [audit(cell, simulate(cell, load, keep_fields=True))])
    )


def test_the_audit_sees_a_mean_stress_that_is_not_prescribed():
    cell = ms.polycrystal(ms.generator(1), size=8)
    path = simulate(cell, divided(LOADS["uniaxial tension"], 24), keep_fields=True)
    other = Load(path.load.time, path.load.F, path.load.P + np.linspace(0, 1, 25)[:, None, None])
    assert audit(cell, replace(path, load=other)).mean_stress > 1e-6


def test_a_turned_cell_along_x2_is_the_cell_along_x1():
    cell = ms.polycrystal(ms.generator(2), size=16)
    turned = Microstructure(np.rot90(cell.grain_id), cell.properties)
    for sides in ((1, 1), (FREE, FREE)):
        along_x1, along_x2 = (stretch(1.004, *sides), stretch(sides[0], 1.004, sides[1]))
        one, other = (Load([0, 4], [ONE, F]).refined(20) for F in (along_x1, along_x2))
        wanted, found = simulate(cell, one), simulate(turned, other)
        np.testing.assert_allclose(
            found.sigma_vm, np.rot90(wanted.sigma_vm, axes=(1, 2)), atol=0.02
        )
        np.testing.assert_allclose(found.F_mean[:, 1, 1], wanted.F11, atol=1e-12)
        np.testing.assert_allclose(found.F_mean[:, 0, 0], wanted.F_mean[:, 1, 1], atol=1e-7)


def test_a_superposed_rotation_changes_no_stress():
    cell, load = ms.polycrystal(ms.generator(3), size=16), divided(LOADS["all prescribed"], 24)
    angle = np.linspace(0, 1, 25)
    Q = np.array(
        [
            [np.cos(angle), -np.sin(angle), 0 * angle],
            [np.sin(angle), np.cos(angle), 0 * angle],
            [0 * angle, 0 * angle, 1 + 0 * angle],
        ]
    )
    Q = np.moveaxis(Q, 2, 0)
    still, turned = (
        simulate(cell, load, tol=1e-9),
        simulate(cell, Load(load.time, Q @ load.F), tol=1e-9),
    )
    np.testing.assert_allclose(turned.sigma_vm, still.sigma_vm, atol=1e-3)
    np.testing.assert_allclose(turned.P_mean, Q @ still.P_mean, atol=1e-3)


def test_the_stress_of_a_stretch_prescribed_gives_the_stretch():
    cell = ms.polycrystal(ms.generator(4), size=16)
    driven = simulate(cell, divided(LOADS["uniaxial tension"], 24), tol=1e-9)
    P = np.stack([stress(P11=P[0, 0], P22=0, P33=0) for P in driven.P_mean])
    loaded = simulate(cell, Load(driven.load.time, [stretch(FREE)] * len(P), P), tol=1e-9)
    np.testing.assert_allclose(loaded.F11, driven.F11, atol=1e-7)
    np.testing.assert_allclose(loaded.sigma_vm, driven.sigma_vm, atol=0.05)


def test_tension_of_a_homogeneous_cell_has_its_modulus_and_poissons_ratio():
    cell = Microstructure(np.zeros((3, 3), int), [[200, 0.3, 1e9, 0]])
    path = simulate(cell, Load([0, 1], [ONE, stretch(1 + 1e-6)]), tol=1e-13)
    np.testing.assert_allclose(path.P_mean[-1, 0, 0], 0.2, rtol=1e-4)
    np.testing.assert_allclose(path.F_mean[-1, [1, 2], [1, 2]] - 1, -0.3e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("F", "P", "message"),
    [
        (ONE + 0.1 * np.eye(3, k=2), None, "F13 of a load must vanish"),
        (stretch(1.1, -1, 1), None, "F22 of a load must be positive"),
        ([[1, np.inf, 0], [0, 1, 0], [0, 0, 1]], None, "F12 of a load must be finite"),
        ([[FREE, FREE, 0], [FREE, 1, 0], [0, 0, 1]], None, "must prescribe F12 or F21"),
        ([[1, 2, 0], [2, 1, 0], [0, 0, 1]], None, "turns the cell inside out"),
        (stretch(1.1, 1, 1), stress(P22=3), "F22 of a load is prescribed by F and by P"),
        (stretch(1.1, FREE, 1), stress(), "P22 of a load must be finite"),
        (stretch(1.1, FREE, 1), 5, r"P of a load must have the shape of F, \(2, 3, 3\), got"),
        (ONE, None, "F of a load must change|F11 of a load must change"),
    ],
)
def test_what_is_no_load_is_refused(F, P, message):
    with pytest.raises(ValueError, match=message):
        Load([0, 1], [ONE, F], P if np.ndim(P) == 0 else [np.where(np.isnan(P), P, 0), P])


def test_a_component_is_free_over_the_whole_load_or_not_at_all():
    with pytest.raises(ValueError, match="F22 of a load must be finite, at all increments or at"):
        Load([0, 1, 2], [ONE, stretch(1.1, 1, 1), stretch(1.2, FREE, 1)])
