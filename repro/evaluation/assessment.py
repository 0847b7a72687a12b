"""Assess trained networks: their errors on a data set, beside naive references, as result rows."""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import numpy as np

from repro import models, reference
from repro.data import dataset
from repro.data.dataset import DataSet
from repro.data.discretization import PAPER, Discretization
from repro.data.pairs import make_pairs
from repro.data.suites import SUITES
from repro.evaluation import modes, naive
from repro.evaluation.metrics import measure
from repro.evaluation.results import AGAINST
from repro.models.runs import Run, run_of
from repro.reference import accuracy
from repro.reference.recorded_damask import cases_like_training
from repro.tools import provenance
from repro.tools.progress import Progress

LABEL_NOISE = "reference model"
LABEL_NOISE_CELLS = 8
TRAJECTORY = "trajectory"  # mode of who predicts whole loads without stepping
# Of which the error against converged fields is measured: the paper's first.
COARSER = (PAPER, Discretization("rotated"), Discretization("rotated", 2))


def parts_of(data: DataSet) -> tuple[dict[str, np.ndarray], str]:
    """Indices of the named parts of a data set, and the hash that identifies them.

    A test suite is one part, "all"; data of unknown origin is split as the paper's.
    """
    suite = SUITES.get(data.attributes.get("suite", "paper"), SUITES["paper"])
    if suite.parts == ("all",):
        return {"all": np.arange(len(data))}, dataset.data_hash(data)
    split = dataset.split(data)
    return {"training": split.training, "validation": split.validation}, split.hash


def against(data: DataSet) -> str:
    """What a prediction is compared with: the discretization of the data."""
    options = data.solver_options
    return AGAINST if options is None else str(options["discretization"])


def assess(
    model_path,
    data: DataSet,
    stride: int | None = None,
    training: DataSet | None = None,
    beside_naive: bool = True,
) -> list[dict]:
    """Result rows of a network and of the naive references on every part of a data set.

    Parameters
    ----------
    model_path : path-like
        As for `repro.models.load`.
    data : DataSet
    stride : int, optional
        Increments per step; by default as the network was trained, else 1.
    training : DataSet, optional
        The data set that the network was trained on, whose mean is one of the naive references; by
        default `data`, if that has a training part.
    beside_naive : bool
        Whether the naive references are measured, too.

    Raises
    ------
    FileNotFoundError, ValueError
        If the model cannot be loaded, or the stride or the grid does not fit it.
    """
    path = models.model_path(model_path)
    run = run_of(path)
    stride = stride or run.stride
    model = models.load(path)
    models.check_grid(model, data.grain_id.shape[-1])
    predict = modes.network_predictor(model)
    parts, split_hash = parts_of(data)
    source = data if "training" in parts else training
    # The mean over other data says something only where that was under the same load.
    if source and source.load.same_as(data.load):
        curve = naive.mean_curve(source, parts_of(source)[0]["training"])
    else:
        curve = None
    rows = []
    for part, indices in parts.items():
        pairs = make_pairs(data, indices, stride)
        contenders = {
            (run, mode): partial(ask, predict, pairs) for mode, ask in modes.MODES.items()
        }
        if beside_naive:
            contenders |= _naive(data, indices, pairs, curve)
        what = f"evaluating {data.attributes.get('suite', 'the data')}, {part}"
        for (who, mode), fields in Progress(contenders.items(), what, "prediction"):
            about = {**_about(who), "mode": mode, "split": part, "split_hash": split_hash}
            rows += _measured(fields, modes.truth(pairs), data, indices, stride, about)
    return rows


def assess_trajectories(run: Run, predict: Callable, data: DataSet) -> list[dict]:
    """Result rows of who predicts whole loads, on every part of a data set.

    Parameters
    ----------
    run : Run
        What is said of it.
    predict : callable
        Cells and a load -> stress (n, T+1, N, N), MPa, and scores (n,).
    data : DataSet

    Raises
    ------
    ValueError
        If it does not know the load, or the grid does not suit it.
    """
    rows, (parts, split_hash) = [], parts_of(data)
    for part, indices in parts.items():

        def fields(indices=indices):
            cells = [data.microstructure(i) for i in indices]
            return predict(cells, data.load)[0][:, 1:]

        about = {**_about(run), "mode": TRAJECTORY, "split": part, "split_hash": split_hash}
        rows += _measured(fields, data.sigma_vm[indices, 1:], data, indices, 1, about)
    return rows


