"""The networks, with inputs and outputs in physical units.

One that steps the stress maps (n, N, N, 5) to (n, N, N, 1) = sigma_vM(t + dt)/MPa; if it takes more
than the present stress, it has more channels (`repro.models.layers.physical_inputs`). The learned
correction and the direct prediction give the stress at many increments at once.

A network is known by the name under which its file registers it (`repro.models.registry`): those of
the project are imported here, a file of a user by `python -m repro.train FILE.py`.
"""

from __future__ import annotations

from pathlib import Path

from repro.models import files
from repro.models.backend import keras
from repro.models.baseline_unet import baseline_unet
from repro.models.direct_prediction import direct_prediction
from repro.models.layers import on_grid
from repro.models.learned_correction import learned_correction
from repro.models.paper_unet import paper_unet
from repro.models.prediction import check_grid, predict
from repro.models.registry import NETWORKS, register, samples_of
from repro.models.res_unet import res_unet

__all__ = [
    "BEST",
    "NETWORKS",
    "SHIPPED",
    "baseline_unet",
    "check_grid",
    "direct_prediction",
    "learned_correction",
    "load",
    "model_path",
    "on_grid",
    "paper_unet",
    "predict",
    "register",
    "res_unet",
    "samples_of",
    "shipped",
]

SHIPPED = Path(__file__).with_name("shipped")
"""Folder of the trained networks that come with the project."""
BEST = "best.keras"
"""The file of a run directory that `load` reads: weights of the best epoch."""


def load(path_or_name) -> keras.Model:
    """Load a trained network: a `.keras` file, a run directory, or the name of a shipped model.

    A directory stands for its `best.keras`.

    Returns
    -------
    keras.Model
        In physical units: E and h0 in GPa, xi0 and stress in MPa.

    Raises
    ------
    FileNotFoundError
        If there is no such file, run or shipped model.
    ModelFileError
        A ValueError: if the file cannot be loaded, or holds a network of another kind.
    """
    return files.read(model_path(path_or_name))


def model_path(path_or_name) -> Path:
    """The `.keras` file that `load` would read."""
    candidates = [Path(path_or_name), SHIPPED / str(path_or_name)]
    for path in candidates:
        if path.is_dir() and (path / BEST).is_file():
            return path / BEST
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"no model {path_or_name}: give a .keras file, a run directory"
        + (f", or one of {', '.join(shipped())}" if shipped() else "")
    )


def shipped() -> list[str]:
    """Names of the trained networks that come with the project."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{BEST}"))
