"""One experiment from end to end: data, verification, training, evaluation, table and pictures."""

from dataclasses import replace
from pathlib import Path

from repro import models, paper
from repro.data import checks, dataset
from repro.data.pairs import check_stride, make_pairs
from repro.evaluation import results
from repro.evaluation.assessment import assess
from repro.experiments.options import PRESETS, RunOptions
from repro.models.backend import keras
from repro.models.normalization import NORMALIZATIONS
from repro.reference import generation
from repro.report import figures, gallery, pictures, tables
from repro.training import trainer
from repro.training.devices import DistributedEngine
from repro.training.recipes import TrainingConfig

FIXED_BOUNDS = ("table 3", "table 3, 1000 MPa")  # of the normalizations


def train_and_evaluate(
    network: str,
    config: TrainingConfig,
    options: RunOptions,
    normalization: str = "table 3",
    **variant,
) -> None:
    """Generate or read the data, verify it, train a network on it, evaluate the best weights.

    Parameters
    ----------
    network : str
        Key of `models.NETWORKS`.
    config : TrainingConfig
        Its `epochs` are those of `options`, or of the preset.
    options : RunOptions
    normalization : str
        Key of `models.normalization.NORMALIZATIONS`.
    **variant
        Arguments of the network's builder.
    """
    preset = PRESETS[options.preset]
    stride = options.stride
    config = replace(config, epochs=options.epochs or preset["epochs"])
    if "statistics_samples" in preset:
        few = min(config.statistics_samples, preset["statistics_samples"])
        config = replace(config, statistics_samples=few)
    out = options.out or Path("runs", options.preset.removeprefix("paper"), network)
    if options.from_file and normalization not in FIXED_BOUNDS:
        raise ValueError(
            "--from-file goes with a --normalization that does not follow from the data: "
            f"{' or '.join(FIXED_BOUNDS)}"
        )
    if out.is_file():
        raise NotADirectoryError(f"{out} is a file: choose another --out")
    data = _data(options, preset["count"], stride)
    sample = data.first(paper.MICROSTRUCTURES)
    print(checks.report(checks.verify(sample if options.from_file else data)))
    split = dataset.split(data)
    pairs = [make_pairs(data, part, stride) for part in (split.training, split.validation)]
    keras.utils.set_random_seed(config.seed)
    identity = {
        "network": network,
        "bounds": normalization,
        **variant,
        "stride": stride,
        "split_hash": split.hash,
        # Not the hash of the stresses: other machines and solvers round them otherwise.
        "mean_stress": f"{sample.sigma_vm.mean(dtype=float):.0f} MPa",
    }
    if normalization != "table 3":
        variant["bounds"] = NORMALIZATIONS[normalization](pairs[0])
    model = models.NETWORKS[network](**variant)
    models.check_grid(model, data.grain_id.shape[-1])
    if options.start:
        identity |= trainer.start_from(model, options.start)
    print(f"training {network} ({model.count_params()} parameters), results in {out}")
    state = trainer.train(
        model,
        *(part.for_inputs(model.input_shape[-1]) for part in pairs),
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
    _report(network, data, split.validation[0], state, out, stride)


def _data(options: RunOptions, count: int, stride: int) -> dataset.DataSet:
    """The data set to train on, generated first if none was named."""
    path = options.data or Path("data", f"{options.preset}.h5")
    if options.data is None and not path.exists():
        check_stride(stride, paper.INCREMENTS)
        generation.generate(path, count=count)
    return dataset.read(path, in_memory=not options.from_file)


def _report(network, data, example, state, out, stride):
    """Learning curve, result rows, their page, and the picture of one rollout."""
    pictures.save_figure(out / "learning_curve.png", figures.learning_curve(state.history, network))
    results.write_rows(out / "results.csv", assess(out, data))
    table = results.read_rows(out / "results.csv")
    tables.write_report(table, out / "RESULTS.md", f"{network}: {out.name}")
    print(tables.markdown(tables.errors(table)))
    figure = gallery.prediction_figure(models.load(out), data, stride, example)
    pictures.save_figure(out / "prediction.png", figure)
    print(f"pictures: {out / 'prediction.png'}, {out / 'learning_curve.png'}")
