"""Options of the commands that train. What they run is imported when they run, not with this file.

So `--help` and a wrong option are answered at once.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from repro import models, paper
from repro.models.normalization import NORMALIZATIONS
from repro.training.recipes import TrainingConfig, check_time_limit, recipe_of

PRESETS = {
    "paper": {"count": paper.MICROSTRUCTURES, "epochs": paper.EPOCHS},
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
        "paper": 1000 microstructures, 500 epochs. "quick": 60 and 20, in minutes.
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
        training: TrainingConfig = recipe_of(name),
        network: options = default,
    ) -> None:
        from repro.experiments import chain

        chain.train_and_evaluate(name, training, run, **asdict(network))

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
