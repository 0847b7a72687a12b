"""Tables from result rows; nothing in them is typed by hand."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from repro import paper
from repro.benchmarks.speed import SETTING, described
from repro.data.discretization import CONVERGED, PAPER
from repro.data.suites import SECTIONS, SUITES, lines, paper_mae
from repro.evaluation.metrics import METRICS
from repro.evaluation.regions import FRAME, REGIONS
from repro.evaluation.results import (
    AGAINST,
    KEYS,
    NAIVE,
    SOLVER,
    SURROGATE,
    as_reported,
    in_words,
    select,
)
from repro.tools.files import write_text

ALIKE = 1.1
AT_FIELDS = 320_000  # fields after which learning curves are compared
MODES = ("one-step", "rollout", "trajectory")  # the last of who predicts it without stepping
STUDIED = {mode: f"{mode} MAE / MPa" for mode in ("one-step", "rollout")}  # columns of a study


def digits(value: float) -> str:
    """A number to three digits, without powers of ten where a reader can do without."""
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{value:.{_decimals(value)}f}"


def _decimals(value):
    return max(0, 2 - math.floor(math.log10(abs(value))))


def markdown(table: pd.DataFrame) -> str:
    """A pipe table of the columns of `table`, missing values as a dash."""

    def text(value):
        if pd.isna(value):
            return "–"
        if isinstance(value, float):  # also whole numbers, in columns where some are missing
            return str(int(value)) if value.is_integer() else digits(value)
        return str(value).replace("|", "\\|")

    rows = [[text(value) for value in row] for row in table.itertuples(index=False)]
    lines = [list(table.columns), ["---"] * len(table.columns), *rows]
    return "\n".join("| " + " | ".join(line).replace("\n", " ") + " |" for line in lines)


def errors(results: pd.DataFrame) -> pd.DataFrame:
    """One row per model, suite, split, mode and stride: its errors, and the paper's MAE.

    What the errors are against is a column if it is not the paper's kind of fields alone.
    """
    about = ["model", "suite", "split", "mode", "stride"]
    whole = select(results, against=None)
    whole = whole.assign(model=in_words(whole))
    if (whole["against"] != AGAINST).any():
        about.append("against")
    wide = whole.pivot(index=[*about, "n"], columns="metric", values="value").reset_index()
    trained = set(networks(whole)["model"])
    reported = [
        _reported(row.suite, row.split) if row.model in trained else None
        for row in wide.itertuples()
    ]
    shown = {name: f"{name} / {metric.unit}" for name, metric in METRICS.items() if metric.whole}
    measures = wide.reindex(columns=list(shown)).rename(columns=shown)
    return pd.concat([wide[about], measures, wide["n"]], axis=1).assign(
        **{"paper MAE / MPa": reported}
    )


def _reported(suite, split) -> str | None:
    """The paper's MAE in the digits that it has there."""
    mae = paper_mae(suite, split)
    return None if mae is None else str(mae)


def write_report(results: pd.DataFrame, path, title: str) -> None:
    """The Markdown page of a single run's results table."""
    write_text(path, f"# {title}\n\nGenerated; do not edit.\n\n{markdown(errors(results))}\n")


