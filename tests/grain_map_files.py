"""Write `data/grain_maps/`: one grain map in each format, after the format's own description.

Run it to write them anew. Each writer follows the document that it names, and uses no code of the
project.
"""

from pathlib import Path

import h5py
import numpy as np
from PIL import Image

FOLDER = Path(__file__).with_name("data") / "grain_maps"
IDS = np.kron([[7, 3], [1, 7], [9, 3]], np.ones((2, 2), int))  # (6, 4), axes x1, x2
SPACING = (0.5, 1.0, 2.0)  # of voxels along x, y, z
COLOURS = {1: (255, 0, 0), 3: (0, 128, 0), 7: (0, 0, 255), 9: (16, 16, 16)}
ROWS = IDS.T[::-1]  # of an image: downwards, each to the right


def png(path, ids=ROWS):
    """An image in colours."""
    pixels = [[COLOURS[i] for i in row] for row in ids.tolist()]
    Image.fromarray(np.array(pixels, np.uint8)).save(path)


def tiff(path, pages=(ROWS,)):
    """Grey values of 16 bits; with several pages a stack of layers along z."""
    first, *others = [Image.fromarray(page.astype(np.uint16)) for page in pages]
    first.save(path, save_all=True, append_images=others)


def table(path, separator=","):
    """Rows along x1."""
    rows = (separator.join(map(str, row)) for row in IDS.tolist())
    path.write_text("\n".join(rows) + "\n")


def vti(path, arrays=(("grain", "Int32", IDS), ("sigma_vm", "Float64", IDS / 2))):
    """ASCII image data, "VTK File Formats", section "XML File Formats": x runs fastest."""
    N1, N2 = IDS.shape
    d1, d2, d3 = SPACING
    texts = (
        f'<DataArray type="{kind}" Name="{name}" format="ascii">'
        f"{' '.join(map(str, values.T.ravel().tolist()))}</DataArray>"
        for name, kind, values in arrays
    )
    path.write_text(
        '<VTKFile type="ImageData" version="0.1" byte_order="LittleEndian">'
        f'<ImageData WholeExtent="0 {N1} 0 {N2} 0 1" Origin="0 0 0" Spacing="{d1} {d2} {d3}">'
        f'<Piece Extent="0 {N1} 0 {N2} 0 1"><CellData>{"".join(texts)}</CellData></Piece>'
        "</ImageData></VTKFile>"
    )


def dream3d_6(path, ids=IDS[..., None], name="FeatureIds"):
    """SIMPL's file version 7.0: arrays (z, y, x, components), lengths in _SIMPL_GEOMETRY."""
    with h5py.File(path, "w") as file:
        file.attrs["FileVersion"] = np.bytes_("7.0")
        container = file.create_group("DataContainers/ImageDataContainer")
        container["_SIMPL_GEOMETRY/DIMENSIONS"] = np.array(ids.shape, np.int64)
        container["_SIMPL_GEOMETRY/SPACING"] = np.array(SPACING, np.float32)
        container[f"CellData/{name}"] = ids.T[..., None].astype(np.int32)
        container["CellData/EulerAngles"] = np.zeros((*ids.T.shape, 3), np.float32)
        container["CellFeatureData/Active"] = np.ones((10, 1), np.uint8)


def dream3d_nx(path, ids=IDS[..., None]):
    """simplnx, "DREAM3D File Specification", file version 8.0: lengths are attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["FileVersion"] = np.bytes_("8.0")
        geometry = file.create_group("DataStructure/Image Geometry")
        geometry.attrs["ObjectType"] = np.bytes_("ImageGeom")
        geometry.attrs["_DIMENSIONS"] = np.array(ids.shape, np.uint64)
        geometry.attrs["_SPACING"] = np.array(SPACING, np.float32)
        geometry["Cell Data/FeatureIds"] = ids.T[..., None].astype(np.int32)
        geometry["Cell Data/Phases"] = np.ones((*ids.T.shape, 1), np.int32)


def tesr(path, kind="ascii", ids=IDS, raw=None, version="2.1", extra=""):
    """Neper 4's documentation, "Raster Tessellation File (.tesr)": x runs fastest.

    `raw` names a file beside it for the data; in version 2.0 the kind stands after the version.
    """
    types = {"binary8": "u1", "binary16": "<u2", "binary32": "<i4"}
    types |= {"binary16_big": ">u2", "binary32_big": ">i4"}
    if kind == "ascii":
        data = " ".join(map(str, ids.ravel(order="F").tolist())).encode()
    else:
        data = ids.ravel(order="F").astype(types[kind]).tobytes()
    if raw:
        (path.parent / raw).write_bytes(data)
        data = f"  *file {raw}".encode()
    old = version == "2.0"
    sizes, lengths = (" ".join(map(str, values)) for values in (ids.shape, SPACING[: ids.ndim]))
    head = (
        f"***tesr\n **format\n   {version}{f' {kind}' * old}\n **general\n   {ids.ndim}\n"
        f"   {sizes}\n   {lengths}\n{extra} **data\n{f'   {kind}' * (not old)}"
    )
    path.write_bytes(head.encode() + b"\n" * (not old) + data + b"\n***end\n")


def write_all(folder):
    """Write every file."""
    folder.mkdir(parents=True, exist_ok=True)
    png(folder / "colours.png")
    tiff(folder / "grey.tif")
    np.save(folder / "array.npy", IDS)
    table(folder / "table.csv")
    table(folder / "table.txt", " ")
    vti(folder / "image.vti")
    dream3d_6(folder / "version6.dream3d")
    dream3d_nx(folder / "nx.dream3d")
    tesr(folder / "ascii.tesr")
    tesr(folder / "binary.tesr", "binary16")
    tesr(folder / "beside.tesr", "binary8", raw="beside.raw")
    tesr(folder / "old.tesr", "binary32_big", version="2.0")


if __name__ == "__main__":
    write_all(FOLDER)
