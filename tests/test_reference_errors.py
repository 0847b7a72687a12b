"""Bad input to the reference model, and increments that do not converge."""

import pickle
from pathlib import Path

import jax
import numpy as np
import pytest

from repro import paper, reference
from repro.data import microstructure as ms
from repro.data.discretization import CONVERGED
from repro.data.flow_rule import FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.reference import ConvergenceError, simulate, simulate_batch, simulation


def cell(size=8):
    return ms.polycrystal(ms.generator(0), grains=3, size=size)


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("F11_max", [1.0, 0.0, -1.0, np.inf, np.nan]),
        ("increments", [0, -1, 2.5]),
        ("rate", [0.0, -1e-3, np.inf, np.nan]),
        ("tol", [0.0, -1e-7, np.nan]),
    ],
)
def test_load_out_of_range_is_refused_by_name(argument, values):
    for value in values:
        with pytest.raises(ValueError, match=argument):
            simulate(cell(), **{argument: value})


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (np.float32, "single precision does not reach tol 1e-07"),
        (np.float16, "dtype must be float64 or float32, got float16"),
    ],
)
def test_a_precision_that_does_not_do_is_refused(dtype, message):
    with pytest.raises(ValueError, match=message):
        simulate(cell(), tol=1e-7, dtype=dtype)


def test_load_beside_its_own_description_is_refused():
    with pytest.raises(ValueError, match="give either a load or increments, rate, not both"):
        simulate(cell(), Load.stretch(), increments=5, rate=1e-3)


