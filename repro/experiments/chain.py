"""One experiment from end to end: data, verification, training, evaluation, table and pictures."""

from dataclasses import replace
from pathlib import Path

from repro import models, paper, surrogate
from repro.data import checks, dataset
from repro.data.dataset import DataSet
from repro.data.pairs import Pairs, check_stride
from repro.data.samples import Samples
from repro.evaluation import results
from repro.evaluation.assessment import assess
from repro.experiments import samples
from repro.experiments.options import PRESETS, RunOptions
from repro.models.backend import keras
from repro.models.normalization import NORMALIZATIONS
from repro.report import figures, gallery, pictures, tables
from repro.training import trainer
from repro.training.devices import DistributedEngine
from repro.training.recipes import TrainingConfig

FIXED_BOUNDS = ("table 3", "table 3, 1000 MPa")  # of the normalizations


def train_and_evaluate(
    network: str,
    config: TrainingConfig,
    options: RunOptions,
    about_samples: dict | None = None,
    normalization: str = "table 3",
    **variant,
) -> None:
    """Generate or read the data, verify it, train a network on it, evaluate the best weights.

    Parameters
    ----------
    network : str
        Key of `models.NETWORKS`.
    config : TrainingConfig
        Its `epochs` are those of `options`, or of the preset, if these say so.
    options : RunOptions
    about_samples : dict, optional
        Options of what makes the samples (`repro.experiments.samples.MAKERS`).
    normalization : str
        Key of `models.normalization.NORMALIZATIONS`.
    **variant
        Arguments of the network's builder.
    """
    about_samples = about_samples or {}
    config = _for_preset(config, options)
    out = options.out or Path("runs", options.preset.removeprefix("paper"), network)
    if options.from_file and normalization not in FIXED_BOUNDS:
        raise ValueError(
            "--from-file goes with a --normalization that does not follow from the data: "
            f"{' or '.join(FIXED_BOUNDS)}"
        )
    if out.is_file():
        raise NotADirectoryError(f"{out} is a file: choose another --out")
    kind = models.NETWORKS[network].samples
    if kind is Pairs and options.data is None:
        check_stride(about_samples.get("stride", 1), paper.INCREMENTS)
    data = _data(kind, options)
    sample = data.first(paper.MICROSTRUCTURES)
    if kind is Pairs:
        print(checks.report(checks.verify(sample if options.from_file else data)))
    split = dataset.split(data)
    identity = identity_of(network, data, options.further, {**about_samples, **variant})
    if kind is Pairs:
        identity["bounds"] = normalization
    # Not the hash of the stresses: other machines and solvers round them otherwise.
    identity["mean_stress"] = f"{sample.sigma_vm.mean(dtype=float):.0f} MPa"
    make = samples.MAKERS[kind]
    training = make(data, split.training, **about_samples)
    if options.further:
        further = _further(kind, options)
        training = training.joined(make(further, range(len(further)), **about_samples))
    validation = make(data, split.validation, **about_samples)
    keras.utils.set_random_seed(config.seed)
    if normalization != "table 3":
        variant["bounds"] = NORMALIZATIONS[normalization](training)
    model = models.NETWORKS[network](**variant)
    models.check_grid(model, data.grain_id.shape[-1])
    if options.start:
        identity |= trainer.start_from(model, options.start)
    print(f"training {network} ({model.count_params()} parameters), results in {out}")
    state = trainer.train(
        model,
        *(part.for_inputs(model.input_shape[-1]) for part in (training, validation)),
        config,
        out,
        identity,
        options.time_limit,
        tensorboard=options.tensorboard,
        engine=DistributedEngine if options.distribute else None,
    )
    if not state.epoch:
        print("no epoch was completed: start the same command again")
        return
    if not trainer.finished(state, config):
        print(f"stopped after epoch {state.epoch}: the same command goes on from there")
    if state.interrupted:  # whoever sends a signal wants an end, not an evaluation
        return
    if options.from_file:
        print(f"to evaluate it: python -m repro.evaluate --model {out} --suite grains10")
        return
    _report(network, data, split.validation[0], state, out)


def identity_of(network: str, data: DataSet, further: int = 0, options: dict | None = None) -> dict:
    """What a run is but for how it is trained: with all of it, and the same seed, it is the same.

    Parameters
    ----------
    network : str
    data : DataSet
        What it is trained and validated on.
    further : int
        Cells that it is trained on beside it.
    options : dict, optional
        Of the samples and of the network.
    """
    about = {"network": network, **(options or {}), "split_hash": dataset.split(data).hash}
    return about | samples.labels_of(data) | ({"further": further} if further else {})


def _for_preset(config: TrainingConfig, options: RunOptions) -> TrainingConfig:
    preset = PRESETS[options.preset]
    config = replace(config, epochs=options.epochs or preset.get("epochs", config.epochs))
    most = preset.get("statistics_samples", config.statistics_samples)
    return replace(config, statistics_samples=min(config.statistics_samples, most))


def _data(kind: type[Samples], options: RunOptions) -> DataSet:
    """The data set to train on, generated first if none was named."""
    path = options.data
    if path is None:
        path = samples.path_of(kind, options.preset, options.labels)
        samples.generate(kind, path, options.labels, PRESETS[options.preset]["count"])
    return dataset.read(path, in_memory=not options.from_file)


def _further(kind: type[Samples], options: RunOptions) -> DataSet:
    """Cells to train on alone, which no suite has."""
    count = options.further
    path = samples.path_of(kind, options.preset, options.labels, count)
    samples.generate(kind, path, options.labels, count, samples.FURTHER_SEED)
    return dataset.read(path)


def _report(network, data, example, state, out):
    """Result rows and their page, then the pictures: one prediction and the learning curve."""
    one, steps = surrogate.load(out), models.NETWORKS[network].samples is Pairs
    results.write_rows(out / "results.csv", assess(one, data))
    table = results.read_rows(out / "results.csv")
    tables.write_report(table, out / "RESULTS.md", f"{network}: {out.name}")
    print(tables.markdown(tables.errors(table)))
    drawn = {
        "prediction": lambda: gallery.prediction_figure(one, data, example),
        "learning_curve": lambda: figures.learning_curve(state.history, network, steps),
    }
    for name, draw in drawn.items():
        pictures.save_if_possible(out / f"{name}.png", draw)
