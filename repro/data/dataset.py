"""The data set: one HDF5 schema, written whole or not at all, and its split by microstructure.

========== ====================== ======= ===========================================
array      shape                  dtype   meaning
========== ====================== ======= ===========================================
grain_id   (M, N1, N2)            uint8   grain of each pixel; axes x1 (loading), x2
properties (M, G, 4)              float64 E/GPa, nu, xi0/MPa, h0/GPa; NaN-padded
time       (T+1,)                 float64 s; with F11 the load (`repro.data.load`)
F11        (T+1,)                 float64 mean stretch along x1
sigma_vm   (M, T+1, N1, N2)       float32 von Mises stress, MPa; chunked by microstructure
P_mean     (M, T+1, 3, 3)         float64 mean first Piola-Kirchhoff stress, MPa
seed       (M, S)                 int64   entropy of the generator of each microstructure
load_F     (T+1, 3, 3)            float64 only if the load is not diag(F11, 1, 1): its F, as
load_P     (T+1, 3, 3)            float64 in `repro.data.load`, and its P, MPa
F_mean     (M, T+1, 3, 3)         float64 mean deformation gradient, likewise
========== ====================== ======= ===========================================

Where the load does not prescribe F11, the array is its mean over the microstructures.

Attributes say how the data came about. `schema_version` is always there, and `edges` (L1, L2) where
the pixels of the cells are not square; our own generator adds its name, the suite, the seed, the
tolerance and the code commit. `n`, `dot_gamma_0`, `M` and `h` are the parameters of the flow rule
that go with the properties (see `repro.data.flow_rule`), `derivative` and `points_per_pixel` the
discretization in space (see `repro.data.discretization`); what is not there is as in the paper.
Data of another solver may have `solved_time` and `solved_F11` (or `solved_F` and `solved_P`), if
only some of the increments that were solved are kept, and `dilatation` and `hardening_left`, if its
flow rule is of another form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from repro import paper
from repro.data.discretization import DERIVATIVES, Discretization
from repro.data.flow_rule import FlowRule
from repro.data.load import Load
from repro.data.microstructure import (
    Microstructure,
    edges_of,
    pixel_centres,
    units_known,
    warn_of_units,
)
from repro.tools.files import atomic_path
from repro.tools.values import Value, unmasked

if TYPE_CHECKING:
    import xarray

SCHEMA_VERSION, OF_ANY_LOAD = 1, 2  # the second, if the file has a load other than diag(F11, 1, 1)
SPLIT_SEED = 0
MAX_GRAINS = 256  # grain_id is uint8
CHUNK = 1000  # microstructures, of the small arrays
STORED_CACHE = 2**26  # bytes of stress kept of an open file: more than that of a batch
LINEAR = 0.99  # share of h0 that has to be left for hardening to count as linear
_SHAPES = {  # letters are sizes that must agree between arrays
    "grain_id": "MXY",
    "properties": "MGP",
    "time": "T",
    "F11": "T",
    "sigma_vm": "MTXY",
    "P_mean": "MTDD",
    "seed": "MS",
}
_OF_ANY_LOAD = {"load_F": "TDD", "load_P": "TDD", "F_mean": "MTDD"}


class DataSetError(ValueError):
    """A file is not a data set of this project; the message says in one line what is wrong."""


@dataclass(frozen=True, eq=False)
class DataSet(Value):
    """Microstructures and their trajectories; arrays as in the table of `repro.data.dataset`.

    The arrays are read-only views of those that were given, since they may take gigabytes: do not
    change those afterwards.

    Raises
    ------
    DataSetError
        If shapes do not agree, or an array does not hold numbers.
    """

    COPIES = False  # a data set takes gigabytes

    grain_id: np.ndarray
    properties: np.ndarray
    time: np.ndarray
    F11: np.ndarray
    sigma_vm: np.ndarray
    P_mean: np.ndarray
    seed: np.ndarray
    attributes: dict = field(default_factory=dict)
    load_F: np.ndarray | None = None
    load_P: np.ndarray | None = None
    F_mean: np.ndarray | None = None

    def __post_init__(self):
        super().__post_init__()
        arrays = self.arrays
        _check_shapes({name: np.shape(array) for name, array in arrays.items()})
        for name, array in arrays.items():
            if np.dtype(getattr(array, "dtype", object)).kind not in _kinds(name) + "iu":
                raise DataSetError(f"array {name} is of {getattr(array, 'dtype', type(array))}")
        warn_of_units(self.properties, stacklevel=4)  # once for all cells

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that the data set has, by name."""
        named = {name: getattr(self, name) for name in (*_SHAPES, *_OF_ANY_LOAD)}
        return {name: named[name] for name in named if name in _SHAPES or named[name] is not None}

    def __len__(self):
        return len(self.grain_id)

    @property
    def edges(self) -> np.ndarray:
        """Edges L1, L2 of the cells, as `repro.data.microstructure.Microstructure` has them."""
        return edges_of(self.grain_id.shape[1:], self.attributes.get("edges"))

    @property
    def load(self) -> Load:
        """What the cells are put under.

        Raises
        ------
        DataSetError
            If the arrays are no load.
        """
        return as_load(self.time, self.F11 if self.load_F is None else self.load_F, self.load_P)

    @property
    def solved_load(self) -> Load:
        """The load with the increments in which it was solved: those of the data set or more."""
        about = self.attributes
        if "solved_time" not in about:
            return self.load
        F = about.get("solved_F", about.get("solved_F11", self.F11))
        return as_load(about["solved_time"], F, about.get("solved_P"))

    @property
    def kept(self) -> np.ndarray:
        """Which increments of the solved load the data set keeps, (T+1,)."""
        return np.abs(self.solved_load.time[:, None] - self.time).argmin(0)

    @property
    def solver_options(self) -> dict[str, Any] | None:
        """How the cells were solved: flow rule and discretization of `repro.reference.simulate`.

        None if the flow rule is of another form than the reference model's, or the derivative in
        space is one that it does not have.

        Raises
        ------
        DataSetError
            If a parameter of the flow rule is out of range, or the points per pixel are no positive
            whole number.
        """
        about = self.attributes
        if (
            about.get("dilatation", False)
            or about.get("hardening_left", 1.0) < LINEAR
            or about.get("derivative", DERIVATIVES[0]) not in DERIVATIVES
        ):
            return None
        try:
            return {
                "flow_rule": FlowRule.of(about),
                "discretization": Discretization.of(about),
            }
        except (TypeError, ValueError) as error:
            raise DataSetError(str(error)) from None

    def microstructure(self, i: int) -> Microstructure:
        """Microstructure i, without the padding that is behind its last grain."""
        grain_id, properties = self.grain_id[i], self.properties[i]
        # A grain of the map that has no properties keeps its row: else it would be given those of
        # the next. Behind the last grain of the map the first row without any is padding.
        behind = int(grain_id.max()) + 1
        empty = np.flatnonzero(np.isnan(properties[behind:]).all(1))
        grains = behind + empty[0] if len(empty) else len(properties)
        with units_known():
            return Microstructure(grain_id, properties[:grains], self.edges)

    def first(self, count: int) -> DataSet:
        """The first microstructures, in memory."""
        own: dict[str, Any] = {
            name: array[:count] for name, array in self.arrays.items() if _is_of_cells(name)
        }
        with units_known():
            return replace(self, **own)

    def property_maps(self, indices) -> np.ndarray:
        """E/GPa, nu, xi0/MPa, h0/GPa of each pixel, (len(indices), N1, N2, 4) float32."""
        indices = indices_of(indices)
        return np.stack([self.properties[i][self.grain_id[i]] for i in indices]).astype(np.float32)

    def to_xarray(self) -> xarray.Dataset:
        """Labelled arrays, for analysis and for NetCDF; needs the package xarray.

        Returns
        -------
        xarray.Dataset
            Dimensions cell, grain, increment, x1 and x2, and i, j of tensors; coordinates time/s
            and F11 of the increments, x1 and x2 of the pixels' centres, in edges of the cell unless
            it is given other lengths. The attribute `units` of an array names its unit.
        """
        import xarray

        x1, x2 = pixel_centres(self.grain_id.shape[1:], self.edges)
        properties = {
            name: (("cell", "grain"), self.properties[..., i], {"units": unit})
            for i, (name, unit) in enumerate(
                zip(paper.PROPERTY_NAMES, paper.PROPERTY_UNITS, strict=True)
            )
        }
        stress, tensor = ("cell", "increment", "x1", "x2"), ("cell", "increment", "i", "j")
        strains = {} if self.F_mean is None else {"F_mean": (tensor, self.F_mean)}
        return xarray.Dataset(
            {
                "grain_id": (("cell", "x1", "x2"), self.grain_id),
                **properties,
                "sigma_vm": (stress, self.sigma_vm, {"units": "MPa"}),
                "P_mean": (tensor, self.P_mean, {"units": "MPa"}),
                **strains,
                "seed": (("cell", "part"), self.seed),
            },
            {
                "time": ("increment", self.time, {"units": "s"}),
                "F11": ("increment", self.F11),
                "x1": ("x1", x1, {"units": "cell edge"}),
                "x2": ("x2", x2, {"units": "cell edge"}),
            },
            # NetCDF and Zarr have no truth values.
            {k: int(v) if isinstance(v, bool) else v for k, v in self.attributes.items()},
        )


