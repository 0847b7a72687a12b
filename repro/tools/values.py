"""Values that hold arrays: nobody changes them, and they are compared by what they hold."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

LARGEST = 2**31 - 1  # whole number, of things that are counted
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
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list | tuple) and "ndarray" in str(field.type):
                value = unmasked(value, field.name)
            if isinstance(value, np.ndarray):
                check_unmasked(value, field.name)
                value = frozen(np.asarray(value), self.COPIES)
                object.__setattr__(self, field.name, value)

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
    """Real numbers as an array, which keeps no mask.

    Raises
    ------
    ValueError
        If some of them are masked, or no real numbers; the message names the array.
    """
    check_unmasked(values, name)
    try:
        array = np.asarray(values)
        # A duration, or a complex number without its imaginary part, would pass for a number.
        if array.dtype.kind in "mMc":
            raise TypeError
        array = array if dtype is None else array.astype(dtype, copy=False)
        if array.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be an array of real numbers, got {_shown(values)}") from None
    return array


def number(value, name: str) -> float:
    """A single real number.

    Raises
    ------
    ValueError
        If it is something else; the message names it.
    """
    try:
        if isinstance(value, str | bytes) or np.ma.is_masked(value):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a number, got {_shown(value)}") from None


def whole(value, name: str, least: int = 1) -> int:
    """A whole number from `least`, 1 or 0, on.

    Raises
    ------
    ValueError
        If it is something else; the message names it.
    """
    found = number(value, name)
    if not (least <= found < np.inf) or found != int(found):
        kind = "positive" if least else "non-negative"
        raise ValueError(f"{name} must be a {kind} whole number, got {_shown(value)}")
    if found > LARGEST:
        raise ValueError(f"{name} is too large: {_shown(value)}")
    return int(value)


def required(value, kind: type, name: str) -> None:
    """Raise ValueError if a value is of another class; the message names it."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}, got {_shown(value)}")


def _shown(value) -> str:
    """A value in one line, however large it is."""
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:60]}..."


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
    if array.size > HASHED or array.dtype.kind not in "biuf":
        return (array.shape,)
    # Zero has two signs, and NaN many bit patterns.
    return array.shape, (np.nan_to_num(array.astype(np.float64)) + 0.0).tobytes()
