"""Whether a network can be used once it is trained: saved, loaded back and asked beforehand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from repro.models import files
from repro.models.backend import keras

SAME = 1e-3  # of the largest output: rounding is far below, another network far above


def check_network(network: keras.Model, x: np.ndarray) -> None:
    """Save a network, load it back and ask both, so that no training ends in a file of no use.

    The network, and the numbers that will be drawn at random, stay as they are.

    Parameters
    ----------
    network : keras.Model
    x : ndarray, (n, N, N, C)
        Inputs. A network that takes any grid is asked on (n, 2 N, 2 N, C), too.

    Raises
    ------
    ValueError
        If it cannot be saved, loaded or asked, or what is loaded gives another output (which is
        not seen under JAX).
    """
    with _same_random_numbers():
        loaded = _loaded_back(network)
        outputs = [_asked(one, x) for one in (network, loaded)]
        if network.input_shape[1:3] == (None, None):
            _asked(loaded, np.tile(x, (1, 2, 2, 1)))
    if not np.allclose(*outputs, rtol=0, atol=SAME * abs(outputs[0]).max()):
        raise ValueError(
            f"{network.name} gives another output after it was saved and loaded back: get_config() "
            "of each layer of your own must return all arguments of its __init__"
        )


def _loaded_back(network) -> keras.Model:
    with TemporaryDirectory() as folder:
        path = Path(folder, "network.keras")
        try:
            network.save(path)
        except Exception as error:
            raise ValueError(
                f"{network.name} cannot be saved, so it would be lost after its training: give "
                "each layer of your own a get_config() that returns all arguments of its __init__ "
                f"({_in_one_line(error)})"
            ) from None
        try:
            return files.read(path)
        except files.ModelFileError as error:
            raise ValueError(
                f"{network.name} cannot be loaded back once it is saved, so it would be lost after "
                "its training: put @keras.saving.register_keras_serializable() above each layer of "
                f"your own ({_in_one_line(error).removeprefix(f'{path}: ')})"
            ) from None


def _asked(network, x) -> np.ndarray:
    """Output of a network; under JAX zeros of its shape, since compiling takes many seconds."""
    try:
        if keras.backend.backend() == "jax":
            import jax

            return np.zeros(jax.eval_shape(network, x).shape)
        return keras.ops.convert_to_numpy(network(x))
    except Exception as error:
        raise ValueError(
            f"{network.name} cannot predict cells of {x.shape[1]} x {x.shape[2]} pixels, "
            f"though its input is {network.input_shape} ({_in_one_line(error)})"
        ) from None


def _in_one_line(error) -> str:
    return " ".join(str(error).split())[:300]


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Leave the generator that Keras draws seeds from as it was: loading a network draws some."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
