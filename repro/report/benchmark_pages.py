"""Pages made from the rows of the benchmarks: tables and pictures, nothing typed by hand."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro import paper
from repro.evaluation.results import replaced
from repro.reference import TOLERANCE
from repro.report.tables import markdown
from repro.tools.files import atomic_path

_STYLE = {"font.size": 8, "axes.titlesize": 8, "savefig.dpi": 200, "axes.grid": True}
_STYLE |= {"grid.alpha": 0.3, "legend.frameon": False}


def write_verification(rows: pd.DataFrame, out: Path) -> Path:
    """Write verification.csv and VERIFICATION.md into `out`; the page's path."""
    table = rows[["check", "case", "quantity", "value", "unit", "n"]].assign(
        bounds=[_bounds(low, high) for low, high in zip(rows["low"], rows["high"], strict=True)],
        passed=np.where(rows["passed"], "yes", "**no**"),
    )
    sections = [
        f"## {check}\n\n{markdown(part.drop(columns='check'))}"
        for check, part in table.groupby("check", sort=False)
    ]
    bounded = rows[(rows["low"] > -np.inf) | (rows["high"] < np.inf)]
    summary = (
        f"{len(rows)} measurements, {len(bounded)} of them with bounds, of which "
        f"{int(bounded['passed'].sum())} are kept. "
        "The checks are described in `repro/benchmarks/verification.py`; the independent solutions "
        "are in `repro/reference/exact.py`, the equations in `repro/reference/audit.py`."
    )
    return _write(
        rows, out, "verification", "Verification of the reference model", summary, sections
    )


def _bounds(low, high):
    if np.isinf(low) and np.isinf(high):
        return ""
    if np.isinf(low):
        return f"≤ {high:g}"
    return f"≥ {low:g}" if np.isinf(high) else f"{low:g} … {high:g}"


def write_reference(rows: pd.DataFrame, out: Path) -> Path:
    """Write benchmark_reference.csv, its pictures and BENCHMARK_REFERENCE.md into `out`."""
    by = dict(list(rows.groupby("sweep", sort=False)))
    tolerance, grid, batch, workers = (
        by[sweep].dropna(axis="columns", how="all")
        for sweep in ("tolerance", "grid", "batch", "workers")
    )
    name = "benchmark_reference"
    with mpl.rc_context(_STYLE):
        _save(_error_over_time(tolerance), out / f"{name}_error.png")
        _save(_time_over_grid(grid), out / f"{name}_grid.png")
    best = workers.loc[workers["seconds"].idxmin()]
    at_leisure = best["cpu_seconds"] / best["workers"]
    ours = tolerance[tolerance["solver"] == "this"]
    chosen = ours[np.isclose(ours["tol"], TOLERANCE, rtol=1e-3, atol=0)].iloc[0]
    columns = ["solver", "tol", "n", "seconds", "cpu_seconds", "evaluations", "mae", "max_error"]
    growth = ["a simulation", "an evaluation"]
    sections = [
        "## Error over time\n\n64x64 pixels, 20 increments, one core. At the default tolerance "
        f"{TOLERANCE:g}: {chosen['cpu_seconds']:.3f} s of processor time a simulation "
        f"({chosen['seconds']:.3f} s by the clock), MAE {chosen['mae_damask']:.4f} MPa against "
        "tight DAMASK. The times of DAMASK are of its own runs on one thread, its `tol` is "
        f"eps_rel_div_P.\n\n![error over time]({name}_error.png)\n\n"
        + _table(tolerance, [*columns, "mae_damask"]),
        "## Grid\n\nOne core, default tolerance. The last columns are the processor time over "
        "N² log N, a simulation and an evaluation of the constitutive law, relative to 64x64.\n\n"
        f"![time over grid]({name}_grid.png)\n\n"
        + _table(
            grid.assign(**dict(zip(growth, _growth(grid), strict=True))),
            ["N", "n", "seconds", "cpu_seconds", "evaluations", *growth],
        ),
        "## Batch\n\nOne core; seconds are per simulation.\n\n"
        + _table(batch, ["batch", "n", "seconds", "cpu_seconds"]),
        "## All cores\n\nThreads that solve one cell each. At the best of these rates 1000 "
        f"simulations take {1000 * best['seconds']:.0f} s, and {1000 * at_leisure:.0f} s if other "
        "work did not take its share of the cores.\n\n"
        + _table(workers, ["workers", "n", "seconds", "cpu_seconds"]),
        "## First simulation\n\nWith compilation, which is kept on disk.\n\n"
        + _table(by["first simulation"], ["N", "seconds", "cpu_seconds"]),
    ]
    loads = rows["load_before"]
    summary = (
        "Seconds a simulation, the fastest of repeated measurements after compilation: `seconds` "
        "by the clock, `cpu_seconds` of processor time, which other work on the machine disturbs "
        f"less (load average while this was measured: {loads.min():g} to {loads.max():g}). Errors "
        "are of the von Mises stress in MPa, against this solver at its tightest."
    )
    return _write(rows, out, name, "Speed of the reference model", summary, sections)


