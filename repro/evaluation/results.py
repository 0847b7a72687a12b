"""Result rows: one tidy table, one row a number, with everything needed to reproduce it."""

from pathlib import Path

import pandas as pd

from repro.tools.files import read_csv, write_csv

# What is measured at once; rows of a new measurement replace all rows of the old one.
SUBJECT = ["model", "suite", "split", "mode", "stride"]
# What a row is about. F11 and distance_px are empty where a number is over all steps or distances.
KEYS = [*SUBJECT, "metric", "region", "F11", "distance_px"]
VALUES = ["value", "unit", "n"]  # n: microstructures
PROVENANCE = [
    "network", "configuration", "epochs", "seed", "split_hash", "command", "commit", "hardware",
    "wall_s",
]  # fmt: skip
TEXT = [
    "model", "suite", "split", "mode", "metric", "region", "unit", "network", "configuration",
    "split_hash", "command", "commit", "hardware",
]  # fmt: skip


def write_rows(path, rows: list[dict]) -> None:
    """Add rows to the CSV `path`, replacing those of earlier measurements of the same."""
    path = Path(path)
    table = pd.DataFrame(rows, columns=KEYS + VALUES + PROVENANCE)
    if path.exists():
        table = replaced(read_rows(path), table, SUBJECT)
    table = table.sort_values(KEYS, kind="stable")
    table = table.astype({"epochs": "Int64", "seed": "Int64"})
    write_csv(path, table, digits=7)


def replaced(old: pd.DataFrame, new: pd.DataFrame, subject: list[str]) -> pd.DataFrame:
    """`new`, then those rows of `old` that are about no `subject` (columns) of it."""
    measured_again = pd.MultiIndex.from_frame(old[subject]).isin(
        pd.MultiIndex.from_frame(new[subject])
    )
    return pd.concat([new, old[~measured_again]], ignore_index=True)


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
    table = read_csv(path, dtype=dict.fromkeys(TEXT, str))
    missing = [column for column in KEYS + VALUES + PROVENANCE if column not in table]
    if missing:
        raise ValueError(f"{path}: not a results table, lacks the column {missing[0]}")
    return table


def select(table: pd.DataFrame, **wanted) -> pd.DataFrame:
    """Rows in which every named column has the wanted value.

    Numbers over the whole cell and all steps, unless `region`, `F11` or `distance_px` is named;
    `F11=True` or `distance_px=True` asks for the rows that are resolved in it.
    """
    for column, value in {"region": "all", "F11": False, "distance_px": False, **wanted}.items():
        if column in ("F11", "distance_px") and isinstance(value, bool):
            table = table[table[column].notna() == value]
        elif value is not None:
            table = table[table[column] == value]
    return table
