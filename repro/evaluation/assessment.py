"""Assess surrogates: their errors on a data set, beside naive references, as result rows."""

import time
from dataclasses import asdict
from functools import partial

import numpy as np

from repro import reference
from repro.data import dataset
from repro.data.dataset import DataSet
from repro.data.discretization import PAPER, Discretization
from repro.data.pairs import make_pairs
from repro.data.suites import SUITES
from repro.evaluation import naive, results
from repro.evaluation.metrics import measure
from repro.evaluation.results import AGAINST
from repro.models.runs import Run
from repro.reference import accuracy
from repro.reference.recorded_damask import cases_like_training
from repro.surrogate.base import TRAJECTORY, Surrogate
from repro.surrogate.solver import NAME
from repro.tools import provenance
from repro.tools.progress import Progress

LABEL_NOISE_CELLS = 8
# Of which the error against converged fields is measured: the paper's first.
COARSER = (PAPER, Discretization("rotated"), Discretization("rotated", 2))


def parts_of(data: DataSet) -> tuple[dict[str, np.ndarray], str]:
    """Indices of the named parts of a data set, and the hash that identifies them.

    A test suite is one part, "all", as are one or two cells; other data are split as the paper's.
    """
    suite = SUITES.get(data.attributes.get("suite", "paper"), SUITES["paper"])
    if suite.parts == ("all",) or len(data) < dataset.LEAST_SPLIT:
        return {"all": np.arange(len(data))}, dataset.data_hash(data)
    split = dataset.split(data)
    return {"training": split.training, "validation": split.validation}, split.hash


def against(data: DataSet) -> str:
    """What a prediction is compared with: the discretization of the data."""
    options = data.solver_options
    return AGAINST if options is None else str(options["discretization"])


def assess(
    one: Surrogate, data: DataSet, training: DataSet | None = None, beside_naive: bool = True
) -> list[dict]:
    """Result rows of a surrogate and of the naive references on every part of a data set.

    Parameters
    ----------
    one : Surrogate
        As `repro.surrogate.load` gives it.
    data : DataSet
    training : DataSet, optional
        The data set that networks were trained on, whose mean is one of the naive references; by
        default `data`, if that has a training part.
    beside_naive : bool
        Whether the naive references are measured, too.

    Raises
    ------
    ValueError
        If its step, the load or the grid does not suit it.
    """
    parts, split_hash = parts_of(data)
    source = data if "training" in parts else training
    # The mean over other data says something only where that was under the same load.
    if source and source.load.same_as(data.load):
        curve = naive.mean_curve(source, parts_of(source)[0]["training"])
    else:
        curve = None
    rows = []
    for part, indices in parts.items():
        pairs = make_pairs(data, indices, one.stride)
        cells = [data.microstructure(i) for i in indices]
        modes = one.modes(cells, data.load, pairs.sigma_vm)
        asked = {(one.run, mode): ask for mode, ask in modes.items()}
        if beside_naive:
            asked |= _naive(data, indices, pairs, curve)
        what = f"evaluating {data.attributes.get('suite', 'the data')}, {part}"
        for (who, mode), fields in Progress(asked.items(), what, "prediction"):
            kind = results.SURROGATE if who is one.run else results.NAIVE
            about = {**_about(who), "kind": kind, "mode": mode, "split": part}
            about["split_hash"] = split_hash
            rows += _measured(fields, pairs.after, data, indices, one.stride, about)
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
            "model": NAME,
            "discretization": str(discretization),
            "tol": how["tol"],
            "kind": results.SOLVER,
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
        "model": NAME,
        "discretization": against(data),
        "tol": tol,
        "kind": results.SOLVER,
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
            "model": "DAMASK",
            "discretization": AGAINST,
            "tol": tolerance,
            "kind": results.SOLVER,
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
