"""What lies in the directory of a training run: written and read here, the snapshot apart."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from repro.models import BEST
from repro.models.backend import keras, precision
from repro.models.files import save
from repro.tools import provenance
from repro.tools.csv_files import read_csv, write_csv
from repro.tools.files import read_text, write_text
from repro.training import snapshot
from repro.training.snapshot import TrainingState

CONFIG, ENVIRONMENT, HISTORY, LAST = "config.json", "environment.json", "history.csv", "last.keras"
# What a trained network is used and judged by, and what training goes on from beside that.
RESULT = (BEST, CONFIG, ENVIRONMENT, HISTORY)
RESUMABLE = (LAST, snapshot.NAME)


@dataclass(frozen=True)
class Run:
    """What the run directory of a trained network says of it; None where it does not."""

    model: str
    network: str | None = None
    configuration: str | None = None  # the same for runs that differ in their seed only
    stride: int | None = None
    seed: int | None = None
    epochs: int | None = None
    split_hash: str | None = None  # of the data that it was trained on


def run_of(path) -> Run:
    """Read what lies beside the `.keras` file `path`; outside a run only the name is known."""
    path = Path(path)
    if not (path.parent / CONFIG).is_file():
        return Run(path.stem)
    config, history = read_config(path.parent), read_history(path.parent)
    name = path.resolve().parent.name + ("" if path.stem == "best" else f" ({path.stem})")
    network, split_hash = config.get("network"), config.get("split_hash")
    numbers = {key: config.get(key) for key in ("stride", "seed", "start_epochs")}
    for key, value in numbers.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise ValueError(f"{path.parent / CONFIG}: {key} is {value!r}")
    # Without the seeds, and without when the run would end.
    apart = ("network", "stride", "seed", "shuffle_seed", "epochs", "patience")
    others = {key: value for key, value in config.items() if key not in apart}
    settings = json.dumps([path.stem, network, numbers["stride"], others], sort_keys=True)
    configuration = hashlib.sha256(settings.encode()).hexdigest()[:12]
    # Of the run whose best or last weights this one started from, all epochs count.
    epochs = len(history) + (numbers["start_epochs"] or 0)
    return Run(name, network, configuration, numbers["stride"], numbers["seed"], epochs, split_hash)


def name_of(network: str, settings: dict) -> str:
    """Name for a run of a study: the network, and a hash of all that the run depends on."""
    text = json.dumps(settings, sort_keys=True)
    return f"{network}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def read_config(directory) -> dict:
    """What a run is: network, options, training, data.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is not one that `start` wrote.
    """
    return _read_json(Path(directory, CONFIG), dict)


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


def start(out, config: dict, epoch: int) -> None:
    """Write what a run is, and add where it goes on from `epoch`: it may see several machines."""
    _write_json(out / CONFIG, config)
    records = read_environment(out) if (out / ENVIRONMENT).exists() else []
    now = {
        "from_epoch": epoch,
        "commit": provenance.code_commit(),
        "hardware": provenance.hardware(),
        "backend": keras.backend.backend(),
        "versions": provenance.versions(),
        **({} if precision() == "highest" else {"precision": precision()}),
    }
    if not records or records[-1] != now:
        _write_json(out / ENVIRONMENT, [*records, now])


def _write_json(path, content):
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_history(out, state: TrainingState) -> None:
    """Write the learning curve, one row per epoch."""
    write_csv(out / HISTORY, pd.DataFrame(state.history))


def export(out, network: keras.Model, best: list, last: list) -> None:
    """Write best.keras and last.keras, for inference: without optimizer."""
    for name, weights in ((BEST, best), (LAST, last)):
        network.set_weights(weights)
        save(network, out / name)
