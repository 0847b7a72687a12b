"""Result rows: one tidy table, one row a number, with everything needed to reproduce it."""

from pathlib import Path

import pandas as pd

from repro.evaluation.metrics import METRICS
from repro.evaluation.modes import MODES, Predictor, truth
from repro.files import atomic_path
from repro.pipeline import Pairs

# What a row is about; rows that agree in these replace each other.
KEYS = ["model", "suite", "split", "mode", "stride", "metric"]
VALUES = ["value", "unit", "n"]
PROVENANCE = ["epochs", "seed", "split_hash", "command", "commit", "hardware", "wall_s"]


def evaluate(predict: Predictor, pairs: Pairs, **about) -> list[dict]:
    """Rows of every metric in every mode; `about` fills the other columns."""
    return [
        {
            **about,
            "mode": mode,
            "stride": pairs.stride,
            "metric": metric,
            "value": measure(predicted, truth(pairs)),
            "unit": "MPa",
            "n": len(pairs.sigma_vm),
        }
        for mode, ask in MODES.items()
        for predicted in [ask(predict, pairs)]
        for metric, measure in METRICS.items()
    ]


def write_rows(path, rows: list[dict]) -> None:
    """Add rows to the CSV `path`, replacing those that are about the same."""
    path = Path(path)
    table = pd.DataFrame(rows, columns=KEYS + VALUES + PROVENANCE)
    if path.exists():
        table = pd.concat([read_rows(path), table], ignore_index=True)
    table = table.drop_duplicates(KEYS, keep="last").sort_values(KEYS, kind="stable")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)


def read_rows(path) -> pd.DataFrame:
    """The table of a CSV written by `write_rows`.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or a column is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; python -m repro.evaluate writes it")
    text = ["model", "suite", "split", "mode", "metric", "unit"]
    text += ["split_hash", "command", "commit", "hardware"]
    table = pd.read_csv(path, dtype=dict.fromkeys(text, str))
    missing = [column for column in KEYS + VALUES + PROVENANCE if column not in table]
    if missing:
        raise ValueError(f"{path}: not a results table, lacks the column {missing[0]}")
    return table
