"""What the refiner of a coarse solve is made of, varied one choice at a time."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from repro import surrogate
from repro.benchmarks.timing import process_on, timed
from repro.data import dataset
from repro.data.dataset import DataSet
from repro.models.backend import keras
from repro.surrogate import refiner
from repro.tools import provenance
from repro.tools.csv_files import read_csv, write_csv
from repro.training import trainer
from repro.training.recipes import TrainingConfig
from repro.training.run_directory import LAST

RECIPE = TrainingConfig(batch_size=8, learning_rate=3e-3, cosine=True)
TIMED_CELLS = 8
TRAINING_WINDOWS = refiner.TRAINING_LOAD.increments // refiner.FINE
# Name -> options of `refiner.increment_refiner`, and `tol` of the coarse solve.
VARIANTS = {
    "as shipped": {},
    "tol 1e-4": {"tol": 1e-4},
    "tol 1e-5": {"tol": 1e-5},
    "32 filters": {"filters": 32},
    "96 filters": {"filters": 96},
    "1 hidden convolution": {"hidden": 1},
    "3 hidden convolutions": {"hidden": 3},
    "kernels of 3x3 pixels": {"kernel": 3},
}
SEEDS = {"as shipped": 3}  # of the others one


def train(
    data: DataSet,
    config: TrainingConfig,
    out,
    tol=refiner.COARSE_TOLERANCE,
    time_limit=None,
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
    tol : float
        Tolerance of the coarse solve.
    time_limit : float, optional
        Minutes.
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


def study(data: DataSet, epochs: int, out, directory) -> pd.DataFrame:
    """Train every variant, and measure its error over the whole load.

    In the end the times of all are measured in turn, on one core.

    Parameters
    ----------
    data : DataSet
    epochs : int
    out : path-like
        CSV, one row per variant and seed; rewritten after each. Rows that are there are kept.
    directory : path-like
        Where the runs are kept: a study that was killed goes on.
    """
    rows = read_csv(out).to_dict("records") if Path(out).is_file() else []
    known = {(row["variant"], row["seed"], row["epochs"]) for row in rows}
    for name, variant in VARIANTS.items():
        for seed in range(SEEDS.get(name, 1)):
            if (name, seed, epochs) not in known:
                rows.append({"variant": name, **_row(data, variant, epochs, seed, directory)})
                write_csv(out, pd.DataFrame(rows), digits=6)
    table = pd.DataFrame(rows)
    with process_on(1) as call:
        runs = {name: _run(directory, variant, epochs, 0) for name, variant in VARIANTS.items()}
        cells = [data.microstructure(i) for i in dataset.split(data).validation[:TIMED_CELLS]]
        table["seconds"] = table["variant"].map(call(_seconds, runs, cells))
    write_csv(out, table, digits=6)
    return table


def _run(directory, variant, epochs, seed) -> Path:
    name = "-".join(f"{key}{value}" for key, value in variant.items()) or "default"
    return Path(directory, f"refiner-{name}-{epochs}-{seed}")


def _row(data, variant, epochs, seed, directory) -> dict:
    config = replace(RECIPE, epochs=epochs, seed=seed, shuffle_seed=seed)
    run = _run(directory, variant, epochs, seed)
    state = train(data, config, run, **variant)
    validation = dataset.split(data).validation
    cells = [data.microstructure(i) for i in validation]
    tol = variant.get("tol", refiner.COARSE_TOLERANCE)
    sigma_vm, _ = surrogate.refined_solve(run / LAST, tol)(cells, data.load)
    return {
        "MAE / MPa": np.abs(sigma_vm - data.sigma_vm[validation])[:, 1:].mean(),
        "parameters": refiner.load(run).count_params(),
        "epochs": state.epoch,
        "samples": state.epoch * TRAINING_WINDOWS * (len(data) - len(cells)),
        "n": len(cells),
        "seed": seed,
        "wall_s": round(sum(row["seconds"] for row in state.history), 1),
        **provenance.stamp(),
    }


def _seconds(runs: dict[str, Path], cells) -> dict[str, float]:
    """Seconds per cell by variant, coarse solve included."""
    asked = {}
    for name, run in runs.items():
        tol = VARIANTS[name].get("tol", refiner.COARSE_TOLERANCE)
        asked[name] = partial(surrogate.refined_solve(run / LAST, tol), cells, surrogate.LOAD)
    return {name: timing.each(len(cells))["seconds"] for name, timing in timed(asked, 5).items()}
