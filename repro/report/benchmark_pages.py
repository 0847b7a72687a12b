"""Pages made from the rows of the benchmarks: tables, pictures and their templates."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro import paper
from repro.reference import TOLERANCE, batch_size
from repro.report.figures import ONE_COLUMN, styled
from repro.report.pictures import save_if_possible
from repro.report.templates import render
from repro.tools.csv_files import update_csv, write_csv
from repro.tools.files import write_text

PAIRS = round(paper.MICROSTRUCTURES * paper.TRAINING_FRACTION) * paper.INCREMENTS  # per epoch
WITHOUT = "plain fit without oneDNN"  # as TensorFlow comes with AVX2 alone
_TRAINED = ["network", "backend", "hardware"]
# A measurement replaces the last of the same.
SUBJECTS = {"benchmark_training": _TRAINED, "benchmark_commands": ["job", "hardware"]}


def write(name: str, rows: pd.DataFrame, out: Path) -> Path:
    """Write the rows of a benchmark, its page and its pictures into `out`.

    Parameters
    ----------
    name : str
        Key of `PAGES`: the rows are written to NAME.csv.
    rows : DataFrame
        Of `SUBJECTS`, those of other hardware in NAME.csv are kept.
    out : Path

    Returns
    -------
    Path
        The page.
    """
    if name in SUBJECTS:
        rows = update_csv(out / f"{name}.csv", rows, SUBJECTS[name])
    else:
        write_csv(out / f"{name}.csv", rows)
    page = out / f"{name.upper()}.md"
    write_text(page, text(name, rows))
    for picture, draw in drawings(name, rows).items():
        save_if_possible(out / f"{picture}.png", draw)
    return page


def text(name: str, rows: pd.DataFrame) -> str:
    """The page of a benchmark."""
    return render(name, name=name, rows=rows, **PAGES[name](rows))


def drawings(name: str, rows: pd.DataFrame) -> dict[str, Callable[[], Figure]]:
    """Name of every picture on the page of a benchmark, and how to draw it."""
    if name != "benchmark_reference":
        return {}
    by = dict(list(rows.groupby("sweep")))
    return {
        f"{name}_error": partial(_error_over_time, by["tolerance"]),
        f"{name}_grid": partial(_time_over_grid, by["grid"]),
    }


def _verification(rows: pd.DataFrame) -> dict:
    rows = rows.fillna({"case": "", "unit": ""})
    table = rows[["check", "case", "quantity", "value", "unit", "n"]].assign(
        bounds=[_bounds(low, high) for low, high in zip(rows["low"], rows["high"], strict=True)],
        passed=np.where(rows["passed"], "yes", "**no**"),
    )
    checks = {
        check: part.drop(columns="check") for check, part in table.groupby("check", sort=False)
    }
    bounded = rows[(rows["low"] > -np.inf) | (rows["high"] < np.inf)]
    return {"checks": checks, "bounded": bounded}


def _bounds(low, high):
    if np.isinf(low) and np.isinf(high):
        return ""
    if np.isinf(low):
        return f"≤ {high:g}"
    return f"≥ {low:g}" if np.isinf(high) else f"{low:g} … {high:g}"


def _reference(rows: pd.DataFrame) -> dict:
    by = {
        sweep.replace(" ", "_"): part.dropna(axis="columns", how="all")
        for sweep, part in rows.groupby("sweep", sort=False)
    }
    best = by["workers"].loc[by["workers"]["seconds"].idxmin()]
    growth = zip(("per simulation", "per evaluation"), _growth(by["grid"]), strict=True)
    by["grid"] = by["grid"].assign(**dict(growth))
    return {**by, "best": best, "TOLERANCE": TOLERANCE}


def _training(rows: pd.DataFrame) -> dict:
    epoch, layers = (rows[rows["sweep"] == sweep] for sweep in ("epoch", "layers"))
    return {
        "paper": paper,
        "pairs": PAIRS,
        "rates": _rates(epoch),
        "layers": _by_layer(layers) if len(layers) else None,  # with TensorFlow on a CPU only
    }


def _commands(rows: pd.DataFrame) -> dict:
    return {"table": rows[["hardware", "job", "seconds", "memory_MiB"]]}


def _scaling(rows: pd.DataFrame) -> dict:
    by = {sweep.replace(" ", "_"): part for sweep, part in rows.groupby("sweep", sort=False)}
    by["engine"] = by["engine"].astype({"workers": int})
    engine = by["engine"].pivot(index="workers", columns="contender")
    seconds, processor = engine["seconds"], engine["cpu_seconds"]
    engines = pd.DataFrame(
        {
            "threads / 1/s": 1 / seconds["threads"],
            "Dask / 1/s": 1 / seconds["dask"],
            "threads / processor ms": 1000 * processor["threads"],
            "Dask / processor ms": 1000 * processor["dask"],
            "overhead / %": 100 * (processor["dask"] / processor["threads"] - 1),
        }
    ).reset_index()
    made, read, trained = (
        by[sweep].set_index("contender") for sweep in ("make", "read", "training")
    )
    task = by["empty_task"]["seconds"].max()
    solve = processor["dask"].iloc[0]
    return {
        "engines": engines,
        "task": task,
        "solve": solve,
        "per_shard": batch_size(),
        "check": by["check"]["seconds"].iloc[0],
        "made": made,
        "read": read,
        "trained": trained,
        "plan": pd.DataFrame(
            _planned(count, per_shard, solve, task, made.loc["joined"])
            for count in (10**6, 10**7)
            for per_shard in (batch_size(), 1000)
        ),
    }


def _planned(count, per_shard, solve, task, joined) -> dict:
    """What `count` simulations take, in shards of `per_shard`, at the rates that were measured."""
    return {
        "simulations": f"{count:,}",
        "--per-shard": per_shard,
        "core-hours": count * solve / 3600,
        "TB": count * joined["bytes"] / 1e12,
        "shards": f"{count // per_shard:,}",
        "scheduler / min": count / per_shard * task / 60,
        "cores a scheduler keeps busy": int(per_shard * solve / task),
        "join / h": count * joined["seconds"] / 3600,
    }


def _rates(epoch: pd.DataFrame) -> pd.DataFrame:
    rate = epoch.assign(rate=epoch["n"] / epoch["seconds"])
    wide = rate.pivot(index=_TRAINED, columns="contender", values="rate").reset_index()
    return pd.DataFrame(
        {
            **{column: wide[column] for column in _TRAINED},
            "trainer / 1/s": wide["trainer"],
            **{f"{name} / 1/s": wide[name] for name in ("plain fit", WITHOUT) if name in wide},
            "ratio": wide["trainer"] / wide["plain fit"],
            f"{paper.EPOCHS} epochs / h": paper.EPOCHS * PAIRS / wide["trainer"] / 3600,
        }
    )


def _by_layer(layers: pd.DataFrame) -> pd.DataFrame:
    about = [*_TRAINED, "layer", "layers"]
    wide = (1e3 * layers.set_index([*about, "contender"])["seconds"]).unstack("contender")
    wide = wide[["plain fit", "trainer"]].add_suffix(" / ms").reset_index()
    wide = wide.sort_values([*_TRAINED, "plain fit / ms"], ascending=[True] * 3 + [False])
    return wide.astype({"layers": int}).drop(columns="backend")


def _growth(grid: pd.DataFrame):
    """Time over N^2 log N of a simulation and of an evaluation, relative to the paper's grid."""
    cost = grid["cpu_seconds"] / (grid["N"] ** 2 * np.log2(grid["N"]))
    at_paper = grid["N"] == paper.GRID
    for values in (cost, cost / grid["evaluations"]):
        yield values / float(values[at_paper].iloc[0])


