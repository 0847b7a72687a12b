import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from repro import models
from repro.data import dataset
from repro.data.pairs import make_pairs
from repro.evaluation.assessment import assess
from repro.evaluation.results import KEYS, read_rows, write_rows
from repro.experiments import chain
from repro.models import files as model_files
from repro.models.files import ModelFileError
from repro.models.runs import run_of
from repro.surrogate import load
from repro.tools import progress
from repro.training import snapshot, statistics, trainer
from repro.training.engine import TrainingEngine
from repro.training.recipes import TrainingConfig
from repro.training.snapshot import SnapshotError
from repro.training.trainer import start_from, train

# A different number of threads, or kernel, sums in another order; on one machine nothing differs.
SAME = {"rtol": 0, "atol": 0}


def small_network():
    keras.utils.set_random_seed(0)
    return models.paper_unet(filters=4, levels=2, kernel=3)


def run(data, out, **options):
    network = small_network()
    identity = options.pop("identity", {"stride": 5})
    keywords = {key: options.pop(key) for key in ("time_limit",) if key in options}
    config = TrainingConfig(**{"epochs": 3, "batch_size": 4, **options})
    training_pairs, validation_pairs = make_pairs(data, range(5), 5), make_pairs(data, [5], 5)
    return train(
        network, training_pairs, validation_pairs, config, out, identity, progress=False, **keywords
    )


def assert_same_state(got, wanted):
    assert [r["mae_validation"] for r in got.history] == [
        r["mae_validation"] for r in wanted.history
    ]
    for group in ("weights", "optimizer", "best_weights"):
        for a, b in zip(getattr(got, group), getattr(wanted, group), strict=True):
            np.testing.assert_allclose(a, b, err_msg=group, **SAME)


def test_training_lowers_the_loss_and_leaves_its_files(data, tmp_path):
    state = run(data, tmp_path, epochs=12)
    errors = [row["mae_training"] for row in state.history]
    assert errors[-1] < 0.5 * errors[0]
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["mae_training"].tolist() == pytest.approx(errors)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["epochs"] == 12
    assert config["stride"] == 5
    (environment,) = json.loads((tmp_path / "environment.json").read_text())
    assert environment["versions"]["keras"] == keras.__version__
    last = models.load(tmp_path / "last.keras")
    assert all(any(np.array_equal(w, a) for a in state.weights) for w in last.trainable_weights)


def test_best_model_is_that_of_the_lowest_validation_error(data, tmp_path):
    state = run(data, tmp_path, epochs=4)
    pairs = make_pairs(data, [5], 5)
    x, y = pairs.gather(pairs.in_order())
    best = models.load(tmp_path).predict(x, verbose=0)
    assert np.abs(best - y).mean() == pytest.approx(state.best, rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 1.0},
        {
            "augment": True,
            "cosine": True,
            "warmup_epochs": 1,
            "weight_decay": 1e-2,
        },
    ],
)
def test_interrupted_run_ends_as_the_uninterrupted_one(data, tmp_path, options, monkeypatch):
    whole = run(data, tmp_path / "whole", **options)
    save = snapshot.save

    def save_then_interrupt(directory, state, identity):
        save(directory, state, identity)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(snapshot, "save", save_then_interrupt)
    for epoch in range(1, 4):
        state = run(data, tmp_path / "parts", **options)
        assert state.epoch == epoch
        assert state.interrupted
    assert_same_state(state, whole)


