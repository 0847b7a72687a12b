"""Fields for ParaView: one image file (.vti) per increment, written by DAMASK's own package."""

from pathlib import Path

import numpy as np

from repro import paper
from repro.report.gallery import Example


def write(directory, shown: Example) -> list[Path]:
    """Write properties, both stresses and their difference, as cell data of a unit cell.

    Parameters
    ----------
    directory : path-like
        Is made. The files are called increment_0001.vti and so on, in order.
    shown : Example

    Raises
    ------
    ValueError
        If the package `damask` is not installed.
    """
    try:
        from damask import VTK
    except ModuleNotFoundError:
        raise ValueError("files for ParaView need damask: pip install '.[damask]'") from None
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    N = len(shown.property_maps)
    units = (f" / {unit}" if unit else "" for unit in paper.PROPERTY_UNITS)
    labels = [name + unit for name, unit in zip(paper.PROPERTY_NAMES, units, strict=True)]
    properties = dict(zip(labels, np.moveaxis(shown.property_maps, -1, 0), strict=True))
    paths = []
    pairs = zip(shown.sigma_rm, shown.sigma_network, strict=True)
    for step, (reference, network) in enumerate(pairs, 1):
        grid = VTK.from_image_data([N, N, 1], [1, 1, 1 / N])
        stresses = {
            "sigma_vm reference model / MPa": reference,
            "sigma_vm network / MPa": network,
            "sigma_vm difference / MPa": network - reference,
        }
        for label, field in (properties | stresses).items():
            grid = grid.set(label, field.ravel(order="F"))  # x1 fastest
        paths.append(directory / f"increment_{step:04d}.vti")
        grid.save(paths[-1], parallel=False)
    return paths