def networks(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of surrogates."""
    return results[results["kind"] == SURROGATE]


def time_step(stride) -> str:
    """The time from input to output, such as "1 s"."""
    increment = (paper.F11_TRAINING - 1) / paper.RATE / paper.INCREMENTS
    return f"{round(stride * increment, 6):g} s"


UNSEEN = "grains10"  # cells like those of the validation part, on which nothing was ever selected


def shown(results: pd.DataFrame, titles: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Rows of networks as the tables and figures show them, with their `run` and its `title`.

    Of a run the weights of `results.as_reported`.

    Parameters
    ----------
    results : DataFrame
    titles : mapping, optional
        Run -> what it is called. Other runs are left out, and of runs that differ in nothing but
        their seed and length all but the longest. By default all runs are shown by their names.
    """
    found = as_reported(networks(results))
    runs = found["model"]
    found = found.assign(
        run=runs,
        title=runs.map(titles) if titles else runs,
        network=found["network"].fillna(runs),
        alike=found["configuration"].fillna(runs),
        epochs=found["epochs"].fillna(0).astype(int),
    )
    found = found[found["title"].notna()]
    if titles:
        longest = found.groupby(["network", "stride", "alike"])["epochs"].transform("max")
        found = found[found["epochs"] == longest]
    return found


def compared(results: pd.DataFrame, titles: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The rows of `shown`, by their titles and over seeds, and those of all that is no network.

    What is no network is called as `results.in_words` says.
    """
    found = shown(results, titles)
    found = found.assign(model=found["title"], weights=None)
    found["value"] = found.groupby(KEYS, dropna=False)["value"].transform("mean")
    others = results[results["kind"] != SURROGATE]
    others = others.assign(model=in_words(others), discretization=None)
    return pd.concat([found.drop_duplicates(KEYS), others])


def _configurations(results, titles, fields=None) -> dict[str, pd.DataFrame]:
    """Title -> rows of the runs of one configuration: first of the paper's network, long first."""
    found = shown(results, titles)
    order = (found["network"] != "paper_unet").rename("ours"), (-found["epochs"]).rename("less")
    columns = {}
    for (*_, stride, _), rows in found.groupby([*order, "network", "stride", "alike"]):
        title = [", ".join(rows["title"].unique()), f"{rows['epochs'].iloc[0]} epochs"]
        seen = (fields or {}).get(rows["run"].iloc[0])
        title += [f"{digits(seen / 1e6)} million fields"] if seen else []
        title += [f"{rows['run'].nunique()} seeds"] if rows["run"].nunique() > 1 else []
        title += [f"Δt = {time_step(stride)}"] if stride != 1 else []
        title += rows["run"].unique().tolist() if ", ".join(title) in columns else []
        columns[", ".join(title)] = rows
    return columns


def main_table(
    results: pd.DataFrame,
    measured: pd.DataFrame | None = None,
    titles: Mapping[str, str] | None = None,
    fields: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """The paper, networks, the reference model and the best without either: a row each.

    Errors are MAE in MPa, of the validation part and of unseen cells.

    Parameters
    ----------
    results : DataFrame
    measured : DataFrame, optional
        Times as of `repro.benchmarks.speed`.
    titles : mapping, optional
        The runs that have a row, as for `shown`.
    fields : mapping, optional
        Run -> fields that it has learned from.
    """
    reported = {"one step": f"{paper.MAE_VALIDATION} / –", "ms": 1000 * paper.NETWORK_SECONDS}
    table = {f"the paper, {paper.EPOCHS} epochs": reported}
    results = select(results, metric="MAE", against=None)
    configurations = _configurations(results, titles, fields)
    for title, rows in configurations.items():
        table[title] = _errors_of(rows) | _beside_solver(measured, rows)
    solver = results[results["kind"] == SOLVER]
    of_grid = (solver["against"] == AGAINST) | (solver["discretization"] == str(PAPER))
    default = None if measured is None else measured[measured["default"]]
    time = {} if default is None or default.empty else {"ms": 1000 * default["seconds"].max()}
    table["reference model, as the data (numerical error)"] = _errors_of(solver[of_grid]) | time
    for stride in dict.fromkeys(rows["stride"].iloc[0] for rows in configurations.values()):
        title, errors_ = _naive(results, stride)
        table[title] = errors_
    table = pd.DataFrame.from_dict(table, orient="index")
    columns = [name for name in (*_errors_of(results), "ms", "solver's ms") if name in table]
    return table[columns].dropna(how="all").rename_axis("").reset_index()


def _errors_of(rows) -> dict[str, str | None]:
    """Errors in single steps, over whole loads, and over these against converged fields."""
    whole = rows[rows["mode"] != "one-step"]
    return {
        "one step": _in_both_parts(select(rows, mode="one-step")),
        "whole load": _in_both_parts(select(whole)),
        "whole load, converged": _in_both_parts(select(whole, against=str(CONVERGED))),
    }


def _in_both_parts(rows) -> str | None:
    parts = select(rows, split="validation", against=None), select(rows, suite=UNSEEN, against=None)
    found = [spread(part["value"]) for part in parts]
    return " / ".join(value or "–" for value in found) if any(found) else None


def _naive(results, stride) -> tuple[str, dict]:
    """What needs no network and has the least error, in single steps and over whole loads."""
    rows, names, errors_ = results[results["kind"] == NAIVE], [], {}
    rows = rows[rows["stride"] == stride]
    for column, mode in (("one step", "one-step"), ("whole load", "rollout")):
        of_mode = select(rows, mode=mode)
        if len(of_mode):
            names.append(of_mode.groupby("model")["value"].mean().idxmin())
            errors_[column] = _in_both_parts(of_mode[of_mode["model"] == names[-1]])
    at = f", Δt = {time_step(stride)}" if stride != 1 else ""
    return f"no network: {'; '.join(dict.fromkeys(names))}{at}", errors_


def _beside_solver(measured, rows):
    """Time on one core, and that of the reference model for an error that is no larger.

    Against the paper's kind of fields, or against converged ones if it is judged by these alone.
    """
    one = None if measured is None else measured[measured["cores"] == 1]
    if one is None or not one["contender"].isin(rows["run"]).any():
        return {}
    network = one[one["contender"].isin(rows["run"])].sort_values("seconds").iloc[0]
    error = "mae" if (rows["against"] == AGAINST).any() else "mae_converged"
    solver = one[(one["contender"] == "reference model") & (one[error] <= network[error])]
    return {"ms": 1000 * network["seconds"], "solver's ms": 1000 * solver["seconds"].min()}


def by_suite(
    results: pd.DataFrame, one_step: bool, titles: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """MAE in MPa of every suite, a row each, and every network, a column each.

    Parameters
    ----------
    results : DataFrame
    one_step : bool
        Of single steps, beside what the paper reports; or of whole loads.
    titles : mapping, optional
        As for `shown`.
    """
    found = select(results, metric="MAE")
    configurations = _configurations(found[(found["mode"] == "one-step") == one_step], titles)
    rows = []
    for label, (suite, split) in all_lines().items():
        row = {"": label}
        for title, of_network in configurations.items():
            here = select(of_network, suite=suite, split=split)
            row |= {title: spread(here["value"]), "n": here["n"].max()} if len(here) else {}
        if len(row) > 1:
            reported = {"the paper": _reported(suite, split)} if one_step else {}
            rows.append({"": row.pop(""), **reported, **row})
    if not rows:
        return pd.DataFrame()
    return pd.DataFrame(rows)[["", *rows[0].keys() & {"the paper"}, *configurations, "n"]]


def all_lines() -> dict[str, tuple[str, str]]:
    """Title -> suite and part of it: those of the paper first, then what suites add."""
    of_suites = (section for suite in SUITES.values() for section in suite.sections)
    sections = dict.fromkeys((*SECTIONS, *of_suites))
    return {title: about for section in sections for title, about in lines(section).items()}


def training(
    histories: Mapping[str, pd.DataFrame], titles: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """What networks have learned from, and how well: a row each.

    Parameters
    ----------
    histories : mapping
        Run -> learning curve with the column `fields`, of all that were learned from so far.
    titles : mapping, optional
        Run -> what it is called.
    """
    rows = []
    for run, history in histories.items():
        last, fields = history.iloc[-1], history["fields"]
        covered = fields.iloc[0] <= AT_FIELDS <= fields.iloc[-1]
        at = np.interp(AT_FIELDS, fields, history["mae_validation"]) if covered else None
        before = int(history["epoch"].iloc[0]) - 1
        rows.append(
            {
                "": (titles or {}).get(run, run),
                "epochs": int(last["epoch"]),
                "epochs of the run it started from": before or None,
                "million fields": fields.iloc[-1] / 1e6,
                "training MAE / MPa": last["mae_training"],
                f"validation MAE / MPa at {AT_FIELDS:,} fields": at,
                "at the end": last["mae_validation"],
                "least": history["mae_validation"].min(),
            }
        )
    return pd.DataFrame(rows)


def spread(values: pd.Series) -> str | None:
    """Mean ± standard deviation over seeds, to the digits of the mean, or the one value."""
    if len(values) < 2:
        return None if values.empty else digits(values.iloc[0])
    return f"{digits(values.mean())} ± {values.std():.{_decimals(values.mean())}f}"


def over_seeds(values: pd.Series) -> str | None:
    """As `spread`, with the number of seeds."""
    return spread(values) + (f" ({len(values)} seeds)" if len(values) > 1 else "")


def naive_references(
    results: pd.DataFrame, titles: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """What every error has to be compared with: one row per model, mode and time step, validation.

    With the difference between DAMASK and our reference model, on the recorded trajectories.
    """
    whole = select(compared(results, titles))
    validation = (whole["suite"] == "paper") & (whole["split"] == "validation")
    table = errors(whole[validation | (whole["suite"] == "recorded")])
    table = _with_time_step(table.drop(columns=["suite", "split", "paper MAE / MPa"]))
    return table.sort_values(["mode", "MAE / MPa"], kind="stable")


def _with_time_step(table):
    """The stride as Δt, if there are several."""
    at = table.pop("stride")
    if at.nunique() > 1:
        table.insert(2, "Δt", at.map(time_step))
    return table


def by_region(results: pd.DataFrame, titles: Mapping[str, str] | None = None) -> pd.DataFrame:
    """MAE in MPa at triple junctions, boundaries, interiors, and by the cell's edge, validation.

    Against converged fields of whole loads only.
    """
    places, about = [*REGIONS, *FRAME], ["model", "mode", "against", "stride"]
    rows = compared(results, titles)
    rows = rows[rows["region"].isin(places) & (rows["metric"] == "MAE")]
    rows = rows[(rows["suite"] == "paper") & (rows["split"] == "validation")]
    rows = rows[(rows["against"] == AGAINST) | (rows["mode"] != "one-step")]
    rows = rows[rows["F11"].isna() & rows["distance_px"].isna()]
    table = rows.pivot_table(index=about, columns="region", values="value")
    table = table[[place for place in places if place in table]].reset_index()
    table = _with_time_step(table.rename_axis(columns=None))
    table["against"] = table["against"].map({AGAINST: "the data"}).fillna("converged fields")
    return table.sort_values(["against", "mode", "model"], ascending=[False, True, True])


def converged(results: pd.DataFrame, titles: Mapping[str, str] | None = None) -> pd.DataFrame:
    """MAE in MPa of whole trajectories against converged fields: a row per suite.

    First of the reference model on fewer points, whose one point per pixel is what the paper's kind
    of data is; then of what predicts.
    """
    found = select(compared(results, titles), metric="MAE", against=str(CONVERGED))
    found = found[(found["mode"] != "one-step") & (found["split"] != "training")]
    rows = []
    for label, (suite, split) in all_lines().items():
        of_line = select(found, suite=suite, split=split, against=None)
        if len(of_line):
            row = {"": label} | of_line.set_index("model")["value"].to_dict()
            rows.append(row | {"n": of_line["n"].max()})
    if not rows:
        return pd.DataFrame()
    table, solvers = pd.DataFrame(rows), set(found.loc[found["kind"] == SOLVER, "model"])
    solver = [name for name in table if name in solvers]
    others = [name for name in table if name not in ("", "n", *solver)]
    return table[["", *solver, *others, "n"]]


def worth_it(measured: pd.DataFrame, error: str = "mae") -> pd.DataFrame:
    """Times without the settings of a contender that another of its settings beats in both.

    An error up to `ALIKE` times as large is no worse. Of networks all settings stay. `error` is the
    column of the errors.
    """

    def beaten(row):
        others = measured[measured["cores"] == row["cores"]]
        others = others[others["contender"] == row["contender"]]
        no_worse = others[error] < ALIKE * row[error]
        return ((others["seconds"] < row["seconds"]) & no_worse).any()

    kept = measured["default"] | (measured["kind"] == "network")
    return measured[~measured.apply(beaten, axis=1) | kept]


def speed(measured: pd.DataFrame) -> pd.DataFrame:
    """Seconds per simulation, and how many times fewer than of DAMASK and of our solver."""
    one = measured[measured["cores"] == 1]
    kept = worth_it(one).index.union(worth_it(one, "mae_converged").index)
    one = one.loc[kept].copy()
    damask = one.loc[one["contender"] == "DAMASK", "seconds"].min()
    solver = one.loc[one["default"], "seconds"].min()
    faster = {"than DAMASK": damask, "than our RM": solver}
    for than, seconds in faster.items():
        one[f"times faster {than}"] = seconds / one["seconds"]
    same = ["contender", *SETTING]
    parallel = measured.loc[measured["cores"] > 1, [*same, "seconds"]]
    one = one.merge(parallel.rename(columns={"seconds": "s, all cores"}), "left", on=same)
    one["setting"] = [described(row) for row in one.to_dict("records")]
    columns = {"contender": "", "setting": "setting", "seconds": "s, one core"}
    columns |= {
        "s, all cores": "s, all cores",
        "mae": "MAE / MPa",
        "mae_converged": "against converged fields",
        "one_step": "one-step MAE / MPa",
    }
    columns |= {name: name for name in (*(f"times faster {than}" for than in faster), "origin")}
    return one.sort_values("seconds", ascending=False)[list(columns)].rename(columns=columns)


def machines(measured: pd.DataFrame) -> pd.DataFrame:
    """Milliseconds per simulation on one core in the fastest setting: a column a machine.

    Of the reference model in the default setting.
    """
    one = measured[(measured["cores"] == 1) & (measured["origin"] == "measured")]
    one = one[(one["kind"] == "network") | one["default"]]
    seconds = one.groupby(["contender", "machine"], sort=False)["seconds"].min()
    table = (1000 * seconds).unstack().reset_index()
    return table.rename(columns={"contender": ""}).rename_axis(columns=None)


def bounds(measured: pd.DataFrame, predictor: str, beside: str | None = None) -> pd.DataFrame:
    """How often a predictor's bounds hold, and what an answer costs beside solving all cells.

    Of another predictor, `beside` it, the bounds alone.
    """
    found = measured[measured["predictor"] == predictor]
    found = found.sort_values("suite", key=lambda suite: suite.map([*SUITES].index))
    found = found.reset_index(drop=True)
    if "exact" in found and "solved" not in found:  # as they were called once
        found = found.rename(
            columns={"exact": "solved", "seconds, all exact": "seconds, all solved"}
        )
    if found.empty:
        return found
    columns = {
        "": [SUITES[suite].title for suite in found["suite"]],
        "MAE / MPa": found["MAE / MPa"],
        "bound / MPa": found["bound / MPa"],
        "rank correlation of score and error": found["rank correlation"],
        "within the bound": found["own"].map("{:.0%}".format),
        "within the paper's bound": found["paper"].map("{:.0%}".format),
        "like the paper's cells": found["like the paper's"].map({True: "yes", False: "no"}),
        "solved": found["solved"].map("{:.0%}".format),
        "time over the solver's": found["seconds"] / found["seconds, all solved"],
    }
    if beside is not None:
        columns[f"{beside}, bound / MPa"] = bounds(measured, beside)["bound / MPa"]
    return pd.DataFrame(columns)


def study(measured: pd.DataFrame) -> pd.DataFrame:
    """What single choices do: one row per choice and setting, with what it was trained on."""
    modes = [name for name in MODES if f"{name} MAE / MPa" in measured]
    shown = [*(f"{mode} MAE / MPa" for mode in modes)]
    once = ["persistence MAE / MPa", "parameters", "epochs", "n"]
    if "run" in measured:  # what every choice is compared with stands first, and once
        common = measured.groupby("run")["varied"].transform("nunique") > 1
        as_ours = {"varied": "nothing", "setting": "our reading"}
        first = measured[common].drop_duplicates("run").assign(**as_ours)
        measured = pd.concat([first, measured[~common]])
    rows = []
    for (varied, setting), group in measured.groupby(["varied", "setting"], sort=False):
        row = {"varied": varied, "setting": setting}
        if "one-step" in modes:
            row["Δt"] = time_step(group["stride"].iloc[0])
        row |= {column: over_seeds(group[column]) for column in shown}
        rows.append(row | {column: group[column].iloc[0] for column in once if column in group})
    return pd.DataFrame(rows)


def ablation(measured: pd.DataFrame) -> pd.DataFrame:
    """What each ingredient of the advanced network gains, by `repro.experiments.studies`.

    The gain is the MAE without the ingredient minus that of the whole recipe, which comes first,
    seed by seed.
    """
    recipe = measured["varied"].iloc[0]
    by_seed = measured.set_index(["varied", "setting", "seed"])[list(STUDIED.values())]
    whole = by_seed.xs(recipe, level="varied").droplevel("setting")
    rows = []
    for (varied, setting), group in by_seed.groupby(["varied", "setting"], sort=False):
        errors = group.droplevel(["varied", "setting"])
        row = {"left out": varied, "instead": setting}
        row |= {column: over_seeds(errors[column]) for column in STUDIED.values()}
        if varied != recipe:
            gains = (errors - whole).dropna()
            row |= {f"gain, {mode}": over_seeds(gains[name]) for mode, name in STUDIED.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def provenance(rows: pd.DataFrame) -> str:
    """Where numbers come from: each command with its commit, hardware and time, once."""
    sources = select(rows, metric="MAE").groupby(["command", "commit", "hardware"], sort=False)
    return "\n".join(
        f"- `{command}` (commit {commit}, {hardware}, {wall:.0f} s of prediction)"
        for (command, commit, hardware), wall in sources["wall_s"].sum().items()
    )