def test_killed_command_ends_as_the_uninterrupted_one(data_file, tmp_path):
    command = [
        sys.executable,
        "-m",
        "repro.train_paper",
        "--data",
        data_file,
        "--epochs",
        "5",
        "--stride",
        "5",
        "--filters",
        "8",
    ]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    subprocess.run([*command, "--out", whole], check=True, capture_output=True)
    delays = random.Random()
    kills = 0
    for _ in range(2):
        process = subprocess.Popen(
            [*command, "--out", parts], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = _written(parts)
        while _written(parts) == before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(delays.uniform(0, 0.2))
        kills += process.poll() is None
        process.kill()
        process.wait()
    assert kills
    subprocess.run([*command, "--out", parts], check=True, capture_output=True)
    seconds = {"seconds"}
    tables = [pd.read_csv(out / "history.csv").drop(columns=seconds) for out in (parts, whole)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    for name in ("best.keras", "last.keras"):
        weights = [models.load(out / name).get_weights() for out in (parts, whole)]
        for got, wanted in zip(*weights, strict=True):
            np.testing.assert_allclose(got, wanted, **SAME)


def _written(out: Path):
    path = out / snapshot.NAME
    return path.stat().st_mtime_ns if path.exists() else None


def test_another_run_under_the_same_name_is_refused(data, tmp_path, monkeypatch):
    run(data, tmp_path, epochs=1)
    with pytest.raises(SnapshotError, match="batch_size = 4, not 2"):
        run(data, tmp_path, batch_size=2)
    with pytest.raises(SnapshotError, match="stride = 5, not 1"):
        run(data, tmp_path, identity={"stride": 1})
    other = models.paper_unet(filters=2, levels=2, kernel=3)
    monkeypatch.setattr(sys.modules[__name__], "small_network", lambda: other)
    with pytest.raises(SnapshotError, match="architecture"):
        run(data, tmp_path)


def test_time_limit_stops_before_the_epoch_that_would_overrun(data, tmp_path):
    state = run(data, tmp_path, epochs=1000, time_limit=1e-6)
    assert state.epoch == 0
    assert run(data, tmp_path, epochs=2).epoch == 2


def test_progress_goes_on_where_the_run_does(data, tmp_path, capsys, monkeypatch):
    run(data, tmp_path, epochs=2)
    monkeypatch.setattr(progress, "LINES", {**progress.LINES, "delay": 0, "mininterval": 0})
    capsys.readouterr()
    pairs = make_pairs(data, range(5), 5)
    config = TrainingConfig(epochs=3, batch_size=4)
    train(small_network(), pairs, make_pairs(data, [5], 5), config, tmp_path, {"stride": 5})
    output = capsys.readouterr()
    assert output.out == "going on after epoch 2\n"
    lines = output.err.splitlines()
    # Two epochs of five steps are done, and no time left is known.
    assert "10 of 15 steps" in lines[0]
    assert "? left" in lines[0]
    assert "epoch 3/3: 15 of 15 steps" in lines[-1]


def test_patience_stops_after_epochs_without_gain(data, tmp_path, monkeypatch):
    errors = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    monkeypatch.setattr(TrainingEngine, "_validate", lambda *_: next(errors))
    state = run(data, tmp_path, epochs=50, patience=2, statistics_samples=0)
    assert [row["mae_validation"] for row in state.history] == [3, 2, 2.5, 2]
    assert state.epochs_without_gain == 2


def test_divergence_is_an_error(data, tmp_path):
    with pytest.raises(FloatingPointError, match="diverged in epoch 1: lower --learning-rate"):
        run(data, tmp_path, learning_rate=1e30)


def test_schedule_warms_up_and_falls_as_a_cosine(data, tmp_path):
    state = run(data, tmp_path, epochs=6, cosine=True, warmup_epochs=2)
    rates = [row["learning_rate"] for row in state.history]
    assert rates[1] == pytest.approx(1e-3, rel=1e-3)
    assert rates[0] == pytest.approx(5e-4, rel=1e-3)
    assert rates[3] == pytest.approx(5e-4, rel=1e-3)
    assert rates[5] == pytest.approx(0, abs=1e-9)


def test_data_that_stays_in_its_file_trains_the_same(data, data_file, tmp_path):
    stored = dataset.read(data_file, in_memory=False)
    for stride in (1, 5):
        pairs, wanted = (make_pairs(some, [4, 0, 2], stride) for some in (stored, data))
        assert len(pairs) == len(wanted)
        samples = wanted.epoch(0, 0, augment=True)
        for field, in_memory in zip(pairs.gather(samples), wanted.gather(samples), strict=True):
            np.testing.assert_array_equal(field, in_memory)
    states = [
        run(some, tmp_path / name, augment=True, epochs=1)
        for some, name in ((stored, "file"), (data, "memory"))
    ]
    assert_same_state(*states)


def test_what_needs_all_data_at_once_does_not_go_with_a_file():
    options = chain.RunOptions(from_file=True)
    with pytest.raises(ValueError, match=r"--from-file goes with .* table 3 or table 3, 1000"):
        chain.train_and_evaluate("paper_unet", TrainingConfig(), options, {}, "per-channel")


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="epochs must be positive, got 0"):
        TrainingConfig(epochs=0)
    with pytest.raises(ValueError, match="time_limit must be positive, got 0"):
        train(small_network(), None, None, TrainingConfig(), "nowhere", time_limit=0)
    with pytest.raises(ValueError, match="learning_rate must be positive, got -1"):
        TrainingConfig(learning_rate=-1)
    with pytest.raises(ValueError, match=r"epochs \(5\) must be more than warmup_epochs \(5\)"):
        TrainingConfig(epochs=5, warmup_epochs=5, cosine=True)


def test_tensorboard_logs_on_request(data, tmp_path):
    pytest.importorskip("tensorboard")
    pairs = make_pairs(data, [0], 10)
    train(
        small_network(), pairs, pairs, TrainingConfig(1), tmp_path, progress=False, tensorboard=True
    )
    assert list((tmp_path / "tensorboard").rglob("events*"))


def test_runs_without_tensorflow(data_file, tmp_path):
    """Training, evaluation and loading on JAX, where importing TensorFlow fails."""
    blocked = tmp_path / "blocked" / "tensorflow"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('TensorFlow is not installed')")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": f"{blocked.parent}{os.pathsep}{Path(__file__).parents[1]}",
    }
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "repro.train_paper",
        "--data",
        data_file,
        "--out",
        out,
        "--epochs",
        "2",
        "--stride",
        "10",
        "--filters",
        "2",
        "--levels",
        "1",
    ]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert len(pd.read_csv(out / "history.csv")) == 2
    assert (out / "results.csv").exists()
    # The same network gives the same stress on the backend of this process.
    there = read_rows(out / "results.csv")
    write_rows(tmp_path / "here.csv", assess(load(out), dataset.read(data_file)))
    here = read_rows(tmp_path / "here.csv")
    both = there.merge(here[[*KEYS, "value"]], on=KEYS, suffixes=("", "_here"))
    assert len(both) == len(there)
    in_stress = both[both["unit"] == "MPa"]
    np.testing.assert_allclose(in_stress["value"], in_stress["value_here"], atol=1e-3)


