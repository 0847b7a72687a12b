"""The one trainer: compiles, trains epoch by epoch, and can be killed at any moment.

After every epoch the whole state goes into one snapshot (`repro.training.snapshot`), and the order
of the samples is a function of seed and epoch. So starting the same run again goes on where it was,
and ends where it would have ended.
"""

import signal
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from repro import models
from repro.data.dataset import array_hash
from repro.data.samples import Samples
from repro.models import files, runs
from repro.models.backend import as_networks_need_it, keras
from repro.models.checks import check_network
from repro.tools.progress import Progress
from repro.training import run_directory, snapshot
from repro.training.engine import TrainingEngine
from repro.training.recipes import TrainingConfig, check_time_limit
from repro.training.scanned import ScannedEngine
from repro.training.snapshot import TrainingState


@as_networks_need_it()
def train(
    network: keras.Model,
    training: Samples,
    validation: Samples,
    config: TrainingConfig,
    out,
    identity: dict | None = None,
    time_limit: float | None = None,
    progress: bool = True,
    tensorboard: bool = False,
    engine: type[TrainingEngine] | None = None,
) -> TrainingState:
    """Train a network, or go on with the run in `out`.

    Parameters
    ----------
    network : keras.Model
        Physical units at both ends. Its weights are the starting point.
    training, validation : Samples
        Of one kind.
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
        What takes the steps; by default `ScannedEngine` where it suits, else `TrainingEngine`.

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
        If `time_limit` is not positive, or the network could not be used afterwards: as
        `repro.models.checks.check_network`.
    """
    check_time_limit(time_limit)
    check_network(network, training.gather(training.in_order()[-1:])[0])
    deadline = np.inf if time_limit is None else time.monotonic() + 60 * time_limit
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    about_config, architecture = config.identity(), {"architecture": architecture_hash(network)}
    identity = {**(identity or {}), **about_config, **architecture}
    if engine is None:
        suits = all(map(ScannedEngine.suits, (training, validation)))
        engine = ScannedEngine if suits else TrainingEngine
    engine = engine(network, training, validation, config)
    state = snapshot.load(out, identity)
    if state is None:
        state = engine.state(history=[])
    else:
        engine.restore(state)
        if progress:
            print(f"going on after epoch {state.epoch}")
    run_directory.start(out, {**identity, **asdict(config)}, state.epoch)
    forward = -(-(len(validation) + config.statistics_samples) // config.batch_size)
    bar = _Progress(config.epochs, engine.steps, state.epoch, progress, forward)
    signals = _Signals()
    callbacks = [bar.callback, signals.callback]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(out / "tensorboard", write_graph=False))
    with signals, bar:
        # After a signal the epoch in flight is lost, the snapshot holds the others.
        while not (finished(state, config) or signals.arrived) and _time_left(state, deadline):
            bar.begin_epoch(state)
            state = engine.train_epoch(state, callbacks)
            snapshot.save(out, state, identity)
            run_directory.write_history(out, state)
    state = replace(state, interrupted=signals.arrived)
    run_directory.export(out, network, state.best_weights, engine.for_inference(state.weights))
    return state


def finished(state: TrainingState, config: TrainingConfig) -> bool:
    """Whether a run has done its epochs or lost its patience."""
    patience = config.patience or np.inf
    return state.epoch >= config.epochs or state.epochs_without_gain >= patience


def start_from(network: keras.Model, path) -> dict:
    """Give a network the weights of a trained one.

    It may have further layers among those of the trained network, which stay as they were built:
    if both still give the same, since what the further layers add is zero at first.

    Parameters
    ----------
    network : keras.Model
    path : path-like
        As for `repro.models.load`.

    Returns
    -------
    dict
        What the identity of the run says of them; its epochs and further cells are those of the run
        that they are of.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`; the latter also if the other network is built otherwise.
    """
    path = models.model_path(path)
    trained = files.read(path)
    if not _take_weights(network, trained):
        raise files.ModelFileError(
            f"{path}: built otherwise than the network that is to start from it: "
            "give the options that it was built with"
        )
    start = array_hash(*trained.get_weights())
    further = runs.config_of(path).get("further") or 0
    epochs = runs.run_of(path).epochs or 0
    return {"start": start, "start_epochs": epochs, "start_further": further}


