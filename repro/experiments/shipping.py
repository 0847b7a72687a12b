"""Ship a trained network: its run's files in `models.SHIPPED`, with a golden input and output."""

import shutil
from pathlib import Path

import numpy as np

from repro import models, paper, surrogate
from repro.models import files
from repro.models.runs import RESULT
from repro.reference import Request
from repro.surrogate import AVERAGED, SURROGATES, network_predictor
from repro.tools.files import atomic_path
from repro.training.run_directory import RESUMABLE

GOLDEN = "golden.npz"
CALIBRATION_SEED = 2  # no data set has it


def ship(run, name: str | None = None, best_only: bool = False) -> Path:
    """Copy a run to `models.SHIPPED`/`name` and compute its golden output.

    The networks are rewritten for every Keras that is allowed. A shipped model can itself be `run`.

    Parameters
    ----------
    run : path-like
        Directory of a run.
    name : str, optional
        By default that of the directory.
    best_only : bool
        Leave the last weights and the snapshot behind, which are several times as large as the best
        weights. With them training can go on from the shipped directory.

    Returns
    -------
    Path
        The directory of the shipped model.

    Raises
    ------
    FileNotFoundError
        If the run lacks one of its files.
    """
    run, parts = Path(run), RESULT if best_only else RESULT + RESUMABLE
    missing = [file for file in parts if not (run / file).is_file()]
    if missing:
        raise FileNotFoundError(f"{run}: no complete run, lacks {missing[0]}")
    target = models.SHIPPED / (name or run.resolve().name)
    target.mkdir(parents=True, exist_ok=True)
    for file in parts:
        with atomic_path(target / file) as temporary:
            shutil.copyfile(run / file, temporary)
            if temporary.suffix == ".keras":
                files.make_portable(temporary)
    network = models.load(target)
    x = golden_input(network.input_shape[-1])
    y = network_predictor(network)(x)
    with atomic_path(target / GOLDEN) as temporary:
        np.savez_compressed(temporary, x=x, y=y)
    return target


def calibrate(name: str) -> list[Path]:
    """Measure the errors of a shipped network on cells as the paper's, for bounds without a solve.

    Those of its averages over symmetries, too; of networks whose errors are too large, none.

    Parameters
    ----------
    name : str
        Of a network in `models.SHIPPED`.

    Returns
    -------
    list of Path
        The files of `Surrogate.calibration`.
    """
    cells = Request("paper", seed=CALIBRATION_SEED).cells(range(surrogate.CALIBRATION))
    written = []
    for one in (surrogate.load(of) for of in SURROGATES if AVERAGED.get(of, of) == name):
        if one.tolerance is not None:
            surrogate.calibrate(one, cells, discretization=one.against).write(one.calibrated)
            written.append(one.calibrated)
    return written


def golden_input(channels: int = len(paper.CHANNELS), size: int = paper.GRID) -> np.ndarray:
    """Inputs (2, N, N, C): a cell of the extension suite, unloaded and under a made-up stress.

    Of several stresses each is larger than the one before it.
    """
    _, cell = Request("extension", size=size).microstructure(0)
    maps = cell.property_maps().astype(np.float32)
    # Half the flow resistance: a field with the grains in it, without solving for one.
    x = np.stack([maps, maps])
    stresses = np.stack([0 * maps[..., 2], 0.5 * maps[..., 2]])[..., None]
    number = channels - maps.shape[-1]
    growing = np.arange(number, dtype=x.dtype) if number > 1 else np.ones(number, x.dtype)
    return np.concatenate([x, stresses * growing], axis=-1)


def golden(directory) -> tuple[np.ndarray, np.ndarray]:
    """Golden input (2, N, N, C) and output (2, N, N, C') of a shipped model."""
    with np.load(Path(directory, GOLDEN), allow_pickle=False) as file:
        return file["x"], file["y"]


def golden_error(directory) -> float:
    """Mean absolute difference, MPa, of a shipped model's output here from its golden output."""
    x, y = golden(directory)
    network = models.load(directory)
    return float(np.abs(network_predictor(network)(x) - y).mean())