def of(cells, runs, attributes: dict | None = None, seed=None, kept=None) -> DataSet:
    """A data set of cells and their trajectories under one load.

    Parameters
    ----------
    cells : sequence of Microstructure
        On equal grids, of at most `MAX_GRAINS` each.
    runs : sequence of repro.reference.Trajectory
    attributes : dict, optional
        How they were solved.
    seed : array_like of int, shape (M, S), optional
        Of the generator; by default -1: no seed gives these cells.
    kept : array of int, optional
        Increments to keep, beside the load in all of them (`solved`); by default all are kept.

    Raises
    ------
    DataSetError
        If a cell has too many grains.
    """
    load, grains = runs[0].load, most_grains(cells)
    whole = {} if kept is None else solved(load)
    kept = slice(None) if kept is None else kept
    F_mean = np.stack([run.F_mean[kept] for run in runs])
    F11, more = load.F11[kept], {}
    if not load.is_plane_strain_along_x1:
        more = {"load_F": load.F[kept], "load_P": load.P[kept], "F_mean": F_mean}
        F11 = F11 if np.isfinite(F11).all() else F_mean[..., 0, 0].mean(0)
    return DataSet(
        grain_id=np.stack([cell.grain_id for cell in cells]).astype(np.uint8),
        properties=np.stack([pad_properties(cell.properties, grains) for cell in cells]),
        time=load.time[kept],
        F11=F11,
        sigma_vm=np.stack([run.sigma_vm[kept] for run in runs]).astype(np.float32),
        P_mean=np.stack([run.P_mean[kept] for run in runs]),
        seed=np.array([[-1]] * len(cells) if seed is None else seed),
        attributes={**(attributes or {}), **_edges(cells[0]), **whole},
        **more,
    )


