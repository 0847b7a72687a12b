"""Result rows: one tidy table, one row per number, with everything needed to reproduce it."""

from pathlib import Path

import pandas as pd

from repro.data.discretization import PAPER
from repro.tools.csv_files import read_csv, replaced, write_csv

# Who is measured: a network by which weights, a solver by its discretization and tolerance.
SUBJECT = ["model", "weights", "discretization", "tol"]
# What is measured at once; rows of a new measurement replace all rows of the old one.
MEASURED = [*SUBJECT, "suite", "split", "mode", "stride", "against"]
# `against` is the discretization of the fields that a prediction is compared with: tables of before
# it was a column are against the paper's.
AGAINST = str(PAPER)
# What a row is about; increment and distance_px are empty where it is about all of them.
KEYS = [*MEASURED, "metric", "region", "increment", "distance_px"]
VALUES = ["F11", "value", "unit", "n"]  # F11 at the increment; n microstructures
RUN = ["kind", "network", "configuration", "epochs", "seed", "split_hash"]
PROVENANCE = [*RUN, "command", "commit", "hardware", "wall_s"]
# What a row is about, by its kind: a surrogate, a solver (label noise, DAMASK), a naive reference.
SURROGATE, SOLVER, NAIVE = "surrogate", "solver", "naive"
NUMBERS = ["tol", "stride", "increment", "distance_px", "F11", "value", "n"]
NUMBERS += ["epochs", "seed", "wall_s"]
TEXT = [column for column in KEYS + VALUES + PROVENANCE if column not in NUMBERS]


def table_of(rows: list[dict]) -> pd.DataFrame:
    """Rows as a table with all columns, empty where a row says nothing."""
    return pd.DataFrame(rows, columns=KEYS + VALUES + PROVENANCE)


def write_rows(path, rows: list[dict]) -> None:
    """Add rows to the CSV `path`, replacing those of earlier measurements of the same."""
    path = Path(path)
    table = table_of(rows)
    if path.exists():
        table = replaced(read_rows(path), table, MEASURED)
    table = table.sort_values(KEYS, kind="stable")
    table = table.astype(dict.fromkeys(("increment", "epochs", "seed"), "Int64"))
    write_csv(path, table, digits=7)


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
    if "increment" not in table and {"suite", "split", "stride", "F11"} <= {*table}:
        table["increment"] = _increments(table)
    if "against" not in table:
        table["against"] = AGAINST
    if "kind" not in table and {"model", "epochs"} <= {*table}:
        table = table.assign(kind=_kinds(table), weights=_weights(table))
    if "tol" not in table and "model" in table:
        table = _without_words(table)
    missing = [column for column in KEYS + VALUES + PROVENANCE if column not in table]
    if missing:
        raise ValueError(f"{path}: not a results table, lacks the column {missing[0]}")
    return table


def _increments(table: pd.DataFrame) -> pd.Series:
    """Increments of rows that name F11 alone, as they were while all loads were linear in time.

    The first step of a suite, after as many increments as the stride, has the smallest F11.
    """
    strain = table["F11"] - 1
    first = strain.groupby([table[key] for key in ("suite", "split", "stride")]).transform("min")
    return (table["stride"] * strain / first).round()


def _kinds(table: pd.DataFrame) -> pd.Series:
    """Kind of each row of a table of before it was a column."""
    solver = table["model"].str.startswith(("reference model", "DAMASK"))
    kinds = solver.map({True: SOLVER, False: NAIVE})
    return kinds.mask(table["epochs"].notna(), SURROGATE)


def _weights(table: pd.DataFrame) -> pd.Series:
    """Weights of each row of such a table: the last ones were said in the name."""
    last = table["model"].str.endswith(" (last)")
    return last.map({True: "last", False: "best"}).where(table["epochs"].notna())


def _without_words(table: pd.DataFrame) -> pd.DataFrame:
    """Such a table, whose names of models say weights, tolerance and discretization as well."""
    said = table["model"].str.extract(
        r"^(?P<model>[^,]+?)"
        r"(?: \(last\)|, (?:tolerance|eps) (?P<tol>\S+)|, (?P<grid>\w+, .+ points))?$"
    )
    model, tol = said["model"].fillna(table["model"]), said["tol"].astype(float)
    grid = said["grid"].fillna(table["against"].where(tol.notna()))
    return table.assign(model=model, discretization=grid, tol=tol)


def in_words(table: pd.DataFrame) -> pd.Series:
    """Name of whom each row is about, for tables: with what tells it from others of its model.

    Of a network that is its weights, unless they are the best ones; of a solver its discretization
    or, where that is the one that it is compared with, its tolerance.
    """

    def name(row):
        if row.weights == "last":
            return f"{row.model} (last)"
        if pd.isna(row.discretization):
            return row.model
        same = row.discretization == row.against
        return f"{row.model}, " + (f"tolerance {row.tol:g}" if same else row.discretization)

    return pd.Series(map(name, table.itertuples()), table.index, dtype=object)


def as_reported(table: pd.DataFrame) -> pd.DataFrame:
    """Of every network the rows of its last weights if there are any, else of the best ones.

    The paper mentions no selection, and the best weights were chosen on the validation part.
    """
    weights = table["weights"].fillna("")
    return table[weights == weights.groupby(table["model"]).transform("max")]  # "last" > "best"


def select(table: pd.DataFrame, **wanted) -> pd.DataFrame:
    """Rows in which every named column has the wanted value.

    Numbers over the whole cell and all steps, against fields of the paper's kind, unless `region`,
    `increment`, `F11`, `distance_px` or `against` is named; True asks for the rows that are
    resolved in it, None for all rows.
    """
    over_all = {"region": "all", "distance_px": False, "against": AGAINST}
    if "increment" not in wanted:
        over_all["F11"] = False  # which rows have wherever they have an increment
    for column, value in {**over_all, **wanted}.items():
        if isinstance(value, bool):
            table = table[table[column].notna() == value]
        elif value is not None:
            table = table[table[column] == value]
    return table
