"""What a run writes into its directory, the snapshot apart; `repro.models.runs` reads it."""

import hashlib
import json

import pandas as pd

from repro.models.backend import keras, precision
from repro.models.files import save
from repro.models.runs import BEST, CONFIG, ENVIRONMENT, HISTORY, LAST, read_environment
from repro.tools import provenance
from repro.tools.csv_files import write_csv
from repro.tools.files import write_text
from repro.training import snapshot
from repro.training.snapshot import TrainingState

RESUMABLE = (LAST, snapshot.NAME)  # what training goes on from, beside the result


def name_of(network: str, settings: dict) -> str:
    """Name for a run of a study: the network, and a hash of all that the run depends on."""
    text = json.dumps(settings, sort_keys=True)
    return f"{network}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


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