def most_grains(cells) -> int:
    """Number of grains of the cell that has most; DataSetError if a data set has no room."""
    grains = max(len(cell.properties) for cell in cells)
    if grains > MAX_GRAINS:
        raise DataSetError(f"{grains} grains, at most {MAX_GRAINS} are supported")
    return grains


def _edges(cell) -> dict:
    pixels = edges_of(cell.grain_id.shape) / cell.edges
    return {} if np.isclose(*pixels) else {"edges": cell.edges}


def solved(load: Load) -> dict[str, np.ndarray]:
    """Attributes that keep all increments that were solved."""
    if load.is_plane_strain_along_x1:
        return {"solved_time": load.time, "solved_F11": load.F11}
    return {"solved_time": load.time, "solved_F": load.F, "solved_P": load.P}


def as_load(time, F, P=None) -> Load:
    """The load that arrays of a file say; DataSetError if they say none."""
    try:
        return Load(time, F, P)
    except ValueError as error:
        raise DataSetError(str(error)) from None


def _is_of_cells(name) -> bool:
    """Whether the first axis of an array are the microstructures."""
    return (_SHAPES | _OF_ANY_LOAD)[name][0] == "M"


def _check_shapes(shapes: dict) -> None:
    sizes = {"P": len(paper.PROPERTY_NAMES), "D": 3}
    for name, shape in shapes.items():
        letters = (_SHAPES | _OF_ANY_LOAD)[name]
        agree = len(shape) == len(letters) and all(
            sizes.setdefault(letter, size) == size
            for letter, size in zip(letters, shape, strict=True)
        )
        if not agree:
            wanted = ", ".join(str(sizes.get(letter, letter)) for letter in letters)
            raise DataSetError(f"array {name} has shape {shape}, expected ({wanted})")


