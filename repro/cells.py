"""Make a data set of grain maps of your own: images, tables, VTK, DREAM.3D, Neper."""

from pathlib import Path
from typing import Literal

import tyro

from repro.data.discretization import DERIVATIVES, Discretization
from repro.tools import cli


def main(
    files: tyro.conf.Positional[tuple[Path, ...]],
    out: Path,
    properties: Path | None = None,
    seed: int = 0,
    load: Path | None = None,
    derivative: Literal[*DERIVATIVES] = DERIVATIVES[0],
    points_per_pixel: int = 1,
    layer: str | None = None,
    array: str | None = None,
) -> None:
    """Read grain maps, give their grains properties, solve them and write a data set.

    All maps must have as many pixels. Of an image x1, the direction of the paper's stretch, runs to
    the right and x2 upwards; of a table or .npy x1 runs down and x2 to the right; else they are x
    and y.

    Args:
        files: Grain maps: .png, .tif, .bmp, .gif, .npy, .csv, .txt, .vti, .dream3d or .tesr.
        out: Data set to write (HDF5); an existing file is never overwritten.
        properties: Table (CSV) with a row per grain id under "grain,E/GPa,nu,xi0/MPa,h0/GPa", in
            Pa, MPa or GPa. Default: drawn from the paper's Table 3.
        seed: Another seed draws other properties.
        load: Load file of DAMASK (.yaml), of which every increment is kept. Default: the paper's.
        derivative: How derivatives in space are taken; "rotated" fields oscillate half as much.
        points_per_pixel: Points along an edge of each pixel; fields are their means over the
            pixels.
        layer: Which layer of three-dimensional maps, such as z=10, counted from 0; the other axes
            are x1 and x2.
        array: Name of the array with the ids of the grains, if a file has several.
    """
    from repro import reference
    from repro.damask.setup import read_load
    from repro.data import dataset
    from repro.data.grain_maps import read_grain_map
    from repro.data.load import PAPER_LOAD
    from repro.data.microstructure import generator
    from repro.data.property_table import read_properties

    if not files:
        raise ValueError("name one grain map or more")
    if out.exists():
        raise FileExistsError(f"{out} exists: name another file or remove it")
    discretization = Discretization(derivative, points_per_pixel)
    path = read_load(load) if load else PAPER_LOAD
    maps = [read_grain_map(file, layer, array) for file in files]
    for found in maps:
        print(found.summary())
    if properties:
        table = read_properties(properties)
        cells = [found.cell(table) for found in maps]
        unused = sorted(table.keys() - {grain for found in maps for grain in found.grains})
        if unused:
            print(f"{properties}: no map has grain {', '.join(map(str, unused))}")
    else:
        cells = [found.cell(found.draw(generator(seed, i))) for i, found in enumerate(maps)]
    sources = {"sources": "\n".join(map(str, files))}
    data = reference.solve(cells, path, discretization, attributes=sources, progress=True)
    dataset.write(out, data)
    print(f"{out} written: {len(data)} microstructures")


if __name__ == "__main__":
    cli.run(main)
