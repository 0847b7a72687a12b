"""Read DADF5, the HDF5 file of results that DAMASK writes; h5py is all it takes.

Layout: `cell_to/phase` and `cell_to/homogenization` say for each cell (x1 fastest) in which group
and row of it a result lies; `increment_K/{phase,homogenization}/NAME/mechanical/{F,P}` hold the
results; `setup/` holds the input files.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from repro.damask import setup as damask_setup
from repro.damask.setup import Setup


class DADF5Error(ValueError):
    """A file that cannot be read as results of the paper's kind; the message says why."""


@dataclass(frozen=True)
class Result:
    """One simulation; increment 0 is the initial state, array axes (x1, x2), stresses in MPa."""

    path: Path
    setup: Setup
    creator: str  # DAMASK and its version
    grain_id: np.ndarray  # index into setup.phases, (N, N)
    time: np.ndarray  # s, (T+1,)
    F: np.ndarray  # deformation gradient, (T+1, N, N, 3, 3)
    P: np.ndarray  # first Piola-Kirchhoff stress, MPa, (T+1, N, N, 3, 3)

    @property
    def F_mean(self) -> np.ndarray:
        """Mean deformation gradient, (T+1, 3, 3)."""
        return self.F.mean((1, 2))

    @property
    def P_mean(self) -> np.ndarray:
        """Mean first Piola-Kirchhoff stress, MPa, (T+1, 3, 3)."""
        return self.P.mean((1, 2))

    @property
    def sigma_vm(self) -> np.ndarray:
        """von Mises stress, MPa, (T+1, N, N)."""
        return von_mises(cauchy_stress(self.F, self.P))


def cauchy_stress(F, P) -> np.ndarray:
    """T = P F^T / det F of tensor fields (..., 3, 3); unit of P."""
    return P @ np.swapaxes(F, -1, -2) / np.linalg.det(F)[..., None, None]


def von_mises(T) -> np.ndarray:
    """sqrt(3/2 T_dev:T_dev) of a symmetric tensor field (..., 3, 3), shape (...)."""
    mean = np.trace(T, axis1=-2, axis2=-1)[..., None, None] / 3
    return np.sqrt(1.5 * ((T - mean * np.eye(3)) ** 2).sum((-2, -1)))


def is_dadf5(path) -> bool:
    """Whether `path` is a DADF5 file."""
    if not (Path(path).is_file() and h5py.is_hdf5(path)):
        return False
    with h5py.File(path) as file:
        return "DADF5_version_major" in file.attrs


def find(paths: Iterable) -> list[Path]:
    """The files in `paths`, and the *.hdf5 files in and below the folders in it, in order.

    Raises
    ------
    FileNotFoundError
        If a path does not exist, a folder has no results, or nothing is named.
    """
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        below = [f for f in sorted(path.rglob("*.hdf5")) if not is_restart(f)]
        if path.is_dir() and not below:
            raise FileNotFoundError(f"{path}: no DADF5 results (*.hdf5) in this folder")
        found += below if path.is_dir() else [path]
    if not found:
        raise FileNotFoundError("no DADF5 files named")
    return found


def is_restart(path: Path) -> bool:
    """Whether a file is the solver's own restart state, which DAMASK puts beside the results."""
    return path.stem.endswith("_restart")


def read_setup_texts(path) -> dict[str, str]:
    """Content of the input files stored in a DADF5 file, by name."""
    with _open(path) as file:
        return _setup_texts(file)


def count_increments(path) -> int:
    """Increments written to a DADF5 file, the initial state not counted."""
    with _open(path) as file:
        return sum(_number(name) > 0 for name in file if name.startswith("increment_"))


def read(path) -> Result:
    """Read one simulation.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DADF5Error
        If it is not DADF5, or not on an N x N x 1 grid of a square cell, or lacks F or P.
    SetupError
        If the set-up inside is missing or not of isotropic viscoplastic grains.
    """
    with _open(path) as file:
        N = _grid_size(file)
        setup = damask_setup.parse(_setup_texts(file))
        increments = sorted((k for k in file if k.startswith("increment_")), key=_number)
        if len(increments) < 2:
            raise DADF5Error(f"{path}: holds no increment besides the initial state")
        kind = _kind_with_fields(file, increments[-1])
        places = _places(file, kind)
        F, P = (
            np.stack([_on_grid(_gather(file[i][kind], places, name), N) for i in increments])
            for name in ("F", "P")
        )
        return Result(
            path=Path(path),
            setup=setup,
            creator=str(file.attrs.get("creator", "DAMASK")),
            grain_id=_on_grid(_phase_index(file, setup), N),
            time=np.array([file[i].attrs["t/s"] for i in increments], dtype=float),
            F=F,
            P=P / 1e6,
        )


def _open(path) -> h5py.File:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        file = h5py.File(path)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise DADF5Error(f"{path}: not a readable HDF5 file ({reason})") from None
    if "DADF5_version_major" not in file.attrs:
        raise DADF5Error(f"{path}: not a DADF5 file of DAMASK")
    return file


def _setup_texts(file) -> dict[str, str]:
    if "setup" not in file:
        raise DADF5Error(f"{file.filename}: holds no set-up (written by DAMASK before 3.0?)")
    return {name: data[0].decode() for name, data in file["setup"].items()}


def _number(increment: str) -> int:
    return int(increment.removeprefix("increment_"))


def _grid_size(file) -> int:
    cells, size = file["geometry"].attrs["cells"], file["geometry"].attrs["size"]
    if not (cells[0] == cells[1] and cells[2] == 1 and np.isclose(size[0], size[1])):
        grid = "x".join(map(str, cells))
        raise DADF5Error(f"{file.filename}: grid {grid}, expected NxNx1 on a square cell")
    return int(cells[0])


def _on_grid(values, N) -> np.ndarray:
    """Cell values (N*N, ...), x1 fastest, as a field (N, N, ...) with axes (x1, x2)."""
    return np.swapaxes(values.reshape(N, N, *values.shape[1:]), 0, 1)


def _kind_with_fields(file, increment) -> str:
    """Where F and P lie: with the phases, or with the homogenizations, as the outputs asked for."""
    for kind in ("phase", "homogenization"):
        groups = file[increment].get(kind, {}).values()
        if groups and all(f"mechanical/{name}" in g for g in groups for name in "FP"):
            return kind
    raise DADF5Error(
        f"{file.filename}: {increment} lacks F or P: output both with the phases or homogenizations"
    )


def _places(file, kind):
    """Group name and row in it of each cell, (cells,) each."""
    mapping = file[f"cell_to/{kind}"][()].reshape(file["cell_to/homogenization"].shape[0], -1)
    if mapping.shape[1] != 1:
        raise DADF5Error(f"{file.filename}: several constituents at a point are not supported")
    return mapping["label"][:, 0], mapping["entry"][:, 0]


def _gather(groups, places, name) -> np.ndarray:
    """Tensor field `name` of all cells from its groups, (cells, 3, 3)."""
    labels, rows = places
    field = np.empty((len(labels), 3, 3))
    for label in np.unique(labels):
        here = labels == label
        try:
            field[here] = groups[label.decode()]["mechanical"][name][()][rows[here]]
        except KeyError:
            raise DADF5Error(f"{groups.file.filename}: {groups.name} lacks {name}") from None
    return field


def _phase_index(file, setup) -> np.ndarray:
    """Index into setup.phases of the phase of each cell."""
    labels, _ = _places(file, "phase")
    order = {name: i for i, name in enumerate(setup.phases)}
    names, inverse = np.unique(labels, return_inverse=True)
    return np.array([order[name.decode()] for name in names])[inverse]
