"""The one trainer: compiles, trains epoch by epoch, and can be killed at any moment.

After every epoch the whole state goes into one snapshot (`repro.training.snapshot`), and the order
of the samples is a function of seed and epoch. So starting the same run again goes on where it was,
and ends where it would have ended.
"""

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from repro import models, paper
from repro.data.dataset import array_hash
from repro.data.pairs import Pairs
from repro.models.acceleration import accelerated
from repro.models.backend import ON_TENSORFLOW_CPU, as_networks_need_it, keras
from repro.tools.progress import Progress
from repro.training import feed, run_directory, snapshot, statistics
from repro.training.snapshot import TrainingState


@dataclass(frozen=True)
class TrainingConfig:
    """How to train; the defaults are the paper's (Methods).

    Parameters
    ----------
    epochs : int
        Passes over the training pairs.
    batch_size : int
        Pairs per step (not stated in the paper).
    learning_rate : float
        Learning rate of Adam, at its highest.
    seed : int
        Seed of the initial weights.
    shuffle_seed : int
        Seed of the order of the samples and of their symmetries.
    weight_decay : float
        Decoupled weight decay, as in AdamW.
    clip_norm : float, optional
        Largest norm of the whole gradient.
    warmup_epochs : int
        Epochs in which the learning rate rises linearly from zero.
    cosine : bool
        Whether it then falls to zero as a cosine over the remaining `epochs`.
    patience : int, optional
        Stop after so many epochs without a lower validation MAE.
    ema : float, optional
        Momentum of the moving average of the weights that is validated in place of the weights;
        less in the beginning (`AveragingAdam`).
    augment : bool
        Whether samples come under random exact symmetries (`Pairs.epoch`).
    pushforward : float
        Share of the trajectories whose inputs are the network's own rollout instead of the true
        stress, drawn and computed anew for every epoch: so it learns to correct its own errors.
    statistics_samples : int
        Training samples on which the statistics of batch normalization are measured before
        validating (`repro.training.statistics`); 0 for those averaged in training.
    """

    epochs: Annotated[int, tyro.conf.Suppress] = paper.EPOCHS
    batch_size: int = paper.BATCH_SIZE
    learning_rate: float = paper.LEARNING_RATE
    seed: int = 0
    shuffle_seed: int = 0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    warmup_epochs: int = 0
    cosine: bool = False
    patience: int | None = None
    ema: float | None = None
    augment: bool = False
    pushforward: float = 0.0
    statistics_samples: int = 1152

    def __post_init__(self):
        for name in ("epochs", "batch_size", "learning_rate", "patience", "clip_norm"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.cosine and self.epochs <= self.warmup_epochs:
            raise ValueError(
                f"epochs ({self.epochs}) must be more than warmup_epochs ({self.warmup_epochs})"
            )

    def identity(self) -> dict:
        """What must not change when a run goes on; a run may be extended, unless it is annealed."""
        fields = asdict(self)
        if not self.cosine:
            del fields["epochs"]
        del fields["patience"], fields["statistics_samples"]  # training does not know of them
        return fields


class Interruption(BaseException):
    """SIGTERM or SIGINT arrived."""


@as_networks_need_it()
def train(
    network: keras.Model,
    training: Pairs,
    validation: Pairs,
    config: TrainingConfig,
    out,
    identity: dict | None = None,
    time_limit: float | None = None,
    progress: bool = True,
    tensorboard: bool = False,
    engine: "type[TrainingEngine] | None" = None,
) -> TrainingState:
    """Train a network, or go on with the run in `out`.

    Parameters
    ----------
    network : keras.Model
        Physical units at both ends. Its weights are the starting point.
    training, validation : Pairs
        Of one stride.
    config : TrainingConfig
    out : path-like
        Directory of the run: config.json, environment.json, history.csv, snapshot.npz, and at the
        end best.keras and last.keras.
    identity : dict, optional
        What else must be the same for a run to go on (hash of the split, stride, ...).
    time_limit : float, optional
        Minutes; stops before an epoch that would take longer.
    progress : bool
        Show a bar.
    tensorboard : bool
        Log to `out`/tensorboard too; needs TensorFlow.
    engine : type, optional
        What takes the steps: `TrainingEngine`, or `repro.training.devices.DistributedEngine`.

    Returns
    -------
    TrainingState
        After the last epoch; complete if its `epoch` is `config.epochs` or patience ran out.

    Raises
    ------
    SnapshotError
        If `out` holds a run of another network, data set or configuration.
    FloatingPointError
        If the loss is not finite.
    ValueError
        If `time_limit` is not positive.
    """
    check_time_limit(time_limit)
    deadline = np.inf if time_limit is None else time.monotonic() + 60 * time_limit
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    about_config, architecture = config.identity(), {"architecture": architecture_hash(network)}
    identity = {**(identity or {}), **about_config, **architecture}
    engine = (engine or TrainingEngine)(network, training, validation, config)
    state = snapshot.load(out, identity)
    if state is None:
        state = engine.state(history=[])
    else:
        engine.restore(state)
        if progress:
            print(f"going on after epoch {state.epoch}")
    run_directory.start(out, {**identity, **asdict(config)}, state.epoch)
    bar = _Progress(config.epochs, engine.steps, state.epoch, progress)
    callbacks = [bar.callback]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(out / "tensorboard", write_graph=False))
    with _signals_raise(), bar:
        try:
            while not finished(state, config) and _time_left(state, deadline):
                bar.begin_epoch(state)
                state = engine.train_epoch(state, callbacks)
                snapshot.save(out, state, identity)
                run_directory.write_history(out, state)
        except Interruption:
            # The epoch in flight is lost, the snapshot holds the others.
            state = replace(state, interrupted=True)
    run_directory.export(out, network, state.best_weights, engine.for_inference(state.weights))
    return state


