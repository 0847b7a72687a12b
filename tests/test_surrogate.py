"""Predictions with a bound: coarse solve and refiner, calibration, exact solves where they miss."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from repro import reference, surrogate
from repro.benchmarks import bounds
from repro.data import microstructure as ms
from repro.data.discretization import CONVERGED, PAPER, Discretization
from repro.data.load import Load
from repro.data.microstructure import property_maps
from repro.data.suites import SUITES
from repro.evaluation.modes import network_predictor
from repro.experiments import surrogates
from repro.experiments.surrogates import Variant
from repro.models.backend import keras
from repro.models.custom_layers import DepthToSpace2D
from repro.report import tables
from repro.surrogate import refiner, whole_path
from repro.surrogate.calibration import Calibration, check_sample, conformal_quantile
from repro.surrogate.solves import LONGER_LOAD
from repro.tools.csv_files import read_csv


@pytest.fixture(scope="module")
def cells():
    return [ms.polycrystal(ms.generator(7, i), grains=4, size=16) for i in range(60)]


# --- Refiner --------------------------------------------------------------------------------------


def test_untrained_refiner_interpolates_linearly():
    ends = np.array([0, 40, 100, 100, 120, 130], np.float32)
    coarse = ends[None, :, None, None] * np.ones((1, 1, 4, 4))
    maps = np.full((1, 4, 4, 4), [200, 0.3, 100, 10], np.float32)
    ask = network_predictor(refiner.increment_refiner())
    found = refiner.refined(ask, maps, coarse.astype(np.float32))[0, :, 0, 0]
    np.testing.assert_allclose(found[:8], [10, 20, 30, 40, 55, 70, 85, 100], rtol=1e-6)
    np.testing.assert_allclose(found[[11, 15, 17, 19]], [100, 120, 125, 130], rtol=1e-6)


def test_refinements_for_the_trainer_are_what_is_refined(cells):
    pairs = refiner.make_refinements(cells[:2])
    x, y = pairs.gather(pairs.in_order())
    assert x.shape == (len(pairs), 16, 16, 11) and y.shape == (len(pairs), 16, 16, 20)
    true = surrogate.solve(cells[:2], LONGER_LOAD)
    np.testing.assert_array_equal(np.moveaxis(y, -1, 1).reshape(2, 40, 16, 16), true[:, 1:])
    windows = iter((0, 1))  # of both cells

    def ask(inputs):
        window = next(windows)
        np.testing.assert_array_equal(inputs, x[window::2])
        return y[window::2]

    found = refiner.refined(ask, pairs.properties, pairs.coarse)
    np.testing.assert_array_equal(found, true[:, 1:])
    np.testing.assert_array_equal(pairs.of([1]).gather(pairs.of([1]).in_order())[0], x[2:])


def test_refinements_of_reflected_samples_are_reflected(cells):
    pairs = refiner.make_refinements(cells[:1], load=surrogate.LOAD)
    samples = pairs.in_order()
    reflected = samples + np.array([0, 15, 0, 1, 0])  # x1 -> 15 - x1
    for plain, turned in zip(pairs.gather(samples), pairs.gather(reflected), strict=True):
        np.testing.assert_array_equal(turned, plain[:, ::-1])


@pytest.mark.parametrize(
    "load", [Load.stretch(increments=10), Load.stretch(rate=1e-2), Load.stretch(1.0002, 1)]
)
def test_a_load_that_the_refiner_does_not_know_is_refused(load, cells):
    with pytest.raises(ValueError, match=r"the refiner knows increments of 0.0002 at 0.001 1/s"):
        surrogate.refined_solve()(cells[:1], load)


def test_shipped_refiner_is_better_than_the_coarse_solve_and_goes_on_from_window_to_window(cells):
    load = Load.stretch(1.008, 40)
    sigma_vm, scores = surrogate.refined_solve()(cells[:4], load)
    true = np.stack([reference.simulate(cell, load).sigma_vm for cell in cells[:4]])
    coarse = refiner.coarse_solve(cells[:4], load)
    interpolated = refiner.refined(
        network_predictor(refiner.increment_refiner()),
        np.stack([cell.property_maps() for cell in cells[:4]]),
        coarse.sigma_vm,
    )
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
        Calibration(np.ones((needed - 1, 2)), np.ones(needed - 1), None, confidence)


def test_bounds_are_in_proportion_to_the_score(rng):
    scores = rng.uniform(1, 2, 19)
    errors = scores[:, None] * [0, 1, 3]
    measured = Calibration(errors, scores, None)
    np.testing.assert_allclose(measured.of_cells([2, 4]), [4, 8])
    np.testing.assert_allclose(measured.of_fields([2]), [[0, 2, 6]])


def test_other_cells_are_told_from_those_of_the_calibration(cells):
    measured = surrogate.calibrate(surrogate.refined_solve(), cells[:30])
    stiffer = [ms.Microstructure(c.grain_id, c.properties * [1.5, 1, 1, 1]) for c in cells[30:]]
    for some, applies in ((cells[30:], True), (stiffer, False)):
        _, scores = surrogate.refined_solve()(some, surrogate.LOAD)
        assert measured.applies_to(some, scores) == applies


# --- Prediction -----------------------------------------------------------------------------------


def test_what_misses_the_tolerance_is_solved_and_the_rest_is_within_its_bound(cells):
    true = surrogate.solve(cells)
    answer = surrogate.predict(cells, tolerance=0.9, discretization=PAPER, calibration=20)
    error = abs(answer.sigma_vm - true)[:, 1:].mean((1, 2, 3))
    assert 20 < answer.solved.sum() < len(cells)
    assert (error[answer.solved] == 0).all() and (error[~answer.solved] > 0).all()
    assert (answer.bound[~answer.solved] <= 0.9).all()
    assert (error <= answer.bound).mean() >= 0.85
    fields = abs(answer.sigma_vm - true).mean((2, 3))
    assert (fields <= answer.field_bound).mean() >= 0.85


def test_bounds_are_of_the_converged_solution_by_default(cells):
    """What misses the tolerance is solved on half as many points, with a bound of its own."""
    true = surrogate.solve(cells, discretization=CONVERGED)
    coarser = surrogate.solve(cells, discretization=Discretization("rotated", 2))
    predictor = surrogate.in_two_passes()
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


def test_the_whole_path_is_calibrated_at_any_stretch(cells):
    load = Load.stretch(1.006, 2)
    predictor = surrogate.in_two_passes()
    options = {"discretization": PAPER, "predictor": predictor, "calibration": 20}
    answer = surrogate.predict(cells, 6.0, load, **options)
    error = abs(answer.sigma_vm - surrogate.solve(cells, load))[:, 1:].mean((1, 2, 3))
    assert answer.sigma_vm.shape == (60, 3, 16, 16)
    assert 20 <= answer.solved.sum() < len(cells)
    assert (error <= answer.bound).mean() >= 0.85


def test_tolerance_of_nothing_solves_every_cell(cells):
    for discretization in (PAPER, CONVERGED):
        how = {"discretization": discretization, "predictor": surrogate.in_one_pass()}
        answer = surrogate.predict(cells[:12], tolerance=0, calibration=9, **how)
        assert answer.solved.all() and (answer.bound == 0).all()
        wanted = surrogate.solve(cells[:12], discretization=discretization)
        np.testing.assert_array_equal(answer.sigma_vm, wanted)


def test_few_cells_are_solved_one_and_all(cells):
    answer = surrogate.predict(cells[:3], tolerance=1.0)
    assert answer.solved.all()
    wanted = surrogate.solve(cells[:3], discretization=CONVERGED)
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
        np.testing.assert_array_equal(answer.sigma_vm[3], surrogate.solve([hard])[0])


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
def test_a_predictor_that_says_what_it_must_not_is_named(cells, said, message):
    def mine(cells, load):
        return said(np.ones((len(cells), len(load.time), *cells[0].grain_id.shape)))

    with pytest.raises(ValueError, match=f"^the predictor .*mine .*(?:{message})"):
        surrogate.calibrate(mine, cells[:20])


def test_a_stepping_network_is_averaged_over_reflections(cells, tmp_path):
    path = tmp_path / "best.keras"
    inputs = keras.Input((None, None, 5))
    keras.Model(inputs, inputs[..., 4:] + 10).save(path)
    sigma_vm, scores = surrogate.rollout(path)(cells[:2], surrogate.LOAD)
    np.testing.assert_allclose(sigma_vm[0, :, 3, 3], 10 * np.arange(21))
    assert scores.shape == (2,) and (scores > 0).all()
    with pytest.raises(ValueError, match="knows the paper's training load only"):
        surrogate.rollout(path)(cells[:2], Load.stretch(1.008, 40))


def test_cells_that_do_not_suit_the_network_are_refused():
    cell = ms.polycrystal(ms.generator(0), size=20)
    with pytest.raises(ValueError, match="20 x 20 pixels: their edge must be a multiple of 8"):
        surrogate.in_one_pass()([cell], surrogate.LOAD)


@pytest.mark.parametrize("name", ["solve", "refined_solve", "in_one_pass", "in_two_passes"])
@pytest.mark.parametrize(
    ("sizes", "found"), [([], "no cells"), ([16, 24], r"\[16, 24\] pixels along an edge")]
)
def test_no_cells_and_cells_on_several_grids_are_refused(name, sizes, found):
    ask = getattr(surrogate, name)
    ask = ask if name == "solve" else ask()
    cells = [ms.polycrystal(ms.generator(0), size=size) for size in sizes]
    with pytest.raises(ValueError, match=f"the cells must be on equal grids, got {found}"):
        ask(cells, surrogate.LOAD)


def test_a_cell_that_does_not_converge_is_named_with_the_increment_of_its_load(cells, monkeypatch):
    simulate, hard = reference.simulate, cells[2]

    def gives_up(cell, load, **options):
        if cell is hard:
            raise reference.ConvergenceError(0, 6, 1.0, 1e-7)
        return simulate(cell, load, **options)

    monkeypatch.setattr(reference, "simulate", gives_up)
    with pytest.raises(reference.ConvergenceError, match="microstructure 2: increment 2 did not"):
        surrogate.solve(cells[:3], Load.stretch(1.002, 2))  # divided into 10
    with pytest.raises(reference.ConvergenceError, match="microstructure 2: increment 6 did not"):
        surrogate.predict(cells[:15], 0, predictor=surrogate.in_one_pass(), calibration=9)


def test_larger_increments_than_the_papers_are_divided(cells):
    found = surrogate.solve(cells[:2], Load([0, 0.2, 1.0], [1, 1.0002, 1.001]))
    finer = surrogate.solve(cells[:2], Load.stretch(1.001, 5))
    np.testing.assert_allclose(found, finer[:, [0, 1, 5]], atol=1e-3)


# --- The whole path in one pass -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "increments"),
    [
        ((100, 0.3, 300, 20), slice(0, 12)),  # elastic
        ((250, 0.2, 60, 10), slice(5, 25)),  # it flows
        ((250, 0.2, 60, 50), slice(5, 25)),  # with much hardening, which elastic strain has none of
    ],
)
def test_untrained_the_whole_path_is_that_of_the_mean_strain(properties, increments):
    cell = ms.Microstructure(np.zeros((8, 8), int), np.array([properties], float))
    ask = network_predictor(whole_path.whole_path(filters=2, blocks=1))
    found = ask(property_maps([cell]))[0, 0, 0, increments]
    true = surrogate.solve([cell], whole_path.TRAINING_LOAD)[0, 1:, 0, 0][increments]
    np.testing.assert_allclose(found, true, rtol=0.015)


def test_factors_of_the_law_are_linear_between_knots_in_the_root_of_the_strain():
    strains = 0.008 * np.array([0.0625, 0.25, 0.5625, 1])  # half way to the knot at 1/4, at it, ...
    law = whole_path.LocalLaw(strains)
    properties = np.array([[[[200, 0.25, 1e6, 0]]]], np.float32)  # elastic
    factors = np.array([[[[0, 0.2, -0.1, 0, 0, 0]]]], np.float32)  # 3 knots of each
    found = np.asarray(law([properties, factors]))[0, 0, 0] / (1.6e5 * strains)
    # Where it is far from flowing, TRANSITION is missing from the stress.
    np.testing.assert_allclose(found, np.multiply(0.997, [1.1, 1.2, 1.05, 0.9]), rtol=1e-3)


def test_the_whole_path_knows_any_stretch_up_to_the_end_of_its_training(cells):
    one_pass = surrogate.in_one_pass()
    whole, _ = one_pass(cells[:2], LONGER_LOAD)
    some, _ = one_pass(cells[:2], Load(LONGER_LOAD.time[::3], LONGER_LOAD.F11[::3]))
    np.testing.assert_allclose(some, whole[:, ::3], rtol=1e-4, atol=1e-2)
    # Between increments that it was trained on it is between their stresses, nearly.
    finer, _ = one_pass(cells[:2], Load.stretch(1.004, 40))
    between = (whole[:, 1:20] + whole[:, 2:21]) / 2
    assert np.abs(finer[:, 3::2] - between).mean() < 1
    tiny, _ = one_pass(cells[:2], Load.stretch(1.00002, 1))  # as stiff as at the first increment
    np.testing.assert_allclose(10 * tiny[:, 1], whole[:, 1], rtol=0.02)
    rounded = Load(LONGER_LOAD.time.astype(np.float32), LONGER_LOAD.F11.astype(np.float32))
    np.testing.assert_allclose(one_pass(cells[:2], rounded)[0], whole, rtol=1e-3, atol=1e-2)
    for load in (Load.stretch(1.0082), Load.stretch(rate=1e-2), Load.through([1.004, 1.002])):
        with pytest.raises(ValueError, match="knows stretch at 0.001 1/s up to F11 = 1.008 only"):
            one_pass(cells[:2], load)


def test_every_pixel_of_a_finer_field_has_channels_of_its_own(rng):
    x = rng.normal(size=(2, 3, 4, 20)).astype(np.float32)
    finer = np.asarray(DepthToSpace2D()(x))
    assert finer.shape == (2, 6, 8, 5)
    np.testing.assert_array_equal(finer[1, 3, 6], x[1, 1, 3].reshape(2, 2, 5)[1, 0])


def test_the_distance_of_two_passes_ranks_cells_by_their_errors(cells):
    sigma_vm, scores = surrogate.in_two_passes()(cells, surrogate.LOAD)
    once, constant = surrogate.in_one_pass()(cells, surrogate.LOAD)
    true = surrogate.solve(cells)
    errors = np.abs(sigma_vm - true).mean((1, 2, 3))
    assert spearmanr(scores, errors).statistic > 0.7
    assert (constant == 1).all() and errors.mean() < np.abs(once - true).mean()
    turned = [ms.Microstructure(cell.grain_id[::-1, ::-1], cell.properties) for cell in cells[:2]]
    again, _ = surrogate.in_two_passes()(turned, surrogate.LOAD)
    np.testing.assert_allclose(again[..., ::-1, ::-1], sigma_vm[:2], atol=1e-3)


# --- Measurements ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "variants", "parameters"),
    [
        (
            "REFINER",
            {"default": Variant(), "1": Variant({"hidden": 1})},
            [3908, (11 + 1) * 48 + (48 + 1) * 20],
        ),
        (
            "WHOLE_PATH",
            {
                f"{levels}": Variant({"levels": levels, "filters": 2, "blocks": 1})
                for levels in (1, 2)
            },
            # 4x4, the U, 1x1 to four pixels, 3x3 of these and the properties, 1x1, factors; the
            # second U has a bottom of 8 channels more
            [
                130 + (76 + 12 + 296 + 14 + 76) + 24 + 110 + 12 + 100,
                130 + (474 + 40 + 1168 + 52 + 296) + 24 + 110 + 12 + 100,
            ],
        ),
    ],
)
def test_study_trains_what_is_missing_and_measures_all(
    data, tmp_path, monkeypatch, kind, variants, parameters
):
    kind = replace(getattr(surrogates, kind), variants=variants, seeds={})
    # The measuring process has the kinds as they are, and knows no other variants.
    monkeypatch.setattr(surrogates, "process_on", lambda _: nullcontext(lambda f, *a: f(*a)))
    monkeypatch.setattr(surrogates, "KINDS", {kind.name: kind})
    of_paper = surrogates._SOLVERS[PAPER]
    solvers = {name: of_paper[name] for name in (min(of_paper), max(of_paper))}
    monkeypatch.setitem(surrogates._SOLVERS, PAPER, solvers)
    config = replace(kind.recipe, epochs=2)
    first = surrogates.study(kind, data, config, tmp_path / "study.csv", tmp_path)
    assert (first["run"].dropna().nunique(), first["batch"].dropna().unique()) == (
        len(variants),
        [kind.recipe.batch_size],
    )
    monkeypatch.setattr(surrogates, "_row", None)  # nothing to train and to measure
    monkeypatch.setattr(surrogates, "_seconds", lambda *_: {})
    for changed in ({"batch_size": 4}, {"learning_rate": 1e-4}, {"seed": 5, "clip_norm": 2.0}):
        with pytest.raises(TypeError, match="not callable"):  # another recipe trains anew
            surrogates.study(
                kind, data, replace(config, **changed), tmp_path / "study.csv", tmp_path
            )
    names = list(variants)
    again = surrogates.study(kind, data, config, tmp_path / "study.csv", tmp_path)
    assert again["MAE / MPa"].tolist() == pytest.approx(first["MAE / MPa"].tolist(), rel=1e-5)
    shipped = surrogates._shipped(kind)
    sizes = [one.network().count_params() for one in shipped]
    assert first["parameters"].tolist() == [*parameters, *sizes] + [0] * len(solvers)
    of_solvers = first["MAE / MPa"][len(parameters) + len(shipped) :]
    assert (of_solvers > 0).all()
    table = tables.whole_loads(read_csv(tmp_path / "study.csv"))
    of_solver = next(iter(solvers))
    titles = [f"{surrogates.SHIPPED}: {one.title}" for one in shipped]
    assert table["variant"].tolist()[: len(names) + len(titles) + 1] == [*names, *titles, of_solver]
    assert (first["seconds"] > 0).all()
    del variants[names[0]]  # it cannot be built any more
    fewer = surrogates.study(kind, data, config, tmp_path / "study.csv", tmp_path)
    assert fewer["variant"].tolist() == first["variant"].tolist()[1:]


def test_bounds_are_measured_suite_by_suite(monkeypatch):
    for name in ("paper", "grains10", "out_of_range"):
        monkeypatch.setitem(SUITES, name, replace(SUITES[name], size=16))
    found = bounds.run(["grains10", "out_of_range"], cells=65)
    for predictor, measured in found.set_index("suite").groupby("predictor"):
        assert measured["like the paper's"].tolist() == [True, False]
        assert measured.loc["grains10", "own"] > 0.6
        assert measured["solved"].between(50 / 65, 1).all()
        assert measured["n"].tolist() == [15, 15]
        one_pass = surrogate.SURROGATES[predictor].make is surrogate.in_one_pass
        assert measured["rank correlation"].isna().all() == one_pass
    shown = tables.bounds(found, whole_path.TWICE, beside=whole_path.TITLE)
    assert shown[""].tolist() == ["10 grains, unseen", "properties outside Table 3"]
    other = found.loc[found["predictor"] == whole_path.TITLE, "bound / MPa"]
    assert shown["whole path in one pass, bound / MPa"].tolist() == other.tolist()
    with pytest.raises(ValueError, match="cells must be more than 50"):
        bounds.run(["grains10"], cells=50)
