"""Tables from result rows; nothing in them is typed by hand."""

from collections.abc import Collection

import pandas as pd

from repro import paper
from repro.data.discretization import CONVERGED, PAPER
from repro.data.suites import SECTIONS, SUITES, lines, paper_mae
from repro.evaluation.metrics import METRICS
from repro.evaluation.regions import FRAME, REGIONS
from repro.evaluation.results import AGAINST, SOLVER, SURROGATE, select
from repro.tools.files import write_text

ALIKE = 1.1
MODES = ("one-step", "rollout", "trajectory")  # the last of who predicts it without stepping
STUDIED = {mode: f"{mode} MAE / MPa" for mode in ("one-step", "rollout")}  # columns of a study


def markdown(table: pd.DataFrame) -> str:
    """A pipe table of the columns of `table`, missing values as a dash."""

    def text(value):
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        return "–" if pd.isna(value) else shown.replace("|", "\\|")

    rows = [[text(value) for value in row] for row in table.itertuples(index=False)]
    lines = [list(table.columns), ["---"] * len(table.columns), *rows]
    return "\n".join("| " + " | ".join(line).replace("\n", " ") + " |" for line in lines)


def errors(results: pd.DataFrame) -> pd.DataFrame:
    """One row per model, suite, split, mode and stride: its errors, and the paper's MAE.

    What the errors are against is a column if it is not the paper's kind of fields alone.
    """
    about = ["model", "suite", "split", "mode", "stride"]
    whole = select(results, against=None)
    if (whole["against"] != AGAINST).any():
        about.append("against")
    wide = whole.pivot(index=[*about, "n"], columns="metric", values="value").reset_index()
    trained = set(networks(whole)["model"])
    reported = [
        paper_mae(row.suite, row.split) if row.model in trained else None
        for row in wide.itertuples()
    ]
    shown = {name: f"{name} / {metric.unit}" for name, metric in METRICS.items() if metric.whole}
    measures = wide.reindex(columns=list(shown)).rename(columns=shown)
    return pd.concat([wide[about], measures, wide["n"]], axis=1).assign(
        **{"paper MAE / MPa": reported}
    )


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


def main_table(
    results: pd.DataFrame,
    measured: pd.DataFrame | None = None,
    shown: Collection[str] | None = None,
) -> pd.DataFrame:
    """The paper and networks side by side: a column each, a row per quantity.

    Runs that differ in their seed only share a column. A run is judged by its last weights and by
    its best ones, which were chosen on the validation part: "NAME (last)" and "NAME" in `results`.

    Parameters
    ----------
    results : DataFrame
    measured : DataFrame, optional
        Times as of `repro.benchmarks.speed`.
    shown : collection of str, optional
        Runs that have a column; by default all.
    """
    found = networks(select(results, metric="MAE", against=None))
    found = found.assign(run=found["model"].str.removesuffix(LAST))
    if shown is not None:
        found = found[found["run"].isin(shown)]
    # The best weights name the configuration, if there are any: they come first.
    alike = found.sort_values("weights").groupby("run")["configuration"].first()
    alike = found["run"].map(alike).fillna(found["run"])
    columns = {}
    # The paper's network comes first, and of each network the longest training.
    order = (found["network"] != "paper_unet").rename("ours"), -found["epochs"].astype(float)
    for (_, less, _, stride, _), rows in found.groupby([*order, "network", "stride", alike]):
        title = ", ".join(rows["run"].unique())
        columns[title] = {"Δt": time_step(stride), "epochs": f"{-less:.0f}"}
        columns[title] |= _errors_of(rows) | _naive_errors(results, stride)
        columns[title] |= _beside_solver(measured, set(rows["model"]))
    rows = dict.fromkeys(row for column in (*columns.values(), _PAPER) for row in column)
    table = pd.DataFrame({"the paper": _PAPER, **columns}, index=list(rows))
    return table.dropna(how="all").rename_axis("").reset_index()


LAST = " (last)"  # ends the name of a model of which the last weights are meant
UNSEEN = "grains10"  # cells like those of the validation part, on which nothing was ever selected
_PAPER = {
    "Δt": "not stated",
    "epochs": str(paper.EPOCHS),
    "one-step, validation part, last weights": str(paper.MAE_VALIDATION),
    "seconds per simulation": str(paper.NETWORK_SECONDS),
}


