"""Networks for whole loads, varied one choice at a time: refiners, and whole paths in one pass."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from repro import surrogate
from repro.benchmarks import speed
from repro.benchmarks.timing import process_on, timed
from repro.data import dataset
from repro.data.dataset import DataSet
from repro.data.pairs import make_pairs
from repro.models.backend import keras
from repro.surrogate import refiner, whole_path
from repro.surrogate.predictors import Predictor
from repro.tools import provenance
from repro.tools.csv_files import read_csv, write_csv
from repro.training import trainer
from repro.training.recipes import TrainingConfig
from repro.training.run_directory import LAST

TIMED_CELLS = 8


def train_refiner(
    data: DataSet,
    config: TrainingConfig,
    out,
    time_limit=None,
    *,
    tol: float = refiner.COARSE_TOLERANCE,
    **options,
) -> trainer.TrainingState:
    """Train a refiner on the training part of a data set, or go on with the run in `out`.

    Parameters
    ----------
    data : DataSet
        Whose microstructures are solved beyond its own load, to `refiner.TRAINING_LOAD`.
    config : TrainingConfig
    out : path-like
        Directory of the run.
    time_limit : float, optional
        Minutes.
    tol : float
        Tolerance of the coarse solve.
    **options
        Of `refiner.increment_refiner`.
    """
    split = dataset.split(data)
    parts = split.training, split.validation
    cells = [[data.microstructure(i) for i in part] for part in parts]
    pairs = [refiner.make_refinements(some, tol=tol) for some in cells]
    keras.utils.set_random_seed(config.seed)
    network = refiner.increment_refiner(**options)
    identity = {"network": refiner.NAME, "tol": tol, **options, "split_hash": split.hash}
    return trainer.train(network, *pairs, config, out, identity, time_limit)


def train_whole_path(
    data: DataSet, config: TrainingConfig, out, time_limit=None, **options
) -> trainer.TrainingState:
    """Train a network for the whole path on the training part of a data set, or go on.

    Parameters
    ----------
    data : DataSet
        Under the paper's training load.
    config : TrainingConfig
    out : path-like
        Directory of the run.
    time_limit : float, optional
        Minutes.
    **options
        Of `whole_path.whole_path`.
    """
    split = dataset.split(data)
    pairs = [
        whole_path.WholePaths(p.properties, p.sigma_vm, p.stride)
        for p in (make_pairs(data, part) for part in (split.training, split.validation))
    ]
    keras.utils.set_random_seed(config.seed)
    network = whole_path.whole_path(**options)
    identity = {"network": whole_path.NAME, **options, "split_hash": split.hash}
    return trainer.train(network, *pairs, config, out, identity, time_limit)


@dataclass(frozen=True)
class Kind:
    """A kind of network for whole loads, and how it is varied.

    Parameters
    ----------
    name : str
    train : callable
        data, config, out, options -> state.
    predictor : callable
        Path of a `.keras` file, options -> predictor.
    recipe : TrainingConfig
        Its epochs and seed are the study's.
    variants : dict
        Name -> options.
    samples : int
        Pairs per microstructure.
    seeds : dict
        Name -> how many; of the others one.
    """

    name: str
    train: Callable[..., trainer.TrainingState]
    predictor: Callable[..., Predictor]
    recipe: TrainingConfig
    variants: dict[str, dict]
    samples: int
    seeds: dict[str, int] = field(default_factory=dict)


REFINER = Kind(
    refiner.NAME,
    train_refiner,
    lambda path, tol=refiner.COARSE_TOLERANCE, **_: surrogate.refined_solve(path, tol),
    TrainingConfig(batch_size=8, learning_rate=3e-3, cosine=True),
    {
        "as shipped": {},
        "tol 1e-4": {"tol": 1e-4},
        "tol 1e-5": {"tol": 1e-5},
        "32 filters": {"filters": 32},
        "96 filters": {"filters": 96},
        "1 hidden convolution": {"hidden": 1},
        "3 hidden convolutions": {"hidden": 3},
        "kernels of 3x3 pixels": {"kernel": 3},
    },
    refiner.TRAINING_LOAD.increments // refiner.FINE,
    {"as shipped": 3},
)
# All take about as long as each other.
WHOLE_PATH = Kind(
    whole_path.NAME,
    train_whole_path,
    lambda path, **_: surrogate.in_one_pass(path),
    TrainingConfig(batch_size=8, cosine=True, warmup_epochs=1, clip_norm=1.0, augment=True),
    {
        "U of residual blocks": {"body": "u", "filters": 24},
        "residual blocks": {"body": "residual", "filters": 32, "blocks": 4},
        "Fourier blocks": {"body": "spectral", "filters": 24, "blocks": 4},
    },
    1,
    {"U of residual blocks": 3},
)
_SOLVERS = {
    f"reference model, {setting}": partial(speed.solve, setting=setting) for setting in speed.LOOSE
}
KINDS = {kind.name: kind for kind in (REFINER, WHOLE_PATH)}


def study(kind: Kind, data: DataSet, epochs: int, out, directory) -> pd.DataFrame:
    """Train every variant, and measure its error over the whole load.

    In the end the times of all are measured in turn, on one core.

    Parameters
    ----------
    kind : Kind
    data : DataSet
    epochs : int
    out : path-like
        CSV, one row per variant and seed; rewritten after each. Rows that are there are kept.
    directory : path-like
        Where the runs are kept: a study that was killed goes on.
    """
    rows = read_csv(out).to_dict("records") if Path(out).is_file() else []
    rows = [row for row in rows if row["parameters"] > 0]
    known = {(row["variant"], row["seed"], row["epochs"]) for row in rows}
    for name, options in kind.variants.items():
        for seed in range(kind.seeds.get(name, 1)):
            if (name, seed, epochs) not in known:
                row = _row(kind, data, options, epochs, seed, directory)
                rows.append({"variant": name, **row})
                write_csv(out, pd.DataFrame(rows), digits=6)
    table = pd.DataFrame(rows + _beside(data))
    with process_on(1) as call:
        runs = {
            name: _run(kind, directory, options, epochs, 0)
            for name, options in kind.variants.items()
        }
        cells = [data.microstructure(i) for i in dataset.split(data).validation[:TIMED_CELLS]]
        table["seconds"] = table["variant"].map(call(_seconds, kind.name, runs, cells))
    write_csv(out, table, digits=6)
    return table


def _beside(data) -> list[dict]:
    """Rows of the reference model, which takes no training."""
    validation = dataset.split(data).validation
    cells = [data.microstructure(i) for i in validation]
    rows = []
    for name, predict in _SOLVERS.items():
        error = np.abs(predict(cells) - data.sigma_vm[validation, 1:]).mean()
        about = {"parameters": 0, "n": len(cells), **provenance.stamp()}
        rows.append({"variant": name, "MAE / MPa": error, **about})
    return rows


def _run(kind, directory, options, epochs, seed) -> Path:
    name = "-".join(f"{key}{value}" for key, value in options.items()) or "default"
    return Path(directory, f"{kind.name}-{name}-{epochs}-{seed}")


def _row(kind, data, options, epochs, seed, directory) -> dict:
    config = replace(kind.recipe, epochs=epochs, seed=seed, shuffle_seed=seed)
    run = _run(kind, directory, options, epochs, seed)
    state = kind.train(data, config, run, **options)
    validation = dataset.split(data).validation
    cells = [data.microstructure(i) for i in validation]
    sigma_vm, _ = kind.predictor(run / LAST, **options)(cells, data.load)
    return {
        "MAE / MPa": np.abs(sigma_vm - data.sigma_vm[validation])[:, 1:].mean(),
        "parameters": sum(weight.size for weight in state.weights),
        "epochs": state.epoch,
        "samples": state.epoch * kind.samples * (len(data) - len(cells)),
        "n": len(cells),
        "seed": seed,
        "wall_s": round(sum(row["seconds"] for row in state.history), 1),
        **provenance.stamp(),
    }


def _seconds(kind: str, runs: dict[str, Path], cells) -> dict[str, float]:
    """Seconds per cell by variant, coarse solve included."""
    predictor, variants = KINDS[kind].predictor, KINDS[kind].variants
    asked = {
        name: partial(predictor(run / LAST, **variants[name]), cells, surrogate.LOAD)
        for name, run in runs.items()
    }
    asked |= {name: partial(predict, cells) for name, predict in _SOLVERS.items()}
    return {name: timing.each(len(cells))["seconds"] for name, timing in timed(asked, 5).items()}
