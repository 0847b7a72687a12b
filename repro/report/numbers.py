"""Measured numbers by name: what a template may ask for."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from repro import paper
from repro.data.checks import Check
from repro.data.discretization import CONVERGED, PAPER
from repro.evaluation.results import as_reported, select
from repro.report.tables import STUDIED, networks
from repro.report.templates import fill, render
from repro.tools.csv_files import read_csv

RECENT = 20  # epochs


class NotMeasuredError(ValueError):
    """There is no such number in the results."""


class Numbers:
    """The numbers of one directory of results.

    Every method returns a number or a short text. It raises `NotMeasuredError` where the results
    hold none. Errors are in MPa.
    """

    def __init__(
        self,
        results: pd.DataFrame,
        checks: list[Check] = (),
        speed: pd.DataFrame | None = None,
        studied: pd.DataFrame | None = None,
        deviations: pd.DataFrame | None = None,
        histories: dict[str, pd.DataFrame] | None = None,
        bounds: pd.DataFrame | None = None,
    ):
        self._results, self._speed = results, speed
        self._studied, self._deviations = studied, deviations
        self._checks = {check.question: check for check in checks}
        self._histories, self._bounds = histories or {}, bounds

    def names(self) -> dict[str, Callable]:
        """Name -> method, for a template."""
        errors = ("mae", "error", "effect", "deviation", "recent")
        timed = ("seconds", "share", "evaluations", "one_step")
        names = (*errors, *timed, "epochs", "check", "bound")
        return {name: getattr(self, name) for name in names}

    def mae(
        self,
        model: str,
        on: str,
        mode: str = "one-step",
        stride: int | None = None,
        converged: bool = False,
        **about,
    ) -> float:
        """MAE of a model "training", "validation" or on a suite; `stride` where it has several.

        Against fields of the paper's kind, or `converged` ones. Of a network the weights are those
        of `results.as_reported`. `about` are values of further columns, such as a solver's.
        """
        suite, split = ("paper", on) if on in ("training", "validation") else (on, "all")
        about |= {"model": model, "suite": suite, "split": split, "mode": mode, "stride": stride}
        about["against"] = str(CONVERGED if converged else PAPER)
        found = as_reported(select(self._results, metric="MAE", **about))
        return float(_only(found["value"], about))

    def epochs(self, model: str) -> int:
        """Epochs after which a model was evaluated."""
        found = as_reported(networks(select(self._results, model=model)))["epochs"]
        return int(_only(found.drop_duplicates(), {"epochs of": model}))

    def seconds(self, contender: str, cores: int = 1, **setting) -> float:
        """Seconds per simulation.

        Here and below, in the only `setting` that has these values in the columns
        `repro.benchmarks.speed.SETTING`; by default in the fastest.
        """
        return float(self._timed(contender, cores, setting)["seconds"])

    def error(self, contender: str, converged: bool = False, **setting) -> float:
        """MAE of the whole trajectory in the measurement of speed, or against converged fields."""
        return self._beside_time("mae_converged" if converged else "mae", contender, setting)

    def one_step(self, contender: str, **setting) -> float:
        """MAE of single steps from the true stress in the measurement of speed."""
        return self._beside_time("one_step", contender, setting)

    def share(self, contender: str, converged: bool = False) -> float:
        """Time of a surrogate over that of the reference model at the same error.

        The latter is interpolated between its settings, as a power law.
        """
        error = "mae_converged" if converged else "mae"
        solver = _rows(self._speed, {"contender": "reference model", "cores": 1}).sort_values(error)
        known = np.log(solver[error].to_numpy()), np.log(solver["seconds"].to_numpy())
        here = np.log(self.error(contender, converged=converged))
        if not known[0][0] <= here <= known[0][-1]:
            raise NotMeasuredError(
                f"no setting of the reference model has the error of {contender}"
            )
        return self.seconds(contender) / float(np.exp(np.interp(here, *known)))

    def evaluations(self, **setting) -> float:
        """Evaluations of the reference model's law per increment."""
        return self._beside_time("evaluations", "reference model", setting)

    def _beside_time(self, column, contender, setting) -> float:
        row = self._timed(contender, 1, setting)
        if column not in row:
            raise NotMeasuredError(f"speed was measured without {column}: measure it again")
        return float(row[column])

    def _timed(self, contender, cores, setting):
        about = {"contender": contender, "cores": cores, **setting}
        if setting:
            return _row(self._speed, about)
        rows = _rows(self._speed, about)
        return rows.loc[rows["seconds"].idxmin()]

    def bound(self, predictor: str, suite: str, column: str) -> float:
        """A column of the measurement of bounds, of a predictor and a suite."""
        about = {"predictor": predictor, "suite": suite}
        return float(_row(self._bounds, about)[column])

    def check(self, question: str) -> str:
        """What was found about the training data."""
        if question not in self._checks:
            raise NotMeasuredError(f"the data was not asked: {question}")
        return self._checks[question].found

    def effect(self, choice: str, setting: str | None = None) -> str:
        """Errors of a choice that the paper leaves open: over its settings, or under one."""
        variants = _rows(self._studied, {"varied": choice})
        if setting is not None:
            variants = _rows(variants, {"setting": setting})
        means = variants.groupby("setting")[list(STUDIED.values())].mean()
        ranges = (
            f"{mode} {_range(means[column].min(), means[column].max())} MPa"
            for mode, column in STUDIED.items()
        )
        filters = " and ".join(str(n) for n in variants["filters"].unique())
        return f"{'; '.join(ranges)} ({filters} filters)"

    def deviation(self, setting: str) -> str:
        """|ΔσvM| of a DAMASK set-up that departs from the paper's, over most microstructures."""
        row = _rows(self._deviations, {"setting": setting}).sort_values("n").iloc[-1]
        mean, last = row["mean_difference_MPa"], row["at_last_increment_MPa"]
        return f"{mean:.3g} MPa, {last:.3g} at the end of the load (n = {row['n']})"

    def recent(self, model: str, column: str, statistic: str = "median") -> float:
        """Statistic of a column of a learning curve over the last `RECENT` epochs."""
        history = self._histories.get(model)
        if history is None or column not in history:
            raise NotMeasuredError(f"there is no learning curve of {model} with {column}")
        return float(history[column].iloc[-RECENT:].agg(statistic))


