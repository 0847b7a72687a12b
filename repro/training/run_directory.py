"""What lies in the directory of a training run, beside the snapshot: written and read here."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from repro.models.backend import keras
from repro.tools import provenance
from repro.tools.files import atomic_path, write_csv, write_text
from repro.training.snapshot import TrainingState

CONFIG, ENVIRONMENT, HISTORY = "config.json", "environment.json", "history.csv"


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
    config = json.loads((path.parent / CONFIG).read_text())
    history = pd.read_csv(path.parent / HISTORY)
    name = path.resolve().parent.name + ("" if path.stem == "best" else f" ({path.stem})")
    network, stride, seed, split_hash = (
        config.get(key) for key in ("network", "stride", "seed", "split_hash")
    )
    # Without the seeds, and without when the run would end.
    apart = ("network", "stride", "seed", "shuffle_seed", "epochs", "patience")
    others = {key: value for key, value in config.items() if key not in apart}
    settings = json.dumps([path.stem, network, stride, others], sort_keys=True)
    configuration = hashlib.sha256(settings.encode()).hexdigest()[:12]
    return Run(name, network, configuration, stride, seed, len(history), split_hash)


def start(out, config: dict, epoch: int) -> None:
    """Write what a run is, and add where it goes on from `epoch`: it may see several machines."""
    _write_json(out / CONFIG, config)
    path = out / ENVIRONMENT
    records = json.loads(path.read_text()) if path.exists() else []
    now = {
        "from_epoch": epoch,
        "commit": provenance.code_commit(),
        "hardware": provenance.hardware(),
        "backend": keras.backend.backend(),
        "versions": provenance.versions(),
    }
    if not records or records[-1] != now:
        _write_json(path, [*records, now])


def _write_json(path, content):
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_history(out, state: TrainingState) -> None:
    """Write the learning curve, one row an epoch."""
    write_csv(out / HISTORY, pd.DataFrame(state.history))


def export(out, network: keras.Model, best: list, last: list) -> None:
    """Write best.keras and last.keras, for inference: without optimizer."""
    for name, weights in (("best", best), ("last", last)):
        network.set_weights(weights)
        with atomic_path(out / f"{name}.keras") as temporary:
            network.save(temporary)