def write(path, data: DataSet | Iterable[DataSet], overwrite: bool = False) -> None:
    """Write a data set: to a temporary name first, so that `path` is whole or not there.

    Parameters
    ----------
    path : path-like
    data : DataSet or iterable of DataSet
        Parts of the same load are written one after another as one data set with the attributes of
        the first: an iterator that reads them holds one at a time in memory.
    overwrite : bool

    Raises
    ------
    FileExistsError
        If `path` exists and `overwrite` is false.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: name another file or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_path(path) as temporary, _new_file(temporary) as file:
            for part in [data] if isinstance(data, DataSet) else data:
                _append(file, part)
            file.flush()
    except RuntimeError as error:  # of HDF5, where a disk is full
        raise OSError(f"{path} cannot be written: {_first_line(error)}") from None


def _new_file(path):
    # This version of the format has checksums of all but the arrays, and fletcher32 is theirs: so a
    # damaged file cannot be read as other data.
    return h5py.File(path, "w", libver=("v110", "v110"))


def _append(file, part: DataSet) -> None:
    """Add the microstructures of a part to a file that is being written.

    Each array is flushed: HDF5 would write its last chunks when it is closed, where h5py can only
    print what fails, and where a disk is full for a moment the file would have zeros there.
    """
    if not file.keys():
        for name, array in part.arrays.items():
            letters = (_SHAPES | _OF_ANY_LOAD)[name]
            together = 1 if name == "sigma_vm" else min(len(array), CHUNK)
            stored = file.create_dataset(
                name,
                data=array,
                chunks=(together, *array.shape[1:]),
                # Other parts may have more microstructures, and more grains in each.
                maxshape=tuple(
                    None if letter in "MG" else size
                    for letter, size in zip(letters, array.shape, strict=True)
                ),
                fillvalue=np.nan if name == "properties" else None,
                fletcher32=True,
            )
            stored.flush()
        version = SCHEMA_VERSION if part.load_F is None else OF_ANY_LOAD
        file.attrs.update(part.attributes, schema_version=version)
        return
    done = len(file["seed"])
    for name, array in part.arrays.items():
        if _is_of_cells(name):
            stored = file[name]
            stored.resize((done + len(part), *map(max, stored.shape[1:], array.shape[1:])))
            stored[(slice(done, None), *map(slice, array.shape[1:]))] = array
            stored.flush()


def read(path, in_memory: bool = True) -> DataSet:
    """Read a data set.

    Parameters
    ----------
    path : path-like
    in_memory : bool
        If not, `sigma_vm` stays in the file, which is then open: what it is indexed with is read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataSetError
        If it is not HDF5, lacks an array, has another schema version, shapes disagree, or the
        arrays of the load are none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}")
    try:
        with h5py.File(path) as file:
            missing = [name for name in _SHAPES if name not in file]
            if missing:
                raise DataSetError(f"{path}: not a data set, lacks the array {missing[0]}")
            version = file.attrs.get("schema_version")
            if version not in (SCHEMA_VERSION, OF_ANY_LOAD):
                raise DataSetError(f"{path}: schema version {version}, expected {SCHEMA_VERSION}")
            present = [*_SHAPES, *(name for name in _OF_ANY_LOAD if name in file)]
            _check_shapes({name: file[name].shape for name in present})
            attributes = {key: _plain(value) for key, value in file.attrs.items()}
            names = [name for name in present if in_memory or name != "sigma_vm"]
            arrays = {name: file[name][()] for name in names}
        if not in_memory:
            arrays["sigma_vm"] = h5py.File(path, rdcc_nbytes=STORED_CACHE)["sigma_vm"]
        data = DataSet(**arrays, attributes=attributes)
        _check_values(data)
        return data
    except DataSetError as error:
        raise DataSetError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except OSError as error:
        raise DataSetError(f"{path}: not a readable HDF5 file ({_first_line(error)})") from None
    except Exception as error:  # a damaged file may raise anything
        reason = " ".join(str(error).split())
        raise DataSetError(f"{path}: not as this project writes it ({reason})") from None


