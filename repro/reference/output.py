"""The trajectory of one cell for other tools: labelled arrays, and files for ParaView."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from repro import paper
from repro.data.discretization import refined
from repro.data.microstructure import Microstructure, pixel_centres
from repro.reference.simulation import Fields, Trajectory
from repro.tools import vtk
from repro.tools.files import write_text

if TYPE_CHECKING:
    import xarray

UNITS = {"sigma_vm": "MPa", "F": "", "P": "MPa", "Fp": "", "xi": "MPa", "gamma": ""}


def to_xarray(cell: Microstructure, path: Trajectory) -> xarray.Dataset:
    """Labelled arrays of a trajectory, with its fields if it has them; needs the package xarray.

    Returns
    -------
    xarray.Dataset
        Dimensions increment, x1 and x2, and i, j of tensors; fields of several points per pixel
        have point1 and point2 instead. Coordinates are the time/s of the increments and x1 and x2
        of the pixels' centres. The attribute `units` of an array names its unit.
    """
    import xarray

    grid = cell.grain_id.shape
    x1, x2 = pixel_centres(grid, cell.edges)
    mean, tensor = ("increment", "i", "j"), ("i", "j")
    arrays = {
        "grain_id": (("x1", "x2"), cell.grain_id),
        "sigma_vm": (("increment", "x1", "x2"), path.sigma_vm, {"units": "MPa"}),
        "F_mean": (mean, path.F_mean),
        "P_mean": (mean, path.P_mean, {"units": "MPa"}),
    }
    for name, array in _fields(path).items():
        places = ("x1", "x2") if array.shape[1:3] == grid else ("point1", "point2")
        dimensions = ("increment", *places, *(tensor if array.ndim == 5 else ()))
        arrays[name] = (dimensions, array, {"units": UNITS[name]})
    time = ("increment", path.load.time, {"units": "s"})
    return xarray.Dataset(arrays, {"time": time, "x1": x1, "x2": x2})


def write_vti(folder, cell: Microstructure, path: Trajectory) -> list[Path]:
    """Write a file for ParaView per increment, with the fields of the trajectory if it has them.

    Parameters
    ----------
    folder : path-like
        Is made. The files are called increment_0000.vti and so on, in order.
    cell : Microstructure
    path : Trajectory
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fields = _fields(path)
    p = fields["xi"].shape[1] // len(cell.grain_id) if fields else 1
    maps = np.moveaxis(cell.property_maps(), -1, 0)
    pixels = {"grain": cell.grain_id, **dict(zip(paper.PROPERTY_NAMES, maps, strict=True))}
    units = UNITS | dict(zip(paper.PROPERTY_NAMES, paper.PROPERTY_UNITS, strict=True))
    written = []
    for k, sigma_vm in enumerate(path.sigma_vm):
        arrays = {name: refined(array, p) for name, array in pixels.items()}
        arrays["sigma_vm"] = refined(sigma_vm, p)
        arrays |= {name: array[k] for name, array in fields.items()}
        named = {_label(name, units.get(name, "")): array for name, array in arrays.items()}
        written.append(folder / f"increment_{k:04d}.vti")
        write_text(written[-1], vtk.image(named, cell.edges))
    return written


def _label(name, unit) -> str:
    return f"{name} / {unit}" if unit else name


def _fields(path) -> dict[str, np.ndarray]:
    if path.fields is None:
        return {}
    return {field.name: getattr(path.fields, field.name) for field in dataclasses.fields(Fields)}
