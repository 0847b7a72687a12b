"""Figures, those of the paper in its form. Arrays and tables in, matplotlib figures out."""

from collections.abc import Collection, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from repro import paper
from repro.data.discretization import CONVERGED, Discretization
from repro.evaluation.results import SOLVER, SURROGATE, select
from repro.report.tables import compared, digits, time_step, worth_it

FIELD_MAP, ERROR_MAP, PROPERTY_MAP = "viridis", "magma", "cividis"  # all perceptually uniform
ONE_COLUMN, TWO_COLUMNS = 3.5, 7.1  # inches, as in the journal
FRAMES_PER_SECOND, LAST_FRAMES = 5, 5
LEAST_RANGE = 12  # of the error of the mean stress, %
_STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "image.origin": "lower",
    "figure.dpi": 200,
    "axes.grid": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
}
# Every network has one colour in all figures, by the first words of its name; others follow.
_OWN_COLOURS = {
    "paper_unet": "C1",
    "res_unet": "C2",
    "baseline_unet": "C4",
    "direct_prediction": "C0",
    "learned_correction": "C3",
}
_STRETCH = r"mean stretch $\bar F_{11}$"


@contextmanager
def own_style():
    """Draw and write within the style of this module, whatever a user's matplotlibrc says.

    That may ask for a LaTeX that is not installed. Where ffmpeg is remains the user's.
    """
    ffmpeg = "animation.ffmpeg_path"
    kept = {ffmpeg: mpl.rcParams[ffmpeg]}
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE | kept)
        yield


def styled(draw):
    """Draw in `own_style`."""

    @wraps(draw)
    def with_style(*arguments, **options):
        with own_style():
            return draw(*arguments, **options)

    return with_style


def _colours(runs) -> dict[str, str]:
    """Colour of every run of a network."""
    free, found = iter(f"C{i}" for i in (5, 6, 8, 9, 7) * 20), {}
    for run in sorted(set(runs)):
        own = [colour for name, colour in _OWN_COLOURS.items() if run.startswith(name)]
        found[run] = own[0] if own else next(free)
    return found


def _label_ends(axes) -> None:
    """Write the label of every line right of its end, in its colour, and not over each other."""
    lines = [line for line in axes.lines if not line.get_label().startswith("_")]
    scale = axes.yaxis.get_transform().transform
    low, high = scale(np.array(axes.get_ylim()))
    ends = (scale(np.array([line.get_ydata()[-1] for line in lines])) - low) / (high - low)
    order, apart = np.argsort(ends), 0.055
    places = ends[order]
    for _ in range(200):  # push neighbours apart until none overlap
        gap = np.maximum(0, apart - np.diff(places))
        places[1:] += gap / 2
        places[:-1] -= gap / 2
        places = np.clip(places, 0.02, 0.98)
    for i, y in zip(order, places, strict=True):
        style = {"color": lines[i].get_color(), "fontsize": 6.5, "va": "center"}
        axes.text(1.02, y, lines[i].get_label(), transform=axes.transAxes, **style)


# --- Fields ------------------------------------------------------------------------------


@styled
def prediction_figure(property_maps, F11, sigma_rm, sigma_network, columns: int = 4) -> Figure:
    """The form of the paper's Figs. 1-8 for one microstructure.

    Parameters
    ----------
    property_maps : ndarray, shape (N, N, 4)
        E/GPa, nu, xi0/MPa, h0/GPa.
    F11 : ndarray, shape (S,)
        Mean stretch of the predicted increments.
    sigma_rm, sigma_network : ndarray, shape (S, N, N)
        von Mises stress of the reference model and of the network, MPa.
    columns : int
        How many of the increments are shown as fields.

    Returns
    -------
    Figure
        (a) the properties, (b) both fields and their difference, (c) mean stress and its error.
    """
    figure = Figure(figsize=(TWO_COLUMNS, 9.4), layout="constrained")
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[2.1, 5.4, 1.9])
    _property_panels(top, property_maps)
    mae = digits(float(np.abs(sigma_network - sigma_rm).mean()))
    about = rf"(b) von Mises stress $\sigma_\mathrm{{vM}}$; MAE over the load: {mae} MPa"
    middle.suptitle(about, x=0.01, ha="left")
    _field_panels(middle, F11, sigma_rm, sigma_network, columns)
    _mean_panels(bottom, F11, sigma_rm, sigma_network)
    return figure


