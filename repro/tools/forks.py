"""Libraries that a forked process cannot go on with.

JAX and TensorFlow compute on threads that they start at their first use. A fork copies none of
them, so that a child of a process that has computed would wait for them for ever.
"""

import os

_THREADED = {"jax": "JAX", "tensorflow": "TensorFlow"}
_used: set[str] = set()  # in this process, or in the one that it was forked from
_left_behind: set[str] = set()  # with their threads, by a fork


def use(library: str) -> None:
    """Note that this process computes with a library; to be called before it does.

    Parameters
    ----------
    library : str
        Name of its module. Other libraries than JAX and TensorFlow are not looked at.

    Raises
    ------
    RuntimeError
        If the process was forked from one that had computed with the library already.
    """
    if library in _left_behind:
        raise RuntimeError(
            f"this process was forked after {_THREADED[library]} had computed, without the threads "
            "that it needs: start workers with spawn: multiprocessing.get_context('spawn')"
        )
    if library in _THREADED:
        _used.add(library)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _left_behind.update(_used))