def _errors_of(rows):
    """Errors of the runs of one configuration, over seeds: the last weights first.

    Against converged fields of unseen cells only, and of the last weights if there are any.
    """
    of_paper, fine = (rows[rows["against"] == str(kind)] for kind in (PAPER, CONVERGED))
    where = {
        "validation part": of_paper[of_paper["split"] == "validation"],
        "unseen cells": of_paper[of_paper["suite"] == UNSEEN],
    }
    found = {
        f"{mode}, {part}, {weights} weights": over_seeds(
            select(of_part, mode=mode, weights=weights)["value"]
        )
        for mode in MODES
        for part, of_part in where.items()
        for weights in ("last", "best")
    }
    for mode in MODES:
        unseen = select(fine, suite=UNSEEN, mode=mode, against=None)
        weights = unseen["weights"].max()  # "last" comes after "best"
        values = unseen.loc[unseen["weights"] == weights, "value"]
        found[f"{mode}, unseen cells, against converged fields"] = over_seeds(values)
    return found


def _naive_errors(results, stride):
    """What needs no network, on the same steps of the validation part."""
    about = {"split": "validation", "mode": "one-step", "metric": "MAE", "stride": stride}
    return {
        f"{name}, one-step": over_seeds(select(results, model=name, **about)["value"])
        for name in ("persistence", "linear extrapolation")
    }


def _beside_solver(measured, models):
    """Time of a network on one core, and what the reference model does with as much time."""
    one = None if measured is None else measured[measured["cores"] == 1]
    if one is None or not one["contender"].isin(models).any():
        return {}
    network = one[one["contender"].isin(models)].sort_values("seconds").iloc[0]
    solver = one[one["contender"] == "reference model"]
    as_fast = solver[solver["seconds"] <= network["seconds"]]
    found = {"seconds per simulation": network["seconds"]}
    for error, against in (("mae", ""), ("mae_converged", ", against converged fields")):
        as_good = solver[solver[error] <= network[error]]
        found[f"error of the solver in the network's time{against}"] = as_fast[error].min()
        found[f"seconds of the solver at the network's error{against}"] = as_good["seconds"].min()
    return {name: f"{value:.2g}" for name, value in found.items() if pd.notna(value)}


def against_paper(results: pd.DataFrame, section: str) -> pd.DataFrame:
    """The paper's MAE beside ours, one row per line of the paper's table and a network.

    Parameters
    ----------
    results : DataFrame
    section : str
        One of `repro.data.suites.SECTIONS`.

    Returns
    -------
    DataFrame
        MAE in MPa in both modes, over runs that differ in their seed only as mean ± standard
        deviation.
    """
    found = networks(select(results, metric="MAE"))
    rows = []
    for label, (suite, split) in lines(section).items():
        of_line = select(found, suite=suite, split=split)
        # A model of which nothing but its name is known stands alone.
        runs = of_line["configuration"].fillna(of_line["model"])
        for (_, stride, epochs, _), group in of_line.groupby(["network", "stride", "epochs", runs]):
            rows.append(
                {
                    "": label,
                    "paper": paper_mae(suite, split),
                    "model": ", ".join(group["model"].unique()),
                    "Δt": time_step(stride),
                    "epochs": int(epochs),
                    **{
                        f"ours, {mode}": over_seeds(group.loc[group["mode"] == mode, "value"])
                        for mode in ("one-step", "rollout")
                    },
                    "n": group["n"].max(),
                }
            )
    table = pd.DataFrame(rows)
    if len(table) and table["paper"].isna().all():
        table = table.drop(columns="paper")
    return table


def sections() -> list[str]:
    """Sections of the results in their order: those of the paper, then what suites add."""
    of_suites = (section for suite in SUITES.values() for section in suite.sections)
    return list(dict.fromkeys((*SECTIONS, *of_suites)))


def over_seeds(values: pd.Series) -> str | None:
    """Mean ± standard deviation over seeds, or the one value."""
    if values.empty:
        return None
    if len(values) == 1:
        return f"{values.iloc[0]:.3f}"
    return f"{values.mean():.3f} ± {values.std():.3f} ({len(values)} seeds)"


def naive_references(results: pd.DataFrame) -> pd.DataFrame:
    """What every error has to be compared with: one row per model, mode and time step, validation.

    With the difference between DAMASK and our reference model, on the recorded trajectories.
    """
    whole = select(results)
    validation = (whole["suite"] == "paper") & (whole["split"] == "validation")
    table = errors(whole[validation | (whole["suite"] == "recorded")])
    table = table.drop(columns=["suite", "split", "paper MAE / MPa"])
    table.insert(2, "Δt", table.pop("stride").map(time_step))
    return table.sort_values(["mode", "Δt", "MAE / MPa"], kind="stable")


