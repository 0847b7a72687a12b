"""Values that hold arrays: nobody changes them, and they are compared by what they hold."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

HASHED = 2**20  # elements; of a larger array the hash takes only the shape


@dataclass(frozen=True, eq=False)
class Value:
    """Base class of the frozen dataclasses that hold arrays; declare them with `eq=False`.

    Their arrays are read-only copies: changing the array that was given does not change the value.
    A class with `COPIES = False` holds read-only views instead, since its arrays may take
    gigabytes. Two values are equal if they are of the same class and hold the same numbers; NaN is
    equal to NaN. Equal values have the same hash.

    Raises
    ------
    ValueError
        If an array has missing values (`numpy.ma`).
    """

    COPIES: ClassVar[bool] = True

    def __post_init__(self):
        for name, value in _items(self).items():
            if isinstance(value, np.ndarray):
                value = frozen(unmasked(value, name), self.COPIES)
                object.__setattr__(self, name, value)

    def __setstate__(self, state):
        # What was pickled or copied in depth can be written to.
        self.__dict__.update(state)
        Value.__post_init__(self)

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        return _same(_items(self), _items(other))

    def __hash__(self):
        arrays = [value for value in _items(self).values() if isinstance(value, np.ndarray)]
        return hash((type(self), *map(_content, arrays)))


def frozen(array: np.ndarray, copies: bool = True) -> np.ndarray:
    """Read-only array of the same content: a copy, unless nobody can write to it, or a view."""
    if copies and _can_be_written(array):
        array = array.copy()
        array.flags.writeable = False
    view = array.view()
    view.flags.writeable = False
    return view


def unmasked(values, name: str, dtype=None) -> np.ndarray:
    """Values as an array, which keeps no mask.

    Raises
    ------
    ValueError
        If some of them are masked; the message names the array.
    """
    check_unmasked(values, name)
    return np.asarray(values, dtype)


def check_unmasked(values, name: str) -> None:
    """Raise ValueError if some values of an array, or of a list of arrays, are masked."""
    parts = values if isinstance(values, list | tuple) else [values]
    if any(map(np.ma.is_masked, parts)):
        raise ValueError(f"{name} has missing values (it is a masked array): fill them in")


def _can_be_written(array) -> bool:
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return array is not None  # memory of something else, which may write to it


def _items(value) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _same(one, other) -> bool:
    """Whether both hold the same, also arrays in dictionaries."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    return bool(np.all(one == other))


def _content(array) -> tuple:
    """Hashable, and equal for equal arrays, whatever their data types."""
    if array.size > HASHED:
        return (array.shape,)
    # Zero has two signs, and NaN many bit patterns.
    return array.shape, (np.nan_to_num(array.astype(np.float64)) + 0.0).tobytes()
