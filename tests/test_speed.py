from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from repro import models, reference
from repro.benchmarks import speed
from repro.data.pairs import make_pairs
from repro.models.backend import keras
from repro.report import tables
from repro.surrogate import CoarseSolve, modes
from repro.surrogate.interpolation import at_all_increments
from repro.surrogate.solver import SETTINGS
from repro.training import acceleration
from repro.training.acceleration import accelerated


@pytest.fixture(scope="module")
def measured(data, tmp_path_factory):
    """Measurements on small cells, in this process."""
    path = tmp_path_factory.mktemp("speed") / "tiny.keras"
    keras.utils.set_random_seed(0)
    models.paper_unet(filters=2, levels=1, kernel=3).save(path)
    cells = [data.microstructure(i) for i in range(3)]
    rows = speed._measure_here([str(path)], cells, 1, repeats=1)
    return path, pd.DataFrame(rows)


def test_tighter_tolerances_and_more_increments_are_more_accurate(measured):
    solver = measured[1].query("kind == 'solver'")
    words = solver.apply(speed.described, axis=1)
    assert words.tolist() == [str(setting) for setting in SETTINGS]
    assert words[solver["default"]].tolist() == ["20 increments, tol 1e-07"]
    mae = dict(zip(SETTINGS, solver["mae"], strict=True))
    for tight, tol in ((1e-6, 1e-5), (1e-7, 1e-6)):
        assert mae[CoarseSolve(20, tight)] < mae[CoarseSolve(20, tol)] / 3
        assert mae[CoarseSolve(20, tol, np.float32)] == pytest.approx(
            mae[CoarseSolve(20, tol)], abs=0.02
        )
    coarser = [
        CoarseSolve(20, 1e-5, np.float32),
        *(CoarseSolve(n, 3e-5, np.float32) for n in (10, 5)),
    ]
    errors = [mae[setting] for setting in coarser]
    assert errors == sorted(errors)


def test_fewer_increments_are_interpolated_by_a_cubic_spline():
    t = np.linspace(0, 1, 21)[None, :, None, None]
    cubic = (t**3 - 2 * t) * np.ones((3, 1, 2, 2))
    np.testing.assert_allclose(at_all_increments(cubic[:, ::5], 20), cubic, atol=1e-12)
    np.testing.assert_array_equal(at_all_increments(cubic, 20), cubic)


def test_network_is_measured_on_its_rollout(measured, data):
    path, table = measured
    network = table.query("kind == 'network' and contender == 'tiny'")
    pairs = make_pairs(data, range(3), 1)
    predicted = modes.rollout(modes.network_predictor(models.load(path)), pairs)
    wanted = np.abs(predicted - modes.truth(pairs)).mean()
    np.testing.assert_allclose(network["mae"], wanted, rtol=1e-3)
    step = modes.one_step(modes.network_predictor(models.load(path)), pairs)
    np.testing.assert_allclose(network["one_step"], np.abs(step - pairs.after).mean(), rtol=1e-3)
    assert network["batch"].tolist() == [1, 3]
    assert network.apply(speed.described, axis=1).tolist() == ["batch 1", "batch 3 (best)"]
    assert (table["seconds"] > 0).all()


def test_who_knows_the_whole_load_adds_its_increments_to_the_true_stress(data):
    true = data.sigma_vm[:3, 1:]
    off = true + 5  # from the first increment on
    truths = speed.Truths(true, true - 3)
    errors = truths.errors(off)
    assert errors["one_step"] == pytest.approx(5 / true.shape[1], rel=1e-4)
    assert (errors["mae"], errors["mae_converged"]) == pytest.approx((5, 8), rel=1e-4)
    drifting = true + np.arange(1, true.shape[1] + 1)[:, None, None]
    assert truths.errors(drifting)["one_step"] == pytest.approx(1, rel=1e-4)


def test_more_points_come_nearer_to_the_converged_fields(measured):
    table = measured[1]
    rotated = table[(table["derivative"] == "rotated") & (table["increments"] == 20)]
    assert rotated["points_per_pixel"].tolist() == [1, 2, 4]
    mae = rotated["mae_converged"].tolist()
    assert mae == sorted(mae, reverse=True)
    assert table.loc[table["tol"] == 1e-8, "mae_converged"].item() > mae[0] > 3 * mae[1]


