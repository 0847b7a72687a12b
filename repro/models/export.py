"""A network in the formats of other programs, with physical units at both ends as in `.keras`."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from repro.models.backend import as_networks_need_it, keras, silent_stderr


@dataclass(frozen=True)
class Format:
    """A format that Keras exports to.

    Parameters
    ----------
    keras_name : str
        Of `keras.Model.export`.
    suffix : str
        Of its files; empty if it is a folder.
    needs : tuple of str
        Modules that write and read it.
    read : callable
        Path -> function that computes (n, N, N, C) -> (n, N, N, C') by the exported network.
    """

    keras_name: str
    suffix: str
    needs: tuple[str, ...]
    read: Callable[[Path], Callable[[np.ndarray], np.ndarray]]


def _read_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (fields,) = session.get_inputs()
    return lambda x: session.run(None, {fields.name: x})[0]


def _read_savedmodel(path):
    import tensorflow as tf

    network = tf.saved_model.load(path)
    return lambda x: np.asarray(network.serve(x))


def _read_litert(path):
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(str(path))
    (fields,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def ask(x):
        interpreter.resize_tensor_input(fields["index"], x.shape)
        with silent_stderr():  # it names the library that it computes with
            interpreter.allocate_tensors()
        interpreter.set_tensor(fields["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return ask


FORMATS = {
    "onnx": Format("onnx", ".onnx", ("onnx", "onnxruntime", "tf2onnx"), _read_onnx),
    "savedmodel": Format("tf_saved_model", "", ("tensorflow",), _read_savedmodel),
    "litert": Format("litert", ".tflite", ("tensorflow",), _read_litert),
}


def export(network: keras.Model, path, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Export a network, whole or not at all; folders are made, and what was exported is replaced.

    Parameters
    ----------
    network : keras.Model
    path : path-like
        File to write or, of a SavedModel, folder.
    name : str
        Key of `FORMATS`.

    Returns
    -------
    callable
        What was exported, computed without Keras: (n, N, N, C) float32 -> (n, N, N, C').

    Raises
    ------
    ImportError
        If a package that writes or reads the format is not installed.
    ValueError
        If the file has another suffix than the format, or this Keras cannot export this network to
        it on this backend.
    FileExistsError
        If there is a folder that is no SavedModel.
    """
    path, target = Path(path), FORMATS[name]
    missing = [module for module in target.needs if find_spec(module) is None]
    if missing:
        raise ImportError(f"{name} needs {' and '.join(missing)}: pip install '.[export]'")
    if target.suffix and path.suffix != target.suffix:
        raise ValueError(f"{path}: a file of the format {name} ends in {target.suffix}")
    if path.is_dir() and not (path / "saved_model.pb").is_file():
        raise FileExistsError(f"{path} is a folder, and no SavedModel: choose another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
        whole = Path(folder, path.name)
        _export(network, whole, name)
        if path.is_dir():
            shutil.rmtree(path)
        whole.replace(path)
    return target.read(path)


def _export(network, path, name) -> None:
    """Let Keras export, which has many ways to say that it cannot."""
    # Keras itself knows the input only of networks that were called before.
    fields = keras.InputSpec("float32", network.input_shape, name=network.inputs[0].name)
    options = {"format": FORMATS[name].keras_name, "verbose": False, "input_signature": [fields]}
    try:
        with as_networks_need_it(), silent_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the converters, about themselves
            network.export(path, **options)
    except ImportError as error:
        raise ImportError(f"{error}, or use KERAS_BACKEND=tensorflow") from None
    except Exception as error:
        reason = re.sub(r"\x1b\[\d+m", "", " ".join(str(error).split()))[:300]  # it is in colours
        raise ValueError(
            f"Keras {keras.__version__} with the backend {keras.backend.backend()} cannot export "
            f"{network.name} to {name}: use KERAS_BACKEND=tensorflow or a newer Keras ({reason})"
        ) from None
