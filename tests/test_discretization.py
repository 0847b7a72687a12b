"""Points and derivatives in space: the rotated scheme, pixel means, and where they are kept."""

from dataclasses import replace

import h5py
import jax
import numpy as np
import pytest
import yaml

from repro import generate_data, reference
from repro.damask import export, setup
from repro.data import dataset
from repro.data import microstructure as ms
from repro.data.dataset import DataSetError
from repro.data.discretization import CONVERGED, PAPER, Discretization, pixel_means
from repro.data.load import Load
from repro.evaluation.regions import boundary_distance
from repro.explorer.session import Session
from repro.reference import Request, equilibrium, simulate, simulate_batch
from repro.reference.audit import audit

ROTATED = Discretization("rotated")


def cell(size=16, seed=0):
    return ms.polycrystal(ms.generator(seed), size=size)


@pytest.mark.parametrize("N", [7, 8, 64])
def test_rotated_frequencies_are_those_of_willot_but_for_a_common_phase(N):
    """His are complex: differences along one axis of means along the other."""
    xi = 2 * np.pi * np.fft.fftfreq(N), 2 * np.pi * np.fft.rfftfreq(N)
    shift1, shift2 = (np.exp(1j * x) for x in np.meshgrid(*xi, indexing="ij"))
    wanted = N / 2 * np.array([(shift1 - 1) * (shift2 + 1), (shift1 + 1) * (shift2 - 1)])
    grid = equilibrium.fourier_grid((N, N), "rotated")
    phase = np.exp(0.5j * (np.add.outer(xi[0], xi[1])))
    # At its own Nyquist index the sign of xi is free, and with it that of the phase.
    turned = wanted / (1j * phase)
    np.testing.assert_allclose(turned.imag, 0, atol=1e-10)
    np.testing.assert_allclose(np.abs(grid.k), np.abs(turned.real), atol=1e-10)
    np.testing.assert_allclose(grid.k[0] * grid.k[1], turned.real[0] * turned.real[1], atol=1e-9)


@pytest.mark.parametrize("N", [7, 8])
def test_rotated_gradient_is_that_of_differences_between_corners(N):
    """A displacement at the corners of the points has this gradient at their centres."""
    u = np.random.default_rng(0).standard_normal((2, N, N))
    after = [np.roll(u, -1, 1), np.roll(u, -1, 2), np.roll(u, (-1, -1), (1, 2))]
    wanted = (
        N / 2 * np.array([after[0] - u + after[2] - after[1], after[1] - u + after[2] - after[0]])
    )
    grid = equilibrium.fourier_grid((N, N), "rotated")
    xi = 2 * np.pi * np.fft.fftfreq(N), np.pi * np.arange(N // 2 + 1) * 2 / N
    phase = np.exp(0.5j * np.add.outer(xi[0], xi[1]))
    scaled = phase * np.fft.rfft2(u) * grid.scale * grid.k_norm
    x = np.concatenate([scaled.real.ravel(), scaled.imag.ravel()])
    with jax.enable_x64(True):
        found = np.array(equilibrium.displacement_gradient(x, grid))
    np.testing.assert_allclose(found, wanted.swapaxes(0, 1), atol=1e-12)


@pytest.mark.parametrize("derivative", ["continuous", "rotated"])
def test_points_per_pixel_are_the_means_of_the_refined_cell(derivative):
    together = simulate(cell(), discretization=Discretization(derivative, 3))
    refined = simulate(cell().refined(3), discretization=Discretization(derivative))
    assert together.sigma_vm.shape == (21, 16, 16)
    np.testing.assert_allclose(together.sigma_vm, pixel_means(refined.sigma_vm, 3), rtol=1e-12)
    np.testing.assert_allclose(together.P_mean, refined.P_mean, rtol=1e-12)


def test_pixel_means_keep_every_point_in_its_pixel():
    field = np.random.default_rng(0).random((2, 5, 7))
    points = field.repeat(4, -1).repeat(4, -2)
    np.testing.assert_allclose(pixel_means(points, 4), field)
    noise = np.random.default_rng(1).random((2, 20, 28))
    wanted = noise[1, 8:12, 4:8].mean()
    assert pixel_means(noise, 4)[1, 2, 1] == pytest.approx(wanted)


def test_fields_oscillate_less_from_pixel_to_pixel():
    """In the middle of grains the true field is smooth: a pixel is the mean of its neighbours."""
    inside = boundary_distance(cell(32).grain_id) > 2

    def roughness(discretization):
        field = simulate(cell(32), tol=1e-6, discretization=discretization).sigma_vm[-1]
        around = [np.roll(field, shift, axis) for shift in (1, -1) for axis in (0, 1)]
        return np.abs(field - np.mean(around, axis=0))[inside].mean()

    of_paper = roughness(PAPER)
    assert roughness(ROTATED) < 0.85 * of_paper
    assert roughness(CONVERGED) < 0.25 * of_paper


def test_a_batch_on_an_accelerator_has_points_per_pixel_too(monkeypatch):
    cells = [cell(8, seed) for seed in range(2)]
    alone = simulate_batch(cells, discretization=CONVERGED)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for one, other in zip(simulate_batch(cells, discretization=CONVERGED), alone, strict=True):
        np.testing.assert_allclose(one.sigma_vm, other.sigma_vm, atol=1e-4)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"derivative": "willot"}, "derivative must be one of continuous, rotated, got willot"),
        ({"points_per_pixel": 0}, "points_per_pixel must be a positive whole number, got 0"),
        ({"points_per_pixel": 1.5}, "points_per_pixel must be a positive whole number, got 1.5"),
        ({"points_per_pixel": True}, "points_per_pixel must be a positive whole number, got True"),
    ],
)
def test_discretizations_that_there_are_not(options, message):
    with pytest.raises(ValueError, match=message):
        Discretization(**options)


