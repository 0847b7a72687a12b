"""The networks: each maps (n, N, N, 5) in physical units to (n, N, N, 1) = sigma_vM(t + dt)/MPa."""

from pathlib import Path

import numpy as np

from repro import paper
from repro.models.backend import keras
from repro.models.baseline_unet import baseline_unet
from repro.models.paper_unet import paper_unet
from repro.models.res_unet import res_unet

__all__ = [
    "NETWORKS",
    "SHIPPED",
    "baseline_unet",
    "load",
    "model_path",
    "paper_unet",
    "predict",
    "res_unet",
]

NETWORKS = {"paper_unet": paper_unet, "baseline_unet": baseline_unet, "res_unet": res_unet}
SHIPPED = Path(__file__).with_name("shipped")


def load(path_or_name) -> keras.Model:
    """Load a trained network: a `.keras` file, a run directory, or the name of a shipped model.

    A directory stands for its `best.keras`.

    Returns
    -------
    keras.Model
        (n, N, N, 5) = [E/GPa, nu, xi0/MPa, h0/GPa, sigma_vM(t)/MPa] -> (n, N, N, 1) in MPa.

    Raises
    ------
    FileNotFoundError
        If there is no such file, run or shipped model.
    ValueError
        If the file is not a Keras model of this signature.
    """
    path = model_path(path_or_name)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0].split(". ")[0]
        raise ValueError(f"{path}: not a Keras model that can be loaded ({reason})") from None
    channels = len(paper.CHANNELS)
    if model.input_shape[-1] != channels or model.output_shape[-1] != 1:
        raise ValueError(
            f"{path}: maps {model.input_shape} to {model.output_shape}, "
            f"not {channels} channels to 1"
        )
    return model


def predict(model: keras.Model, x: np.ndarray, batch_size: int) -> np.ndarray:
    """Output of a network (n, N, N, 1), `batch_size` of the inputs (n, N, N, 5) at a time.

    `keras.Model.predict` puts a tf.data pipeline around every call under TensorFlow, and its end
    waits for the tuner of the pipeline: two to four times as long for a rollout.
    """
    batches = (x[start : start + batch_size] for start in range(0, len(x), batch_size))
    return np.concatenate([np.asarray(model.predict_on_batch(batch)) for batch in batches])


def model_path(path_or_name) -> Path:
    """The `.keras` file that `load` would read."""
    candidates = [Path(path_or_name), SHIPPED / str(path_or_name)]
    for path in candidates:
        if path.is_dir() and (path / "best.keras").is_file():
            return path / "best.keras"
        if path.is_file():
            return path
    shipped = sorted(p.name for p in SHIPPED.glob("*") if (p / "best.keras").is_file())
    raise FileNotFoundError(
        f"no model {path_or_name}: give a .keras file, a run directory"
        + (f", or one of {', '.join(shipped)}" if shipped else "")
    )
