"""Grain maps of others: which pixel belongs to which grain, read from the files of the field.

============================ ====================================================== ==========
suffix                       content                                                x1, x2
============================ ====================================================== ==========
.png .tif .tiff .bmp .gif    image: a grey value, palette index or colour per grain right, up
.npy .csv .txt               array or table of whole numbers                        down, right
.vti                         image data of VTK: ParaView, geometry of DAMASK        x, y
.dream3d .h5 .hdf5           FeatureIds of DREAM.3D 6 and DREAM3D-NX                x, y
.tesr                        raster tessellation of Neper                           x, y
============================ ====================================================== ==========

x1 is the direction of the paper's stretch; "down" is along the first axis of an array, which runs
over the rows of a table. Of a file with more than one layer one has to be chosen. Pixels that
belong to no grain have an id below 1 in files of DREAM.3D and Neper, a negative id in others.
"""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from PIL import Image, ImageSequence

from repro.data.microstructure import Microstructure, edges_of, table3_properties
from repro.tools.files import read_text
from repro.tools.values import Value

AXES = "xyz"
SHOWN = 5  # ids in a message


class GrainMapError(ValueError):
    """A file that gives no grain map; the message says in one line why, and what to do."""


@dataclass(frozen=True, eq=False)
class GrainMap(Value):
    """Grains of the pixels of a two-dimensional cell, as a file numbers them.

    Attributes
    ----------
    ids : ndarray of int, shape (N1, N2)
        Of an image in colours they are 0xRRGGBB.
    edges : ndarray, shape (2,)
        Of the cell, in the unit of the file; with square pixels where the file has no lengths.
    first : int
        Least id that a grain has; smaller ones mark pixels that belong to none.
    colours : bool
        Whether the ids are colours.
    source : str
        The file, for messages.
    """

    ids: np.ndarray
    edges: np.ndarray
    first: int = 0
    colours: bool = False
    source: str = "grain map"

    @property
    def grains(self) -> list[int]:
        """Ids of the grains, in order."""
        return np.unique(self.ids).tolist()

    @property
    def grain_id(self) -> np.ndarray:
        """The map with its grains renumbered 0...G-1 in the order of their ids, (N1, N2)."""
        return np.unique(self.ids, return_inverse=True)[1].reshape(self.ids.shape)

    def cell(self, properties: Mapping[int, np.ndarray]) -> Microstructure:
        """The cell of these grains.

        Parameters
        ----------
        properties : mapping
            Id -> E/GPa, nu, xi0/MPa, h0/GPa; ids that the map does not have are of no account.

        Raises
        ------
        GrainMapError
            If pixels belong to no grain, or a grain has no properties.
        """
        missing = [grain for grain in self.grains if grain not in properties]
        outside = [grain for grain in missing if grain < self.first]
        if outside:
            count = int(np.isin(self.ids, outside).sum())
            raise GrainMapError(
                f"{self.source}: {count} pixels belong to no grain (id {self._listed(outside)}): "
                "fill them, or give that id a row in the table of properties"
            )
        if missing:
            raise GrainMapError(
                f"{self.source}: no properties of grain {self._listed(missing)}: give each a row, "
                f"as of grain {', '.join(map(str, [*properties][:SHOWN]))}"
            )
        rows = np.array([properties[grain] for grain in self.grains])
        return Microstructure(self.grain_id, rows, self.edges)

    def draw(self, rng: np.random.Generator) -> dict[int, np.ndarray]:
        """Properties of the grains, as `cell` takes them, drawn from the paper's Table 3."""
        rows = zip(self.grains, table3_properties(rng, len(self.grains)), strict=True)
        return {grain: row for grain, row in rows if grain >= self.first}

    def summary(self) -> str:
        """Size, grains, and how much of the border meets another grain, in one line."""
        (N1, N2), ids = self.ids.shape, self.ids
        across = (ids[0] != ids[-1]).mean(), (ids[:, 0] != ids[:, -1]).mean()
        pairs = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
        inside = sum(pair.sum() for pair in pairs) / max(1, sum(pair.size for pair in pairs))
        return (
            f"{self.source}: {N1} x {N2} pixels, {len(self.grains)} grains. It is taken as "
            f"periodic: {across[0]:.0%} of the pixels meet another grain across the border along "
            f"x1, {across[1]:.0%} along x2, {inside:.0%} inside"
        )

    def _listed(self, grains) -> str:
        names = [f"#{grain:06x}" if self.colours else str(grain) for grain in grains[:SHOWN]]
        return ", ".join(names) + f" and {len(grains) - SHOWN} more" * (len(grains) > SHOWN)


