"""Export a trained network, and compare what was exported with its golden output and with it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from repro import models, paper
from repro.experiments.shipping import GOLDEN, golden, golden_input
from repro.models import BEST
from repro.models.backend import keras
from repro.models.export import FORMATS
from repro.models.export import export as write
from repro.models.runs import run_of

FOLDER = Path("exported")
SAME = 0.1  # MPa: rounding is far below, another network far above


class Comparison(NamedTuple):
    """How far an exported network is from what it has to give, on some cells."""

    beside: str
    cells: int
    pixels: int  # along an edge
    difference: float  # the largest, MPa


def export(model: str, name: str, out=None) -> tuple[Path, list[Comparison]]:
    """Export a trained network to a format, and compare it on two grids if it takes any.

    Parameters
    ----------
    model : str
        As for `repro.models.load`.
    name : str
        Key of `repro.models.export.FORMATS`.
    out : path-like, optional
        By default the name of the network, in `FOLDER`.

    Returns
    -------
    Path
        File, or folder, that was written.
    list of Comparison
        With the golden output of a shipped model on its grid, else with the network itself.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As `repro.models.load`.
    ImportError, ValueError, FileExistsError
        As `repro.models.export.export`.
    """
    path = models.model_path(model)
    network = models.load(path)
    title = run_of(path).name.replace(" (last)", "_last")
    out = Path(out or FOLDER / (title + FORMATS[name].suffix))
    exported = write(network, out, name)
    comparisons = []
    for beside, x, y in _wanted(network, path):
        difference = float(np.abs(exported(x) - y).max())
        comparisons.append(Comparison(beside, len(x), x.shape[1], difference))
    return out, comparisons


def _wanted(network: keras.Model, path: Path):
    """What is compared with, inputs (n, N, N, C) and outputs, on each grid."""
    channels, edge = network.input_shape[-1], network.input_shape[1]
    for size in (edge,) if edge else (paper.GRID, 2 * paper.GRID):
        if size == paper.GRID and path.name == BEST and (path.parent / GOLDEN).is_file():
            yield f"the golden output of {path.parent.name}", *golden(path.parent)
        else:
            x = golden_input(channels, size)
            yield "the network in Keras", x, models.predict(network, x)
