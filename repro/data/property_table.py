"""A table of the properties of grains: CSV, a row for each, with the units in its header."""

import csv
import re
from pathlib import Path

import numpy as np

from repro import paper
from repro.data.microstructure import check_properties
from repro.tools.files import read_text

PASCAL = {"Pa": 1.0, "MPa": 1e6, "GPa": 1e9}
UNITS = dict(zip(paper.PROPERTY_NAMES, paper.PROPERTY_UNITS, strict=True))
EXAMPLE = "grain,E/GPa,nu,xi0/MPa,h0/GPa"


def read_properties(path) -> dict[int, np.ndarray]:
    """Read the properties of grains.

    Parameters
    ----------
    path : path-like
        Its first line names the columns, such as `grain,E/GPa,nu,xi0/MPa,h0/GPa` in any order;
        others are left out. E, xi0 and h0 may be in Pa, MPa or GPa. A grain is a whole number, or
        a colour of an image such as #ff8000.

    Returns
    -------
    dict
        Id of each grain -> E/GPa, nu, xi0/MPa, h0/GPa, (4,).

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such table; the message names line, column and value.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    lines = read_text(path).lstrip("\ufeff").splitlines()
    separator = next((mark for mark in ",;\t" if lines and mark in lines[0]), ",")
    header, *rows = csv.reader(lines, delimiter=separator) if lines else [[]]
    columns = _columns(path, header)
    found: dict[int, np.ndarray] = {}
    for number, row in enumerate(rows, 2):
        if any(map(str.strip, row)):
            grain, *values = (
                _number(f"{path}, line {number}", row, name, *place)
                for name, place in columns.items()
            )
            if grain in found:
                raise ValueError(f"{path}, line {number}: grain {grain} has a row already")
            found[int(grain)] = np.array(values)
    if not found:
        raise ValueError(f"{path}: has no grains: give each a row under {EXAMPLE}")
    try:
        check_properties(np.stack([*found.values()]), [*found])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return found


def _columns(path, header) -> dict[str, tuple[int, float, float]]:
    """Column -> where it stands, and by what its values are multiplied and divided."""
    columns = {}
    for name in ("grain", *UNITS):
        heads = (re.fullmatch(rf"\s*{name}\s*(?:/\s*(\w+)\s*)?", head) for head in header)
        places = [(i, head[1]) for i, head in enumerate(heads) if head]
        if len(places) != 1:
            what = "several columns" if places else "no column"
            raise ValueError(f"{path}: {what} {name}: begin the table with {EXAMPLE}")
        (place, unit), ours = places[0], UNITS.get(name)
        if (unit in PASCAL) != bool(ours) or (unit and not ours):
            has = f"the unit {unit}" if unit else "no unit"
            units = f"{name}/GPa, {name}/MPa or {name}/Pa" if ours else name
            raise ValueError(f"{path}: column {name} has {has}: write {units}")
        columns[name] = place, PASCAL.get(unit, 1.0), PASCAL.get(ours or "", 1.0)
    return columns


def _number(where, row, name, column, factor, divisor):
    text = row[column].strip() if column < len(row) else ""
    try:
        if name == "grain":
            return int(text[1:], 16) if text.startswith("#") else int(text)
        return float(text) * factor / divisor
    except ValueError:
        kind = "a whole number or a colour such as #ff8000" if name == "grain" else "a number"
        raise ValueError(f"{where}: {name} is {text!r}, not {kind}") from None
