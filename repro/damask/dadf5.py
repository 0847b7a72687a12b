"""Read DADF5, the HDF5 file of results that DAMASK writes; h5py is all it takes.

Layout: `cell_to/phase` and `cell_to/homogenization` say for each cell (x1 fastest) in which group
and row of it a result lies; `increment_K/{phase,homogenization}/NAME/mechanical/{F,P}` hold the
results of the K-th solved increment; `setup/` holds the input files, and `setup/previous` those
from before a restart.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from repro.damask import setup as damask_setup
from repro.damask.setup import Setup, SetupError
from repro.data.microstructure import edges_of
from repro.tools.values import Value


class DADF5Error(ValueError):
    """A file that cannot be read as results of the paper's kind; the message says why."""


@dataclass(frozen=True, eq=False)
class Result(Value):
    """One simulation; increment 0 is the initial state, array axes (x1, x2), stresses in MPa.

    The arrays are read-only views of those that were given, since they may take gigabytes.
    """

    COPIES = False

    path: Path
    setup: Setup
    input_files: dict[str, str]  # name -> content
    creator: str  # DAMASK and its version
    grain_id: np.ndarray  # index into setup.phases, (N1, N2)
    edges: np.ndarray  # of the cell, m, (2,)
    increments: np.ndarray  # which of the solved increments are written, (T+1,)
    time: np.ndarray  # s, (T+1,)
    F: np.ndarray  # deformation gradient, (T+1, N1, N2, 3, 3)
    P: np.ndarray  # first Piola-Kirchhoff stress, MPa, (T+1, N1, N2, 3, 3)

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
        """von Mises stress, MPa, (T+1, N1, N2)."""
        return von_mises(cauchy_stress(self.F, self.P))

    @property
    def is_complete(self) -> bool:
        """Whether all increments are there that the set-up asks for."""
        return len(self.time) - 1 == self.setup.increments

    @property
    def solved_load(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Time/s (S+1,), F and P/MPa (S+1, 3, 3) of all increments solved up to the last written.

        As the set-up prescribes them. Where it says otherwise than what is written, or does not
        say it, F is what is written.
        """
        (time, F, P), at, found = self.setup.load, self.increments, self.F_mean
        if at[-1] < len(time) and np.allclose(time[at], self.time):
            free = ~np.isnan(P).any(0)
            if np.allclose(F[at][:, ~free], found[:, ~free], rtol=0, atol=1e-7):
                return time[: at[-1] + 1], F[: at[-1] + 1], P[: at[-1] + 1]
        return self.time, found, np.full(found.shape, np.nan)


def cauchy_stress(F, P) -> np.ndarray:
    """T = P F^T / det F of tensor fields (..., 3, 3); unit of P."""
    return P @ np.swapaxes(F, -1, -2) / np.linalg.det(F)[..., None, None]


def von_mises(T) -> np.ndarray:
    """sqrt(3/2 T_dev:T_dev) of a symmetric tensor field (..., 3, 3), shape (...)."""
    mean = np.trace(T, axis1=-2, axis2=-1)[..., None, None] / 3
    return np.sqrt(1.5 * ((T - mean * np.eye(3)) ** 2).sum((-2, -1)))


def is_dadf5(path) -> bool:
    """Whether `path` is a DADF5 file."""
    try:
        with h5py.File(path) as file:
            return "DADF5_version_major" in file.attrs
    except OSError:
        return False


def find(paths: Iterable) -> list[Path]:
    """The files in `paths`, and the *.hdf5 files in and below the folders in it, in order.

    Links to folders are followed, each folder once.

    Raises
    ------
    FileNotFoundError
        If a path does not exist, a folder has no results, or nothing is named.
    """
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{shown(path)}: no such file or folder")
        files = _results_below(path) if path.is_dir() else [path]
        if not files:
            raise FileNotFoundError(f"{shown(path)}: no DADF5 results (*.hdf5) in this folder")
        found += files
    if not found:
        raise FileNotFoundError("no DADF5 files named")
    return found


def _results_below(folder) -> list[Path]:
    found = [f for f in files_below(folder) if f.suffix == ".hdf5" and not is_restart(f)]
    # By stem, so that a copy called "name(1)" comes after the original.
    return sorted(found, key=lambda f: (f.parent, f.stem))


def files_below(folder) -> Iterator[Path]:
    """All files in and below a folder, also behind links to folders, each folder once."""
    visited = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(root)
        if here in visited:
            folders.clear()
            continue
        visited.add(here)
        yield from (Path(root, name) for name in names if not name.startswith("."))


def shown(path) -> str:
    """A path as text that can be printed and stored, also if its name is not UTF-8."""
    return os.fsencode(path).decode(errors="replace")


def is_restart(path: Path) -> bool:
    """Whether a file is the solver's own restart state, which DAMASK puts beside the results."""
    return path.stem.endswith("_restart")


def read(path) -> Result:
    """Read one simulation, as far as it got.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DADF5Error
        If it is not DADF5, or not on an N1 x N2 x 1 grid, or lacks F or P, or holds values that no
        simulation has.
    SetupError
        If the set-up inside is missing or not of isotropic viscoplastic grains.
    """
    with _opened(path) as file:
        grid, edges = _grid(file)
        labels, _ = _places(file, "phase")
        setup = _setup(file["setup"], {text(label) for label in np.unique(labels)})
        kind, names = _written(file)
        increments = np.array([_number(name) for name in names])
        if increments[0] != 0:
            raise DADF5Error("lacks increment_0, the initial state")
        if len(names) == 1:
            raise DADF5Error(f"incomplete: 0 of {setup.increments} increments")
        places = _places(file, kind)
        F, P = (
            np.stack([_on_grid(_gather(file[i][kind], places, name), grid) for i in names])
            for name in ("F", "P")
        )
        result = Result(
            path=Path(path),
            setup=setup,
            input_files=_input_files(file["setup"]),
            creator=str(file.attrs.get("creator", "DAMASK")),
            grain_id=_on_grid(_phase_index(labels, setup), grid),
            edges=edges,
            increments=increments,
            time=_times(file, names),
            F=F,
            P=P / 1e6,
        )
        _check_values(result)
        return result


@contextmanager
def _opened(path):
    """An open DADF5 file; all that goes wrong with it is an error that names it."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{shown(path)}: no such file")
    try:
        file = h5py.File(path)
    except OSError as error:
        raise DADF5Error(f"{shown(path)}: not a readable HDF5 file ({_one_line(error)})") from None
    try:
        with file:
            _check_version(file)
            yield file
    except (DADF5Error, SetupError) as error:
        raise type(error)(f"{shown(path)}: {error}") from None
    except Exception as error:  # a damaged file may raise anything
        raise DADF5Error(f"{shown(path)}: not as DAMASK writes it ({_one_line(error)})") from None


def _one_line(error):
    return " ".join(str(error).split()) or type(error).__name__


def _check_version(file):
    if "DADF5_version_major" not in file.attrs:
        raise DADF5Error("not a DADF5 file of DAMASK")
    version = tuple(int(file.attrs[f"DADF5_version_{part}"]) for part in ("major", "minor"))
    if version[0] != 1 and version != (0, 14):
        raise DADF5Error(f"DADF5 {version[0]}.{version[1]}, but versions 0.14 and 1.x are read")
    if "cells" not in file["geometry"].attrs:
        raise DADF5Error("results of DAMASK_mesh, but those of DAMASK_grid are read")
    if "setup" not in file:
        raise DADF5Error("holds no set-up")


def text(raw: bytes) -> str:
    """Text that DAMASK took from an input file as it was: UTF-8, or else of Windows."""
    raw = raw.rstrip(b" \0")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _input_files(group) -> dict[str, str]:
    """Content of the input files in a group of set-ups, by name."""
    files = {name: data for name, data in group.items() if isinstance(data, h5py.Dataset)}
    return {
        name if isinstance(name, str) else text(name): text(bytes(np.ravel(data[()])[0]))
        for name, data in files.items()
    }


def _setup(group, used) -> Setup:
    """The set-up in a group, and in `previous` in it if the simulation was restarted."""
    setup = damask_setup.parse(_input_files(group), used)
    if "previous" not in group:
        return setup
    before = _setup(group["previous"], used)
    if before.phases != setup.phases:
        raise DADF5Error("restarted with another material")
    return replace(setup, eps_rel_div=max(setup.eps_rel_div, before.eps_rel_div))


def _times(file, increments) -> np.ndarray:
    times = np.array([file[name].attrs["t/s"] for name in increments])
    if times.dtype.kind not in "iuf":
        raise DADF5Error("the times of its increments are no numbers")
    return times.astype(float)


def _number(increment: str) -> int:
    return int(increment.removeprefix("increment_"))


def _grid(file) -> tuple[tuple[int, int], np.ndarray]:
    """Points along x1 and x2, and edges of the cell, m."""
    cells, size = file["geometry"].attrs["cells"], file["geometry"].attrs["size"]
    if cells[2] != 1:
        raise DADF5Error(f"grid {'x'.join(map(str, cells))}, expected N1xN2x1")
    grid = int(cells[0]), int(cells[1])
    return grid, edges_of(grid, size[:2])


def _on_grid(values, grid) -> np.ndarray:
    """Cell values (N1*N2, ...), x1 fastest, as a field (N1, N2, ...) with axes (x1, x2)."""
    return np.swapaxes(values.reshape(*reversed(grid), *values.shape[1:]), 0, 1)


def _written(file) -> tuple[str, list[str]]:
    """Where F and P lie, with the phases or the homogenizations, and the increments that have them.

    The last increment lacks them if the simulation was killed while it wrote.
    """
    names = sorted((name for name in file if re.fullmatch(r"increment_\d+", name)), key=_number)
    if not names:
        raise DADF5Error("holds no increments")
    kinds = ("phase", "homogenization")
    kind = next((kind for kind in kinds if _has_fields(file, names[0], kind)), None)
    if kind is None:
        raise DADF5Error(f"{names[0]} lacks F or P: output both with the phases or homogenizations")
    while not _has_fields(file, names[-1], kind):
        names.pop()
    return kind, names


def _has_fields(file, increment, kind) -> bool:
    groups, (labels, _) = file[increment].get(kind, {}), _places(file, kind)
    named = [groups.get(label, {}) for label in np.unique(labels)]
    return all(f"mechanical/{name}" in group for group in named for name in "FP")


def _places(file, kind):
    """Group name and row in it of each cell, (cells,) each."""
    mapping = file[f"cell_to/{kind}"][()].reshape(file["cell_to/homogenization"].shape[0], -1)
    if mapping.shape[1] != 1:
        raise DADF5Error("several constituents at a point are not supported")
    return mapping["label"][:, 0], mapping["entry"][:, 0]


def _gather(groups, places, name) -> np.ndarray:
    """Tensor field `name` of all cells from its groups, (cells, 3, 3)."""
    labels, rows = places
    field = np.empty((len(labels), 3, 3))
    for label in np.unique(labels):
        here = labels == label
        try:
            values = groups[label]["mechanical"][name][()]
        except KeyError:
            raise DADF5Error(f"{groups.name[1:]} lacks {name}") from None
        whole = values.shape == (here.sum(), 3, 3) and values.dtype.kind == "f"
        if not (whole and np.array_equal(np.sort(rows[here]), np.arange(len(values)))):
            raise DADF5Error(f"{groups.name[1:]}: {name} of {text(label)} does not fit its cells")
        field[here] = values[rows[here]]
    return field


def _phase_index(labels, setup) -> np.ndarray:
    """Index into setup.phases of the phase of each cell."""
    order = {name: i for i, name in enumerate(setup.phases)}
    names, inverse = np.unique(labels, return_inverse=True)
    return np.array([order[text(name)] for name in names])[inverse]


def _check_values(result) -> None:
    """Refuse what no simulation has, by increment and grain."""
    checks = {
        "F is NaN or infinite": lambda: np.isfinite(result.F).all((-2, -1)),
        "P is NaN or infinite": lambda: np.isfinite(result.P).all((-2, -1)),
        "F turns the material inside out": lambda: np.linalg.det(result.F) > 0,
        "the stress is out of all bounds": lambda: np.isfinite(result.sigma_vm.astype(np.float32)),
    }
    for what, check in checks.items():
        with np.errstate(over="ignore", invalid="ignore"):
            bad = np.argwhere(~check())
        if len(bad):
            increment, x1, x2 = bad[0]
            grain = list(result.setup.phases)[result.grain_id[x1, x2]]
            number = result.increments[increment]
            raise DADF5Error(f"increment_{number}, grain {grain}: {what}")
    if not (np.isfinite(result.time).all() and (np.diff(result.time) > 0).all()):
        raise DADF5Error("the times of its increments do not grow")
