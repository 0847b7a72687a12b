"""Image files of VTK (.vti), which ParaView and DAMASK read, without VTK."""

import base64
import struct
import zlib

import numpy as np

_TYPES = {"i": ("Int64", "<i8"), "u": ("Int64", "<i8"), "f": ("Float64", "<f8")}


def image(arrays: dict[str, np.ndarray], edges) -> str:
    """Text of a file with arrays of the cells of an N1 x N2 x 1 grid.

    Parameters
    ----------
    arrays : dict
        Name -> integers or real numbers, (N1, N2), or tensors (N1, N2, 3, 3).
    edges : array_like, shape (2,)
        Of the grid along x1 and x2; DAMASK takes them for metres.
    """
    N1, N2 = next(iter(arrays.values())).shape[:2]
    d1, d2 = (np.asarray(edges) / (N1, N2)).tolist()
    texts = "\n".join(_data_array(name, array) for name, array in arrays.items())
    return f"""\
<?xml version="1.0"?>
<VTKFile type="ImageData" version="0.1" byte_order="LittleEndian" header_type="UInt32" \
compressor="vtkZLibDataCompressor">
  <ImageData WholeExtent="0 {N1} 0 {N2} 0 1" Origin="0 0 0" Spacing="{d1!r} {d2!r} {d1!r}">
  <Piece Extent="0 {N1} 0 {N2} 0 1">
    <CellData>
{texts}
    </CellData>
  </Piece>
  </ImageData>
</VTKFile>
"""


def _data_array(name, array) -> str:
    """One line of base64 with the cells x1 fastest, as DAMASK asks for; here as one zlib block."""
    kind, dtype = _TYPES[array.dtype.kind]
    values = np.swapaxes(array, 0, 1).astype(dtype).tobytes()
    block = zlib.compress(values)
    header = struct.pack("<4I", 1, len(values), 0, len(block))
    data = (base64.b64encode(header) + base64.b64encode(block)).decode()
    components = ' NumberOfComponents="9"' if array.ndim == 4 else ""
    return f"""\
      <DataArray type="{kind}" Name="{name}"{components} format="binary">
        {data}
      </DataArray>"""