def _take_weights(network, trained) -> bool:
    """Give a network the weights of a trained one, layer by layer; whether it has all of them."""
    layers, further = iter(_with_weights(network)), False
    for layer in _with_weights(trained):
        for own in layers:
            if _shapes(own) == _shapes(layer):
                own.set_weights(layer.get_weights())
                break
            further = True
        else:
            return False
    further = further or next(layers, None) is not None
    return not further or _give_the_same(network, trained)


def _with_weights(network) -> list:
    return [layer for layer in network.layers if layer.weights]


def _shapes(layer) -> list[tuple[int, ...]]:
    # Every backend has its own type of a shape.
    return [tuple(map(int, weight.shape)) for weight in layer.weights]


def _give_the_same(*networks) -> bool:
    channels = networks[0].input_shape[-1]
    x = np.random.default_rng(0).uniform(50, 100, (1, 32, 32, channels)).astype(np.float32)
    y, wanted = (keras.ops.convert_to_numpy(network(x, training=False)) for network in networks)
    return np.allclose(y, wanted, rtol=1e-4)


def architecture_hash(model: keras.Model) -> str:
    """Identifies the layers and weight shapes of a network, whatever its weights."""
    layers = [(type(layer).__name__, _shapes(layer)) for layer in model.layers]
    return array_hash(np.frombuffer(repr(layers).encode(), np.uint8))


# --- Progress, time and signals --------------------------------------------------------------


class _Progress:
    """One bar over all epochs that shows MAE in MPa, best so far and time left.

    Before it, from the first steps, a line says how long the whole takes; `forward` is the number
    of batches that every epoch validates, and measures statistics, on.
    """

    MEASURED = 2, 10  # from which step to which: the first one compiles

    def __init__(self, epochs, steps, done, enabled, forward):
        self.epochs, self.best, self.steps = epochs, np.inf, steps
        self.taken, self.enabled, self.left = 0, enabled, epochs - done
        # A batch forward takes about a third of a step.
        self.each_epoch = steps + forward / 3
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
        self._say_how_long(logs)
        # Reading the logs waits for the device: do it only when the bar is drawn.
        if self.bar.update():
            best = f", best validation {self.best:.3f} MPa" if np.isfinite(self.best) else ""
            self.bar.set_postfix_str(f"MAE {float(logs['mae']):.3f} MPa{best}", refresh=False)

    def _say_how_long(self, logs):
        first, last = self.MEASURED
        self.taken += 1
        if not self.enabled or self.taken not in (first, last):
            return
        float(logs["mae"])  # waits for the device
        if self.taken == first:
            self.started = time.monotonic()
            return
        step = (time.monotonic() - self.started) / (last - first)
        minutes = self.left * self.each_epoch * step / 60
        print(
            f"{self.left} epochs of {self.steps} steps: about {_in_words(minutes)} on this machine",
            flush=True,
        )


def _in_words(minutes: float) -> str:
    if minutes < 1.5:
        return "a minute"
    return f"{minutes / 60:.1f} hours" if minutes >= 100 else f"{minutes:.0f} minutes"


def _time_left(state, deadline) -> bool:
    seconds = state.history[-1]["seconds"] if state.history else 0
    return time.monotonic() + seconds < deadline


class _Interruption(BaseException):
    """Leaves the epoch in flight."""


class _Signals:
    """Ends training after SIGTERM or SIGINT, at the next batch; a second one ends it at once.

    Raised where it happens to arrive, an exception may be swallowed, or leave Keras half-way.
    """

    def __init__(self):
        self.arrived = False
        self.callback = keras.callbacks.LambdaCallback(on_train_batch_end=self._on_batch)
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():  # signals reach no other
            numbers = (signal.SIGTERM, signal.SIGINT)
            self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, kind, *_):
        self._restore()
        return kind is _Interruption

    def _note(self, number, frame):
        self.arrived = True
        self._restore()

    def _restore(self):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_batch(self, batch, logs=None):
        if self.arrived:
            raise _Interruption