def by_region(results: pd.DataFrame) -> pd.DataFrame:
    """MAE in MPa at triple junctions, boundaries, interiors, and by the cell's edge, validation."""
    shown = [*REGIONS, *FRAME]
    rows = results[results["region"].isin(shown) & (results["against"] == AGAINST)]
    rows = rows[(rows["suite"] == "paper") & (rows["split"] == "validation")]
    table = rows.pivot_table(index=["model", "mode", "stride"], columns="region", values="value")
    table = table[[region for region in shown if region in table]].reset_index()
    table.insert(2, "Δt", table.pop("stride").map(time_step))
    return table.rename_axis(columns=None)


def converged(results: pd.DataFrame) -> pd.DataFrame:
    """MAE in MPa of whole trajectories against converged fields: a row per suite.

    First of the reference model on fewer points, whose one point per pixel is what the paper's kind
    of data is; then of what predicts.
    """
    found = select(results, metric="MAE", against=str(CONVERGED))
    found = found[found["mode"] != "one-step"]
    rows = []
    for section in sections():
        for label, (suite, split) in lines(section).items():
            of_line = select(found, suite=suite, split=split, against=None)
            if len(of_line) and split != "training":
                row = {"": label} | of_line.set_index("model")["value"].to_dict()
                rows.append(row | {"n": of_line["n"].max()})
    table = pd.DataFrame(rows).drop_duplicates(subset="") if rows else pd.DataFrame()
    solvers = set(found.loc[found["kind"] == SOLVER, "model"])
    solver = [name for name in table if name in solvers]
    others = [name for name in table if name not in ("", "n", *solver)]
    return table[["", *solver, *others, "n"]] if rows else table


def converged_by_region(results: pd.DataFrame) -> pd.DataFrame:
    """MAE in MPa of whole trajectories against converged fields by place, validation."""
    rows = results[(results["against"] == str(CONVERGED)) & (results["mode"] != "one-step")]
    rows = rows[(rows["suite"] == "paper") & (rows["split"] == "validation")]
    rows = rows[rows["region"].isin(["all", *REGIONS]) & (rows["metric"] == "MAE")]
    rows = rows[rows["F11"].isna() & rows["distance_px"].isna()]
    table = rows.pivot_table(index="model", columns="region", values="value")
    shown = [region for region in ("all", *REGIONS) if region in table]
    table = table.sort_values("all", ascending=False) if len(table) else table
    return table[shown].reset_index().rename_axis(columns=None)


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
    parallel = measured[measured["cores"] > 1].set_index(["contender", "setting"])["seconds"]
    keys = zip(one["contender"], one["setting"], strict=True)
    one["s, all cores"] = [parallel.get(key) for key in keys]
    columns = {"contender": "", "setting": "setting", "seconds": "s, one core"}
    columns |= {
        "s, all cores": "s, all cores",
        "mae": "MAE / MPa",
        "mae_converged": "against converged fields",
        "one_step": "one-step MAE / MPa",
    }
    columns |= {name: name for name in (*(f"times faster {than}" for than in faster), "origin")}
    return one.sort_values("seconds", ascending=False)[list(columns)].rename(columns=columns)


def bounds(measured: pd.DataFrame, predictor: str, beside: str | None = None) -> pd.DataFrame:
    """How often a predictor's bounds hold, and what an answer costs beside solving all cells.

    Of another predictor, `beside` it, the errors and the bounds alone.
    """
    found = measured[measured["predictor"] == predictor].reset_index(drop=True)
    if "exact" in found and "solved" not in found:  # as they were called once
        found = found.rename(
            columns={"exact": "solved", "seconds, all exact": "seconds, all solved"}
        )
    if found.empty:
        return found
    names = {
        "own": "within the bound",
        "own, fields": "fields within theirs",
        "paper": "within the paper's bound",
        "solved": "solved",
    }
    shares = {shown: found[name].map("{:.0%}".format) for name, shown in names.items()}
    columns = {
        "": [SUITES[suite].title for suite in found["suite"]],
        "MAE / MPa": found["MAE / MPa"],
        "bound / MPa": found["bound / MPa"],
        "rank correlation of score and error": found["rank correlation"],
        **shares,
        "like the paper's cells": found["like the paper's"].map({True: "yes", False: "no"}),
        "share of the solver's time": found["seconds"] / found["seconds, all solved"],
    }
    if beside is not None:
        other = bounds(measured, beside)[["MAE / MPa", "bound / MPa", "solved"]]
        columns |= other.add_prefix(f"{beside}, ")
    return pd.DataFrame({**columns, "n": found["n"]})


def study(measured: pd.DataFrame) -> pd.DataFrame:
    """What single choices do: one row per choice and setting, with what it was trained on."""
    modes = [name for name in MODES if f"{name} MAE / MPa" in measured]
    shown = [*(f"{mode} MAE / MPa" for mode in modes)]
    once = ["persistence MAE / MPa", "parameters", "epochs", "n"]
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
