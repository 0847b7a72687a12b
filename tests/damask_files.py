"""Files of DAMASK in tests/data/damask, and variations on them."""

from pathlib import Path

import h5py
import numpy as np

DATA = Path(__file__).parent / "data" / "damask"
PAPER, DILATATION = DATA / "paper", DATA / "dilatation"
G10_105 = DATA / "g10_105.h5"


def results(folder: Path) -> Path:
    return folder / "geom_load_material.hdf5"


def inputs(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Grain map and properties that a simulation was written from."""
    with np.load(folder / "inputs.npz") as file:
        return file["grain_id"], file["properties"]


def edit_setup(path: Path, name: str, old: str, new: str) -> None:
    """Replace text in an input file stored in a DADF5 file."""
    with h5py.File(path, "a") as file:
        text = file["setup"][name][0].decode()
        assert old in text
        del file["setup"][name]
        file["setup"][name] = [text.replace(old, new).encode()]
