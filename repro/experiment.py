"""One experiment from end to end: data, verification, training, evaluation, table and pictures."""

import time
from pathlib import Path

import keras
import numpy as np

from repro import dataset, environment, generation, models, training, verification
from repro.cli import command_line
from repro.evaluation import modes, results
from repro.files import atomic_path
from repro.pipeline import Pairs, make_pairs
from repro.report import figures, tables
from repro.training import TrainingConfig


def load_or_generate(path, count: int) -> dataset.DataSet:
    """Read a data set; generate `count` microstructures of the paper first if the file is missing."""
    if not Path(path).exists():
        generation.generate(path, count=count)
    return dataset.read(path)


def train_and_evaluate(
    network: str,
    data: dataset.DataSet,
    out,
    config: TrainingConfig,
    stride: int,
    time_limit: float | None = None,
) -> None:
    """Train a network of `models.NETWORKS` on a data set and evaluate what comes out, into `out`."""
    out = Path(out)
    print(verification.report(verification.verify(data)))
    split = dataset.split(data)
    pairs = {name: make_pairs(data, getattr(split, name), stride) for name in SPLITS}
    keras.utils.set_random_seed(config.seed)
    model = models.NETWORKS[network]()
    print(f"training {network} ({model.count_params()} parameters), results in {out}")
    identity = {
        "network": network, "stride": stride, "split_hash": split.hash,
        "data_hash": dataset.data_hash(data),
    }  # fmt: skip
    state = training.train(
        model, pairs["training"], pairs["validation"], config, out, identity, time_limit
    )
    if not state.epoch:
        print("no epoch was completed: start the same command again")
        return
    if state.epoch < config.epochs:
        print(f"stopped after epoch {state.epoch}: the same command goes on from there")
    _save_figure(out / "learning_curve.png", figures.learning_curve(_history(state), network))
    best = models.load(out / "best.keras")
    rows = evaluate_splits(
        {network: modes.network_predictor(best), "persistence": modes.persistence},
        pairs, data, split.hash, epochs={network: state.epoch}, seed=config.seed,
    )  # fmt: skip
    results.write_rows(out / "results.csv", rows)
    table = results.read_rows(out / "results.csv")
    tables.write_report(table, out / "RESULTS.md", f"{network}: {out.name}")
    print(tables.markdown(tables.errors(table).drop(columns=["hardware", "commit"])))
    _save_figure(out / "prediction.png", example_figure(best, data, split.validation[0], stride))


SPLITS = ("training", "validation")


def _history(state) -> dict:
    return {key: [row[key] for row in state.history] for key in state.history[0]}


def evaluate_splits(
    predictors: dict, pairs: dict[str, Pairs], data, split_hash: str, epochs: dict, seed=None
) -> list[dict]:
    """Result rows of named predictors on named splits of a data set, with their provenance."""
    rows = []
    for model, predict in predictors.items():
        for split, split_pairs in pairs.items():
            started = time.perf_counter()
            new = results.evaluate(
                predict,
                split_pairs,
                model=model,
                suite=data.attributes.get("suite", "unknown"),
                split=split,
                epochs=epochs.get(model),
                seed=seed if model in epochs else None,
                split_hash=split_hash,
                command=command_line(),
                commit=environment.code_commit(),
                hardware=environment.hardware(),
            )
            wall = round(time.perf_counter() - started, 3)
            rows += [{**row, "wall_s": wall} for row in new]
    return rows


def example_figure(model, data, i: int, stride: int):
    """The form of the paper's Figs. 1-3 for microstructure i: a rollout beside the truth."""
    pairs = make_pairs(data, [i], stride)
    predicted = modes.rollout(modes.network_predictor(model), pairs)[0]
    F11 = data.F11[stride::stride]
    return figures.prediction_figure(pairs.properties[0], F11, modes.truth(pairs)[0], predicted)


def _save_figure(path, figure):
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def all_microstructures(data) -> np.ndarray:
    """Indices of a data set that is used whole, such as a test suite."""
    return np.arange(len(data))