class _Voxels(NamedTuple):
    """What a file holds: ids along x, y and z, (n, m, l), and lengths of a voxel, (3,)."""

    ids: np.ndarray
    spacing: Sequence[float] | np.ndarray = (1.0, 1.0, 1.0)
    first: int = 0
    colours: bool = False


def read_grain_map(path, layer: str | None = None, array: str | None = None) -> GrainMap:
    """Read the grain map of a file; its suffix says what it is, see `repro.data.grain_maps`.

    Parameters
    ----------
    path : path-like
    layer : str, optional
        Which layer of a three-dimensional file, such as "z=10", counted from 0. The other two axes
        are x1 and x2, in the order x, y, z.
    array : str, optional
        Name of the array, if the file has several that it could be.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    GrainMapError
        If it holds no grain map, or several layers or arrays and none is chosen.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise GrainMapError(f"{path}: give a grain map as one of {', '.join(READERS)}")
    try:
        voxels = read(path, array)
        ids, edges = _layer(voxels, layer)
        return GrainMap(ids, edges, voxels.first, voxels.colours, str(path))
    except GrainMapError as error:
        raise GrainMapError(f"{path}: {error}") from None
    except Exception as error:  # a damaged file may raise anything
        reason = " ".join(str(error).split()).split(";")[0] or type(error).__name__
        raise GrainMapError(f"{path}: cannot be read as {path.suffix} ({reason})") from None


def _layer(voxels: _Voxels, layer: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Ids (N1, N2) and edges (2,) of the chosen layer, or of the only one."""
    shape = voxels.ids.shape
    if not voxels.ids.size:
        raise GrainMapError("has no pixels")
    if layer is None:
        thin = [axis for axis in (2, 1, 0) if shape[axis] == 1]
        if not thin:
            size = " x ".join(map(str, shape))
            raise GrainMapError(
                f"is three-dimensional, {size} voxels along x, y, z: choose a layer, such as z=0"
            )
        axis, index = thin[0], 0
    else:
        found = re.fullmatch(r"([xyz])=(\d+)", layer)
        if not found:
            raise GrainMapError(f"a layer is named by axis and number, such as z=0, not {layer}")
        axis, index = AXES.index(found[1]), int(found[2])
        if index >= shape[axis]:
            raise GrainMapError(f"has no layer {layer}: they are {found[1]}=0 to {shape[axis] - 1}")
    ids, spacing = np.take(voxels.ids, index, axis), np.delete(voxels.spacing, axis)
    return ids, edges_of(ids.shape, spacing * ids.shape)


def _whole(values: np.ndarray) -> np.ndarray:
    """Ids as integers; real numbers will do if they are whole."""
    if values.dtype.kind not in "iubf":
        raise GrainMapError(f"ids of grains are whole numbers, not {values.dtype}")
    wrong = values[~(np.isfinite(values) & (np.rint(values) == values))]
    if wrong.size:
        raise GrainMapError(f"ids of grains are whole numbers, but one is {wrong[0]:g}")
    return values.astype(np.int64)


# --- Images ------------------------------------------------------------------------------


