"""How fast the trainer is, against plain `keras.Model.fit` in the same run; where a step goes."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd

from repro import models, paper
from repro.data.dataset import DataSet
from repro.data.pairs import make_pairs
from repro.models.backend import keras, on_tensorflow_cpu
from repro.tools import provenance
from repro.tools.processor import available_cores
from repro.tools.timing import process_on, timed
from repro.training.acceleration import accelerated
from repro.training.engine import TrainingEngine
from repro.training.recipes import TrainingConfig


def run(
    data: DataSet, networks=("paper_unet",), batches: int = 50, repeats: int = 3
) -> pd.DataFrame:
    """Measure the trainer, and with TensorFlow on a CPU the layers of a training step.

    Parameters
    ----------
    data : DataSet
        Its pairs at stride 1 are trained on.
    networks : sequence of str
        Keys of `models.NETWORKS`.
    batches : int
        Steps in one measurement.
    repeats : int
        Measurements of each, taken in turn so that other load hits all; the fastest counts.

    Returns
    -------
    DataFrame
        Rows of `epochs` (sweep "epoch") and of `layers` (sweep "layers"), with their provenance.
    """
    rows = []
    for network in networks:
        rows += [{"sweep": "epoch", **row} for row in epochs(data, network, batches, repeats)]
        if on_tensorflow_cpu():
            with _without_onednn(), process_on(available_cores()) as call:
                without = call(_plain, data, network, batches, repeats)
            rows.append({"sweep": "epoch", **without, "contender": "plain fit without oneDNN"})
        if on_tensorflow_cpu():
            rows += [{"sweep": "layers", **row} for row in layers(network, repeats=repeats)]
    return pd.DataFrame(rows).assign(backend=keras.backend.backend(), **provenance.stamp())


# --- A pass over the samples -------------------------------------------------------------------


@contextmanager
def _without_onednn():
    """What is started within takes the kernels that TensorFlow takes by itself with AVX2 alone."""
    before = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TF_ENABLE_ONEDNN_OPTS"]
        else:
            os.environ["TF_ENABLE_ONEDNN_OPTS"] = before


def _plain(*arguments) -> dict:
    return next(row for row in epochs(*arguments, trainer=False))


def epochs(
    data: DataSet, network: str, batches: int, repeats: int, trainer: bool = True
) -> Iterator[dict]:
    """Seconds that the trainer and plain `fit` on arrays take for the same samples."""
    config = TrainingConfig()
    plain = models.NETWORKS[network]()
    pairs = make_pairs(data, range(len(data))).for_inputs(plain.input_shape[-1])
    samples = pairs.epoch(seed=0, epoch=0)[: batches * config.batch_size]
    plain.compile(keras.optimizers.Adam(config.learning_rate), "mae", metrics=["mae"])
    x, y = pairs.gather(samples)
    clock = EpochClock()
    contenders = {
        "plain fit": lambda: plain.fit(
            x, y, batch_size=config.batch_size, verbose=0, callbacks=[clock]
        ),
    }
    if trainer:
        engine = TrainingEngine(models.NETWORKS[network](), pairs, pairs, config)
        contenders["trainer"] = lambda: engine.fit(samples, callbacks=[clock])
    for contender, timing in timed(contenders, repeats, clock).items():
        yield {
            "network": network,
            "contender": contender,
            "n": len(samples),
            "seconds": timing.seconds,
        }


class EpochClock(keras.callbacks.Callback):
    """A clock that runs from the beginning of an epoch to its last result, and then stands still.

    What `fit` waits for afterwards is not counted, in no contender's favour: under TensorFlow the
    end of a pipeline waits for its tuner, for up to as long again.
    """

    seconds = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += time.perf_counter() - self._started

    def __call__(self) -> float:
        return self.seconds


# --- Layers of a step --------------------------------------------------------------------------


def layers(network: str, batch_size: int = paper.BATCH_SIZE, repeats: int = 3) -> Iterator[dict]:
    """Seconds of a training step by kind of layer, of Keras and as the trainer does them.

    Each layer on its own, on TensorFlow: output, and gradients of its inputs and weights. A layer
    of the trainer that does the work of several of Keras counts as the last of them.
    """
    model = models.on_grid(models.NETWORKS[network](), paper.GRID, batch_size)
    seconds, counts = defaultdict(float), defaultdict(int)
    trained = {layer.name: layer for layer in accelerated(model).layers}
    for plain in model.layers[1:]:
        kind = type(plain).__name__
        counts[kind] += 1
        steps = {"plain fit": _step(plain)}
        if plain.name in trained:
            steps["trainer"] = _step(trained[plain.name])
        for contender, timing in timed(steps, repeats).items():
            seconds[kind, contender] += timing.seconds
    for (kind, contender), took in seconds.items():
        yield {
            "network": network,
            "layer": kind,
            "layers": counts[kind],
            "contender": contender,
            "n": batch_size,
            "seconds": took,
        }


def _step(layer):
    """Output of a layer, and gradients of its inputs and weights, compiled: a call for `timed`."""
    import tensorflow as tf

    inputs = keras.tree.map_structure(lambda x: keras.random.normal(x.shape), layer.input)
    weights = [variable.value for variable in layer.trainable_variables]

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return tape.gradient(y, [*tf.nest.flatten(x), *weights])

    compiled = tf.function(step).get_concrete_function(inputs)
    return lambda: compiled(inputs)
