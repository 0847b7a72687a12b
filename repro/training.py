"""The one trainer: compiles, trains epoch by epoch, and can be killed at any moment.

After every epoch the whole state goes into one snapshot file, written temporary -> fsync -> rename:
weights, optimizer, history, best value and best weights. The order of the samples is a function of
seed and epoch. So starting the same run again goes on where it was, and ends where it would have.
"""

import json
import os
import signal
import time
import zipfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from repro import environment, paper, pipeline
from repro.dataset import array_hash
from repro.files import atomic_path
from repro.models.depthwise import accelerated
from repro.pipeline import Pairs


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; the defaults are the paper's (Methods).

    Parameters
    ----------
    epochs : int
        Passes over the training pairs.
    batch_size : int
        Pairs a step (not stated in the paper).
    learning_rate : float
        Of Adam.
    seed : int
        Of the initial weights.
    shuffle_seed : int
        Of the order of the samples.
    """

    epochs: int = paper.EPOCHS
    batch_size: int = paper.BATCH_SIZE
    learning_rate: float = paper.LEARNING_RATE
    seed: int = 0
    shuffle_seed: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


class SnapshotError(ValueError):
    """A snapshot cannot be used; the message says why and what to do."""


@dataclass
class TrainingState:
    """Everything a run needs to go on."""

    weights: list[np.ndarray]
    optimizer: list[np.ndarray]
    best_weights: list[np.ndarray]
    history: list[dict]  # one row an epoch

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def best(self) -> float:
        """Lowest validation MAE so far, MPa."""
        return min((row["mae_validation"] for row in self.history), default=np.inf)


class Interruption(BaseException):
    """SIGTERM or SIGINT arrived."""


def train(
    model: keras.Model,
    training: Pairs,
    validation: Pairs,
    config: TrainingConfig,
    out,
    identity: dict | None = None,
    time_limit: float | None = None,
    progress: bool = True,
) -> TrainingState:
    """Train a network, or go on with the run in `out`.

    Parameters
    ----------
    model : keras.Model
        Physical units at both ends; its weights are those of the last epoch afterwards.
    training, validation : Pairs
    config : TrainingConfig
    out : path-like
        Directory of the run: config.json, history.csv, snapshot.npz, best.keras, last.keras.
    identity : dict, optional
        What else must be the same for a run to go on (hash of the split, stride, ...).
    time_limit : float, optional
        Minutes; stops before an epoch that would take longer.

    Returns
    -------
    TrainingState

    Raises
    ------
    SnapshotError
        If `out` holds a run of another network, data set or configuration.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    identity = {**(identity or {}), **asdict(config), "architecture": architecture_hash(model)}
    del identity["epochs"]  # a run may be extended
    network, model = model, accelerated(model) if _tensorflow_on_cpu() else model
    deadline = time.monotonic() + 60 * time_limit if time_limit else np.inf
    _compile(model, config)
    state = _resume(model, out, identity)
    _write_json(out / "config.json", {**identity, "epochs": config.epochs})
    _write_json(out / "environment.json", _environment())
    bar = _Progress(config.epochs, len(training), config.batch_size, progress)
    with _signals_raise(), bar:
        try:
            while state.epoch < config.epochs:
                if state.history and time.monotonic() + state.history[-1]["seconds"] > deadline:
                    break
                state = _train_epoch(model, training, validation, config, state, bar)
                _save(out / "snapshot.npz", state, identity)
                _write_history(out, state)
        except Interruption:
            pass  # the epoch in flight is lost, the snapshot holds the others
    _export(network, state, out)
    return state


def architecture_hash(model: keras.Model) -> str:
    """Identifies the layers and weight shapes of a network, whatever its weights."""
    layers = [(type(layer).__name__, [w.shape for w in layer.weights]) for layer in model.layers]
    return array_hash(np.frombuffer(repr(layers).encode(), np.uint8))


def _compile(model, config):
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate, beta_1=paper.BETA_1),
        loss="mae",
        # The loss is that of the normalized stress, the metric its value in MPa.
        loss_weights=[1 / paper.STRESS_SCALE],
        metrics=["mae"],
        # XLA is ruinous for depthwise convolution on a CPU.
        jit_compile=False if _tensorflow_on_cpu() else "auto",
    )
    model.optimizer.build(model.trainable_variables)


def _tensorflow_on_cpu() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def _train_epoch(model, training, validation, config, state, bar) -> TrainingState:
    started = time.monotonic()
    order = pipeline.epoch_order(len(training), config.shuffle_seed, state.epoch)
    bar.begin_epoch(state)
    logs = model.fit(
        _feed(training, config.batch_size, order),
        validation_data=_feed(validation, config.batch_size, np.arange(len(validation))),
        shuffle=False,
        verbose=0,
        callbacks=[bar.callback],
    ).history
    row = {
        "epoch": state.epoch + 1,
        "mae_training": logs["mae"][0],  # mean over the epoch, weights still moving
        "mae_validation": logs["val_mae"][0],
        "learning_rate": float(model.optimizer.learning_rate),
        "seconds": round(time.monotonic() - started, 3),
    }
    if not np.isfinite(row["mae_training"]):
        raise FloatingPointError(f"training diverged in epoch {row['epoch']}: lower learning_rate")
    weights = _copies(model.weights)
    return TrainingState(
        weights,
        _copies(model.optimizer.variables),
        weights if row["mae_validation"] < state.best else state.best_weights,
        [*state.history, row],
    )