def test_recorded_damask_is_marked_and_agrees_with_the_reference_model():
    rows = pd.DataFrame(speed._recorded_damask())
    assert set(rows["origin"]) == {"recorded"}
    tight = rows.loc[rows["seconds"].idxmax()]
    assert tight["mae"] < 0.01
    assert rows["seconds"].between(10, 200).all()


def test_speed_table_compares_with_damask_and_the_solver():
    def row(contender, kind, seconds, default=False, cores=1, **setting):
        return {
            "contender": contender,
            "kind": kind,
            **dict.fromkeys(speed.SETTING, np.nan),
            **setting,
            "default": default,
            "cores": cores,
            "seconds": seconds,
            "mae": 1e-3,
            "mae_converged": 2.0,
            "one_step": 1e-4,
            "origin": "measured",
        }

    found = pd.DataFrame(
        [
            row("DAMASK", "solver", 30.0, tol=5e-4),
            row("reference model", "solver", 0.1, default=True, **OURS),
            row("net", "network", 0.2, batch=1),
            row("net", "network", 0.15, batch=8),
            row("reference model", "solver", 0.06, default=True, cores=2, **OURS),
            row("net", "network", 0.3, cores=2, batch=1),
        ]
    )
    table = tables.speed(found).set_index(["", "setting"])
    settings = ["eps 0.0005", "batch 1", "batch 8 (best)", WORDS]
    assert table.index.get_level_values("setting").tolist() == settings
    assert table.loc[("net", "batch 1"), "times faster than DAMASK"] == 150
    assert table.loc[("net", "batch 1"), "times faster than our RM"] == 0.5
    np.testing.assert_array_equal(table["s, all cores"], [np.nan, 0.3, np.nan, 0.06])


WORDS = "10 increments, tol 3e-05, single precision, rotated, 2 x 2 points"
OURS = {
    "increments": 10,
    "tol": 3e-5,
    "precision": "single",
    "derivative": "rotated",
    "points_per_pixel": 2,
}


def test_settings_in_words_are_read_from_older_tables(tmp_path):
    as_data = {"precision": "double", "derivative": "continuous", "points_per_pixel": 1}
    older = {
        ("reference model", WORDS): OURS,
        ("reference model", "5 increments, tol 0.0001"): {"increments": 5, "tol": 1e-4, **as_data},
        ("reference model", "tol 1e-07"): {"increments": 20, "tol": 1e-7, **as_data},
        ("net", "batch 8 (best)"): {"batch": 8},
        ("DAMASK", "eps 5e-06"): {"tol": 5e-6},
    }
    table = pd.DataFrame(list(older), columns=["contender", "setting"]).assign(hardware="2 x CPU")
    table.to_csv(tmp_path / "speed.csv", index=False)
    found = speed.read(tmp_path / "speed.csv")
    wanted = pd.DataFrame(older.values(), columns=speed.SETTING)
    pd.testing.assert_frame_equal(found[speed.SETTING], wanted, check_dtype=False)
    assert set(found["machine"]) == {"2 x CPU"} and found["mae_converged"].isna().all()
    table.assign(machine="there").to_csv(tmp_path / "speed.csv", index=False)
    speed.write(tmp_path / "speed.csv", wanted.assign(machine="here"))
    kept = pd.read_csv(tmp_path / "speed.csv")
    assert kept["machine"].tolist() == ["here"] * 5 + ["there"] * 5 and "setting" not in kept
    pd.testing.assert_frame_equal(kept[speed.SETTING], pd.concat([wanted] * 2, ignore_index=True))