def _image(path, _) -> _Voxels:
    with Image.open(path) as image:
        if image.format == "JPEG" or image.info.get("compression") == "jpeg":
            raise GrainMapError("JPEG changes colours near edges: save the map as PNG or TIFF")
        if image.mode.startswith("RGB") and ";16" in str(image.tile):
            raise GrainMapError("has 16 bits per colour: save it with 8, or as grey values")
        colours = image.mode.startswith(("RGB", "CMYK"))
        frames = [_flat(frame) for frame in ImageSequence.Iterator(image)]
    # Rows run downwards in an image, x2 runs upwards in this project's figures.
    return _Voxels(np.stack(frames, -1)[::-1].swapaxes(0, 1), colours=colours)


def _flat(image) -> np.ndarray:
    """Ids of the pixels of an image (rows, columns), in which every grain is one flat colour."""
    values = np.asarray(image)
    if image.mode.endswith("A"):
        if (values[..., -1] < 255).any():
            raise GrainMapError("has transparent pixels: give every pixel the colour of its grain")
        values = values[..., :-1]
    if values.ndim == 3:
        values = values.astype(np.int64) @ 256 ** np.arange(values.shape[-1])[::-1]
    ids = _whole(values)
    corner = ids[1:, 1:]
    same = (corner == ids[1:, :-1]) & (corner == ids[:-1, 1:]) & (corner == ids[:-1, :-1])
    colours, areas = len(np.unique(ids)), len(np.unique(corner[same]))
    if areas < colours / 2:
        raise GrainMapError(
            f"{colours - areas} of its {colours} colours fill no 2 x 2 pixels, as where edges are "
            "smoothed: save it without smoothing (nearest neighbour), one colour per grain"
        )
    return ids


# --- Tables and arrays -------------------------------------------------------------------


def _numpy(path, _) -> _Voxels:
    return _in_layers(np.load(path, allow_pickle=False))