def _copies(variables) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def _feed(pairs: Pairs, batch_size: int, order):
    """Batches for Keras: tf.data under TensorFlow, else arrays gathered on the fly."""
    if keras.backend.backend() == "tensorflow":
        return pipeline.tf_dataset(pairs, batch_size, order)
    return pairs.batches(batch_size, order)


# --- Snapshots ---------------------------------------------------------------------------


def _resume(model, out, identity) -> TrainingState:
    state = None
    for name in ("snapshot.npz", "snapshot.previous.npz"):
        if (out / name).exists() and state is None:
            try:
                state = _load(out / name, identity)
            except (zipfile.BadZipFile, KeyError, OSError, EOFError, json.JSONDecodeError) as error:
                print(f"{out / name} is damaged ({error}): trying the one before it")
    if state is None:
        weights = _copies(model.weights)
        return TrainingState(weights, [], weights, [])
    model.set_weights(state.weights)
    for variable, value in zip(model.optimizer.variables, state.optimizer, strict=True):
        variable.assign(value)
    return state


def _save(path, state: TrainingState, identity: dict):
    arrays = {
        f"{group}_{i}": array
        for group in ("weights", "optimizer", "best_weights")
        for i, array in enumerate(getattr(state, group))
    }
    meta = {"identity": identity, "history": state.history}
    with atomic_path(path) as temporary:
        np.savez(temporary, meta=np.array(json.dumps(meta)), **arrays)
        if path.exists():
            _keep_as(path, path.with_name("snapshot.previous.npz"))


def _keep_as(path, previous):
    """A second name for the good snapshot, so that at any moment one is whole under its own."""
    link = previous.with_suffix(".link")
    link.unlink(missing_ok=True)
    os.link(path, link)
    link.replace(previous)


def _load(path, identity: dict) -> TrainingState:
    with np.load(path, allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        for key, wanted in identity.items():
            found = meta["identity"].get(key)
            if found != wanted:
                raise SnapshotError(
                    f"{path.parent} holds a run with {key} = {found}, not {wanted}: "
                    "choose another --out or remove it"
                )

        def arrays(group):
            count = sum(name.startswith(f"{group}_") for name in file.files)
            return [file[f"{group}_{i}"] for i in range(count)]

        return TrainingState(
            arrays("weights"), arrays("optimizer"), arrays("best_weights"), meta["history"]
        )


# --- Files beside the snapshot -------------------------------------------------------------


def _write_json(path, content: dict):
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def _environment() -> dict:
    return {
        "commit": environment.code_commit(),
        "hardware": environment.hardware(),
        "backend": keras.backend.backend(),
        "versions": environment.versions(),
    }


def _write_history(out, state):
    with atomic_path(out / "history.csv") as temporary:
        pd.DataFrame(state.history).to_csv(temporary, index=False)


def _export(model, state, out):
    """best.keras and last.keras, for inference: without optimizer."""
    bare = keras.models.clone_model(model)
    for name, weights in (("best", state.best_weights), ("last", state.weights)):
        bare.set_weights(weights)
        with atomic_path(out / f"{name}.keras") as temporary:
            bare.save(temporary)
    model.set_weights(state.weights)


# --- Progress and signals ------------------------------------------------------------------


class _Progress:
    """One bar over all epochs that shows MAE in MPa, best so far and time left."""

    def __init__(self, epochs, pairs, batch_size, enabled):
        self.steps = -(-pairs // batch_size)
        self.bar = tqdm(total=epochs * self.steps, unit="step", mininterval=1, disable=not enabled)
        self.epochs = epochs
        self.callback = keras.callbacks.LambdaCallback(on_train_batch_end=self._on_batch)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def begin_epoch(self, state):
        if self.bar.n == 0:
            self.bar.reset(total=self.epochs * self.steps)
            self.bar.initial = self.bar.n = state.epoch * self.steps
        self.best = state.best
        self.bar.set_description(f"epoch {state.epoch + 1}/{self.epochs}", refresh=False)

    def _on_batch(self, batch, logs=None):
        best = f", best validation {self.best:.3f} MPa" if np.isfinite(self.best) else ""
        self.bar.set_postfix_str(f"MAE {logs['mae']:.3f} MPa{best}", refresh=False)
        self.bar.update()


@contextmanager
def _signals_raise():
    """Turn SIGTERM and SIGINT into `Interruption` for the time of the block."""

    def interrupt(signum, frame):
        raise Interruption

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