def discretization_errors(data: DataSet) -> list[dict]:
    """Result rows of coarser discretizations of the same cells, `COARSER`, against those of `data`.

    A network that learned from such fields has learned their error as well. No rows if the data are
    not finer, or were solved in a way that is not ours.
    """
    options = data.solver_options
    if options is None or options["discretization"].points_per_pixel <= 2:
        return []
    rows, (parts, split_hash) = [], parts_of(data)
    part, indices = parts.popitem()
    cells = [data.microstructure(i) for i in indices]
    for discretization in COARSER:
        how = {**options, "discretization": discretization, **accuracy(discretization)}

        def fields(how=how):
            runs = reference.simulate_batch(cells, data.solved_load, **how)
            return np.stack([run.sigma_vm[data.kept[1:]] for run in runs]).astype(np.float32)

        about = {
            "model": f"{LABEL_NOISE}, {discretization}",
            "mode": TRAJECTORY,
            "split": part,
            "split_hash": split_hash,
        }
        rows += _measured(fields, data.sigma_vm[indices, 1:], data, indices, 1, about)
    return rows


def label_noise(data: DataSet, stride: int, cells: int = LABEL_NOISE_CELLS) -> list[dict]:
    """Result rows of the data's own error: its first cells, solved to a tighter tolerance.

    What no network can be better than, on this data. They are solved under the load, in the
    increments, with the flow rule and on the points of the data set, to a tenth of its tolerance,
    or of our default if that is tighter: the tolerance of another solver means something else. No
    rows if they were solved in a way that is not ours.
    """
    if data.solver_options is None:
        return []
    parts, split_hash = parts_of(data)
    part, indices = parts.popitem()
    indices = indices[:cells]
    tol = data.attributes.get("tolerance", reference.TOLERANCE)
    runs = reference.simulate_batch(
        [data.microstructure(i) for i in indices],
        data.solved_load,
        tol=min(tol, reference.TOLERANCE) / 10,
        **data.solver_options,
    )
    true = np.stack([run.sigma_vm[data.kept[stride::stride]] for run in runs])
    about = {
        "model": f"{LABEL_NOISE}, tolerance {tol:g}",
        "mode": "rollout",
        "split": part,
        "split_hash": split_hash,
    }
    return _measured(
        lambda: data.sigma_vm[indices, stride::stride], true, data, indices, stride, about
    )


def damask_difference(stride: int) -> list[dict]:
    """Result rows of the recorded DAMASK trajectories against the reference model.

    One set of rows per tolerance of DAMASK; suite "recorded".
    """
    rows = []
    for tolerance, runs in cases_like_training().items():
        true = [reference.simulate(run.microstructure, run.load) for run in runs]
        measured = measure(
            np.stack([run.sigma_vm[stride::stride] for run in runs]),
            np.stack([run.sigma_vm[stride::stride] for run in true]),
            range(stride, runs[0].load.increments + 1, stride),
            runs[0].load,
            np.stack([run.microstructure.grain_id for run in runs]),
        )
        about = {
            "model": f"DAMASK, eps {tolerance:g}",
            "suite": "recorded",
            "split": "all",
            "mode": "rollout",
            "stride": stride,
            "against": AGAINST,
            "n": len(runs),
            **provenance.stamp(),
        }
        rows += [{**about, **m._asdict()} for m in measured]
    return rows


def _naive(data, indices, pairs, curve) -> dict:
    """The naive references and how each is asked; the mean only where training data reaches."""
    asked = {("persistence", "one-step"): partial(naive.persistence, pairs)}
    if data.solver_options is not None:
        asked["Taylor", "rollout"] = partial(naive.taylor_estimate, data, indices, pairs.stride)
    if pairs.steps > 1:
        asked["linear extrapolation", "one-step"] = partial(naive.linear_extrapolation, pairs)
    if curve is not None:
        asked["training mean", "rollout"] = partial(naive.training_mean, pairs, curve)
    return {(Run(name), mode): fields for (name, mode), fields in asked.items()}


def _about(run: Run) -> dict:
    # Naive references have a stride as well, and rows the split of the data that they are about.
    return {k: v for k, v in asdict(run).items() if k not in ("stride", "split_hash")}


def _measured(fields, true, data, indices, stride, about) -> list[dict]:
    """Rows of every measurement of the predictions that `fields()` returns."""
    started = time.perf_counter()
    predicted = fields()
    seconds = time.perf_counter() - started
    steps = predicted.shape[1]  # linear extrapolation lacks the first step
    increments = range(stride, data.load.increments + 1, stride)[-steps:]
    measured = measure(predicted, true[:, -steps:], increments, data.load, data.grain_id[indices])
    about = {
        **about,
        "suite": data.attributes.get("suite", "unknown"),
        "stride": stride,
        "against": against(data),
        "n": len(indices),
        "wall_s": round(seconds, 3),
        **provenance.stamp(),
    }
    return [{**about, **m._asdict()} for m in measured]
