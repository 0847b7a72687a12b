"""One experiment from end to end: data, verification, training, evaluation, table and pictures."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

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
from repro.training.devices import DistributedEngine
from repro.training.recipes import RECIPES, TrainingConfig
from repro.training.trainer import check_time_limit

FIXED_BOUNDS = ("table 3", "table 3, 1000 MPa")  # of the normalizations
# Demonstration size: shows that everything works, not what accuracy it gives.
PRESETS = {
    "paper": {"count": paper.MICROSTRUCTURES, "epochs": paper.EPOCHS},
    "quick": {"count": 60, "epochs": 40},
}


@dataclass(frozen=True)
class RunOptions:
    """Options that all training commands share.

    Parameters
    ----------
    preset : {"paper", "quick"}
        "paper": 1000 microstructures, 500 epochs. "quick": 60 and 40, in minutes.
    data : Path, optional
        Data set (HDF5). Default: data/PRESET.h5, which is generated if it is missing.
    out : Path, optional
        Directory of the run. Default: runs/NETWORK, or runs/quick/NETWORK.
    epochs : int, optional
        Passes over the training pairs. Default: the preset's.
    stride : int
        Increments from input to output, of 0.2 s in the paper's data; it leaves Δt open.
    start : Path, optional
        Start from the weights of a trained network, of the same options: a file, the directory of a
        run or the name of a shipped network.
    time_limit : float, optional
        Minutes; stop cleanly before an epoch that would end later.
    tensorboard : bool
        Log to OUT/tensorboard too.
    distribute : bool
        Train on all devices of this machine, each of which takes a part of every batch: with
        KERAS_BACKEND=jax, or on the GPUs that TensorFlow sees.
    from_file : bool
        Read the stress from the file for each batch, since the data set is larger than the memory.
        The network is then not evaluated at the end: do so on the test suites.

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    preset: Literal["paper", "quick"] = "paper"
    data: Path | None = None
    out: Path | None = None
    epochs: int | None = None
    stride: int = 1
    start: Path | None = None
    time_limit: float | None = None
    tensorboard: bool = False
    distribute: bool = False
    from_file: bool = False

    def __post_init__(self):
        check_time_limit(self.time_limit)
        for name in ("epochs", "stride"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


def training_command(name: str) -> Callable[..., None]:
    """The command that trains a registered network: its options are those of the builder.

    Parameters
    ----------
    name : str
        Key of `models.NETWORKS`.

    Returns
    -------
    callable
        `main(run, training, network)` for `repro.tools.cli.run`.
    """
    options = _network_options(name)
    default = options()

    def main(
        run: RunOptions = RunOptions(),
        training: TrainingConfig = RECIPES[name],
        network: options = default,
    ) -> None:
        train_and_evaluate(name, training, run, **asdict(network))

    main.__doc__ = f"""Train {models.NETWORKS[name].title}, and evaluate it.

    With no option it is trained at full scale, on 1000 microstructures for up to 500 epochs. Start
    the same command again to go on with a run.

    Args:
        run: What to train on, how long, and where to put it.
        training: How to train.
        network: How the network is built.
    """
    return main


def _network_options(name) -> type:
    """A dataclass of the options of a network's builder, explained by its docstring."""
    network = models.NETWORKS[name]
    options = [(p.name, p.annotation, p.default) for p in network.options()]
    if network.takes_bounds:
        text = 'What the channels are normalized by (the paper: "normalized to 1").'
        kind = Annotated[Literal[*NORMALIZATIONS], tyro.conf.arg(help=text)]
        options.append(("normalization", kind, "table 3"))
    return make_dataclass(
        "NetworkOptions", options, frozen=True, namespace={"__doc__": network.build.__doc__}
    )


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