@styled
def loading_film(F11, sigma_rm, sigma_network) -> FuncAnimation:
    """The loading as a film: both fields and their difference, each with one scale of colours.

    Arguments are those of `prediction_figure`; one picture per increment, the last stays longer.
    """
    figure = Figure(figsize=(TWO_COLUMNS, 2.45), dpi=110, layout="constrained")
    images = []
    rows = comparison(sigma_rm, sigma_network)
    for axes, row in zip(figure.subplots(1, 3), rows, strict=True):
        images.append(_field(axes, row.fields[0], row.colours, 0, row.high))
        axes.set_title(row.label)
        figure.colorbar(images[-1], ax=axes, extend=row.extend, label="MPa", shrink=0.84)
    title = figure.suptitle(" ", fontsize=8)

    def show(step):
        title.set_text(rf"von Mises stress at $\bar F_{{11}}$ = {F11[step]:.4f}")
        for image, row in zip(images, rows, strict=True):
            image.set_data(row.fields[step].T)
        return [*images, title]

    steps = [*range(len(F11)), *[len(F11) - 1] * LAST_FRAMES]
    return FuncAnimation(figure, show, steps, interval=1000 / FRAMES_PER_SECOND)


def _property_panels(figure, property_maps):
    figure.suptitle("(a) microstructure", x=0.01, ha="left")
    labels = (r"$E$ / GPa", r"$\nu$", r"$\xi_0$ / MPa", r"$h_0$ / GPa")
    for i, axes in enumerate(figure.subplots(1, 4)):
        low, high = paper.PROPERTY_RANGES[i]
        image = _field(axes, property_maps[..., i], PROPERTY_MAP, low, high)
        figure.colorbar(image, ax=axes, location="bottom", label=labels[i], shrink=0.9)
        if not i:
            axes.set(xlabel=r"$x_1$: loading $\longrightarrow$", ylabel=r"$x_2$")


def _field_panels(figure, F11, sigma_rm, sigma_network, columns):
    columns = min(columns, len(F11))
    shown = np.arange(1, columns + 1) * len(F11) // columns - 1  # the last one included
    F11, sigma_rm, sigma_network = F11[shown], sigma_rm[shown], sigma_network[shown]
    grid = figure.subplots(3, len(F11), squeeze=False)
    rows = comparison(sigma_rm, sigma_network)
    for axes_row, row in zip(grid, rows, strict=True):
        for axes, field in zip(axes_row, row.fields, strict=True):
            high = row.high if row is not rows[-1] else _high(field)
            image = _field(axes, field, row.colours, 0, high)
            if row is rows[-1]:  # each of its own scale: they grow over the load
                figure.colorbar(image, ax=axes, location="bottom", extend="max", label="MPa")
        axes_row[0].set_ylabel(row.label)
    image = grid[1, 0].images[0]
    figure.colorbar(image, ax=grid[:2], extend=rows[1].extend, label="MPa", shrink=0.6)
    for axes, stretch in zip(grid[0], F11, strict=True):
        axes.set_title(rf"$\bar F_{{11}}$ = {stretch:.4f}")


def _high(error):
    """Upper end of a scale that leaves out the highest pixels."""
    return np.percentile(error, 98)


class Row(NamedTuple):
    """Fields (S, N, N) that are shown with one scale of colours, from 0 to `high`."""

    label: str
    fields: np.ndarray
    colours: str
    high: float
    extend: str  # which end of the colour bar is open