# Measurements of the trainer: one of a network with a backend on some hardware replaces the last.
_TRAINED = ["network", "backend", "hardware"]


def write_training(rows: pd.DataFrame, out: Path) -> Path:
    """Write benchmark_training.csv and BENCHMARK_TRAINING.md into `out`; other hardware stays."""
    name = "benchmark_training"
    if (out / f"{name}.csv").is_file():
        rows = replaced(pd.read_csv(out / f"{name}.csv"), rows, _TRAINED)
    epoch, layers = (rows[rows["sweep"] == sweep] for sweep in ("epoch", "layers"))
    sections = [
        "## An epoch\n\nSamples a second of the trainer and of `keras.Model.fit` on arrays, in "
        f"batches of {paper.BATCH_SIZE}; the paper's {paper.EPOCHS} epochs of "
        f"{_pairs_an_epoch():,} pairs at that rate, without validation.\n\n"
        + markdown(_rates(epoch))
    ]
    if len(layers):  # only measured with TensorFlow on a CPU
        sections.append(
            "## Layers\n\nMilliseconds of a training step by kind of layer, each layer on its own: "
            "output, and gradients of its inputs and weights.\n\n" + markdown(_by_layer(layers))
        )
    measured = epoch[["backend", "hardware"]].drop_duplicates().itertuples(index=False)
    summary = (
        "The fastest of repeated measurements after compilation, contenders in turn. Measured: "
        + "; ".join(f"{backend} on {hardware}" for backend, hardware in measured)
        + ". Nothing has been measured on other hardware."
    )
    return _write(rows, out, name, "Speed of training", summary, sections)


def _pairs_an_epoch() -> int:
    return round(paper.MICROSTRUCTURES * paper.TRAINING_FRACTION) * paper.INCREMENTS


def _rates(epoch: pd.DataFrame) -> pd.DataFrame:
    rate = epoch.assign(rate=epoch["n"] / epoch["seconds"])
    wide = rate.pivot(index=_TRAINED, columns="contender", values="rate").reset_index()
    return pd.DataFrame(
        {
            **{column: wide[column] for column in _TRAINED},
            "trainer / 1/s": wide["trainer"],
            "plain fit / 1/s": wide["plain fit"],
            "ratio": wide["trainer"] / wide["plain fit"],
            f"{paper.EPOCHS} epochs / h": paper.EPOCHS * _pairs_an_epoch() / wide["trainer"] / 3600,
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


def _table(rows: pd.DataFrame, columns) -> str:
    return markdown(rows[list(columns)])


def _error_over_time(rows: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(3.6, 2.8), layout="constrained")
    axes = figure.subplots()
    # Of DAMASK only the time by the clock is known, on one thread.
    rows = rows.assign(time=rows["cpu_seconds"].fillna(rows["seconds"]))
    for solver, marker in (("this", "o-"), ("DAMASK", "s")):
        part = rows[rows["solver"] == solver]
        axes.loglog(part["time"], part["mae"], marker, ms=4, label=solver)
        for _, row in part.iterrows():
            axes.annotate(
                f"{row['tol']:.0e}", (row["time"], row["mae"]), (4, 3), fontsize=6,
                textcoords="offset points",
            )  # fmt: skip
    axes.set(xlabel="processor seconds a simulation", ylabel=r"MAE of $\sigma_\mathrm{vM}$ / MPa")
    axes.legend()
    return figure


def _time_over_grid(rows: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(3.6, 2.8), layout="constrained")
    axes = figure.subplots()
    N = rows["N"].to_numpy(float)
    cost = N**2 * np.log2(N)
    seconds = rows["cpu_seconds"].to_numpy()
    axes.loglog(N, seconds, "o-", ms=4, label="measured")
    axes.loglog(N, cost * seconds[0] / cost[0], "k--", lw=0.8, label=r"$\propto N^2 \log N$")
    axes.set(xlabel="pixels along an edge, N", ylabel="processor seconds a simulation")
    axes.set_xticks(N, [f"{n:g}" for n in N])
    axes.minorticks_off()
    axes.legend()
    return figure


def _save(figure: Figure, path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _write(rows: pd.DataFrame, out: Path, name: str, title: str, summary: str, sections) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / f"{name}.csv") as temporary:
        rows.to_csv(temporary, index=False)
    command, commit, hardware = (
        " and ".join(rows[column].unique()) for column in ("command", "commit", "hardware")
    )
    head = (
        f"# {title}\n\nGenerated by `{command}` at commit {commit} on {hardware}, from "
        f"[{name}.csv]({name}.csv); do not edit."
    )
    page = out / f"{name.upper()}.md"
    with atomic_path(page) as temporary:
        temporary.write_text("\n\n".join([head, summary, *sections]) + "\n")
    return page
