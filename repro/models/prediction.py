"""The output of a network for inputs of any kind, and one line for those that do not suit it."""

from __future__ import annotations

from itertools import chain

import numpy as np

from repro.models.backend import as_networks_need_it, keras
from repro.models.layers import on_grid
from repro.tools.values import check_unmasked, whole


def predict(model: keras.Model, x, batch_size: int = 32) -> np.ndarray:
    """Output of a network (n, N, N, C'), `batch_size` of the inputs (n, N, N, C) at a time.

    `keras.Model.predict` puts a tf.data pipeline around every call under TensorFlow, and its end
    waits for the tuner of the pipeline: two to four times as long for a rollout.

    Parameters
    ----------
    model : keras.Model
    x : array_like or tf.data.Dataset
        Physical inputs; a data set has batches of them, or pairs of inputs and outputs.
    batch_size : int
        The batches of a data set are taken as they are.

    Raises
    ------
    ValueError
        If the inputs have another shape than the network takes or are masked, or the network does
        not suit the grid.
    RuntimeError
        If the process was forked after a network had been used: start workers with spawn.
    """
    batch_size = whole(batch_size, "batch_size")
    if hasattr(x, "as_numpy_iterator"):  # a tf.data.Dataset
        batches = _batches_of(x)
        first = next(batches, np.empty((0, 0, 0, model.input_shape[-1])))
        batches = (_checked(model, batch) for batch in chain([first], batches))
    else:
        x = _checked(model, x)
        batches = (x[start : start + batch_size] for start in range(0, len(x) or 1, batch_size))
    with as_networks_need_it():
        outputs = [_asked(model, batch) for batch in batches]
    # A copy takes a fifth of the time of the fastest network.
    return outputs[0] if len(outputs) == 1 else _joined(outputs)


def check_grid(model: keras.Model, n: int) -> None:
    """Raise ValueError if a network does not map cells of n x n pixels to as many."""
    if _suits(model, n):
        return
    multiple = next((2**k for k in range(1, 12) if _suits(model, 2**k)), None)
    raise ValueError(
        f"{model.name} does not suit cells of {n} x {n} pixels: "
        f"their edge must be a multiple of {multiple}"
    )


def _suits(model, n) -> bool:
    try:
        return tuple(on_grid(model, n).output_shape[1:3]) == (n, n)
    except ValueError:  # fields of different sizes meet
        return False


def _batches_of(dataset):
    """Inputs of the batches of a tf.data.Dataset."""
    if int(dataset.cardinality()) == -1:  # what TensorFlow calls infinite
        raise ValueError("the data set has no end: give dataset.take(COUNT) instead")
    for batch in dataset.as_numpy_iterator():
        yield batch[0] if isinstance(batch, tuple) else batch


def _checked(model, x) -> np.ndarray:
    """Inputs as an array (n, N, N, C); ValueError says which axis is wrong."""
    check_unmasked(x, "the array of inputs")
    try:
        x = np.asarray(x, None if hasattr(x, "dtype") else np.float32)
    except (ValueError, TypeError):
        raise ValueError("the inputs are not numbers, or not all cells have one shape") from None
    channels = model.input_shape[-1]
    if x.shape == (0,):  # an empty list
        x = np.empty((0, 0, 0, channels), np.float32)
    wanted = f"expected inputs of shape (cells, x1, x2, {channels}), got {x.shape}"
    if x.dtype.kind not in "fiu":
        raise ValueError(f"the inputs must be real numbers, got the type {x.dtype}")
    if x.ndim == 3 and x.shape[-1] == channels:
        raise ValueError(f"{wanted}: the axis of the cells is missing, give x[None] for one cell")
    if x.ndim != 4:
        raise ValueError(f"{wanted}: there must be 4 axes")
    if x.shape[-1] != channels and x.shape[1] == channels:
        raise ValueError(
            f"{wanted}: the channels are on axis 1: move them to the end with np.moveaxis(x, 1, -1)"
        )
    if x.shape[-1] != channels:
        raise ValueError(f"{wanted}: the last axis must have {channels} channels")
    for axis in (1, 2):
        edge = model.input_shape[axis]
        if x.size and edge not in (None, x.shape[axis]):
            raise ValueError(f"{wanted}: this network takes {edge} pixels along axis {axis}")
    return x


def _asked(model, batch) -> np.ndarray:
    """Output of a batch of the right shape."""
    if not batch.size:
        return np.empty((*batch.shape[:3], model.output_shape[-1]), np.float32)
    try:
        return np.asarray(model.predict_on_batch(batch))
    except Exception:
        for n in batch.shape[1:3]:
            check_grid(model, n)  # says in one line what the backend says in many
        raise


def _joined(outputs) -> np.ndarray:
    grids = {output.shape[1:3] for output in outputs}
    if len(grids) > 1:
        raise ValueError(f"the batches of the data set have several grids: {sorted(grids)}")
    return np.concatenate(outputs)