def _text(path, _) -> _Voxels:
    text = read_text(path).lstrip("\ufeff")
    separator = next((mark for mark in ",;" if mark in text), None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file without numbers has no pixels, which is an error
        return _in_layers(np.loadtxt(text.splitlines(), delimiter=separator, ndmin=2))


def _in_layers(values) -> _Voxels:
    if values.ndim not in (2, 3):
        raise GrainMapError(f"a grain map has two axes or three, not {values.ndim}")
    return _Voxels(_whole(values if values.ndim == 3 else values[..., None]))


# --- Files with voxels -------------------------------------------------------------------


def _vti(path, array) -> _Voxels:
    try:
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkObject
        from vtkmodules.vtkIOXML import vtkXMLImageDataReader
    except ModuleNotFoundError:
        raise GrainMapError("needs the package vtk: pip install '.[vtk]'") from None
    shown = vtkObject.GetGlobalWarningDisplay()
    vtkObject.GlobalWarningDisplayOff()  # several lines about a file that it cannot read
    try:
        reader = vtkXMLImageDataReader()
        reader.SetFileName(str(path))
        reader.Update()
    finally:
        vtkObject.SetGlobalWarningDisplay(shown)
    grid = reader.GetOutput()
    if not grid.GetNumberOfCells():
        raise GrainMapError("is no image data of VTK, or damaged")
    cells = grid.GetCellData()
    arrays = {cells.GetArrayName(i): cells.GetArray(i) for i in range(cells.GetNumberOfArrays())}
    values = {name: vtk_to_numpy(found) for name, found in arrays.items() if found}
    of_ids = {name: found for name, found in values.items() if found.ndim == 1}
    if array is None:  # stresses and properties are no grains
        of_ids = {name: found for name, found in of_ids.items() if found.dtype.kind in "iu"}
    shape = np.maximum(np.subtract(grid.GetDimensions(), 1), 1)
    ids = of_ids[_chosen(of_ids, array, "material")]
    return _Voxels(_whole(ids).reshape(shape, order="F"), grid.GetSpacing())


def _dream3d(path, array) -> _Voxels:
    with h5py.File(path) as file:
        found: dict[str, h5py.Dataset] = {}
        file.visititems(lambda name, item: found.update({name: item} if _of_voxels(item) else {}))
        data = found[_chosen(found, array, "FeatureIds")]
        ids, geometry = _whole(data[()]), data.parent.parent
        if "_SPACING" in geometry.attrs:  # DREAM3D-NX
            spacing = geometry.attrs["_SPACING"]
        elif "_SIMPL_GEOMETRY/SPACING" in geometry:
            spacing = geometry["_SIMPL_GEOMETRY/SPACING"][()]
        else:
            raise GrainMapError(f"{data.name} is not on an image geometry of DREAM.3D: no spacing")
    return _Voxels(ids.reshape(ids.shape[:3]).T, spacing, first=1)


def _of_voxels(item) -> bool:
    """Whether an object of HDF5 has one whole number for each voxel, (z, y, x, 1)."""
    shape = getattr(item, "shape", ())
    return len(shape) in (3, 4) and shape[3:] in ((), (1,)) and item.dtype.kind in "iu"


def _chosen(arrays, wanted: str | None, usual: str) -> str:
    """Name of the array that is asked for, of the usual one, or of the only one."""
    found = [name for name in arrays if name.split("/")[-1] == (wanted or usual) or name == wanted]
    if not (found or wanted):
        found = [*arrays]
    if len(found) == 1:
        return found[0]
    if not arrays:
        raise GrainMapError("has no array of whole numbers, one for each voxel")
    lacks = f"has no array {wanted}" if wanted and not found else "has several arrays"
    raise GrainMapError(f"{lacks}: choose one that holds grains, of {', '.join(found or arrays)}")


# Neper 4, "Raster Tessellation File (.tesr)" of its documentation.
_NEPER = {"binary8": "u1", "binary16": "<u2", "binary32": "<i4"}
_NEPER |= {"binary16_big": ">u2", "binary32_big": ">i4"}


def _tesr(path, _) -> _Voxels:
    head, _, data = path.read_bytes().partition(b"**data")
    words = head.decode("latin-1").split()
    if words[:1] != ["***tesr"] or not data:
        raise GrainMapError("is no raster tessellation of Neper")
    general = words[words.index("**general") + 1 :]
    dim = int(general[0])
    shape, spacing = np.array(general[1 : 1 + 2 * dim], float).reshape(2, dim)
    shape = shape.astype(int)
    data = data.partition(b"\n")[2]
    kind = words[words.index("**format") + 2]  # up to version 2.0
    if kind.startswith("*"):
        line, _, data = data.partition(b"\n")
        kind = line.strip().decode("latin-1")
    if data.lstrip().startswith(b"*file"):
        data = (path.parent / data.split()[1].decode()).read_bytes()
    if kind == "ascii":
        ids = np.array(data.partition(b"*")[0].split(), np.int64)
    elif kind in _NEPER:
        dtype = np.dtype(_NEPER[kind])
        ids = np.frombuffer(data[: shape.prod() * dtype.itemsize], dtype).astype(np.int64)
    else:
        raise GrainMapError(f"has data as {kind}: write ascii or {', '.join(_NEPER)}")
    if len(ids) != shape.prod():
        raise GrainMapError(f"has data of {len(ids)} of {shape.prod()} voxels")
    if "*id" in words:
        cells = int(words[words.index("**cell") + 1])
        names = words[words.index("*id") + 1 :][:cells]
        ids = np.array(["0", *names], np.int64)[ids]
    ids = ids.reshape(*shape, *[1] * (3 - dim), order="F")
    return _Voxels(ids, [*spacing, *[1.0] * (3 - dim)], first=1)


READERS: dict[str, Callable[[Path, str | None], _Voxels]] = {
    **dict.fromkeys((".png", ".tif", ".tiff", ".bmp", ".gif", ".jpg", ".jpeg"), _image),
    ".npy": _numpy,
    **dict.fromkeys((".csv", ".txt"), _text),
    ".vti": _vti,
    **dict.fromkeys((".dream3d", ".h5", ".hdf5"), _dream3d),
    ".tesr": _tesr,
}