def comparison(sigma_rm, sigma_network) -> list[Row]:
    """Reference model, network and their difference, fields (S, N, N) in MPa.

    The scale of the stress is that of the reference model, and that of the difference leaves out
    its highest pixels: a few that a network gets badly wrong do not darken the rest.
    """
    error, high = np.abs(sigma_network - sigma_rm), sigma_rm.max()
    extend = "max" if sigma_network.max() > high else "neither"
    return [
        Row("reference model", sigma_rm, FIELD_MAP, high, "neither"),
        Row("network", sigma_network, FIELD_MAP, high, extend),
        Row("|difference|", error, ERROR_MAP, _high(error), "max"),
    ]


def _mean_panels(figure, F11, sigma_rm, sigma_network):
    figure.suptitle("(c) mean over the cell", x=0.01, ha="left")
    left, right = figure.subplots(1, 2)
    mean_rm, mean_network = (sigma.mean((1, 2)) for sigma in (sigma_rm, sigma_network))
    left.plot(F11, mean_rm, "k-", label="reference model")
    left.plot(F11, mean_network, "C1o", label="network")
    relative = 100 * (mean_network / mean_rm - 1)
    right.plot(F11, relative, "C1o-")
    right.axhline(0, color="k", lw=0.8)
    left.set(xlabel=_STRETCH, ylabel=r"$\sigma_\mathrm{vM}$ / MPa", ylim=(0, None))
    left.legend(loc="lower right")
    # The same range in all figures, unless the error leaves it.
    ends = min(-LEAST_RANGE, 1.1 * relative.min()), max(LEAST_RANGE, 1.1 * relative.max())
    right.set(xlabel=_STRETCH, ylabel="error of the mean / %", ylim=ends)
    _stretch_axes(left, right)


def _stretch_axes(*all_axes):
    for axes in all_axes:
        axes.set_xlim(1, None if axes.lines else 2)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.ticklabel_format(axis="x", useOffset=False)
        axes.grid(alpha=0.3)


def _field(axes, field, colours, low, high):
    """Draw a field with x1, the loading direction, to the right and x2 upwards."""
    axes.set(xticks=[], yticks=[])
    return axes.imshow(field.T, cmap=colours, vmin=low, vmax=high, interpolation="nearest")


