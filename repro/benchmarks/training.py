"""How fast the trainer is, against plain `keras.Model.fit` in the same run; where a step goes."""

import time
from pathlib import Path

import numpy as np
import pandas as pd

from repro import environment, models, paper
from repro.backend import ON_TENSORFLOW_CPU, keras
from repro.dataset import DataSet
from repro.files import atomic_path
from repro.models.acceleration import kernel_gradient
from repro.pipeline import make_pairs
from repro.training import TrainingConfig, TrainingEngine


def measure(data: DataSet, networks=("paper_unet",), batches: int = 30, repeats: int = 3):
    """Samples a second of the trainer and of plain `fit` on arrays; the fastest repeat counts.

    Parameters
    ----------
    data : DataSet
        Its training pairs at stride 1 are used.
    networks : sequence of str
        Keys of `models.NETWORKS`.
    batches : int
        Steps in one measurement.
    repeats : int
        Measurements of each, taken in turn so that other load hits both.

    Returns
    -------
    DataFrame
        One row a network: both rates, their ratio, and the hours of the paper's 500 epochs.
    """
    return pd.DataFrame([_compare(data, name, batches, repeats) for name in networks])


def _compare(data, name, batches, repeats) -> dict:
    config = TrainingConfig()
    pairs = make_pairs(data, range(len(data)))
    samples = pairs.epoch(seed=0, epoch=0)[: batches * config.batch_size]
    engine = TrainingEngine(models.NETWORKS[name](), pairs, pairs, config)
    plain = models.NETWORKS[name]()
    plain.compile(keras.optimizers.Adam(config.learning_rate), "mae", metrics=["mae"])
    x, y = pairs.gather(samples)
    contenders = {
        "trainer": lambda: engine.fit(pairs, samples),
        "plain fit": lambda: plain.fit(x, y, batch_size=config.batch_size, verbose=0),
    }
    seconds = {contender: [] for contender in contenders}
    for run in contenders.values():
        run()  # compile
    for _ in range(repeats):
        for contender, run in contenders.items():
            seconds[contender].append(_seconds(run))
    rate = {contender: len(samples) / min(times) for contender, times in seconds.items()}
    pairs_an_epoch = paper.MICROSTRUCTURES * paper.TRAINING_FRACTION * paper.INCREMENTS
    return {
        "network": name,
        "trainer / samples/s": rate["trainer"],
        "plain fit / samples/s": rate["plain fit"],
        "ratio": rate["trainer"] / rate["plain fit"],
        "500 epochs / h": paper.EPOCHS * pairs_an_epoch / rate["trainer"] / 3600,
        "n": len(samples),
        "backend": keras.backend.backend(),
        "hardware": environment.hardware(),
        "commit": environment.code_commit(),
        "command": environment.command_line(),
    }


def _seconds(run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def depthwise_profile(batch_size: int = paper.BATCH_SIZE, repeats: int = 5) -> pd.DataFrame:
    """Milliseconds of the depthwise convolutions of a training step of the paper's network.

    Summed over its layers, on TensorFlow: the forward pass, both gradients as TensorFlow computes
    them, and the kernel gradient as `repro.models.acceleration` does.

    Raises
    ------
    ValueError
        On another backend.
    """
    if not ON_TENSORFLOW_CPU:
        raise ValueError("the profile is of TensorFlow on a CPU: unset KERAS_BACKEND")
    import tensorflow as tf

    stride = (1, 1, 1, 1)
    total = dict.fromkeys(("forward", "input gradient", "kernel gradient, TensorFlow",
                           "kernel gradient, ours"), 0.0)  # fmt: skip
    fixed = keras.Input((paper.GRID, paper.GRID, 5))
    model = keras.models.clone_model(models.paper_unet(), input_tensors=fixed)
    for layer in model.layers:
        if not isinstance(layer, keras.layers.SeparableConv2D):
            continue
        x = tf.random.normal((batch_size, *layer.input.shape[1:]))
        dy = tf.random.normal(x.shape)
        kernel = tf.random.normal(layer.depthwise_kernel.shape)
        parts = (
            lambda x, k, dy: tf.nn.depthwise_conv2d(x, k, stride, "SAME"),
            lambda x, k, dy: tf.nn.depthwise_conv2d_backprop_input(x.shape, k, dy, stride, "SAME"),
            lambda x, k, dy: tf.nn.depthwise_conv2d_backprop_filter(x, k.shape, dy, stride, "SAME"),
            lambda x, k, dy: kernel_gradient(x, dy, k.shape[:2]),
        )
        for name, part in zip(total, parts, strict=True):
            compiled = tf.function(part)
            compiled(x, kernel, dy)
            total[name] += 1e3 * min(
                _seconds(lambda run=compiled, a=(x, kernel, dy): run(*a)) for _ in range(repeats)
            )
    return pd.DataFrame([{**total, "hardware": environment.hardware()}]).round(1)


def write(path, table: pd.DataFrame) -> None:
    """Write a table of `measure` as CSV."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rounded = {c: table[c].round(3) for c in table.select_dtypes(np.floating)}
    with atomic_path(path) as temporary:
        table.assign(**rounded).to_csv(temporary, index=False)
