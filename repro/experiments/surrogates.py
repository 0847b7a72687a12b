"""Networks for whole loads, varied one choice at a time: refiners, and whole paths in one pass."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np
import pandas as pd

from repro import surrogate
from repro.benchmarks import speed
from repro.data import dataset
from repro.data.dataset import DataSet
from repro.data.discretization import CONVERGED, PAPER, Discretization
from repro.data.load import Load
from repro.data.pairs import Pairs
from repro.models.backend import keras
from repro.models.runs import LAST
from repro.reference import generation
from repro.surrogate import refiner, whole_path
from repro.surrogate.predictors import Predictor
from repro.surrogate.registry import SURROGATES, Surrogate
from repro.surrogate.solves import LONGER_LOAD
from repro.tools import provenance
from repro.tools.csv_files import read_csv, write_csv
from repro.tools.timing import process_on, timed
from repro.training import recipes, run_directory, trainer
from repro.training.recipes import TrainingConfig

TIMED_CELLS = 8
FURTHER_SEED = 1  # the suites have 0
SHIPPED = "the shipped network"
FINE = Discretization("rotated", 2)  # labels: 0.2 MPa off the converged fields of the paper's cells


@dataclass(frozen=True)
class Variant:
    """One way to build and to feed such a network.

    Parameters
    ----------
    network : dict
        Arguments of the builder that differ from its defaults.
    inputs : dict
        Arguments of the kind's pairs, likewise; its predictor finds them in the run.
    labels : Discretization
        With which the fields are solved that it learns from. If they are not of the paper's kind,
        it is judged by converged fields.
    """

    network: dict = field(default_factory=dict)
    inputs: dict = field(default_factory=dict)
    labels: Discretization = PAPER

    @property
    def against(self) -> Discretization:
        """Of the fields that it is judged by."""
        return PAPER if self.labels == PAPER else CONVERGED


@dataclass(frozen=True)
class Kind:
    """A kind of network for whole loads, and how it is varied.

    Parameters
    ----------
    module : module
        With its `NAME`, and the network that is `SHIPPED`.
    title : str
        What it is, for the help of its commands.
    build : callable
        Options of a variant's network -> network.
    pairs : callable
        Microstructures, labels and inputs of a variant -> pairs; it solves them.
    load : Load
        Under which it does so.
    predictor : callable
        Path of a `.keras` file -> predictor.
    recipe : TrainingConfig
        Its epochs and seed are the study's.
    variants : dict
        Name -> Variant; the first is the default.
    samples : int
        Pairs per microstructure.
    seeds : dict
        Name -> how many; of the others one.
    """

    module: ModuleType
    title: str
    build: Callable[..., keras.Model]
    pairs: Callable[..., Pairs]
    load: Load
    predictor: Callable[..., Predictor]
    recipe: TrainingConfig
    variants: dict[str, Variant]
    samples: int
    seeds: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Key of `KINDS`."""
        return self.module.NAME

    def variant(self, name: str | None = None) -> Variant:
        """A variant by its name; by default the first.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        name = next(iter(self.variants)) if name is None else name
        if name not in self.variants:
            raise ValueError(f"no variant {name}: choose from {', '.join(self.variants)}")
        return self.variants[name]


REFINER = Kind(
    refiner,
    "the network that refines a coarse solve",
    refiner.increment_refiner,
    refiner.make_refinements,
    LONGER_LOAD,
    surrogate.refined_solve,
    recipes.REFINER,
    {
        "as shipped": Variant(),
        "tol 1e-4": Variant(inputs={"tol": 1e-4}),
        "tol 1e-5": Variant(inputs={"tol": 1e-5}),
        "32 filters": Variant({"filters": 32}),
        "96 filters": Variant({"filters": 96}),
        "1 hidden convolution": Variant({"hidden": 1}),
        "3 hidden convolutions": Variant({"hidden": 3}),
        "kernels of 3x3 pixels": Variant({"kernel": 3}),
        "U of residual blocks, tol 1e-4": Variant({"filters": 16, "levels": 2}, {"tol": 1e-4}),
        "U, rotated, tol 1e-5, converged labels": Variant(
            {"filters": 16, "levels": 2}, {"tol": 1e-5, "derivative": "rotated"}, FINE
        ),
        "pixel by pixel, rotated, converged labels": Variant({}, {"derivative": "rotated"}, FINE),
    },
    LONGER_LOAD.increments // refiner.FINE,
    {"as shipped": 3},
)
WHOLE_PATH = Kind(
    whole_path,
    "a network that gives the whole path in one pass",
    whole_path.whole_path,
    whole_path.make_whole_paths,
    whole_path.TRAINING_LOAD,
    surrogate.in_one_pass,
    recipes.WHOLE_PATH,
    {
        "U, 16 filters": Variant({"filters": 16}),
        "U, 16 filters, converged labels": Variant({"filters": 16}, labels=FINE),
        "U, 24 filters, converged labels": Variant({"filters": 24}, labels=FINE),
        "U, 32 filters, converged labels": Variant({"filters": 32}, labels=FINE),
        "U, 24 filters": Variant({"filters": 24}),
        "U, 32 filters": Variant({"filters": 32}),
    },
    1,
    {"U, 16 filters": 3},
)
# Settings of the reference model that stand beside networks, by what errors are against.
_SOLVERS = {
    against: {f"reference model, {one}": partial(speed.solve, setting=one) for one in settings}
    for against, settings in ((PAPER, speed.LOOSE), (CONVERGED, speed.FINE))
}
KINDS = {kind.name: kind for kind in (REFINER, WHOLE_PATH)}


def train(
    kind: Kind,
    data: DataSet,
    config: TrainingConfig,
    out,
    variant: Variant = Variant(),
    further: int = 0,
    start=None,
    time_limit: float | None = None,
    pairs: Sequence[Pairs] | None = None,
) -> trainer.TrainingState:
    """Train a network for whole loads on the training part of a data set, or go on with a run.

    Only its microstructures are used: both kinds solve them anew, beyond its load.

    Parameters
    ----------
    kind : Kind
    data : DataSet
    config : TrainingConfig
    out : path-like
        Directory of the run.
    variant : Variant
    further : int
        Microstructures of the paper's kind to train on beside them, which nothing else uses.
    start : path-like, optional
        A trained network to start from.
    time_limit : float, optional
        Minutes, after the cells are solved.
    pairs : (Pairs, Pairs), optional
        By default `solved_pairs` of these arguments.
    """
    recipes.check_time_limit(time_limit)
    keras.utils.set_random_seed(config.seed)
    network = kind.build(**variant.network)
    identity = {"network": kind.name, **variant.inputs, **variant.network}
    identity |= {"F11": float(kind.load.F11[-1]), "increments": kind.load.increments}
    if variant.labels != PAPER:
        identity["labels"] = variant.labels.attributes
    identity["split_hash"] = dataset.split(data).hash
    if further:
        identity["further"] = further
    if start is not None:
        identity |= trainer.start_from(network, start)
    pairs = pairs or solved_pairs(kind, data, further, variant.labels, **variant.inputs)
    return trainer.train(network, *pairs, config, out, identity, time_limit)


def solved_pairs(
    kind: Kind, data: DataSet, further: int = 0, labels: Discretization = PAPER, **inputs
) -> list[Pairs]:
    """Pairs for training and for validation, of labels and inputs as those of a `Variant`."""
    split = dataset.split(data)
    training, validation = (
        [data.microstructure(i) for i in part] for part in (split.training, split.validation)
    )
    job = generation.Job("paper", seed=FURTHER_SEED)
    training += [job.microstructure(i)[1] for i in range(further)]
    return [kind.pairs(cells, labels, **inputs) for cells in (training, validation)]


def study(
    kind: Kind,
    data: DataSet,
    config: TrainingConfig,
    out,
    directory,
    variants: Collection[str] = (),
    further: int = 0,
) -> pd.DataFrame:
    """Train variants, and measure their errors over the whole load.

    In the end the times of all variants are measured in turn, on one core.

    Parameters
    ----------
    kind : Kind
    data : DataSet
    config : TrainingConfig
        Its seeds are the study's.
    out : path-like
        CSV, one row per variant and seed; rewritten after each. Rows of variants that there are
        no longer are left out.
    directory : path-like
        Where the runs are kept: a study that was killed goes on.
    variants : collection of str
        Those to train now; by default all.
    further : int
        As for `train`.

    Raises
    ------
    ValueError
        If there is no such variant.
    """
    for name in variants:
        kind.variant(name)  # raises if there is none
    rows = read_csv(out).to_dict("records") if Path(out).is_file() else []
    # The shipped networks and the reference model come anew.
    rows = [row for row in rows if row["variant"] in kind.variants]
    known = {(row["variant"], row.get("run")) for row in rows}
    trained_on = len(dataset.split(data).training) + further
    samples = config.epochs * kind.samples * trained_on
    # Solved once: pairs for training until the inputs change, the cells to measure errors on.
    pairs_of = lru_cache(1)(partial(solved_pairs, kind, data, further))
    validation = cache(partial(_validation, data))
    for name in variants or kind.variants:
        for seed in range(kind.seeds.get(name, 1)):
            seeded, variant = replace(config, seed=seed, shuffle_seed=seed), kind.variants[name]
            run = _run_name(kind, data, seeded, variant, further)
            if (name, run) not in known:
                solved = pairs_of, validation
                row = _row(kind, data, seeded, variant, Path(directory, run), further, *solved)
                # Rows of older versions do not say how they were trained.
                rows = [one for one in rows if not _is_older(one, name, seed)]
                rows.append({"variant": name, **row, "samples": samples})
                write_csv(out, pd.DataFrame(rows), digits=6)
    judged = {kind.variants[row["variant"]].against for row in rows}
    beside = [row for against in judged for row in _beside(kind, against, *validation(against))]
    table = pd.DataFrame(rows + beside)
    with process_on(1) as call:
        cells = validation(PAPER)[0][:TIMED_CELLS]
        table["seconds"] = table["variant"].map(call(_seconds, kind.name, cells))
    write_csv(out, table, digits=6)
    return table


def _is_older(row: dict, variant: str, seed: int) -> bool:
    same = row["variant"] == variant and row["seed"] == seed
    return same and pd.isna(row.get("learning rate"))


def _beside(kind, against, cells, true) -> list[dict]:
    """Rows of the shipped networks and of the reference model, which take no training here."""
    about = {"against": str(against), "n": len(cells), **provenance.stamp()}

    def row(name, sigma_vm, **more):
        error = np.abs(sigma_vm - true).mean()
        return {"variant": name, "MAE / MPa": error, **more, **about}

    rows = []
    for one in _shipped(kind):
        found, _ = one.predictor()(cells, surrogate.LOAD)
        about_run = {"epochs": one.run.epochs, "seed": one.run.seed}
        size = one.network().count_params()
        rows.append(row(f"{SHIPPED}: {one.title}", found[:, 1:], parameters=size, **about_run))
    solvers = _SOLVERS[against].items()
    return rows + [row(name, ask(cells), parameters=0) for name, ask in solvers]


def _shipped(kind) -> list[Surrogate]:
    """What is shipped of a kind and asked as its variants are."""
    return [one for one in SURROGATES.values() if one.make is kind.predictor]


def _validation(data, against) -> tuple[list, np.ndarray]:
    """Cells of the validation part, and their stress at all increments of the paper's load."""
    cells = [data.microstructure(i) for i in dataset.split(data).validation]
    return cells, surrogate.solve(cells, surrogate.LOAD, against)[:, 1:]