@styled
def periodic_cell_figure(grain_id) -> Figure:
    """The paper's Fig. 9: a random microstructure, with its periodic surroundings."""
    figure = Figure(figsize=(ONE_COLUMN, ONE_COLUMN), layout="constrained")
    axes = figure.subplots()
    N = len(grain_id)
    half = N // 2
    around = np.pad(grain_id, half, mode="wrap")
    extent = (-half, N + half) * 2
    style = {"cmap": "tab10", "extent": extent, "interpolation": "nearest"}
    axes.imshow(around.T, alpha=0.35, **style)
    axes.imshow(np.ma.masked_where(~_middle(around, half), around).T, **style)
    axes.add_patch(mpl.patches.Rectangle((0, 0), N, N, fill=False, lw=1.2))
    axes.set(xlabel=r"$x_1$ / pixel (loading direction)", ylabel=r"$x_2$ / pixel")
    axes.set(xticks=range(0, N + 1, N // 4), yticks=range(0, N + 1, N // 4))
    return figure


def _middle(field, margin):
    middle = np.zeros(field.shape, bool)
    middle[margin:-margin, margin:-margin] = True
    return middle


@styled
def histogram_figure(histogram: pd.DataFrame, above: str | None = None) -> Figure:
    """The paper's Fig. 11: shares of the pixels over E and over the stress at three stretches.

    Parameters
    ----------
    histogram : DataFrame
        Columns quantity ("E" or "sigma_vm"), F11, low, high, share.
    above : str, optional
        Share of the pixels above the stress of which the paper states it.
    """
    figure = Figure(figsize=(TWO_COLUMNS, 2.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    E = histogram[histogram["quantity"] == "E"]
    _density(left, E, color="C0", fill=True, alpha=0.5)
    left.set(xlabel="E / GPa", ylabel="density / GPa$^{-1}$")
    stress = histogram[histogram["quantity"] == "sigma_vm"]
    colours = mpl.colormaps[FIELD_MAP](np.linspace(0.1, 0.8, stress["F11"].nunique()))
    for colour, (F11, part) in zip(colours, stress.groupby("F11"), strict=True):
        _density(right, part, color=colour, label=rf"$\bar F_{{11}}$ = {F11:.3f}")
    right.axvline(paper.HIGH_STRESS, color="k", ls=":", lw=0.8)
    said = f"above {paper.HIGH_STRESS:g} MPa:\n{above or '?'} here,"
    said += f"\n{100 * paper.HIGH_STRESS_SHARE:.2g}% in the paper"
    right.text(1.03 * paper.HIGH_STRESS, 0.5, said, transform=right.get_xaxis_transform())
    right.set(xlabel=r"$\sigma_\mathrm{vM}$ / MPa", ylabel="density / MPa$^{-1}$", xlim=(0, None))
    right.set(yscale="log", ylim=(1e-8, None))
    right.legend()
    return figure


def _density(axes, part, **style):
    edges = [*part["low"], part["high"].iloc[-1]]
    axes.stairs(part["share"] / (part["high"] - part["low"]), edges, **style)


@styled
def points_figure(fields: dict[str, dict[int, np.ndarray]], F11: float) -> Figure:
    """One cell solved on more and more points: a row for each derivative.

    Parameters
    ----------
    fields : dict
        Derivative -> points per pixel -> stress of a part of the cell, MPa, (p N, p N).
    F11 : float
        Mean stretch.
    """
    points = list(next(iter(fields.values())))
    figure = Figure(figsize=(TWO_COLUMNS, 1.95 * len(fields)), layout="constrained")
    grid = figure.subplots(len(fields), len(points), squeeze=False)
    finest = fields[list(fields)[-1]][points[-1]]
    for axes_row, (derivative, by_points) in zip(grid, fields.items(), strict=True):
        for axes, (p, field) in zip(axes_row, by_points.items(), strict=True):
            image = _field(axes, field, FIELD_MAP, finest.min(), finest.max())
            axes.set_title(f"{p} x {p} point{'s' if p > 1 else ''} per pixel")
        axes_row[0].set_ylabel(derivative)
    label = rf"$\sigma_\mathrm{{vM}}$ / MPa at $\bar F_{{11}}$ = {F11:.3f}"
    figure.colorbar(image, ax=grid, extend="both", label=label, shrink=0.8)
    return figure


# --- Curves --------------------------------------------------------------------------------


@styled
def learning_curve(history: list[dict], title: str, steps: bool = True) -> Figure:
    """MAE over epochs; `history` has a row of epoch, mae_training, mae_validation an epoch.

    If it is of single steps, that of the paper stands beside it; else it is of whole trajectories.
    """
    figure = Figure(figsize=(ONE_COLUMN, 2.6), layout="constrained")
    axes = figure.subplots()
    _draw_curve(axes, pd.DataFrame(history), "epoch", _colours([title])[title], "validation")
    if steps:
        _paper_line(axes)
    axes.plot([], [], ":", color="0.5", label="training")
    kind = "one-step" if steps else "whole load"
    axes.set(xlabel="epoch", ylabel=f"{kind} MAE / MPa", yscale="log", title=title)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    _plain_numbers(axes.yaxis)
    axes.legend(fontsize=6)
    axes.grid(alpha=0.3, which="both")
    return figure


@styled
def learning_curves(histories: dict[str, pd.DataFrame], titles: dict[str, str]) -> Figure:
    """MAE over the fields that networks have learned from: single steps left, whole loads right.

    Parameters
    ----------
    histories : dict
        Run -> a row an epoch, as for `learning_curve`, with the columns `fields`, of all that were
        learned from so far, and `steps`, whether it is of single steps.
    titles : dict
        Run -> what it is called.
    """
    figure = Figure(figsize=(TWO_COLUMNS, 3.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True, sharex=True)
    colours = _colours(histories)
    for run, history in histories.items():
        axes = panels[0 if history["steps"].all() else 1]
        _draw_curve(axes, history, "fields", colours[run], titles.get(run, run))
    _paper_line(panels[0])
    for axes, title in zip(panels, ("single steps", "whole loads"), strict=True):
        axes.set(xscale="log", yscale="log", xlabel="fields learned from", title=title)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("MAE / MPa, validation (dotted: training)")
    _plain_numbers(panels[0].yaxis)
    for axes in panels:
        axes.autoscale_view()
        _label_ends(axes)
    return figure


SMOOTHED = 15  # epochs, of curves that are much longer


def _draw_curve(axes, history, abscissa, colour, label):
    """Errors of validation and, dotted, of training; of a long curve its running median."""
    x, validation = history[abscissa], history["mae_validation"]
    axes.plot(x, history["mae_training"], ":", color=colour, lw=0.9)
    style = {"color": colour, "label": label, "marker": "." if len(history) < 10 else ""}
    if len(history) > 10 * SMOOTHED:
        axes.plot(x, validation, color=colour, lw=0.5, alpha=0.35)
        around = validation.rolling(SMOOTHED, center=True).median()
        validation = around.fillna(validation.rolling(SMOOTHED, min_periods=1).median())
    axes.plot(x, validation, **style)
    if history["epoch"].iloc[0] > 1:  # it started from other weights
        axes.plot(x.iloc[:1], validation.iloc[:1], "o", color=colour, mfc="w", ms=5)


def _paper_line(axes):
    label = f"paper, {paper.EPOCHS} epochs"
    axes.axhline(paper.MAE_VALIDATION, color="k", ls="--", lw=0.8, label=label)


def _plain_numbers(axis):
    """Label a logarithmic axis 1, 2, 5, 10, ... instead of by powers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


@styled
def increment_figure(results: pd.DataFrame, titles: dict[str, str] | None = None) -> Figure:
    """MAE over the load, validation data, of what `tables.compared` shows."""
    return _panels_by_mode(compared(results, titles), "F11", _STRETCH, _stretch_axes)


@styled
def distance_figure(results: pd.DataFrame, titles: dict[str, str] | None = None) -> Figure:
    """MAE over the distance to the nearest grain boundary, as `increment_figure`."""
    label = "distance to grain boundary / pixel"
    return _panels_by_mode(compared(results, titles), "distance_px", label, _whole_ticks)


def _whole_ticks(*all_axes):
    for axes in all_axes:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _panels_by_mode(rows, abscissa, label, finish):
    """Single steps, whole loads, and these against converged fields, where there are such rows."""
    about = {"suite": "paper", "split": "validation", "metric": "MAE", "against": None}
    rows = select(rows, **about, **{abscissa: True})
    fine, step = rows["against"] == str(CONVERGED), rows["mode"] == "one-step"
    network = rows["kind"] != SOLVER  # whose error is orders of magnitude below, on one grid
    parts = {
        "single steps": rows[~fine & step & network],
        "whole loads": rows[~fine & ~step & network],
    }
    if fine.any():
        parts["whole loads, converged fields"] = rows[fine & ~step]
    runs = rows.dropna(subset="run").groupby("model")["run"].first() if "run" in rows else {}
    colours = _colours(runs)
    figure = Figure(figsize=(TWO_COLUMNS, 3.0), layout="constrained")
    panels = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for axes, (title, part) in zip(panels, parts.items(), strict=True):
        for (model, stride), curve in part.groupby(["model", "stride"]):
            name = model.replace("reference model, ", "")
            name += f", Δt = {time_step(stride)}" if stride != 1 else ""
            style = {"color": "0.4", "ls": "--", "lw": 0.9}
            if curve["kind"].iloc[0] == SURROGATE:
                style = {"color": colours[runs[model]], "marker": "o", "ms": 2}
            axes.plot(curve[abscissa], curve["value"], label=name, **style)
        axes.set(xlabel=label, yscale="log", title=title)
        axes.grid(alpha=0.3, which="both")
    panels[0].set_ylabel("MAE / MPa")
    _plain_numbers(panels[0].yaxis)
    finish(*panels)
    for axes in panels:
        _label_ends(axes)
    return figure


@styled
def pareto_figure(
    speed: pd.DataFrame,
    titles: Mapping[str, str] | None = None,
    left_out: Mapping[str, Collection[str]] | None = None,
) -> Figure:
    """Error beside time per simulation on one core, of networks and of the reference model.

    Left against the converged fields, right against the paper's kind, in the fastest setting. Not
    DAMASK, which is three orders of magnitude slower.

    Parameters
    ----------
    speed : DataFrame
        Of one machine, as of `repro.benchmarks.speed`.
    titles : mapping, optional
        Run -> what it is called.
    left_out : mapping, optional
        Column of errors, "mae_converged" or "mae" -> contenders that its panel does not show.
    """
    figure = Figure(figsize=(TWO_COLUMNS, 3.4), layout="constrained")
    figure.suptitle(speed["machine"].iloc[0], fontsize=7)
    one = speed[(speed["cores"] == 1) & (speed["contender"] != "DAMASK")]
    errors = {"mae_converged": "converged fields", "mae": "fields of the paper's kind"}
    for axes, (column, against) in zip(figure.subplots(1, 2), errors.items(), strict=True):
        elsewhere = one["contender"].isin((left_out or {}).get(column, ()))
        kept = one[~elsewhere & one[column].notna()]
        kept = worth_it(kept, column)
        kept = kept[kept[column] > LEAST_ERROR].sort_values("seconds")
        times = 1000 * kept["seconds"]
        # Room for the names: left of the fast ones, right of the slow ones.
        axes.set(xscale="log", yscale="log", xlim=(times.min() / 5, 4 * times.max()))
        of_network = kept["kind"] == "network"
        _solver_lines(axes, kept[~of_network], column)
        colours = _colours(kept.loc[of_network, "contender"])
        for row in kept[of_network].drop_duplicates("contender").to_dict("records"):
            at, colour = (1000 * row["seconds"], row[column]), colours[row["contender"]]
            axes.plot(*at, "D", color=colour)
            name = (titles or {}).get(row["contender"], row["contender"]).split(",")[0]
            left = at[0] < np.sqrt(np.prod(axes.get_xlim()))
            where = {"xytext": (-5 if left else 5, 0), "ha": "right" if left else "left"}
            axes.annotate(name, at, color=colour, va="center", **where, **_NEAR)
        axes.set(xlabel="ms per simulation, one core", ylabel=f"MAE against {against} / MPa")
        axes.grid(alpha=0.3, which="both")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    return figure


LEAST_ERROR = 0.05  # MPa: below it no network comes


_NEAR = {"textcoords": "offset points", "fontsize": 6.5}  # of a text beside a point


def _solver_lines(axes, rows, column):
    """The reference model: a line joins its settings on one grid."""
    grids = rows.groupby(["derivative", "points_per_pixel"])
    for i, ((derivative, points), part) in enumerate(grids):
        grey, times = str(0.18 * i), 1000 * part["seconds"]
        axes.plot(times, part[column], "o-", color=grey, ms=2.5)
        end = times.iloc[-1], part[column].iloc[-1]
        right = end[0] < axes.get_xlim()[1] / 9
        where = {"xytext": (3, -8)} if right else {"xytext": (3, 5), "ha": "right"}
        name = str(Discretization(derivative, int(points)))
        axes.annotate(name, end, color=grey, **where, **_NEAR)
