"""One experiment from end to end: data, verification, training, evaluation, table and pictures."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from repro import models, paper
from repro.data import checks, dataset
from repro.data.pairs import check_stride, make_pairs
from repro.evaluation import results
from repro.evaluation.assessment import assess
from repro.models.backend import keras
from repro.models.normalization import NORMALIZATIONS
from repro.reference import generation
from repro.report import figures, gallery, pictures, tables
from repro.training import trainer
from repro.training.trainer import TrainingConfig


@dataclass(frozen=True)
class RunOptions:
    """Options that all training commands share.

    Parameters
    ----------
    preset : {"paper", "quick"}
        "paper": 1000 microstructures, 500 epochs, stride 1. "quick": 60, 40 and 5, in minutes.
    data : Path, optional
        Data set (HDF5). Default: data/PRESET.h5, which is generated if it is missing.
    out : Path, optional
        Directory of the run. Default: runs/NETWORK, or runs/quick/NETWORK.
    epochs : int, optional
        Passes over the training pairs. Default: the preset's.
    stride : int, optional
        Increments from input to output (the paper leaves it open). Default: the preset's.
    time_limit : float, optional
        Minutes; stop cleanly before an epoch that would end later.
    tensorboard : bool
        Log to OUT/tensorboard too.
    """

    preset: Literal["paper", "quick"] = "paper"
    data: Path | None = None
    out: Path | None = None
    epochs: int | None = None
    stride: int | None = None
    time_limit: float | None = None
    tensorboard: bool = False


# Demonstration size: shows that everything works, not what accuracy it gives.
PRESETS = {
    "paper": {"count": paper.MICROSTRUCTURES, "epochs": paper.EPOCHS, "stride": 1},
    "quick": {"count": 60, "epochs": 40, "stride": 5},
}


def train_and_evaluate(
    network: str, config: TrainingConfig, options: RunOptions, bounds: str = "table 3", **variant
) -> None:
    """Generate or read the data, verify it, train a network on it, evaluate the best weights.

    Parameters
    ----------
    network : str
        Key of `models.NETWORKS`.
    config : TrainingConfig
        Its `epochs` are those of `options`, or of the preset.
    options : RunOptions
    bounds : str
        Key of `models.normalization.NORMALIZATIONS`.
    **variant
        Arguments of the network that differ from its defaults.
    """
    preset = PRESETS[options.preset]
    stride = preset["stride"] if options.stride is None else options.stride
    epochs = preset["epochs"] if options.epochs is None else options.epochs
    config = replace(config, epochs=epochs)
    out = options.out or Path("runs", options.preset.removeprefix("paper"), network)
    if out.is_file():
        raise NotADirectoryError(f"{out} is a file: choose another --out")
    path = options.data or Path("data", f"{options.preset}.h5")
    if options.data is None and not path.exists():
        check_stride(stride, paper.INCREMENTS)
        generation.generate(path, count=preset["count"])
    data = dataset.read(path)
    print(checks.report(checks.verify(data)))
    split = dataset.split(data)
    pairs = [make_pairs(data, part, stride) for part in (split.training, split.validation)]
    keras.utils.set_random_seed(config.seed)
    identity = {
        "network": network, "bounds": bounds, **variant, "stride": stride,
        "split_hash": split.hash,
        # Not the hash of the stresses: other machines and solvers round them otherwise.
        "mean_stress": f"{data.sigma_vm.mean(dtype=float):.0f} MPa",
    }  # fmt: skip
    if bounds != "table 3":
        variant["bounds"] = NORMALIZATIONS[bounds](pairs[0])
    model = models.NETWORKS[network](**variant)
    print(f"training {network} ({model.count_params()} parameters), results in {out}")
    state = trainer.train(
        model, *pairs, config, out, identity, options.time_limit, tensorboard=options.tensorboard
    )
    if not state.epoch:
        print("no epoch was completed: start the same command again")
        return
    if not trainer.finished(state, config):
        print(f"stopped after epoch {state.epoch}: the same command goes on from there")
    _report(network, data, split.validation[0], state, out, stride)


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