def summary(results: pd.DataFrame, checks: list[Check]) -> str:
    """A line on a data set, one on each network on its validation part, one on naive references.

    Parameters
    ----------
    results : DataFrame
        Result rows of one evaluation.
    checks : list of Check
        What was found about the data; empty if it was not asked.
    """
    found = select(results, split="validation", metric="MAE", against=None)
    trained = networks(found).pivot_table(
        index=["model", "weights", "epochs"], columns="mode", values="value", aggfunc="last"
    )
    naive = select(found[found["epochs"].isna()], mode="one-step")
    networks_found = [
        {name: value for name, value in row.items() if pd.notna(value)}
        for row in trained.reset_index().to_dict("records")
    ]
    naive = naive.set_index("model")["value"].to_dict()
    return render("summary", paper=paper, checks=checks, networks=networks_found, naive=naive)


def fill_table(path, names: dict) -> pd.DataFrame:
    """A CSV that a person wrote, with measured numbers in its cells.

    A cell may ask for a number as templates do, `{{ check("loading rate") }}`; where the results
    hold none it says so.
    """

    def filled(cell):
        try:
            return fill(cell, **names)
        except NotMeasuredError:
            return "not measured"

    return read_csv(path, dtype=str, keep_default_na=False).map(filled)


def _rows(table, about: dict) -> pd.DataFrame:
    found = table
    for column, value in about.items():
        found = found if found is None else found[found[column] == value]
    if found is None or found.empty:
        raise NotMeasuredError(f"not in the results: {_words(about)}")
    return found


def _row(table, about: dict) -> pd.Series:
    return _only(_rows(table, about).to_dict("records"), about)


def _only(found, about: dict):
    """The one number that was found."""
    if len(found) != 1:
        raise NotMeasuredError(f"{len(found)} values in the results for {_words(about)}, not one")
    return next(iter(found))


def _range(low, high):
    return f"{low:.3g}" if low == high else f"{low:.3g}…{high:.3g}"


def _words(about):
    return ", ".join(f"{name} {value}" for name, value in about.items() if value is not None)