def test_statistics_are_measured_with_fixed_weights(data):
    keras.utils.set_random_seed(0)
    network = models.paper_unet(filters=2, levels=1, kernel=3)
    x = np.random.default_rng(0).uniform(0, 300, (8, 16, 16, 5)).astype(np.float32)
    before = [keras.ops.convert_to_numpy(weight) for weight in network.trainable_weights]
    measuring = statistics.Statistics(network)
    measuring.measure([x])
    for weight, wanted in zip(network.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(weight, wanted)
    # With the statistics of the very batch that is asked for, inference is what training sees.
    seen = network(x, training=True)
    np.testing.assert_allclose(network(x), seen, rtol=1e-4)

    # Over several batches: the mean of the means, and the variance within and between them.
    first = statistics.normalizations(network)[0]
    inputs = keras.Model(network.input, first.input)(x)
    measuring.measure([x[:4], x[4:]])
    np.testing.assert_allclose(first.moving_mean, np.mean(inputs, (0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(first.moving_variance, np.var(inputs, (0, 1, 2)), rtol=1e-4)
    assert first.momentum == 0.99


def test_weights_are_validated_and_kept_with_measured_statistics(data, tmp_path):
    state = run(data, tmp_path, epochs=2, statistics_samples=16)
    row = state.history[-1]
    assert row["mae_validation"] != row["mae_validation_averaged"]
    # Training does not know of it: the same weights as without.
    other = run(data, tmp_path / "other", epochs=2, statistics_samples=0)
    assert "mae_validation_averaged" not in other.history[-1]
    for weight, wanted in zip(state.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight, wanted)
    assert row["mae_validation_averaged"] == other.history[-1]["mae_validation"]


def test_a_run_starts_from_the_weights_of_a_trained_network_of_the_same_kind(data, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    run(data, first, epochs=2)
    network = small_network()
    identity = start_from(network, first)
    assert (identity["start_epochs"], identity["start_further"]) == (2, 0)
    trained = models.load(first).get_weights()
    for found, wanted in zip(network.get_weights(), trained, strict=True):
        np.testing.assert_array_equal(found, wanted)
    run(data, second, identity=identity, epochs=1)
    assert run_of(second / "best.keras").epochs == 3
    with pytest.raises(ModelFileError, match="built otherwise than the network that is to start"):
        start_from(models.paper_unet(filters=4, levels=1, kernel=3), first)


def test_a_run_starts_from_a_network_without_its_layers_that_add_nothing_yet(tmp_path, rng):
    trained = models.learned_correction(filters=4, levels=1)
    trained.set_weights([rng.normal(0, 0.1, w.shape) for w in trained.get_weights()])
    model_files.save(trained, tmp_path / "trained.keras")
    network = models.learned_correction(filters=4, levels=1, fine=6)
    start_from(network, tmp_path / "trained.keras")
    x = rng.uniform(50, 300, (2, 8, 8, network.input_shape[-1])).astype(np.float32)
    np.testing.assert_allclose(models.predict(network, x), models.predict(trained, x), rtol=1e-5)
    for other in (
        models.learned_correction(filters=4, levels=2, fine=6),  # gives something else
        models.learned_correction(filters=3, levels=1, fine=6),
    ):
        with pytest.raises(ModelFileError, match="built otherwise than the network that is to"):
            start_from(other, tmp_path / "trained.keras")


def of_own(layer):
    """A network of a user's, with a layer of theirs."""
    inputs = models.layers.physical_inputs()
    x = keras.layers.Conv2D(2, 3, padding="same")(models.layers.normalize(inputs))
    x = keras.layers.Dropout(0.5)(layer(x))
    return keras.Model(inputs, models.layers.to_stress(keras.layers.Conv2D(1, 1)(x)), name="own")


class Unregistered(keras.layers.Layer):
    """Keras cannot find it by its name, as those of a file that was run."""

    __module__ = "<run_path>"

    def call(self, x):
        return x


@keras.saving.register_keras_serializable("test")
class Unsaved(keras.layers.Layer):
    """It has no get_config()."""

    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        return self.factor * x


@keras.saving.register_keras_serializable("test")
class Forgetful(Unsaved):
    """Its get_config() lacks an argument that has a default."""

    def __init__(self, factor=1.0, **options):
        super().__init__(factor, **options)

    def get_config(self):
        return keras.layers.Layer.get_config(self)


@keras.saving.register_keras_serializable("test")
class OfOneGrid(keras.layers.Layer):
    """It suits cells of 16 pixels alone, which the input of its network does not say."""

    def call(self, x):
        return x * keras.ops.ones((1, 16, 16, 2))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Unregistered(), "own cannot be loaded back once it is saved, .*register_keras_serializ"),
        (keras.layers.Lambda(abs), "own cannot be loaded back once it is saved"),
        (
            Unsaved(np.ones(1)),
            r"own cannot be saved, .*give each layer of your own a get_config\(\)",
        ),
        (Forgetful(2.0), r"own gives another output after .*: get_config\(\)"),
        (OfOneGrid(), r"own cannot predict cells of 32 x 32 pixels"),
    ],
)
def test_a_network_that_could_not_be_used_is_refused_before_its_first_epoch(
    data, tmp_path, layer, message
):
    pairs = make_pairs(data, range(6), 5)
    with pytest.raises(ValueError, match=message) as refused:
        train(of_own(layer), pairs, pairs, TrainingConfig(epochs=1), tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_the_check_of_a_network_changes_nothing_of_its_training(data, tmp_path, monkeypatch):
    def trained(out):
        keras.utils.set_random_seed(0)
        network, pairs = of_own(keras.layers.Dropout(0.5)), make_pairs(data, range(6), 10)
        return train(network, pairs, pairs, TrainingConfig(epochs=2), out, progress=False)

    checked = trained(tmp_path / "checked")
    monkeypatch.setattr(trainer, "check_network", lambda *_: None)
    assert_same_state(checked, trained(tmp_path / "unchecked"))
