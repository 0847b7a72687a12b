"""Options of the commands that train. What they run is imported when they run, not with this file.

So `--help` and a wrong option are answered at once.
"""

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from repro import models, paper
from repro.experiments.samples import LABELS, MAKERS
from repro.models.normalization import NORMALIZATIONS
from repro.training.recipes import TrainingConfig, check_time_limit, recipe_of

PRESETS = {
    "paper": {"count": paper.MICROSTRUCTURES},
    # Demonstration size: shows that everything works, not what accuracy it gives. Statistics are
    # measured on a quarter of its training pairs; on more of them they took a third of the time.
    "quick": {"count": 60, "epochs": 20, "statistics_samples": 240},
}


@dataclass(frozen=True)
class RunOptions:
    """Options that all training commands share.

    Parameters
    ----------
    preset : {"paper", "quick"}
        "paper": 1000 microstructures, 500 epochs of networks that step. "quick": 60 and 20, in
        minutes.
    data : Path, optional
        Data set (HDF5). Default: one of the preset in data/, which is generated if it is missing.
    labels : {"paper", "converged"}
        Fields to learn from: of the paper's kind, or on 2 x 2 points per pixel by the rotated
        scheme. Of a data set that is named, it says so itself.
    further : int
        Cells to train on beside those of the data set; 8000 of them take 6 GB of memory.
    out : Path, optional
        Directory of the run. Default: runs/NETWORK, or runs/quick/NETWORK.
    epochs : int, optional
        Passes over the training samples. Default: the preset's.
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
    labels: Literal[*LABELS] = "paper"
    further: int = 0
    out: Path | None = None
    epochs: int | None = None
    start: Path | None = None
    time_limit: float | None = None
    tensorboard: bool = False
    distribute: bool = False
    from_file: bool = False

    def __post_init__(self):
        check_time_limit(self.time_limit)
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"epochs must be positive, got {self.epochs}")
        if self.further < 0:
            raise ValueError(f"further must not be negative, got {self.further}")


def training_command(name: str) -> Callable[..., None]:
    """The command that trains a registered network: its options are those of the builder.

    Parameters
    ----------
    name : str
        Key of `models.NETWORKS`.

    Returns
    -------
    callable
        `main(run, training, samples, network)` for `repro.tools.cli.run`.
    """
    of_network, of_samples = _network_options(name), _sample_options(name)
    network_default, samples_default = of_network(), of_samples()

    def main(
        run: RunOptions = RunOptions(),
        training: TrainingConfig = recipe_of(name),
        samples: of_samples = samples_default,
        network: of_network = network_default,
    ) -> None:
        from repro.experiments import chain

        chain.train_and_evaluate(name, training, run, asdict(samples), **asdict(network))

    main.__doc__ = f"""Train {models.NETWORKS[name].title}, and evaluate it.

    With no option it is trained at full scale. Start the same command again to go on with a run.

    Args:
        run: What to train on, how long, and where to put it.
        training: How to train.
        samples: What a sample is.
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


def _sample_options(name) -> type:
    """A dataclass of the options of what makes the samples, explained by its docstring."""
    maker = MAKERS[models.NETWORKS[name].samples]
    parameters = [*inspect.signature(maker).parameters.values()][2:]
    options = [(p.name, p.annotation, p.default) for p in parameters]
    namespace = {"__doc__": maker.__doc__}
    return make_dataclass("SampleOptions", options, frozen=True, namespace=namespace)


@dataclass(frozen=True)
class Scale:
    """How small a study is.

    Parameters
    ----------
    microstructures : int
        Of the paper's suite, 80 % for training.
    filters : int
        Channels of the networks at the finest level.
    samples : int
        That every variant is trained on, in total.
    seeds : int
        Initializations of every variant.
    """

    microstructures: int
    filters: int
    samples: int
    seeds: int = 1
