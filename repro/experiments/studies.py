"""Studies: choices varied one at a time.

Every variant of a study is trained on the same microstructures for the same number of samples. The
figures compare variants with each other, not with the paper.
"""

from collections.abc import Collection
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from repro import models, surrogate
from repro.data import dataset
from repro.data.dataset import DataSet
from repro.data.load import PAPER_LOAD
from repro.data.microstructure import property_maps
from repro.data.pairs import Pairs
from repro.data.pictures import as_pictures
from repro.evaluation import metrics, naive
from repro.experiments.options import Scale
from repro.experiments.samples import MAKERS, labels_of
from repro.experiments.variants import DATA, PICTURES, Variant
from repro.models import runs
from repro.models.backend import keras
from repro.models.normalization import NORMALIZATIONS
from repro.reference import Request, simulate_many
from repro.tools import engine, provenance
from repro.tools.csv_files import read_csv, write_csv
from repro.tools.progress import Progress
from repro.training import run_directory, trainer


def run(
    variants: list[Variant],
    scale: Scale,
    out,
    directory,
    choices: Collection[str] = (),
    progress: bool = True,
    dask: str | None = None,
) -> pd.DataFrame:
    """Train and evaluate every variant; go on where a killed study was.

    Parameters
    ----------
    variants : list of Variant
    scale : Scale
    out : path-like
        CSV, one row per variant and seed; rewritten after each. Rows that are there are kept.
    directory : path-like
        Where the runs are kept.
    choices : collection of str
        What to vary now, as in `Variant.varied`; by default everything.
    progress : bool
        Show a bar per run.
    dask : str, optional
        Who trains, as for `repro.tools.engine.run`: by default this process, one run after another.

    Raises
    ------
    ValueError
        If nothing of that name is varied.

    Returns
    -------
    DataFrame
        One-step and rollout MAE on the validation part, MPa, beside those of persistence.
    """
    names = {variant.varied for variant in variants}
    for choice in choices:
        if choice not in names:
            raise ValueError(f"nothing varies {choice}: choose from {', '.join(sorted(names))}")
    out = Path(out)
    text = dict.fromkeys(("varied", "setting", "run"), str)
    known = read_csv(out, dtype=text).to_dict("records") if out.is_file() else []
    known = {(row["varied"], row["setting"], row["run"]): row for row in known}
    trained = {row["run"]: row for row in known.values()}
    # All variants with one seed before the next: a study that is cut short compares them all.
    wanted = {
        (variant.varied, variant.setting, _run_name(variant, scale, seed)): (variant, seed)
        for seed in range(scale.seeds)
        for variant in variants
    }
    chosen = {
        key: task
        for key, task in wanted.items()
        if key not in known and (not choices or task[0].varied in choices)
    }
    todo = {key[-1]: task for key, task in chosen.items() if key[-1] not in trained}
    train = partial(_row, scale, Path(directory).absolute(), progress and dask is None)
    about = {"command": provenance.command_line()}  # and not that of a worker
    done = engine.run(train, todo.values(), dask) if todo else ()
    done = Progress(done, "all runs", "run", progress, total=len(todo))
    for row in chain(trained.values(), (row | about for row in done)):
        new = [key for key in chosen if key[-1] == row["run"]]
        known |= {key: row | {"varied": key[0], "setting": key[1]} for key in new}
        if new:
            order = dict.fromkeys([*wanted, *known])
            rows = [known[key] for key in order if key in known]
            write_csv(out, pd.DataFrame(rows), digits=6)
    return pd.DataFrame([known[key] for key in wanted if key in known])


@cache
def _solved(data: str, count: int) -> DataSet:
    solved = Request("paper", **DATA[data]).solve(range(count))
    return as_pictures(solved) if data == PICTURES else solved


@cache
def _reference(data: str, count: int, against) -> np.ndarray:
    """Reference solution of the validation cells under the paper's load, MPa."""
    found = _solved(data, count)
    cells = [found.microstructure(i) for i in dataset.split(found).validation]
    return simulate_many(cells, PAPER_LOAD, against)


def _settings(variant, scale, seed) -> dict:
    """What a run depends on: variants that differ in name alone are one run."""
    config = replace(variant.config, seed=seed, shuffle_seed=seed).switched_on()
    del config["epochs"]
    others = variant.other_samples
    return {
        "network": variant.network,
        "options": {"filters": scale.filters, **variant.options},
        "config": config,
        "stride": variant.stride,
        "bounds": variant.bounds,
        "data": variant.data,
        "microstructures": scale.microstructures,
        "samples": scale.samples,
        **({"of samples": others} if others else {}),
    }


def _run_name(variant, scale, seed) -> str:
    return run_directory.name_of(variant.network, _settings(variant, scale, seed))


def _row(scale: Scale, directory: Path, progress: bool, task: tuple[Variant, int]) -> dict:
    """Train and evaluate a variant with a seed."""
    variant, seed = task
    settings = _settings(variant, scale, seed)
    out = directory / _run_name(variant, scale, seed)
    data = _solved(variant.data, scale.microstructures)
    split = dataset.split(data)
    make = partial(MAKERS[models.NETWORKS[variant.network].samples], data, **variant.samples)
    training, validation = make(split.training), make(split.validation)
    config = replace(
        variant.config, epochs=max(1, scale.samples // len(training)), seed=seed, shuffle_seed=seed
    )
    options = dict(settings["options"])
    if variant.bounds != "table 3":
        options["bounds"] = NORMALIZATIONS[variant.bounds](training)
    keras.utils.set_random_seed(seed)
    network = models.NETWORKS[variant.network](**options)
    identity = {"network": variant.network, "stride": variant.stride, "split_hash": split.hash}
    others = variant.other_samples | labels_of(data)
    state = trainer.train(
        network,
        *(part.for_inputs(network.input_shape[-1]) for part in (training, validation)),
        config,
        out,
        identity | others,
        progress=progress,
    )
    if not trainer.finished(state, config):
        raise InterruptedError(f"stopped in {out}: the same command goes on from there")
    return {
        "varied": variant.varied,
        "setting": variant.setting,
        "network": variant.network,
        "stride": variant.stride,
        "training MAE / MPa": state.history[-1]["mae_training"],
        # The last weights: what a training that selects nothing reports.
        **_errors(surrogate.load(out / runs.LAST), data, split.validation, variant, scale),
        "microstructures": scale.microstructures,
        "filters": options["filters"],
        "parameters": network.count_params(),
        "samples": scale.samples,
        "epochs": state.epoch,
        "n": len(split.validation),
        "seed": seed,
        "run": out.name,
        "split_hash": split.hash,
        "wall_s": round(sum(row["seconds"] for row in state.history), 1),
        **provenance.stamp(),
    }


def _errors(one, data, validation, variant, scale) -> dict[str, float]:
    """MAE under the paper's load in every mode of a surrogate, MPa, beside that of persistence.

    A network that steps is judged by the data that it is trained on, others by the reference
    solution under the paper's load.
    """
    cells = [data.microstructure(i) for i in validation]
    if models.NETWORKS[variant.network].samples is Pairs:
        load, true = data.load, data.sigma_vm[validation]
    else:
        load, true = PAPER_LOAD, _reference(variant.data, scale.microstructures, one.against)
    ends = slice(one.stride, None, one.stride)
    found = {
        f"{mode} MAE / MPa": metrics.mae(ask(), true[:, ends])
        for mode, ask in one.modes(cells, load, true).items()
    }
    still = naive.persistence(Pairs(property_maps(cells), true, one.stride))
    return {**found, "persistence MAE / MPa": metrics.mae(still, true[:, ends])}
