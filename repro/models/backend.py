"""Keras as the networks need it, whatever a user's keras.json says."""

import os
import sys
import warnings
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from repro.tools import forks, processor


@contextmanager
def silent_stderr():
    """Send the file descriptor itself to nowhere: the messages come from C++."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _import_backend():
    try:
        with silent_stderr():
            import keras

            return keras
    except (ImportError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ImportError(
            f"Keras cannot be imported with the backend {_backend_wanted()} ({reason}): "
            "set KERAS_BACKEND to tensorflow or jax, or install it"
        ) from None


def _backend_wanted() -> str:
    return os.environ.get("KERAS_BACKEND") or "of keras.json"


def _use_fast_kernels():
    """Let TensorFlow take oneDNN's kernels on every x86 processor, unless the user says otherwise.

    By itself it takes them only with AVX512_VNNI, AVX512_BF16 or AMX; with AVX2 alone a depthwise
    convolution takes five times as long without them.
    """
    if _ONEDNN not in os.environ and "tensorflow" in sys.modules:
        if "avx2" in processor.flags() and not processor.flags() & _TAKES_ONEDNN:
            warnings.warn(
                f"TensorFlow was imported before repro, without {_ONEDNN}=1: training takes twice "
                "as long on this processor",
                stacklevel=2,
            )
        return
    os.environ.setdefault(_ONEDNN, "1")


_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
_TAKES_ONEDNN = {"avx512_vnni", "avx512_bf16", "amx_tile"}


@cache
def _prepared():
    """Keras, imported with what it computes with, and set up as the networks need it."""
    _use_fast_kernels()
    processor.size_pools()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    keras = _import_backend()
    if keras.backend.backend() == "tensorflow":
        with silent_stderr():
            import tensorflow as tf

            tf.config.list_physical_devices("GPU")
        # Each of several networks in one process is traced on its own, which is no fault.
        tf.get_logger().addFilter(lambda record: "tf.function retracing" not in record.getMessage())
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", _precision_of_jax())
    return keras


class OnFirstUse(ModuleType):
    """A module that is imported when something of it is first used, Keras before it.

    TensorFlow takes seconds to import, and most of what imports the networks does not build one.
    """

    def __getattr__(self, name):
        """What the module has under this name."""
        if name.startswith("__") and name != "__version__":  # tools that look at modules
            raise AttributeError(name)
        _prepared()
        return getattr(import_module(self.__name__), name)


if TYPE_CHECKING:
    import keras
    from keras import layers, ops
else:
    keras, layers, ops = map(OnFirstUse, ("keras", "keras.layers", "keras.ops"))


@cache
def on_tensorflow_cpu() -> bool:
    """Whether networks are computed by TensorFlow on a CPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def precision() -> str:
    """Precision of matrix products and convolutions."""
    return _precision_of_jax() if keras.backend.backend() == "jax" else "highest"


def _precision_of_jax() -> str:
    """GPUs round the factors to 10 bits by default: 0.3 MPa of the stress.

    Whoever sets JAX's own variable wants it so, for its speed.
    """
    return os.environ.get("JAX_DEFAULT_MATMUL_PRECISION", "highest")


@contextmanager
def as_networks_need_it():
    """Float32 and channels last within the block, whatever Keras is configured to.

    In half precision the stress is some MPa off, and the physical inputs have five channels last.

    Raises
    ------
    RuntimeError
        If the process was forked after a network had been built or used: it would wait for ever.
    """
    forks.use(keras.backend.backend())
    config = keras.config
    before = config.floatx(), config.image_data_format(), config.dtype_policy()
    _configure("float32", "channels_last", "float32")
    try:
        yield
    finally:
        _configure(*before)


def _configure(floatx, data_format, policy):
    keras.config.set_floatx(floatx)
    keras.config.set_image_data_format(data_format)
    keras.config.set_dtype_policy(policy)


__all__ = [
    "OnFirstUse",
    "as_networks_need_it",
    "keras",
    "layers",
    "on_tensorflow_cpu",
    "ops",
    "precision",
    "silent_stderr",
]
