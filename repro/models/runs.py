"""What the directory of a training run says of its network; `repro.training` writes it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from repro.data.discretization import PAPER, Discretization
from repro.models import BEST, model_path
from repro.tools.csv_files import read_csv
from repro.tools.files import read_text

CONFIG, ENVIRONMENT, HISTORY, LAST = "config.json", "environment.json", "history.csv", "last.keras"
# Networks in runs of older versions.
_FORMER_NAMES = {"refiner": "learned_correction", "whole_path": "direct_prediction"}
RESULT = (BEST, CONFIG, ENVIRONMENT, HISTORY)  # what a trained network is used and judged by


@dataclass(frozen=True)
class Run:
    """What the run directory of a trained network says of it; None where it does not.

    Without a run directory a step is one increment.
    """

    model: str
    network: str | None = None
    configuration: str | None = None  # the same for runs that differ in their seed only
    stride: int = 1  # increments in a step
    seed: int | None = None
    epochs: int | None = None
    split_hash: str | None = None  # of the data that it was trained on
    weights: str | None = None  # "best" of the epochs or "last"

    @property
    def name(self) -> str:
        """Its name beside those of others, which says what weights it has unless the best."""
        return self.model + ("" if self.weights in (None, "best") else f" ({self.weights})")


def run_of(path_or_name) -> Run:
    """Read what lies beside a trained network, as for `repro.models.load`.

    Outside a run only the name is known.
    """
    path = Path(path_or_name)
    if path.suffix != ".keras":
        path = model_path(path)
    if not (path.parent / CONFIG).is_file():
        return Run(path.stem)
    config, history = read_config(path.parent), read_history(path.parent)
    name = path.resolve().parent.name
    network, split_hash = config.get("network"), config.get("split_hash")
    numbers = {key: config.get(key) for key in ("stride", "seed", "start_epochs")}
    for key, value in numbers.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise ValueError(f"{path.parent / CONFIG}: {key} is {value!r}")
    # Without the seeds, with which the weights change that it started from, and without when the
    # run would end.
    apart = ("network", "stride", "seed", "shuffle_seed", "start", "epochs", "patience")
    others = {key: value for key, value in config.items() if key not in apart}
    settings = json.dumps([path.stem, network, numbers["stride"], others], sort_keys=True)
    configuration = hashlib.sha256(settings.encode()).hexdigest()[:12]
    # Of the run whose best or last weights this one started from, all epochs count.
    epochs = len(history) + (numbers["start_epochs"] or 0)
    stride = numbers["stride"] or 1
    seed, weights = numbers["seed"], path.stem
    return Run(name, network, configuration, stride, seed, epochs, split_hash, weights)


def read_config(directory) -> dict:
    """What a run is: network, options, training, data.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is not one that `start` wrote.
    """
    config = _read_json(Path(directory, CONFIG), dict)
    network = config.get("network", "")
    if not isinstance(network, str):
        raise ValueError(f"{Path(directory, CONFIG)}: network is {network!r}")
    return config | {"network": _FORMER_NAMES[network]} if network in _FORMER_NAMES else config


def config_of(path) -> dict:
    """What the run of a `.keras` file is, as `read_config`; empty if it lies in none."""
    directory = Path(path).parent
    return read_config(directory) if (directory / CONFIG).is_file() else {}


def labels_of(path) -> Discretization:
    """Discretization of the fields that the network in a `.keras` file has learned."""
    return Discretization.of(config_of(path).get("labels", PAPER.attributes))


def read_environment(directory) -> list[dict]:
    """Where a run was trained: commit, hardware, backend and versions, one entry per machine."""
    return _read_json(Path(directory, ENVIRONMENT), list)


def read_history(directory) -> pd.DataFrame:
    """The learning curve of a run, one row per epoch.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such table, or it has no epochs or holds something that is no number.
    """
    path = Path(directory, HISTORY)
    history = read_csv(path)
    if "epoch" not in history:
        raise ValueError(f"{path}: not a learning curve, lacks the column epoch")
    for column in history:
        if not pd.api.types.is_numeric_dtype(history[column]):
            raise ValueError(f"{path}: the column {column} holds something that is no number")
    return history


def _read_json(path, kind):
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, kind):
        raise ValueError(f"{path}: not what a training run writes")
    return content
