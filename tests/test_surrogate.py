"""Surrogates: what each predicts, calibration, and solving where a bound is missed."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from repro import reference, surrogate
from repro.benchmarks import bounds
from repro.data import microstructure as ms
from repro.data.discretization import CONVERGED, PAPER, Discretization
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import LONGER_LOAD, PAPER_LOAD, Load
from repro.data.microstructure import property_maps
from repro.data.suites import SUITES
from repro.data.trajectories import TRAINING_LOAD, Trajectories
from repro.evaluation.results import read_rows
from repro.experiments import chain, samples, studies
from repro.experiments.options import RunOptions, Scale
from repro.experiments.variants import DATA, LONGER, Variant
from repro.models import direct_prediction, learned_correction, runs
from repro.models.backend import keras
from repro.models.custom_layers import DepthToSpace2D
from repro.reference import Request, generate, simulate_many
from repro.report import tables
from repro.surrogate import Averaged, CoarseSolve, Rollout, network_predictor
from repro.surrogate.calibration import Calibration, Case, check_sample, conformal_quantile
from repro.surrogate.correction import corrected, solve_coarsely
from repro.training.recipes import recipe_of

FREE, ONE = np.nan, np.eye(3)
CASE = Case("mine", PAPER_LOAD, PAPER, PAPER_RULE, (16, 16))


@pytest.fixture(scope="module")
def cells():
    return [ms.polycrystal(ms.generator(7, i), grains=4, size=16) for i in range(60)]


# --- What every surrogate keeps -------------------------------------------------------------------


@pytest.mark.parametrize("name", surrogate.SURROGATES)
def test_every_surrogate_predicts_all_increments_under_its_name(name, cells):
    one = surrogate.load(name)
    one.check(cells[:3], PAPER_LOAD)
    found = one(cells[:3], PAPER_LOAD)
    assert one.name == name and isinstance(one, surrogate.Predictor)
    assert found.sigma_vm.shape == (3, 21, 16, 16) and found.score.shape == (3,)
    assert (found.sigma_vm[:, 0] == 0).all() and (found.score > 0).all()
    true = simulate_many(cells[:3], discretization=one.against)
    for fields in one.modes(cells[:3], PAPER_LOAD, true).values():
        assert fields().shape == true[:, one.stride :: one.stride].shape
    with pytest.raises(ValueError, match="equal grids, got no cells"):
        one.check([], PAPER_LOAD)


def test_a_surrogate_of_ones_own_is_known_by_its_name(cells, monkeypatch):
    class Elastic(surrogate.Surrogate):
        run = surrogate.load("paper_unet").run

        def __call__(self, cells, load):
            E = property_maps(cells)[:, None, ..., 0]
            stress = 500 * E * (load.F11 - 1)[:, None, None]
            return surrogate.Prediction(stress, np.ones(len(cells)))

    monkeypatch.setitem(surrogate.SURROGATES, "elastic", Elastic)
    answer = surrogate.predict(cells[:12], 1e3, predictor="elastic", calibration=9)
    assert (~answer.solved).sum() == 3


def test_a_stride_is_for_networks_that_step():
    with pytest.raises(ValueError, match="direct_prediction does not step the stress"):
        surrogate.load("direct_prediction", stride=2)
    assert surrogate.load("paper_unet", stride=5).stride == 5


def test_between_its_steps_a_rollout_is_interpolated(cells, tmp_path):
    inputs = keras.Input((None, None, 5))
    keras.Model(inputs, inputs[..., 4:] + 50).save(tmp_path / "best.keras")
    found = Rollout(tmp_path, stride=5)(cells[:1], PAPER_LOAD).sigma_vm
    np.testing.assert_allclose(found[0, :, 3, 3], 10 * np.arange(21), rtol=1e-5, atol=1e-4)


def test_a_coarse_solve_is_interpolated_from_its_increments(cells):
    coarse = CoarseSolve(5, 1e-5)
    found, true = coarse(cells[:2], PAPER_LOAD).sigma_vm, simulate_many(cells[:2])
    own = reference.simulate(cells[0], Load.stretch(increments=5), tol=1e-5).sigma_vm
    np.testing.assert_allclose(found[0, ::4], own, atol=1e-3)
    assert 0.1 < np.abs(found - true).mean() < 5
    with pytest.raises(ValueError, match="give a load at a constant rate"):
        coarse(cells[:2], Load.through([1.004, 1]))


# --- Learned correction ---------------------------------------------------------------------------


def test_the_untrained_correction_interpolates_linearly():
    ends = np.array([0, 40, 100, 100, 120, 130], np.float32)
    coarse = ends[None, :, None, None] * np.ones((1, 1, 4, 4))
    maps = np.full((1, 4, 4, 4), [200, 0.3, 100, 10], np.float32)
    ask = network_predictor(learned_correction())
    found = corrected(ask, maps, coarse.astype(np.float32))[0, :, 0, 0]
    np.testing.assert_allclose(found[:8], [10, 20, 30, 40, 55, 70, 85, 100], rtol=1e-6)
    np.testing.assert_allclose(found[[11, 15, 17, 19]], [100, 120, 125, 130], rtol=1e-6)


def longer(count, size=16):
    return Request("paper", size=size, load=LONGER_LOAD).solve(range(count))


def test_samples_for_the_trainer_are_what_is_corrected():
    data = longer(2)
    pairs = samples.corrections(data, range(2))
    x, y = pairs.gather(pairs.in_order())
    assert x.shape == (len(pairs), 16, 16, 11) and y.shape == (len(pairs), 16, 16, 20)
    true = data.sigma_vm[:, 1:]
    np.testing.assert_array_equal(np.moveaxis(y, -1, 1).reshape(2, 40, 16, 16), true)
    windows = iter((0, 1))  # of both cells

    def ask(inputs):
        window = next(windows)
        np.testing.assert_array_equal(inputs, x[window::2])
        return y[window::2]

    np.testing.assert_array_equal(corrected(ask, pairs.properties, pairs.coarse), true)
    one = pairs.of([1])
    np.testing.assert_array_equal(one.gather(one.in_order())[0], x[2:])
    both = pairs.of([0]).joined(one)
    np.testing.assert_array_equal(both.gather(both.in_order())[0], x)


def test_corrections_of_reflected_samples_are_reflected(data):
    pairs = samples.corrections(data, range(1))
    in_order = pairs.in_order()
    reflected = in_order + np.array([0, 15, 0, 1, 0])  # x1 -> 15 - x1
    for plain, turned in zip(pairs.gather(in_order), pairs.gather(reflected), strict=True):
        np.testing.assert_array_equal(turned, plain[:, ::-1])


def test_a_data_set_of_another_load_is_refused_for_trajectories(data):
    with pytest.raises(
        ValueError, match=r"learns from increments of the paper's up to F11 = 1.008"
    ):
        samples.trajectories(data, range(2))


@pytest.mark.parametrize(
    "load", [Load.stretch(increments=10), Load.stretch(rate=1e-2), Load.stretch(1.0002, 1)]
)
def test_a_load_that_the_correction_does_not_know_is_refused(load, cells):
    with pytest.raises(ValueError, match=r"correction knows increments of 0.0002 at 0.001 1/s"):
        surrogate.load("learned_correction")(cells[:1], load)


def test_the_shipped_correction_is_better_than_the_coarse_solve_from_window_to_window(cells):
    load = Load.stretch(1.008, 40)
    sigma_vm, scores = surrogate.load("learned_correction")(cells[:4], load)
    true = np.stack([reference.simulate(cell, load).sigma_vm for cell in cells[:4]])
    coarse = solve_coarsely(cells[:4], load)
    ask = network_predictor(learned_correction())
    interpolated = corrected(ask, property_maps(cells[:4]), coarse.sigma_vm)
    assert sigma_vm.shape == true.shape
    assert scores.shape == (4,) and (scores > 0).all()
    error = abs(sigma_vm - true)[:, 1:].mean()
    assert error < 2
    assert error < abs(interpolated - true[:, 1:]).mean() / 2


# --- Calibration ----------------------------------------------------------------------------------


def test_conformal_quantile_covers_as_many_as_it_says(rng):
    covered = [
        rng.exponential() <= conformal_quantile(rng.exponential(size=39), 0.9) for _ in range(4000)
    ]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)  # 36 of 40


@pytest.mark.parametrize("confidence, needed", [(0.9, 9), (0.95, 19), (0.6, 2)])
def test_a_sample_is_refused_that_is_too_small_for_a_finite_bound(confidence, needed):
    check_sample(needed, confidence)
    assert np.isfinite(conformal_quantile(np.ones(needed), confidence))
    assert np.isinf(conformal_quantile(np.ones(needed - 1), confidence))
    with pytest.raises(ValueError, match=rf"needs at least {needed} cells"):
        Calibration(np.ones((needed - 1, 2)), np.ones(needed - 1), None, CASE, confidence)


def test_bounds_are_in_proportion_to_the_score(rng):
    scores = rng.uniform(1, 2, 19)
    errors = scores[:, None] * [0, 1, 3]
    measured = Calibration(errors, scores, None, CASE)
    np.testing.assert_allclose(measured.of_cells([2, 4]), [4, 8])
    np.testing.assert_allclose(measured.of_fields([2]), [[0, 2, 6]])


def test_other_cells_are_told_from_those_of_the_calibration(cells):
    measured = surrogate.calibrate(surrogate.load("learned_correction"), cells[:30])
    stiffer = [ms.Microstructure(c.grain_id, c.properties * [1.5, 1, 1, 1]) for c in cells[30:]]
    for some, applies in ((cells[30:], True), (stiffer, False)):
        _, scores = surrogate.load("learned_correction")(some, PAPER_LOAD)
        assert measured.applies_to(some, scores) == applies


def test_a_calibration_is_kept_in_a_file(tmp_path):
    pulled = Load([0, 4], [ONE, np.diag([1.004, FREE, FREE])])
    for case in (CASE, Case("mine", pulled, CONVERGED, FlowRule(5), (8, 6))):
        measured = Calibration(np.ones((9, 3)), np.arange(1, 10), np.zeros((9, 8)), case, 0.8)
        measured.write(tmp_path / "calibration.npz")
        assert Calibration.read(tmp_path / "calibration.npz") == measured
    whole = (tmp_path / "calibration.npz").read_bytes()
    for damaged in (whole[:200], whole.replace(b"errors", b"error_"), b"", b"text"):
        (tmp_path / "damaged.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"damaged\.npz: no calibration .*: calibrate again"):
            Calibration.read(tmp_path / "damaged.npz")
    with pytest.raises(FileNotFoundError):
        Calibration.read(tmp_path / "none.npz")


def test_shipped_surrogates_have_bounds_without_a_solve():
    for name in surrogate.SURROGATES:
        one = surrogate.load(name)
        assert (one.calibration is None) == (one.tolerance is None), name
    cells = [Request("paper", seed=5).microstructure(i)[1] for i in range(40)]
    direct = surrogate.load("direct_prediction_averaged")
    how = {"discretization": PAPER, "predictor": direct, "calibration": direct.calibration}
    answer = surrogate.predict(cells, 1e3, **how)
    assert not answer.solved.any() and answer.confidence == 0.9
    error = abs(answer.sigma_vm - simulate_many(cells))[:, 1:].mean((1, 2, 3))
    assert (error <= answer.bound).mean() >= 0.75
    assert np.median(answer.bound) < 1.5 * error.mean()
    tight = surrogate.predict(cells[:12], np.median(answer.bound[:12]), **how)
    assert tight.solved.sum() == 6 and (tight.bound[tight.solved] == 0).all()
    others = {
        "is under another load: calibrate on some": {"load": Load.stretch(1.006)},
        "fields of continuous, 1 x 1 points, not of rotated": {"discretization": CONVERGED},
        "is for another flow rule": {"flow_rule": FlowRule(n=5)},
        "is of direct_prediction_averaged, not direct_pred": {"predictor": "direct_prediction"},
    }
    for message, other in others.items():
        with pytest.raises(ValueError, match=message):
            surrogate.predict(cells, 1.0, **how | other)
    with pytest.raises(ValueError, match="cells of 64 x 64 pixels, not 16 x 16"):
        surrogate.predict([ms.polycrystal(ms.generator(0), 4, 16)], 1.0, **how)
    stiffer = [ms.Microstructure(c.grain_id, c.properties * [1.5, 1, 1, 1]) for c in cells]
    with pytest.raises(ValueError, match="differ from those of the calibration in their prop"):
        surrogate.predict(stiffer, 1.0, **how)


# --- Prediction -----------------------------------------------------------------------------------


def test_what_misses_the_tolerance_is_solved_and_the_rest_is_within_its_bound(cells):
    true = simulate_many(cells)
    answer = surrogate.predict(cells, tolerance=0.5, discretization=PAPER, calibration=20)
    error = abs(answer.sigma_vm - true)[:, 1:].mean((1, 2, 3))
    assert 20 < answer.solved.sum() < len(cells)
    assert (error[answer.solved] == 0).all() and (error[~answer.solved] > 0).all()
    assert (answer.bound[~answer.solved] <= 0.5).all()
    assert (error <= answer.bound).mean() >= 0.85
    fields = abs(answer.sigma_vm - true).mean((2, 3))
    assert (fields <= answer.field_bound).mean() >= 0.85


def test_bounds_are_of_the_converged_solution_by_default(cells):
    """What misses the tolerance is solved on half as many points, with a bound of its own."""
    true = simulate_many(cells, discretization=CONVERGED)
    coarser = simulate_many(cells, discretization=Discretization("rotated", 2))
    predictor = surrogate.load("direct_prediction_averaged")
    for tolerance, on_fewer_points in ((6.0, True), (0.1, False)):
        answer = surrogate.predict(cells, tolerance, predictor=predictor, calibration=20)
        assert answer.discretization == CONVERGED
        calibrating = (answer.sigma_vm == true).all((1, 2, 3)) & (answer.bound == 0)
        assert calibrating.sum() == (20 if on_fewer_points else len(cells))
        fallen_back = answer.solved & ~calibrating
        error = abs(answer.sigma_vm - true)[:, 1:].mean((1, 2, 3))
        assert (error <= answer.bound).mean() >= 0.85
        if on_fewer_points:
            assert 0 < fallen_back.sum() < 40
            np.testing.assert_array_equal(answer.sigma_vm[fallen_back], coarser[fallen_back])
            assert (answer.bound[fallen_back] > 0).all()
        assert (answer.bound <= tolerance).all()


@pytest.mark.parametrize(
    ("load", "flow_rule", "shape"),
    [
        (Load.through([1.004, 1.002], 5), FlowRule(), (16, 16)),
        (Load([0, 4], [ONE, np.diag([1.004, FREE, FREE])]), FlowRule(), (16, 16)),
        (Load([0, 4], [ONE, ONE + 0.004 * np.outer(ONE[0], ONE[1])]), FlowRule(), (16, 8)),
        (Load.stretch(0.996), FlowRule(n=5), (16, 16)),
    ],
)
def test_by_default_any_load_flow_rule_and_cell_is_predicted_within_bounds(load, flow_rule, shape):
    cells = [ms.polycrystal(ms.generator(i), 4, shape) for i in range(40)]
    how = {"load": load, "flow_rule": flow_rule}
    answer = surrogate.predict(cells, 0.5, discretization=PAPER, calibration=20, **how)
    assert answer.predictor == "reference model, all increments, tol 3e-05, single precision"
    true = simulate_many(cells, **how)
    error = abs(answer.sigma_vm - true)[:, 1:].mean((1, 2, 3))
    assert 20 <= answer.solved.sum() < len(cells)
    assert (error[~answer.solved] > 1e-4).all()
    assert (error <= answer.bound).mean() >= 0.85


def test_the_learned_correction_is_the_default_for_what_it_was_trained_on(cells):
    assert surrogate.predict(cells[:10], 1e3, calibration=9).predictor == (
        "learned_correction_converged"
    )
    other = surrogate.predict(cells[:10], 1e3, Load.stretch(1.003, 3), calibration=9)
    assert other.predictor.endswith("tol 3e-05, single precision, rotated, 2 x 2 points")
    assert surrogate.predict(cells[:2], 1e3).predictor is None


def test_an_answer_has_labelled_arrays_that_netcdf_takes(cells, tmp_path):
    xarray = pytest.importorskip("xarray")
    answer = surrogate.predict(cells[:12], 1e3, discretization=PAPER, calibration=9)
    answer.to_xarray().to_netcdf(tmp_path / "answer.nc", engine="scipy")
    with xarray.open_dataset(tmp_path / "answer.nc", engine="scipy") as kept:
        np.testing.assert_array_equal(kept["sigma_vm"], answer.sigma_vm)
        assert kept["bound"].attrs["units"] == "MPa" and kept.attrs["predictor"] == answer.predictor
        assert kept["solved"].values.tolist() == answer.solved.tolist()
        np.testing.assert_array_equal(kept["F11"], PAPER_LOAD.F11)


def test_the_direct_prediction_is_calibrated_at_any_stretch(cells):
    load = Load.stretch(1.006, 2)
    predictor = surrogate.load("direct_prediction_averaged")
    options = {"discretization": PAPER, "predictor": predictor, "calibration": 20}
    answer = surrogate.predict(cells, 6.0, load, **options)
    error = abs(answer.sigma_vm - simulate_many(cells, load))[:, 1:].mean((1, 2, 3))
    assert answer.sigma_vm.shape == (60, 3, 16, 16)
    assert 20 <= answer.solved.sum() < len(cells)
    assert (error <= answer.bound).mean() >= 0.85


def test_tolerance_of_nothing_solves_every_cell(cells):
    for discretization in (PAPER, CONVERGED):
        how = {"discretization": discretization, "predictor": surrogate.load("direct_prediction")}
        answer = surrogate.predict(cells[:12], tolerance=0, calibration=9, **how)
        assert answer.solved.all() and (answer.bound == 0).all()
        wanted = simulate_many(cells[:12], discretization=discretization)
        np.testing.assert_array_equal(answer.sigma_vm, wanted)


def test_few_cells_are_solved_one_and_all(cells):
    answer = surrogate.predict(cells[:3], tolerance=1.0)
    assert answer.solved.all()
    wanted = simulate_many(cells[:3], discretization=CONVERGED)
    np.testing.assert_array_equal(answer.sigma_vm, wanted)


def test_a_cell_that_the_coarse_solve_gives_up_is_solved_exactly(cells, monkeypatch):
    hard = cells[3]
    simulate = reference.simulate

    def gives_up(cell, *arguments, **options):
        if cell is hard and options["dtype"] is np.float32:
            raise reference.ConvergenceError(0, 1, 1.0, options["tol"])
        return simulate(cell, *arguments, **options)

    monkeypatch.setattr(reference, "simulate", gives_up)
    for seed in range(3):  # it may be among those that calibrate
        options = {"discretization": PAPER, "calibration": 9, "seed": seed}
        answer = surrogate.predict(cells[:20], tolerance=100, **options)
        assert answer.solved[3]
        assert np.isfinite(answer.sigma_vm).all() and np.isfinite(answer.bound).all()
        np.testing.assert_array_equal(answer.sigma_vm[3], simulate_many([hard])[0])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"calibration": 5}, "at least 9 cells to calibrate on, got 5"),
        ({"confidence": 1.0}, "confidence must lie between 0 and 1"),
        ({"tolerance": -1.0}, "tolerance must not be negative"),
        ({"cells": []}, "the cells must be on equal grids, got no cells"),
    ],
)
def test_arguments_out_of_range_are_refused(cells, options, message):
    with pytest.raises(ValueError, match=message):
        surrogate.predict(**{"cells": cells, "tolerance": 1.0, **options})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (lambda s: (s * np.nan, np.ones(len(s))), "a stress that is not a number"),
        (lambda s: (s, -np.ones(len(s))), "a score of -1, not above 0"),
        (lambda s: (s, np.full(len(s), np.nan)), "a score of nan, not above 0"),
        (
            lambda s: (s[:, 1:], np.ones(len(s))),
            r"stress \(20, 20, 16, 16\) and scores \(20,\), not",
        ),
        (lambda s: (s, np.ones((len(s), 2))), r"scores \(20, 2\), not"),
        (lambda s: None, "must return a pair, stress and scores"),
        (lambda s: s, "must return a pair, stress and scores"),
    ],
)
def test_a_surrogate_that_says_what_it_must_not_is_named(cells, said, message):
    def mine(cells, load):
        return said(np.ones((len(cells), len(load.time), *cells[0].grain_id.shape)))

    with pytest.raises(ValueError, match=f"^the surrogate .*mine .*(?:{message})"):
        surrogate.calibrate(mine, cells[:20])


def test_a_stepping_network_is_averaged_over_reflections(cells, tmp_path):
    path = tmp_path / "best.keras"
    inputs = keras.Input((None, None, 5))
    keras.Model(inputs, inputs[..., 4:] + 10).save(path)
    one = Averaged(Rollout(path), surrogate.REFLECTIONS)
    sigma_vm, scores = one(cells[:2], PAPER_LOAD)
    np.testing.assert_allclose(sigma_vm[0, :, 3, 3], 10 * np.arange(21))
    assert scores.shape == (2,) and (scores > 0).all()
    with pytest.raises(ValueError, match="steps 0.2 s at a time, as it was trained"):
        one(cells[:2], Load.stretch(increments=10))


def test_cells_that_do_not_suit_the_network_are_refused():
    cell = ms.polycrystal(ms.generator(0), size=20)
    with pytest.raises(ValueError, match="20 x 20 pixels: their edge must be a multiple of 8"):
        surrogate.load("direct_prediction")([cell], PAPER_LOAD)


@pytest.mark.parametrize(
    ("sizes", "found"), [([], "no cells"), ([16, 24], "16 x 16 pixels, 24 x 24 pixels")]
)
def test_no_cells_and_cells_on_several_grids_are_refused(sizes, found):
    cells = [ms.polycrystal(ms.generator(0), size=size) for size in sizes]
    for ask in (simulate_many, *map(surrogate.load, surrogate.SURROGATES)):
        with pytest.raises(ValueError, match=f"the cells must be on equal grids, got {found}"):
            ask(cells, PAPER_LOAD)


def test_a_cell_that_does_not_converge_is_named_with_the_increment_of_its_load(cells, monkeypatch):
    simulate, hard = reference.simulate, cells[2]

    def gives_up(cell, load, **options):
        if cell is hard:
            raise reference.ConvergenceError(0, 6, 1.0, 1e-7)
        return simulate(cell, load, **options)

    monkeypatch.setattr(reference, "simulate", gives_up)
    with pytest.raises(reference.ConvergenceError, match="microstructure 2: increment 2 did not"):
        simulate_many(cells[:3], Load.stretch(1.002, 2))  # divided into 10
    with pytest.raises(reference.ConvergenceError, match="microstructure 2: increment 6 did not"):
        surrogate.predict(
            cells[:15], 0, predictor=surrogate.load("direct_prediction"), calibration=9
        )


def test_larger_increments_than_the_papers_are_divided(cells):
    found = simulate_many(cells[:2], Load([0, 0.2, 1.0], [1, 1.0002, 1.001]))
    finer = simulate_many(cells[:2], Load.stretch(1.001, 5))
    np.testing.assert_allclose(found, finer[:, [0, 1, 5]], atol=1e-3)


# --- Direct prediction ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "increments"),
    [
        ((100, 0.3, 300, 20), slice(0, 12)),  # elastic
        ((250, 0.2, 60, 10), slice(5, 25)),  # it flows
        ((250, 0.2, 60, 50), slice(5, 25)),  # with much hardening, which elastic strain has none of
    ],
)
def test_the_untrained_direct_prediction_is_that_of_the_mean_strain(properties, increments):
    cell = ms.Microstructure(np.zeros((8, 8), int), np.array([properties], float))
    ask = network_predictor(direct_prediction(filters=2, blocks=1, iterations=0))
    found = ask(property_maps([cell]))[0, 0, 0, increments]
    true = simulate_many([cell], TRAINING_LOAD)[0, 1:, 0, 0][increments]
    np.testing.assert_allclose(found, true, rtol=0.015)


def test_the_direct_prediction_knows_any_stretch_up_to_the_end_of_its_training(cells):
    direct = surrogate.load("direct_prediction")
    whole, _ = direct(cells[:2], LONGER_LOAD)
    some, _ = direct(cells[:2], Load(LONGER_LOAD.time[::3], LONGER_LOAD.F11[::3]))
    np.testing.assert_allclose(some, whole[:, ::3], rtol=1e-4, atol=1e-2)
    # Between increments that it was trained on it is between their stresses, nearly.
    finer, _ = direct(cells[:2], Load.stretch(1.004, 40))
    between = (whole[:, 1:20] + whole[:, 2:21]) / 2
    assert np.abs(finer[:, 3::2] - between).mean() < 1
    tiny, _ = direct(cells[:2], Load.stretch(1.00002, 1))  # as stiff as at the first increment
    np.testing.assert_allclose(10 * tiny[:, 1], whole[:, 1], rtol=0.02)
    rounded = Load(LONGER_LOAD.time.astype(np.float32), LONGER_LOAD.F11.astype(np.float32))
    np.testing.assert_allclose(direct(cells[:2], rounded)[0], whole, rtol=1e-3, atol=1e-2)
    for load in (Load.stretch(1.0082), Load.stretch(rate=1e-2), Load.through([1.004, 1.002])):
        with pytest.raises(ValueError, match="knows stretch at 0.001 1/s up to F11 = 1.008 only"):
            direct(cells[:2], load)


def test_every_pixel_of_a_finer_field_has_channels_of_its_own(rng):
    x = rng.normal(size=(2, 3, 4, 20)).astype(np.float32)
    finer = np.asarray(DepthToSpace2D()(x))
    assert finer.shape == (2, 6, 8, 5)
    np.testing.assert_array_equal(finer[1, 3, 6], x[1, 1, 3].reshape(2, 2, 5)[1, 0])


def test_the_distance_from_the_turned_prediction_ranks_cells_by_their_errors(cells):
    sigma_vm, scores = surrogate.load("direct_prediction_averaged")(cells, PAPER_LOAD)
    once, constant = surrogate.load("direct_prediction")(cells, PAPER_LOAD)
    true = simulate_many(cells)
    errors = np.abs(sigma_vm - true).mean((1, 2, 3))
    assert spearmanr(scores, errors).statistic > 0.7
    assert (constant == 1).all() and errors.mean() < np.abs(once - true).mean()
    turned = [ms.Microstructure(cell.grain_id[::-1, ::-1], cell.properties) for cell in cells[:2]]
    again, _ = surrogate.load("direct_prediction_averaged")(turned, PAPER_LOAD)
    np.testing.assert_allclose(again[..., ::-1, ::-1], sigma_vm[:2], atol=1e-3)


# --- Measurements ---------------------------------------------------------------------------------


def test_a_study_trains_networks_for_trajectories_and_judges_them_by_the_papers_load(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(DATA, LONGER, {"size": 16, "load": LONGER_LOAD})
    studies._solved.cache_clear()
    studies._reference.cache_clear()
    of_levels = {"blocks": 1, "levels": 1, "iterations": 0, "fine": 0}
    variants = [
        Variant("size", "2 filters", "direct_prediction", of_levels),
        Variant("coarse solve", "tol 1e-4", "learned_correction", samples={"tol": 1e-4}),
    ]
    variants = [replace(one, data=LONGER) for one in variants]
    scale, out = Scale(microstructures=5, filters=2, samples=16), tmp_path / "study.csv"
    rows = studies.run(variants, scale, out, tmp_path, progress=False)
    assert rows["setting"].tolist() == ["2 filters", "tol 1e-4"]
    assert rows["epochs"].tolist() == [4, 2]  # two windows of a cell
    # 4x4, the U, 1x1 to four pixels, 3x3 of these and the properties, 1x1, factors
    direct = 130 + (76 + 12 + 296 + 14 + 76) + 24 + 110 + 12 + 100
    assert rows["parameters"].tolist() == [direct, (11 + 1) * 2 + (2 + 1) * 2 + (2 + 1) * 20]
    one = surrogate.load(tmp_path / rows["run"][1] / "last.keras")
    assert one.coarse == {"tol": 1e-4} and rows["trajectory MAE / MPa"].between(0.01, 100).all()
    table = tables.study(rows)
    assert "Δt" not in table and table["trajectory MAE / MPa"].notna().all()


def test_bounds_are_measured_suite_by_suite(monkeypatch):
    for name in ("paper", "grains10", "out_of_range"):
        monkeypatch.setitem(SUITES, name, replace(SUITES[name], size=16))
    asked = ["learned_correction_converged", "direct_prediction", "direct_prediction_averaged"]
    found = bounds.run(["grains10", "out_of_range"], cells=80, surrogates=asked)
    assert set(found["predictor"]) == set(asked)
    for predictor, measured in found.set_index("suite").groupby("predictor"):
        assert measured["like the paper's"].tolist() == [True, False]
        assert measured.loc["grains10", "own"] > 0.6
        assert measured["solved"].between(50 / 80, 1).all()
        assert measured["n"].tolist() == [30, 30]
        without_score = predictor == "direct_prediction"
        assert measured["rank correlation"].isna().all() == without_score
    shown = tables.bounds(found, "direct_prediction_averaged", beside="direct_prediction")
    assert shown[""].tolist() == ["10 grains, unseen", "properties outside Table 3"]
    other = found.loc[found["predictor"] == "direct_prediction", "bound / MPa"]
    assert shown["direct_prediction, bound / MPa"].tolist() == other.tolist()
    with pytest.raises(ValueError, match="cells must be more than 50"):
        bounds.run(["grains10"], cells=50)


def test_networks_for_trajectories_are_trained_like_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    size = 16
    how = {"size": size, "load": LONGER_LOAD, "discretization": samples.LABELS["converged"]}
    data = tmp_path / "longer.h5"
    generate(data, Request("paper", **how), 5, progress=False)
    further = samples.path_of(Trajectories, "paper", "converged", 2)
    request = Request("paper", samples.FURTHER_SEED, **how)
    generate(further, request, 2, progress=False)
    options = RunOptions(data=data, out=tmp_path / "run", epochs=1, labels="converged", further=2)
    config = replace(recipe_of("direct_prediction"), warmup_epochs=0)
    network = {"filters": 2, "blocks": 1, "levels": 1}
    chain.train_and_evaluate("direct_prediction", config, options, **network)
    one = surrogate.load(tmp_path / "run")
    assert isinstance(one, surrogate.Direct) and one.against == CONVERGED
    config = runs.read_config(tmp_path / "run")
    assert (config["further"], config["labels"]["points_per_pixel"]) == (2, 2)
    rows = read_rows(tmp_path / "run" / "results.csv")
    assert set(rows.loc[rows["kind"] == "surrogate", "mode"]) == {"trajectory"}
    assert (tmp_path / "run" / "prediction.png").is_file()