def test_an_option_that_there_is_not_is_named_as_one_of_the_reference_model():
    with pytest.raises(TypeError, match="^the reference model has no option n; see"):
        simulate(cell(), n=5)


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("n", [0.9, -1, np.inf, np.nan]),
        ("dot_gamma_0", [0.0, np.inf, np.nan]),
        ("M", [0.0, -1.0, np.inf, np.nan]),
        ("h", [-0.1, np.inf, np.nan]),
    ],
)
def test_a_flow_rule_out_of_range_is_refused_by_name(parameter, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^{parameter} must .* and be finite, got {value:g}"):
            FlowRule(**{parameter: value})


@pytest.mark.parametrize(
    ("time", "F11", "message"),
    [
        ([0.0], [1.0], "equal length, at least 2"),
        ([0, 1, 2], [1, 1.1], r"equal length.*\(3,\) and \(2,\)"),
        ([[0, 1]], [[1, 1.1]], "equal length"),
        ([1, 2], [1, 1.1], "must increase from 0"),
        ([0, 2, 2], [1, 1.1, 1.2], "must increase from 0"),
        ([0, np.inf], [1, 1.1], "must increase from 0 and be finite"),
        ([0, 1], [1, np.nan], "positive and finite"),
        ([0, 1], [1, -0.5], "positive and finite"),
        ([0, 1], [1.01, 1.1], "must begin at 1, got 1.01"),
    ],
)
def test_what_is_no_load_is_refused(time, F11, message):
    with pytest.raises(ValueError, match=message):
        Load(time, F11)


def test_a_part_of_the_way_on_which_nothing_changes_is_refused():
    with pytest.raises(
        ValueError, match=r"must differ from one to the next, got \[1.0, 1.1, 1.1\]"
    ):
        Load.through([1.1, 1.1])


def test_batch_of_unequal_grids_is_refused():
    with pytest.raises(ValueError, match="equal grids, got 8 x 8 pixels, 9 x 9 pixels"):
        simulate_batch([cell(8), cell(9)])
    with pytest.raises(ValueError, match="equal grids, got no cells"):
        simulate_batch([])


def test_increment_that_does_not_converge_is_named():
    """A tolerance under the rounding error is never reached."""
    with pytest.raises(ConvergenceError) as caught:
        simulate_batch([cell(), cell()], tol=1e-19)
    error = caught.value
    assert (error.microstructure, error.increment, error.tol) == (0, 1, 1e-19)
    assert 1e-19 < error.residual < 1e-10
    for part in ("microstructure 0", "increment 1", f"residual {error.residual:.3g}"):
        assert part in str(error)


def test_convergence_error_names_the_one_that_failed():
    """Of two cells under a huge increment the homogeneous one converges, the other cannot."""
    easy = Microstructure(np.zeros((8, 8), int), [[100, 0.3, 100, 10]])
    hard = Microstructure(cell().grain_id, [[1000, 0.3, 1e3, 0], [1, 0.49, 1, 0], [1, 0.3, 1, 0]])
    load = Load.stretch(1.3, 1)
    for solve in simulate_batch, reference.solve:
        with pytest.raises(ConvergenceError, match="microstructure 1: increment 1 "):
            solve([easy, hard], load)


def with_a_grain(size=16, **properties):
    """A cell in which one of ten grains has other properties."""
    cell = ms.polycrystal(ms.generator(0), 10, size)
    rows = cell.properties.copy()
    for name, value in properties.items():
        rows[3, paper.PROPERTY_NAMES.index(name)] = value
    return Microstructure(cell.grain_id, rows)


@pytest.mark.parametrize("nu", [0.499, 0.4999])
def test_a_nearly_incompressible_grain_is_solved_to_the_tolerance(nu):
    cell, load = with_a_grain(nu=nu), Load.stretch(1.0004, 2)
    found, true = (simulate(cell, load, tol=tol) for tol in (simulation.TOLERANCE, 1e-11))
    assert abs(found.sigma_vm - true.sigma_vm).max() < 0.2  # MPa


def test_a_grain_softer_by_ten_thousand_converges():
    path = simulate(with_a_grain(E=0.01), Load.stretch(1.0004, 2))
    assert (path.residual < simulation.TOLERANCE).all()


@pytest.mark.parametrize("ranges", [paper.PROPERTY_RANGES[:2], [(25, 325), (0.18, 0.42)]])
def test_what_counts_for_nearly_incompressible_grains_does_not_count_in_the_suites(ranges):
    """Cells of two properties in any proportion, at the ends of their ranges: the worst cases."""
    corners = np.array(np.meshgrid(*ranges)).reshape(2, -1).T
    for one in corners:
        for other in corners:
            for share in range(1, 1000, 7):
                E, nu = np.repeat([one, other], [share, 1000 - share], axis=0).T
                lam, mu = E * nu / ((1 + nu) * (1 - 2 * nu)), E / (2 * (1 + nu))
                lam0, mu0 = ((m.min() + m.max()) / 2 for m in (lam, mu))
                uniaxial = (lam0 + 2 * mu0) * (1 / (lam + 2 * mu)).mean()
                assert uniaxial / simulation.UNIAXIAL_EXCESS < mu0 * (1 / mu).mean()


def test_a_cell_of_soft_and_stiff_grains_that_does_not_converge_names_them():
    cell = Microstructure(np.eye(4, dtype=int), [[200, 0.3, 100, 0], [0.02, 0.25, 1, 0]])
    error = pickle.loads(pickle.dumps(failure(cell)))
    assert str(error).endswith(
        "the moduli of grain 1 (E = 0.02 GPa, nu = 0.25) and grain 0 (E = 200 GPa, nu = 0.3) "
        'differ by a factor of 3e+04: try discretization=Discretization("rotated") in double '
        "precision, or more increments"
    )
    assert str(failure(with_a_grain(4))).endswith("(tolerance 1e-19); try more increments")


def failure(cell):
    with pytest.raises(ConvergenceError) as caught:
        simulate(cell, increments=1, tol=1e-19)
    return caught.value


def test_cells_that_single_precision_does_not_resolve_are_solved_in_double(monkeypatch):
    asked = []

    def simulated(cell, load, *, dtype, **how):
        asked.append(np.dtype(dtype).name)
        if dtype is np.float32 and cell.properties[0, 0] < 1:
            raise ConvergenceError(0, 1, 1e-3, 1e-6)
        return simulation.Trajectory(load, np.ones((len(load.time), 4, 4)), *np.zeros((4, 1)))

    monkeypatch.setattr(reference, "simulate", simulated)
    for E in (0.01, 100):
        cell = Microstructure(np.zeros((4, 4), int), [[E, 0.3, 100, 0]])
        assert (reference.simulate_many([cell], discretization=CONVERGED) == 1).all()
    assert asked == ["float32", "float64", "float32"]


@pytest.mark.parametrize(
    ("xdg", "home", "folder"),
    [
        ("/caches", "/home/me", "/caches"),
        ("", "/home/me", "/home/me/.cache"),
        ("relative", "/home/me", "/home/me/.cache"),
        (None, "/home/me", "/home/me/.cache"),
        ("", None, None),
    ],
)
def test_compiled_solvers_are_kept_where_the_user_has_a_folder(monkeypatch, xdg, home, folder):
    def of_user():
        if home is None:
            raise RuntimeError("Could not determine home directory.")
        return Path(home)

    monkeypatch.setattr(Path, "home", of_user)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if xdg is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert simulation._cache_folder() == (None if folder is None else Path(folder))


def test_without_a_folder_for_it_one_line_says_that_nothing_is_cached(monkeypatch):
    monkeypatch.setattr(simulation, "_cache_folder", lambda: None)
    simulation._say_once_that_nothing_is_cached.cache_clear()
    before = jax.config.jax_compilation_cache_dir
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        with pytest.warns(UserWarning, match="no home folder: .* set XDG_CACHE_HOME"):
            simulation._use_compilation_cache()
        simulation._use_compilation_cache()  # and no second time
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