# --- Data sets -----------------------------------------------------------------------------


def generate(path, *options):
    few = {"suite": "grains5", "count": 2, "size": 8, "workers": 1}
    generate_data.main(out=path, **few, **dict(options))
    return dataset.read(path)


def test_a_data_set_says_on_which_points_it_was_solved(tmp_path):
    plain = generate(tmp_path / "plain.h5")
    assert plain.solver_options["discretization"] == PAPER
    options = ("derivative", "rotated"), ("points_per_pixel", 2)
    fine = generate(tmp_path / "fine.h5", *options)
    assert fine.solver_options["discretization"] == Discretization("rotated", 2)
    how = fine.solver_options | reference.accuracy(Discretization("rotated", 2))
    again = simulate(fine.microstructure(1), fine.load, **how)
    np.testing.assert_allclose(again.sigma_vm, fine.sigma_vm[1], atol=1e-3)
    assert np.abs(plain.sigma_vm - fine.sigma_vm).max() > 1


def test_data_of_before_are_of_one_point_per_pixel(tmp_path):
    data = generate(tmp_path / "data.h5")
    old = {k: v for k, v in data.attributes.items() if k not in PAPER.attributes}
    dataset.write(tmp_path / "old.h5", replace(data, attributes=old))
    read = dataset.read(tmp_path / "old.h5")
    assert read.solver_options["discretization"] == PAPER
    assert not Request("grains5", size=8).differs(read, range(2))
    finer = Request("grains5", size=8, discretization=CONVERGED)
    assert {*finer.differs(read, range(2))} >= {"derivative", "points_per_pixel"}


def test_a_damaged_number_of_points_is_said_in_one_line(tmp_path):
    path = tmp_path / "data.h5"
    generate(path)
    with h5py.File(path, "r+") as file:
        file.attrs["points_per_pixel"] = -3
    with pytest.raises(DataSetError, match="data.h5: points_per_pixel must be a positive whole"):
        dataset.read(path)


# --- DAMASK --------------------------------------------------------------------------------


def test_damask_is_told_its_own_word_for_the_derivative(tmp_path):
    load = reference.simulate(cell(8), increments=2).load
    about = (cell(8), load)
    export.write_inputs(tmp_path, *about, 1e-5, Discretization("rotated", 2))
    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    grid = yaml.safe_load(texts[export.NUMERICS])["solver"]["grid"]
    assert grid["FFT"] == {"derivative": "FWBW_difference"}
    assert grid["mechanical"]["eps_rel_div(P)"] == 1e-5
    assert 'WholeExtent="0 16 0 16 0 1"' in texts[export.GRID]
    assert setup.parse(texts).derivative == "rotated"
    export.write_inputs(tmp_path, *about)
    assert not (tmp_path / export.NUMERICS).exists()


@pytest.mark.parametrize(
    "numerics, derivative",
    [
        ({}, "continuous"),
        ({"grid": {"derivative": "FWBW_difference"}}, "rotated"),  # before DAMASK 3.0
        ({"solver": {"grid": {"FFT": {"derivative": "central_difference"}}}}, "central_difference"),
    ],
)
def test_the_derivative_of_damask_is_read(numerics, derivative):
    texts = {
        "material.yaml": yaml.safe_dump(export.material(cell(8).properties)),
        "load.yaml": yaml.safe_dump(export.load_steps(Load.stretch(increments=2))),
        "numerics.yaml": yaml.safe_dump(numerics),
    }
    assert setup.parse(texts).derivative == derivative


def test_a_derivative_that_we_have_not_is_not_solved_again(tmp_path):
    data = generate(tmp_path / "data.h5")
    theirs = replace(data, attributes={**data.attributes, "derivative": "central_difference"})
    dataset.write(tmp_path / "theirs.h5", theirs)
    assert dataset.read(tmp_path / "theirs.h5").solver_options is None


# --- Explorer ------------------------------------------------------------------------------


def test_the_explorer_solves_on_other_points(tmp_path):
    session = Session()
    session.draw(grains=3, size=16)
    before = session.data.sigma_vm
    session.discretize(ROTATED)
    assert np.abs(session.data.sigma_vm - before).max() > 1
    session.draw(grains=3, size=16)
    assert session.problem.discretization == ROTATED, "another cell changes nothing else"
    path = tmp_path / "cell.h5"
    path.write_bytes(session.hdf5())
    session.discretize(PAPER)
    session.open(path)
    assert session.problem.discretization == ROTATED
    exec(session.python(), found := {})
    np.testing.assert_allclose(found["truth"], session.data.sigma_vm[0], atol=1e-3)


def test_points_of_a_simulation_are_audited_with_their_derivative():
    """The other derivative finds the same points out of equilibrium."""
    path = simulate(cell(), discretization=ROTATED, keep_fields=True)
    right, wrong = (audit(cell(), path, d) for d in ("rotated", "continuous"))
    assert right.equilibrium < 1e-6 < wrong.equilibrium
    assert right.compatibility < 1e-12 < wrong.compatibility
