"""Assess trained networks: their errors on a data set, beside persistence, as result rows."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from repro import dataset, environment, models
from repro.dataset import DataSet
from repro.evaluation import modes, results
from repro.generation import SUITES
from repro.pipeline import make_pairs


@dataclass(frozen=True)
class Run:
    """What the run directory of a trained network says of it; None where it does not."""

    model: str
    stride: int | None = None
    seed: int | None = None
    epochs: int | None = None


def run_of(path) -> Run:
    """Read what lies beside the `.keras` file `path`; outside a run only the name is known."""
    path = Path(path)
    if not (path.parent / "config.json").is_file():
        return Run(path.stem)
    config = json.loads((path.parent / "config.json").read_text())
    history = pd.read_csv(path.parent / "history.csv")
    name = path.resolve().parent.name + ("" if path.stem == "best" else f" ({path.stem})")
    return Run(name, config.get("stride"), config.get("seed"), len(history))


def split_indices(data: DataSet) -> tuple[dict[str, np.ndarray], str]:
    """Named parts of a data set and the hash of its split: a test suite is one part, "all"."""
    if data.attributes.get("suite", "paper") in SUITES.keys() - {"paper"}:
        return {"all": np.arange(len(data))}, dataset.data_hash(data)
    split = dataset.split(data)
    return {"training": split.training, "validation": split.validation}, split.hash


def assess(model_path, data: DataSet, stride: int | None = None) -> list[dict]:
    """Result rows of a network and of persistence on every part of a data set, in every mode.

    Parameters
    ----------
    model_path : path-like
        As for `repro.models.load`.
    data : DataSet
    stride : int, optional
        Increments a step; by default as the network was trained, else 1.

    Raises
    ------
    FileNotFoundError, ValueError
        If the model cannot be loaded or the stride does not fit the data.
    """
    path = models.model_path(model_path)
    run = run_of(path)
    stride = stride or run.stride or 1
    predictors = {
        run: modes.network_predictor(models.load(path)),
        Run("persistence"): modes.persistence,
    }
    parts, split_hash = split_indices(data)
    rows = []
    for part, indices in parts.items():
        pairs = make_pairs(data, indices, stride)
        for about, predict in predictors.items():
            started = time.perf_counter()
            new = results.evaluate(
                predict,
                pairs,
                model=about.model,
                suite=data.attributes.get("suite", "unknown"),
                split=part,
                epochs=about.epochs,
                seed=about.seed,
                split_hash=split_hash,
                command=environment.command_line(),
                commit=environment.code_commit(),
                hardware=environment.hardware(),
            )
            wall = round(time.perf_counter() - started, 3)
            rows += [{**row, "wall_s": wall} for row in new]
    return rows