def _check_values(data) -> None:
    """Refuse what no data set can hold; `repro.data.checks` asks what the stresses are worth."""
    for name, array in data.arrays.items():
        if array.dtype.kind not in _kinds(name):
            raise DataSetError(f"array {name} is of {array.dtype}")
    if not len(data) or len(data.time) < 2 or not data.grain_id.size:
        raise DataSetError("holds no microstructure, pixel or increment")
    # Each raises if it is none.
    _ = data.load, data.solved_load, data.solver_options, data.edges
    _ = [float(data.attributes.get(name, 0)) for name in ("dilatation", "hardening_left")]
    for i in range(len(data)):
        try:
            data.microstructure(i)
        except ValueError as error:
            raise DataSetError(f"microstructure {i}: {error}") from None


def _kinds(name) -> str:
    """Kinds of numbers that an array is written with."""
    return "iu" if name in ("grain_id", "seed") else "f"


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _first_line(error) -> str:
    return str(error).splitlines()[0]


def concatenate(parts) -> DataSet:
    """One data set of several with the same load; attributes are those of the first."""
    grains = max(part.properties.shape[1] for part in parts)
    padded = [
        replace(part, properties=pad_properties(part.properties, grains)).arrays for part in parts
    ]
    own = [name for name in padded[0] if _is_of_cells(name)]
    return replace(
        parts[0], **{name: np.concatenate([part[name] for part in padded]) for name in own}
    )


def pad_properties(properties, grains: int) -> np.ndarray:
    """NaN-pad properties (..., G, 4) to `grains` rows."""
    properties = unmasked(properties, "properties")
    missing = grains - properties.shape[-2]
    width = [(0, 0)] * (properties.ndim - 2) + [(0, missing), (0, 0)]
    return np.pad(properties, width, constant_values=np.nan)


@dataclass(frozen=True, eq=False)
class Split(Value):
    """Indices of the microstructures for training and for validation."""

    training: np.ndarray
    validation: np.ndarray
    hash: str  # of the indices and of the microstructures behind them


def split(data: DataSet, training_fraction: float = paper.TRAINING_FRACTION) -> Split:
    """The fixed split by microstructure, 80/20 as in the paper (Methods).

    Raises
    ------
    DataSetError
        If either part would be empty.
    """
    training, validation = split_indices(len(data), training_fraction)
    content = (training, validation, data.grain_id, data.properties)
    return Split(training, validation, array_hash(*content))


def indices_of(microstructures) -> np.ndarray:
    """Numbers of one or more microstructures, as an array of integers.

    Raises
    ------
    ValueError
        If they are something else.
    """
    indices = unmasked(microstructures, "microstructures")
    if indices.ndim != 1 or not len(indices) or indices.dtype.kind not in "iu":
        raise ValueError("name one microstructure or more by whole numbers")
    return indices


LEAST_SPLIT = 3  # cells, of which one is for validation


def split_indices(
    microstructures: int, training_fraction: float = paper.TRAINING_FRACTION
) -> tuple[np.ndarray, np.ndarray]:
    """Indices for training and for validation: a function of their number alone.

    Raises
    ------
    DataSetError
        If either part would be empty.
    """
    count = round(training_fraction * microstructures)
    if not 0 < count < microstructures:
        raise DataSetError(
            f"{microstructures} microstructures cannot be split {training_fraction:.0%} for "
            f"training and the rest for validation: give {LEAST_SPLIT} or more"
        )
    order = np.random.default_rng(SPLIT_SEED).permutation(microstructures)
    return np.sort(order[:count]), np.sort(order[count:])


def array_hash(*arrays) -> str:
    """Twelve hexadecimal digits that identify the contents of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]


def data_hash(data: DataSet) -> str:
    """Identifies the whole content of a data set, the stresses included."""
    return array_hash(*data.arrays.values())