def check_time_limit(time_limit: float | None) -> None:
    """Raise ValueError if a time limit in minutes is not positive."""
    if time_limit is not None and not time_limit > 0:
        raise ValueError(f"time_limit must be positive, got {time_limit}")


def finished(state: TrainingState, config: TrainingConfig) -> bool:
    """Whether a run has done its epochs or lost its patience."""
    patience = config.patience or np.inf
    return state.epoch >= config.epochs or state.epochs_without_gain >= patience


def architecture_hash(model: keras.Model) -> str:
    """Identifies the layers and weight shapes of a network, whatever its weights."""
    # Every backend has its own type of a shape.
    layers = [
        (type(layer).__name__, [tuple(map(int, weight.shape)) for weight in layer.weights])
        for layer in model.layers
    ]
    return array_hash(np.frombuffer(repr(layers).encode(), np.uint8))


class TrainingEngine:
    """The compiled model and its batches, whichever way they reach it.

    With TensorFlow on a CPU batches come through tf.data. Elsewhere the data set lives in the
    memory of the device and batches are gathered there, if it is in memory at all.
    """

    def __init__(self, network, training, validation, config):
        self.config, self.training, self.validation = config, training, validation
        self.steps = -(-len(training) // config.batch_size)
        self.network = accelerated(network) if ON_TENSORFLOW_CPU else network
        self.resident = training.in_memory and not ON_TENSORFLOW_CPU
        self.model = self._resident() if self.resident else self.network
        # XLA is ruinous for depthwise convolution on a CPU.
        self._compile(self.model, jit_compile=False if ON_TENSORFLOW_CPU else "auto")
        self.statistics = statistics.Statistics(self.network)

    def _compile(self, model, jit_compile):
        model.compile(
            optimizer=_optimizer(self.config, self.steps),
            loss="mae",
            # The loss is that of the normalized stress, the metric its value in MPa.
            loss_weights=[1 / paper.STRESS_SCALE],
            metrics=["mae"],
            jit_compile=jit_compile,
        )
        model.optimizer.build(model.trainable_variables)

    def _resident(self):
        return feed.Resident(self.network, _joined(self.training, self.validation))

    def _batches(self, pairs, samples) -> dict:
        """Arguments for `fit` and `evaluate`."""
        size = self.config.batch_size
        if not self.resident:
            return {"x": feed.batches(pairs, samples, size)}
        if pairs is self.validation:
            samples = samples + np.array([len(self.training), 0, 0, 0, 0], np.int32)
        elif pairs.own is not None:
            self.model.before.assign(_joined(pairs, self.validation).before.reshape(-1, 1))
        zero = np.zeros((len(samples), 1, 1, 1), np.float32)  # the error to be reached
        return {"x": samples, "y": zero, "batch_size": size}

    def train_epoch(self, state: TrainingState, callbacks) -> TrainingState:
        """The state one epoch later."""
        started = time.monotonic()
        seed = self.config.shuffle_seed
        samples = self.training.epoch(seed, state.epoch, self.config.augment)
        pairs = self.training.pushed_forward(
            self._predict, self.config.pushforward, seed, state.epoch
        )
        logs = self.fit(pairs, samples, state.epoch, callbacks)
        weights = _copies(self.network.weights)
        validated = self.for_inference(weights)
        row = {
            "epoch": state.epoch + 1,
            "mae_training": logs["mae"][0],  # mean over the epoch, weights still moving
            "mae_validation": self._validate(validated, weights),
            "learning_rate": float(self.model.optimizer.learning_rate),
        }
        if self._measures_statistics:
            # Beside it, with those that were averaged in training.
            row["mae_validation_averaged"] = self._validate(self._averaged(weights), weights)
        row["seconds"] = round(time.monotonic() - started, 3)
        if not np.isfinite(row["mae_training"]):
            raise FloatingPointError(
                f"training diverged in epoch {row['epoch']}: lower --learning-rate"
            )
        return TrainingState(
            weights,
            _copies(self.model.optimizer.variables),
            validated if row["mae_validation"] < state.best else state.best_weights,
            [*state.history, row],
        )

    def fit(self, pairs: Pairs, samples, epoch: int = 0, callbacks=()) -> dict:
        """Take one step per batch of samples; return the logs."""
        return self._fit(self.model, self._batches(pairs, samples), epoch, callbacks)

    def _fit(self, model, batches, epoch, callbacks) -> dict:
        return model.fit(
            **batches,
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        ).history

    def _predict(self, x):
        return models.predict(self.network, x, 4 * self.config.batch_size)

    def for_inference(self, weights) -> list[np.ndarray]:
        """The weights to validate and to keep: averaged if asked for, with measured statistics."""
        averaged = self._averaged(weights)
        if not self._measures_statistics:
            return averaged
        self.network.set_weights(averaged)
        # The first samples of the first epoch: the same ones whenever they are asked for.
        samples = self.training.epoch(self.config.shuffle_seed, 0)
        samples = samples[: self.config.statistics_samples]
        batches = self.training.batches(samples, self.config.batch_size)
        self.statistics.measure(x for x, _ in batches)
        measured = _copies(self.network.weights)
        self.network.set_weights(weights)
        return measured

    @property
    def _measures_statistics(self) -> bool:
        return bool(self.config.statistics_samples and statistics.normalizations(self.network))

    def _averaged(self, weights):
        """With an EMA, its values of the weights that are trained."""
        if self.config.ema is None:
            return weights
        average = self.model.optimizer.average_of
        return [
            np.array(keras.ops.convert_to_numpy(average(v))) if v.trainable else weight
            for v, weight in zip(self.network.weights, weights, strict=True)
        ]

    def _validate(self, weights, then) -> float:
        """Validation MAE of some weights, in MPa; leaves the weights `then`."""
        self.network.set_weights(weights)
        batches = self._batches(self.validation, self.validation.in_order())
        mae = self.model.evaluate(**batches, verbose=0, return_dict=True)["mae"]
        self.network.set_weights(then)
        return float(mae)

    def state(self, history) -> TrainingState:
        """The present state."""
        weights = _copies(self.network.weights)
        return TrainingState(weights, _copies(self.model.optimizer.variables), weights, history)

    def restore(self, state: TrainingState) -> None:
        """Go back to a state."""
        self.network.set_weights(state.weights)
        for variable, value in zip(self.model.optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)


def _joined(training: Pairs, validation: Pairs) -> Pairs:
    """Both in one, training first."""
    properties, sigma_vm, before = (
        np.concatenate([getattr(pairs, name) for pairs in (training, validation)])
        for name in ("properties", "sigma_vm", "before")
    )
    return Pairs(properties, sigma_vm, training.stride, own=before)


class AveragingAdam(keras.optimizers.Adam):
    """Adam whose weight average is asked for, not forced on the weights after every `fit`.

    After t steps the momentum of the average is at most t/(10 + t): so it spans a tenth of the run
    and forgets where it began, however short the run is.
    """

    def finalize_variable_values(self, var_list):
        """Leave the weights as they are."""

    def _update_model_variables_moving_average(self, trainable_variables):
        if not self.use_ema:
            return
        steps = keras.ops.cast(self.iterations, "float32")
        momentum = keras.ops.minimum(self.ema_momentum, steps / (10 + steps))
        for variable in trainable_variables:
            average = self.average_of(variable)
            average.assign(variable + momentum * (average - variable))

    def average_of(self, variable):
        """Moving average of a trained variable."""
        return self._model_variables_moving_average[self._get_variable_index(variable)]


def _optimizer(config: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    rate = config.learning_rate
    if config.cosine or config.warmup_epochs:
        warmup = config.warmup_epochs * steps
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            config.epochs * steps - warmup,
            alpha=0.0 if config.cosine else 1.0,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    return AveragingAdam(
        rate,
        beta_1=paper.BETA_1,
        weight_decay=config.weight_decay or None,
        global_clipnorm=config.clip_norm,
        use_ema=config.ema is not None,
        ema_momentum=config.ema or 0.99,
    )


def _copies(variables) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


# --- Progress, time and signals --------------------------------------------------------------


class _Progress:
    """One bar over all epochs that shows MAE in MPa, best so far and time left."""

    def __init__(self, epochs, steps, done, enabled):
        self.epochs, self.best = epochs, np.inf
        self.bar = Progress(total=epochs * steps, initial=done * steps, shown=enabled)
        self.callback = keras.callbacks.LambdaCallback(on_train_batch_end=self._on_batch)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def begin_epoch(self, state):
        self.best = state.best
        self.bar.set_description_str(f"epoch {state.epoch + 1}/{self.epochs}", refresh=False)

    def _on_batch(self, batch, logs=None):
        # Reading the logs waits for the device: do it only when the bar is drawn.
        if self.bar.update():
            best = f", best validation {self.best:.3f} MPa" if np.isfinite(self.best) else ""
            self.bar.set_postfix_str(f"MAE {float(logs['mae']):.3f} MPa{best}", refresh=False)


def _time_left(state, deadline) -> bool:
    seconds = state.history[-1]["seconds"] if state.history else 0
    return time.monotonic() + seconds < deadline


@contextmanager
def _signals_raise():
    """Turn SIGTERM and SIGINT into `Interruption` for the time of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return

    def interrupt(signum, frame):
        raise Interruption

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