@styled
def _error_over_time(rows: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(ONE_COLUMN, 2.8), layout="constrained")
    axes = figure.subplots()
    # Of DAMASK only the time by the clock is known, on one thread.
    rows = rows.assign(time=rows["cpu_seconds"].fillna(rows["seconds"]))
    for solver, marker in (("this", "o-"), ("DAMASK", "s")):
        part = rows[rows["solver"] == solver]
        axes.loglog(part["time"], part["mae"], marker, ms=4, label=solver)
        for _, row in part.iterrows():
            axes.annotate(
                f"{row['tol']:.0e}",
                (row["time"], row["mae"]),
                (4, 3),
                fontsize=6,
                textcoords="offset points",
            )
    axes.set(xlabel="processor seconds per simulation", ylabel=r"MAE of $\sigma_\mathrm{vM}$ / MPa")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


@styled
def _time_over_grid(rows: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(ONE_COLUMN, 2.8), layout="constrained")
    axes = figure.subplots()
    N = rows["N"].to_numpy(float)
    cost = N**2 * np.log2(N)
    seconds = rows["cpu_seconds"].to_numpy()
    axes.loglog(N, seconds, "o-", ms=4, label="measured")
    axes.loglog(N, cost * seconds[0] / cost[0], "k--", lw=0.8, label=r"$\propto N^2 \log N$")
    axes.set(xlabel="pixels along an edge, N", ylabel="processor seconds per simulation")
    axes.set_xticks(N, [f"{n:g}" for n in N])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


# Name of a benchmark, which is that of its CSV and of its template -> what the template asks for.
PAGES = {
    "verification": _verification,
    "benchmark_reference": _reference,
    "benchmark_training": _training,
    "benchmark_scaling": _scaling,
    "benchmark_commands": _commands,
}
