"""Keras, without what TensorFlow writes to stderr before its log level counts."""

import os
from contextlib import contextmanager


@contextmanager
def _silent_stderr():
    """Send the file descriptor itself to nowhere: the messages come from C++."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with _silent_stderr():
    import keras
    from keras import layers, ops

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        ON_TENSORFLOW_CPU = not tf.config.list_physical_devices("GPU")
    else:
        ON_TENSORFLOW_CPU = False

__all__ = ["ON_TENSORFLOW_CPU", "keras", "layers", "ops"]
