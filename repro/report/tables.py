"""Tables from result rows; nothing in them is typed by hand."""

import pandas as pd

from repro import paper
from repro.data.suites import PAPER_MAE, lines
from repro.evaluation.metrics import QUANTILES
from repro.evaluation.regions import FRAME, REGIONS
from repro.evaluation.results import select
from repro.tools.files import atomic_path

STUDIED = {mode: f"{mode} MAE / MPa" for mode in ("one-step", "rollout")}  # columns of a study


def markdown(table: pd.DataFrame) -> str:
    """A pipe table of the columns of `table`, missing values as a dash."""

    def text(value):
        return "–" if pd.isna(value) else f"{value:.4g}" if isinstance(value, float) else str(value)

    rows = [[text(value) for value in row] for row in table.itertuples(index=False)]
    lines = [list(table.columns), ["---"] * len(table.columns), *rows]
    return "\n".join("| " + " | ".join(line).replace("\n", " ") + " |" for line in lines)


def errors(results: pd.DataFrame) -> pd.DataFrame:
    """One row a model, suite, split, mode and stride: its errors, and the paper's MAE."""
    about = ["model", "suite", "split", "mode", "stride"]
    whole = select(results)
    wide = whole.pivot(index=[*about, "n"], columns="metric", values="value").reset_index()
    trained = set(networks(whole)["model"])
    paper_mae = [
        PAPER_MAE.get((row.suite, row.split)) if row.model in trained else None
        for row in wide.itertuples()
    ]
    measures = wide[["MAE", "RMSE", *QUANTILES]].add_suffix(" / MPa")
    return pd.concat([wide[about], measures, wide["n"]], axis=1).assign(
        **{"paper MAE / MPa": paper_mae}
    )


def write_report(results: pd.DataFrame, path, title: str) -> None:
    """The Markdown page of a single run's results table."""
    page = f"# {title}\n\nGenerated; do not edit.\n\n{markdown(errors(results))}\n"
    with atomic_path(path) as temporary:
        temporary.write_text(page)


def networks(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of trained networks."""
    return results[results["epochs"].notna()]


def time_step(stride) -> str:
    """The time from input to output, such as "1 s"."""
    increment = (paper.F11_TRAINING - 1) / paper.RATE / paper.INCREMENTS
    return f"{round(stride * increment, 6):g} s"


def against_paper(results: pd.DataFrame, section: str) -> pd.DataFrame:
    """The paper's MAE beside ours, one row a line of the paper's table and a network.

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
                    "paper": PAPER_MAE.get((suite, split)),
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


def over_seeds(values: pd.Series) -> str | None:
    """Mean ± standard deviation over seeds, or the one value."""
    if values.empty:
        return None
    if len(values) == 1:
        return f"{values.iloc[0]:.3f}"
    return f"{values.mean():.3f} ± {values.std():.3f} ({len(values)} seeds)"


def naive_references(results: pd.DataFrame) -> pd.DataFrame:
    """What every error has to be compared with: one row a model, mode and time step, validation.

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
    rows = results[results["region"].isin(shown)]
    rows = rows[(rows["suite"] == "paper") & (rows["split"] == "validation")]
    table = rows.pivot_table(index=["model", "mode", "stride"], columns="region", values="value")
    table = table[[region for region in shown if region in table]].reset_index()
    table.insert(2, "Δt", table.pop("stride").map(time_step))
    return table.rename_axis(columns=None)


def speed(measured: pd.DataFrame) -> pd.DataFrame:
    """Seconds a simulation, and how many times faster that is than DAMASK and than our solver."""
    one = measured[measured["cores"] == 1].copy()
    damask = one.loc[one["contender"] == "DAMASK", "seconds"].min()
    solver = one.loc[one["default"], "seconds"].min()
    faster = {"than DAMASK": damask, "than our RM": solver}
    for than, seconds in faster.items():
        one[f"times faster {than}"] = seconds / one["seconds"]
    parallel = measured[measured["cores"] > 1].set_index(["contender", "setting"])["seconds"]
    keys = zip(one["contender"], one["setting"], strict=True)
    one["s, all cores"] = [parallel.get(key) for key in keys]
    columns = {"contender": "", "setting": "setting", "seconds": "s, one core"}
    columns |= {"s, all cores": "s, all cores", "mae": "MAE / MPa"}
    columns |= {name: name for name in (*(f"times faster {than}" for than in faster), "origin")}
    return one.sort_values("seconds", ascending=False)[list(columns)].rename(columns=columns)


def open_choices(measured: pd.DataFrame) -> pd.DataFrame:
    """What the paper leaves open, by `repro.experiments.studies`: one row a choice and setting."""
    return pd.DataFrame(
        {"varied": varied, "setting": setting, "Δt": time_step(group["stride"].iloc[0])}
        | {column: over_seeds(group[column]) for column in STUDIED.values()}
        | {column: group[column].iloc[0] for column in ("persistence MAE / MPa", "epochs", "n")}
        for (varied, setting), group in measured.groupby(["varied", "setting"], sort=False)
    )


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


def deviations(measured: pd.DataFrame) -> pd.DataFrame:
    """What each departure of a DAMASK set-up costs, over the most microstructures measured."""
    most = measured.sort_values("n", kind="stable").drop_duplicates("setting", keep="last")
    columns = {"setting": "setting", "needed": "the paper's", "mean_difference_MPa": "mean / MPa"}
    columns |= {"at_last_increment_MPa": "final / MPa", "n": "n"}
    return most.sort_index()[list(columns)].rename(columns=columns)


def provenance(rows: pd.DataFrame) -> str:
    """Where numbers come from: each command with its commit, hardware and time, once."""
    sources = select(rows, metric="MAE").groupby(["command", "commit", "hardware"], sort=False)
    return "\n".join(
        f"- `{command}` (commit {commit}, {hardware}, {wall:.0f} s of prediction)"
        for (command, commit, hardware), wall in sources["wall_s"].sum().items()
    )
