"""A network in a `.keras` file that every Keras from `OLDEST` on reads."""

from __future__ import annotations

import inspect
import json
import zipfile
from pathlib import Path

from repro.models.backend import as_networks_need_it, keras
from repro.models.registry import samples_of
from repro.tools.files import atomic_path

OLDEST = "3.10"  # the bound in requirements.txt
_LAYER = "dtype name trainable"
_REGULARIZED = "bias_constraint bias_initializer bias_regularizer activity_regularizer"
_POOLING = "data_format padding pool_size strides"
# What Keras OLDEST knows in the configuration of each class; others are saved as they are.
KNOWN = {
    name: frozenset(keys.split())
    for name, keys in {
        "Activation": f"{_LAYER} activation",
        "Add": _LAYER,
        "AveragePooling2D": f"{_LAYER} {_POOLING}",
        "BatchNormalization": f"{_LAYER} axis beta_constraint beta_initializer beta_regularizer "
        "center epsilon gamma_constraint gamma_initializer gamma_regularizer momentum "
        "moving_mean_initializer moving_variance_initializer scale synchronized",
        "CircularPadding2D": f"{_LAYER} width",
        "Concatenate": f"{_LAYER} axis",
        "Conv2D": f"{_LAYER} {_REGULARIZED} activation data_format dilation_rate filters groups "
        "kernel_constraint kernel_initializer kernel_regularizer kernel_size padding strides "
        "use_bias",
        "Cropping2D": f"{_LAYER} cropping data_format",
        "ElasticStiffness": _LAYER,
        "GlorotUniform": "seed",
        "HeNormal": "seed",
        "InputLayer": "batch_shape dtype name ragged sparse",
        "LinearRefinement": f"{_LAYER} factor intervals",
        "MaxPooling2D": f"{_LAYER} {_POOLING}",
        "Ones": "",
        "ReLU": f"{_LAYER} max_value negative_slope threshold",
        "Rescaling": f"{_LAYER} offset scale",
        "SeparableConv2D": f"{_LAYER} {_REGULARIZED} activation data_format depth_multiplier "
        "depthwise_constraint depthwise_initializer depthwise_regularizer dilation_rate filters "
        "kernel_size padding pointwise_constraint pointwise_initializer pointwise_regularizer "
        "strides use_bias",
        "Stress": _LAYER,
        "UpSampling2D": f"{_LAYER} data_format interpolation size",
        "VarianceScaling": "distribution mode scale seed",
        "Zeros": "",
    }.items()
}
_CONFIGURATION, _METADATA = "config.json", "metadata.json"  # members of a .keras file


class ModelFileError(ValueError):
    """A file holds no network that can be used here; the message says why in one line."""


def save(network: keras.Model, path) -> None:
    """Write a network, whole or not at all, for every Keras from `OLDEST` on."""
    with atomic_path(path) as temporary:
        network.save(temporary)
        make_portable(temporary)


def make_portable(path) -> None:
    """Rewrite a `.keras` file without options that Keras `OLDEST` lacks; weights stay as they are.

    Only options at their defaults are left out: the network is the same.
    """
    with zipfile.ZipFile(path) as file:
        members = {info: file.read(info) for info in file.infolist()}
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
        for info, content in members.items():
            if info.filename == _CONFIGURATION:
                content = json.dumps(_without_news(json.loads(content))).encode()
            file.writestr(info, content)


def _without_news(node):
    if isinstance(node, list):
        return [_without_news(child) for child in node]
    if not isinstance(node, dict):
        return node
    node = {key: _without_news(child) for key, child in node.items()}
    if node.get("class_name") in KNOWN and isinstance(node.get("config"), dict):
        known, defaults = KNOWN[node["class_name"]], _defaults(node["class_name"])
        node["config"] = {
            key: value
            for key, value in node["config"].items()
            if key in known or key not in defaults or value != defaults[key]
        }
    return node


def _defaults(class_name) -> dict:
    """Defaults of the options of a layer or an initializer, those of its base classes included."""
    found = {}
    for room in (keras.layers, keras.initializers):
        for cls in reversed(getattr(room, class_name, keras.layers.Layer).__mro__[:-1]):
            parameters = inspect.signature(cls.__init__).parameters.values()
            found |= {p.name: p.default for p in parameters if p.default is not p.empty}
    return found


def read(path) -> keras.Model:
    """Read a network that maps fields to fields, of a kind that is registered.

    Raises
    ------
    ModelFileError
        If the file is damaged, is no `.keras` file, cannot be loaded by this Keras, or holds a
        network of another kind.
    """
    path = Path(path)
    import repro.models.plasticity  # noqa: F401 - Keras finds the layers of both files by name
    from repro.models.custom_layers import UpSampling2D

    saved_by = _version(path)
    with as_networks_need_it():
        try:
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:
            # Keras wraps one error in another; the innermost says what is wrong.
            reason = " ".join(str(error).rpartition("Exception encountered: ")[2].split())
            raise ModelFileError(
                f"{path}: not a network that Keras {keras.__version__} can load; it was saved by "
                f"Keras {saved_by} ({reason[:300]})"
            ) from None
    if samples_of(model) is None:
        raise ModelFileError(
            f"{path}: maps {getattr(model, 'input_shape', None)} to "
            f"{getattr(model, 'output_shape', None)}, which no registered network does; one that "
            "steps the stress maps (n, N, N, 5) to (n, N, N, 1)"
        )
    for layer in model._flatten_layers():
        if type(layer) is keras.layers.UpSampling2D:  # of files of before we had our own
            layer.__class__ = UpSampling2D  # which has the same attributes
    return model


def _version(path) -> str:
    """Version of the Keras that saved a file, which is whole."""
    with path.open("rb") as file:
        start = file.read(24)
    if not start:
        raise ModelFileError(f"{path}: the file is empty: copy it again")
    if start.startswith(b"version https://git-lfs"):
        raise ModelFileError(f"{path}: a pointer of Git LFS, not the file: run git lfs pull")
    if not start.startswith(b"PK"):
        raise ModelFileError(f"{path}: not a Keras model (a .keras file is a ZIP archive)")
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
            if damaged:
                raise ModelFileError(f"{path}: {damaged} in it is damaged: copy it again")
            return " ".join(str(json.loads(file.read(_METADATA))["keras_version"]).split())
    except ModelFileError:
        raise
    except KeyError as error:
        raise ModelFileError(f"{path}: not a Keras model (lacks {error})") from None
    except Exception as error:  # whatever zipfile and json raise for damaged contents
        raise ModelFileError(f"{path}: cut off or damaged ({error}): copy it again") from None
