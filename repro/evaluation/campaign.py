"""Evaluate a surrogate on many data sets, and keep beside its errors what the data is like."""

from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from repro import paper
from repro.data import checks, dataset
from repro.data.dataset import DataSet
from repro.data.discretization import PAPER, Discretization
from repro.evaluation import results
from repro.evaluation.assessment import (
    assess,
    damask_difference,
    discretization_errors,
    label_noise,
)
from repro.reference import Request, generate
from repro.surrogate import Surrogate
from repro.tools import engine, provenance
from repro.tools.csv_files import read_csv, write_csv

HISTOGRAM_BINS = 60


def evaluate_suites(
    one: Surrogate,
    suites,
    directory,
    table,
    dask: str | None = None,
    discretization: Discretization = PAPER,
) -> pd.DataFrame:
    """Evaluate a surrogate on test suites, which are generated where their file is missing.

    The mean over the training data, the suite "paper", is a naive reference if its file is there.

    Parameters
    ----------
    one : Surrogate
        As `repro.surrogate.load` gives it.
    suites : iterable of str
        Keys of `data.suites.SUITES`.
    directory : path-like
        Where the data sets are, SUITE.h5.
    table : path-like
        CSV that the rows are added to, after every suite.
    dask : str, optional
        Who generates and evaluates, as for `repro.tools.engine.run`; by default this process.
    discretization : Discretization
        With which the suites are solved, by default the paper's.

    Returns
    -------
    DataFrame
        The rows of this surrogate and of the naive references on these suites.
    """
    directory = Path(directory).absolute()
    for suite in suites:
        _generated(suite, directory, discretization, dask)
    about = {"command": provenance.command_line()}  # and not that of a worker
    rows: dict[str, list[dict]] = {suite: [] for suite in suites}
    on_suite = partial(_on_suite, one, directory, discretization)
    for suite, found in engine.run(on_suite, suites, dask):
        rows[suite] = [row | about for row in found]
        results.write_rows(table, rows[suite])
    if discretization != PAPER:
        return results.table_of([*chain.from_iterable(rows.values())])
    if "paper" in rows:
        _write_about(table, _read_once(_path("paper", directory, discretization)))
    damask = damask_difference(one.stride)
    results.write_rows(table, damask)
    return results.table_of([*chain.from_iterable(rows.values()), *damask])


def _on_suite(one, directory, discretization, suite) -> tuple[str, list[dict]]:
    path, training = _path("paper", directory, discretization), None
    if discretization == PAPER and path.exists():  # beside converged fields stands no naive one
        training = _read_once(path)
    data = _read_once(path) if suite == "paper" else load_suite(suite, directory, discretization)
    return suite, _rows(one, data, training)


# Every suite of a process asks for the training data.
_read_once = lru_cache(maxsize=1)(dataset.read)


def _rows(one, data, training=None) -> list[dict]:
    coarser = discretization_errors(data)
    # Beside converged fields stand those on fewer points: the rest is as for the paper's kind.
    rows = assess(one, data, training, beside_naive=not coarser)
    return rows + (coarser or label_noise(data, one.stride))


def evaluate_data(one: Surrogate, data: DataSet, table) -> pd.DataFrame:
    """Add the errors of a surrogate on a data set to `table`; what the data is like goes beside."""
    rows = _rows(one, data)
    results.write_rows(table, rows)
    if any(row["split"] == "training" for row in rows):
        _write_about(table, data)
    return results.table_of(rows)


def _write_about(table, data):
    write_checks(Path(table).with_name("data_checks.csv"), data)
    write_histogram(Path(table).with_name("histogram.csv"), data)


def load_suite(suite: str, directory, discretization: Discretization = PAPER) -> DataSet:
    """Read a suite's data set; generate it first if its file is missing."""
    return dataset.read(_generated(suite, directory, discretization))


def _path(suite, directory, discretization) -> Path:
    return Path(directory, f"{suite}{discretization.suffix}.h5")


def _generated(suite, directory, discretization, dask=None) -> Path:
    path = _path(suite, directory, discretization)
    if not path.exists():
        generate(path, Request(suite, discretization=discretization), dask=dask)
    return path


def write_checks(path, data: DataSet) -> None:
    """What `repro.data.checks` finds about a data set, one question a row."""
    table = pd.DataFrame(checks.verify(data))
    _write(path, table.assign(split_hash=dataset.split(data).hash, n=len(data)))


def read_checks(path) -> list[checks.Check]:
    """The checks that `write_checks` wrote; none if there is no such file."""
    if not Path(path).is_file():
        return []
    table = read_csv(path, dtype={"found": str, "wanted": str}, keep_default_na=False)
    fields = table[["question", "found", "wanted", "passed"]]
    return [checks.Check(*row) for row in fields.itertuples(index=False)]


def write_histogram(path, data: DataSet) -> None:
    """Shares of the pixels over E, and over sigma_vM at the stretches of the paper's Fig. 11.

    Only at those that the load reaches to half an increment.
    """
    E = data.property_maps(range(len(data)))[..., 0]
    parts = [_histogram("E", np.nan, "GPa", E, paper.PROPERTY_RANGES[0])]
    at, half = [], np.abs(np.diff(data.F11)).max() / 2
    for F11 in paper.HISTOGRAM_F11:
        distance = np.abs(data.F11[1:] - F11)
        if distance.min() <= half:
            at.append(1 + int(distance.argmin()))
    high = float(data.sigma_vm[:, at].max(initial=0))
    parts += [
        _histogram("sigma_vm", data.F11[i], "MPa", data.sigma_vm[:, i], (0, high)) for i in at
    ]
    table = pd.concat(parts)
    _write(path, table.assign(n=len(data), split_hash=dataset.split(data).hash))


def _histogram(quantity, F11, unit, values, limits):
    counts, edges = np.histogram(values, HISTOGRAM_BINS, limits)
    return pd.DataFrame(
        {
            "quantity": quantity,
            "F11": F11,
            "unit": unit,
            "low": edges[:-1],
            "high": edges[1:],
            "share": counts / values.size,
        }
    )


def _write(path, table):
    write_csv(path, table.assign(**provenance.stamp()), digits=6)