def test_damask_on_the_path_is_measured(data, monkeypatch):
    """DAMASK's part is played by our own solver, 1 MPa off."""
    cell = data.microstructure(0)
    sigma_vm = reference.simulate(cell).sigma_vm + 1
    monkeypatch.setattr(speed.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(speed.damask, "run", lambda directories, workers: {})
    monkeypatch.setattr(speed.dadf5, "find", lambda paths: paths)
    monkeypatch.setattr(speed.dadf5, "read", lambda path: SimpleNamespace(sigma_vm=sigma_vm))
    (row,) = speed.damask_rows([cell])
    assert (row["origin"], row["cores"], row["n"]) == ("measured", 1, 1)
    assert row["mae"] == pytest.approx(1, rel=1e-3)
    monkeypatch.setattr(speed.damask, "run", lambda directories, workers: {"0": "exit status 1"})
    with pytest.raises(ValueError, match="DAMASK failed: exit status 1"):
        speed.damask_rows([cell])


def outcome_of_training(model, inputs, known_batch):
    """Output of a model in training mode, and gradients of its inputs and weights."""
    tf = pytest.importorskip("tensorflow")
    inputs = [tf.constant(x) for x in inputs]
    as_model = partial(keras.tree.pack_sequence_as, model.input)
    output_gradient = tf.random.stateless_normal(model(as_model(inputs)).shape, (1, 2))

    def gradients(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = model(as_model(inputs), training=True)
        of = [*inputs, *(variable.value for variable in model.trainable_variables)]
        return y, *tape.gradient(y, of, output_gradient)

    of_any_batch = [tf.TensorSpec((None, *x.shape[1:])) for x in inputs]
    return tf.function(gradients, None if known_batch else of_any_batch)(*inputs)


def assert_same_outcome(fast, model, inputs, known_batch=True):
    pairs = zip(
        outcome_of_training(fast, inputs, known_batch),
        outcome_of_training(model, inputs, known_batch),
        strict=True,
    )
    for got, wanted in pairs:
        np.testing.assert_allclose(got, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.fixture
def fields(rng):
    """Fields of odd sizes in an odd batch: one of 3 channels, and one of 2 at twice the pixels."""
    shapes = (3, 5, 7, 3), (3, 10, 14, 2)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("known_batch", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", [9, (4, 3)])
def test_last_convolution_is_that_of_the_upsampled_field(fields, kernel, bias, known_batch):
    coarse, beside = (keras.Input((None, None, x.shape[-1])) for x in fields)
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(coarse)
    x = keras.layers.Concatenate()([x, beside])
    convolve = keras.layers.SeparableConv2D(
        1, kernel, padding="same", use_bias=bias, bias_initializer="glorot_uniform"
    )
    model = keras.Model([coarse, beside], convolve(x))
    fast = accelerated(model)
    assert [type(layer) for layer in fast.layers[2:]] == [acceleration.UpsampledSeparableConv2D]
    assert_same_outcome(fast, model, fields, known_batch)


@pytest.mark.parametrize("one_at_a_time", [0, np.inf])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", [9, (4, 3)])
def test_separable_convolution_is_that_of_keras(fields, kernel, bias, one_at_a_time, monkeypatch):
    monkeypatch.setattr(acceleration, "ONE_AT_A_TIME", one_at_a_time)
    inputs = keras.Input((None, None, 3))
    convolve = keras.layers.SeparableConv2D(
        4, kernel, padding="same", use_bias=bias, bias_initializer="glorot_uniform"
    )
    model = keras.Model(inputs, convolve(inputs))
    fast = accelerated(model)
    assert type(fast.layers[1]) is acceleration.FastGradientSeparableConv2D
    assert_same_outcome(fast, model, fields[:1])


def test_batch_normalization_is_that_of_keras(fields):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
    fast = accelerated(model)
    assert type(fast.layers[1]) is acceleration.FusedBatchNormalization
    assert_same_outcome(fast, model, fields[:1])
    for got, wanted in zip(fast.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


@pytest.mark.parametrize("option", ["filters", "padding", "interpolation", "size"])
def test_other_upsampling_is_left_to_its_layer(option):
    pytest.importorskip("tensorflow")
    options = {"filters": 1, "padding": "same", "interpolation": "bilinear", "size": 2}
    other = {"filters": 2, "padding": "valid", "interpolation": "nearest", "size": 1}
    options[option] = other[option]
    coarse = keras.Input((None, None, 3))
    x = keras.layers.UpSampling2D(options["size"], interpolation=options["interpolation"])(coarse)
    x = keras.layers.Concatenate()([x, x])
    x = keras.layers.SeparableConv2D(options["filters"], 3, padding=options["padding"])(x)
    model = keras.Model(coarse, x)
    kinds = [type(layer) for layer in accelerated(model).layers]
    assert keras.layers.UpSampling2D in kinds