def _run_name(kind, data, config, variant, further) -> str:
    """Name of the run with these settings: whatever makes another training makes another name."""
    settings = {
        "split_hash": dataset.split(data).hash,
        "load": [kind.load.time.tolist(), kind.load.F11.tolist()],
        "further": further,
        "config": config.switched_on(),
        **asdict(variant),
    }
    return run_directory.name_of(kind.name, settings)


def _row(kind, data, config, variant, run, further, pairs_of, validation) -> dict:
    """Train a variant, or go on with it, and measure its error."""
    pairs = pairs_of(variant.labels, **variant.inputs)
    state = train(kind, data, config, run, variant, further, pairs=pairs)
    if not trainer.finished(state, config):
        raise InterruptedError(f"stopped in {run}: the same command goes on from there")
    cells, true = validation(variant.against)
    sigma_vm, _ = kind.predictor(run / LAST)(cells, surrogate.LOAD)
    return {
        "MAE / MPa": np.abs(sigma_vm[:, 1:] - true).mean(),
        "against": str(variant.against),
        "parameters": sum(weight.size for weight in state.weights),
        "epochs": state.epoch,
        "batch": config.batch_size,
        "learning rate": config.learning_rate,
        "n": len(cells),
        "seed": config.seed,
        "run": run.name,
        "wall_s": round(sum(row["seconds"] for row in state.history), 1),
        **provenance.stamp(),
    }


def _seconds(kind: str, cells) -> dict[str, float]:
    """Seconds per cell by variant, coarse solve included; weights make no difference."""
    solvers = _SOLVERS[PAPER] | _SOLVERS[CONVERGED]
    asked = {name: partial(predict, cells) for name, predict in solvers.items()}
    for one in _shipped(KINDS[kind]):
        asked[f"{SHIPPED}: {one.title}"] = partial(one.predictor(), cells, surrogate.LOAD)
    with TemporaryDirectory() as directory:
        for name, variant in KINDS[kind].variants.items():
            run = Path(directory, name)
            run.mkdir()
            KINDS[kind].build(**variant.network).save(run / LAST)
            run_directory.start(run, {"network": kind, **variant.inputs}, 0)
            predict = KINDS[kind].predictor(run / LAST)
            asked[name] = partial(predict, cells, surrogate.LOAD)
    return {name: timing.each(len(cells))["seconds"] for name, timing in timed(asked, 5).items()}
