"""The networks: each maps (n, N, N, 5) in physical units to (n, N, N, 1) = sigma_vM(t + dt)/MPa.

One that takes more than the present stress has more channels (`physical_inputs`).

Every file of this folder that registers a network (`repro.models.registry`) makes it known by name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repro.models import files
from repro.models.backend import as_networks_need_it, keras
from repro.models.baseline_unet import baseline_unet
from repro.models.layers import on_grid
from repro.models.paper_unet import paper_unet
from repro.models.registry import NETWORKS, register
from repro.models.res_unet import res_unet

__all__ = [
    "BEST",
    "NETWORKS",
    "SHIPPED",
    "baseline_unet",
    "check_grid",
    "load",
    "model_path",
    "on_grid",
    "paper_unet",
    "predict",
    "register",
    "res_unet",
    "shipped",
]

SHIPPED = Path(__file__).with_name("shipped")
BEST = "best.keras"  # what a directory stands for


def load(path_or_name) -> keras.Model:
    """Load a trained network: a `.keras` file, a run directory, or the name of a shipped model.

    A directory stands for its `best.keras`.

    Returns
    -------
    keras.Model
        (n, N, N, 5) = [E/GPa, nu, xi0/MPa, h0/GPa, sigma_vM(t)/MPa] -> (n, N, N, 1) in MPa; with
        earlier stresses before the last, where it takes them.

    Raises
    ------
    FileNotFoundError
        If there is no such file, run or shipped model.
    ModelFileError
        A ValueError: if the file cannot be loaded or is no network of this signature.
    """
    return files.read(model_path(path_or_name))


def predict(model: keras.Model, x: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """Output of a network (n, N, N, 1), `batch_size` of the inputs (n, N, N, C) at a time.

    `keras.Model.predict` puts a tf.data pipeline around every call under TensorFlow, and its end
    waits for the tuner of the pipeline: two to four times as long for a rollout.

    Raises
    ------
    ValueError
        If the network does not suit the grid.
    """
    grid = x.shape[1:3]
    if getattr(model, "asked_on", grid) != grid:
        # TensorFlow would trace it anew for grids of any size, which the upsampling refuses.
        model.make_predict_function(force=True)
    model.asked_on = grid
    batches = (x[start : start + batch_size] for start in range(0, len(x), batch_size))
    with as_networks_need_it():
        try:
            outputs = [np.asarray(model.predict_on_batch(batch)) for batch in batches]
        except Exception:
            for n in grid:
                check_grid(model, n)  # says in one line what the backend says in many
            raise
    # A copy takes a fifth of the time of the fastest network.
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)


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


def check_grid(model: keras.Model, n: int) -> None:
    """Raise ValueError if a network does not map cells of n x n pixels to as many."""
    if _suits(model, n):
        return
    multiple = next((2**k for k in range(1, 12) if _suits(model, 2**k)), None)
    raise ValueError(
        f"{model.name} does not suit cells of {n} x {n} pixels: "
        f"their edge must be a multiple of {multiple}"
    )


def _suits(model, n) -> bool:
    try:
        return tuple(on_grid(model, n).output_shape[1:3]) == (n, n)
    except ValueError:  # fields of different sizes meet
        return False
