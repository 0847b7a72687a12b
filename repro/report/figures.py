"""Figures, those of the paper in its form. Arrays and tables in, matplotlib figures out."""

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
from repro.data.discretization import CONVERGED
from repro.evaluation.results import SOLVER, select
from repro.report.tables import networks, time_step, worth_it

FIELD_MAP, ERROR_MAP, PROPERTY_MAP = "viridis", "magma", "cividis"  # all perceptually uniform
ONE_COLUMN, TWO_COLUMNS = 3.5, 7.1  # inches, as in the journal
FRAMES_PER_SECOND, LAST_FRAMES = 5, 5
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
_STRETCH = r"mean stretch $\bar F_{11}$"
_MODE_STYLE = {"one-step": "-", "rollout": "--"}


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
    middle.suptitle(r"(b) von Mises stress $\sigma_\mathrm{vM}$", x=0.01, ha="left")
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


def _field_panels(figure, F11, sigma_rm, sigma_network, columns):
    columns = min(columns, len(F11))
    shown = np.arange(1, columns + 1) * len(F11) // columns - 1  # the last one included
    F11, sigma_rm, sigma_network = F11[shown], sigma_rm[shown], sigma_network[shown]
    grid = figure.subplots(3, len(F11), squeeze=False)
    for axes_row, row in zip(grid, comparison(sigma_rm, sigma_network), strict=True):
        for axes, field in zip(axes_row, row.fields, strict=True):
            image = _field(axes, field, row.colours, 0, row.high)
        axes_row[0].set_ylabel(row.label)
        figure.colorbar(image, ax=axes_row, extend=row.extend, label="MPa")
    for axes, stretch in zip(grid[0], F11, strict=True):
        axes.set_title(rf"$\bar F_{{11}}$ = {stretch:.4f}")


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
        Row("|difference|", error, ERROR_MAP, np.percentile(error, 98), "max"),
    ]


def _mean_panels(figure, F11, sigma_rm, sigma_network):
    figure.suptitle("(c) mean over the cell", x=0.01, ha="left")
    left, right = figure.subplots(1, 2)
    mean_rm, mean_network = (sigma.mean((1, 2)) for sigma in (sigma_rm, sigma_network))
    left.plot(F11, mean_rm, "k-", label="reference model")
    left.plot(F11, mean_network, "C1o", label="network")
    right.plot(F11, 100 * np.abs(mean_network / mean_rm - 1), "C1o-")
    left.set(xlabel=_STRETCH, ylabel=r"$\sigma_\mathrm{vM}$ / MPa", ylim=(0, None))
    left.legend(loc="lower right")
    right.set(xlabel=_STRETCH, ylabel="relative error / %", ylim=(0, None))
    _stretch_axes(left, right)


def _stretch_axes(*all_axes):
    for axes in all_axes:
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
def histogram_figure(histogram: pd.DataFrame) -> Figure:
    """The paper's Fig. 11: shares of the pixels over E and over the stress at three stretches.

    Parameters
    ----------
    histogram : DataFrame
        Columns quantity ("E" or "sigma_vm"), F11, low, high, share.
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
    right.set(xlabel=r"$\sigma_\mathrm{vM}$ / MPa", ylabel="density / MPa$^{-1}$", xlim=(0, None))
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


def learning_curve(history: list[dict], title: str, steps: bool = True) -> Figure:
    """MAE over epochs; `history` has a row of epoch, mae_training, mae_validation an epoch."""
    return learning_curves({title: pd.DataFrame(history)}, steps)


@styled
def learning_curves(histories: dict[str, pd.DataFrame], steps: bool = True) -> Figure:
    """MAE over epochs of several runs; histories as in `learning_curve`.

    If it is of single steps, that of the paper stands beside it; else it is of whole trajectories.
    """
    figure = Figure(figsize=(ONE_COLUMN, 3.1), layout="constrained")
    axes = figure.subplots()
    for colour, (name, history) in enumerate(histories.items()):
        style = {"color": f"C{colour}", "marker": "." if len(history) < 10 else ""}
        axes.plot(history["epoch"], history["mae_training"], ls=":", **style)
        axes.plot(history["epoch"], history["mae_validation"], label=name, **style)
    if steps:
        axes.axhline(paper.MAE_VALIDATION, color="k", ls="--", lw=0.8)
        axes.plot([], [], "k--", lw=0.8, label=f"paper, validation, {paper.EPOCHS} epochs")
    axes.plot([], [], "k:", label="training, running mean")
    kind = "one-step" if steps else "trajectory"
    axes.set(xlabel="epoch", ylabel=f"{kind} MAE / MPa", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    _plain_numbers(axes.yaxis)
    figure.legend(loc="outside lower center", ncols=2, fontsize=6)
    axes.grid(alpha=0.3, which="both")
    return figure


def _plain_numbers(axis):
    """Label a logarithmic axis 1, 2, 5, 10, ... instead of by powers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


@styled
def increment_figure(results: pd.DataFrame) -> Figure:
    """MAE over the load, validation data, one panel a mode; `results` are result rows."""
    rows = select(results, suite="paper", split="validation", metric="MAE", F11=True)
    return _panels_by_mode(rows, "F11", _STRETCH, _stretch_axes)


@styled
def converged_figure(results: pd.DataFrame) -> Figure:
    """MAE over the load against converged fields, validation data, of whole trajectories."""
    about = {"suite": "paper", "split": "validation", "metric": "MAE", "F11": True}
    rows = select(results, against=str(CONVERGED), **about)
    rows = rows[rows["mode"] != "one-step"]
    figure = Figure(figsize=(TWO_COLUMNS, 3.4), layout="constrained")
    axes = figure.subplots()
    colours = iter(range(10))
    for (model, kind), part in rows.groupby(["model", "kind"], sort=False):
        solver = kind == SOLVER
        style = {"color": "k" if solver else f"C{next(colours)}", "marker": "" if solver else "o"}
        style["ls"] = {0: "-", 1: "--", 2: ":"}[len(axes.lines) % 3] if solver else "-"
        axes.plot(part["F11"], part["value"], label=model, ms=2.5, **style)
    axes.set(xlabel=_STRETCH, yscale="log", ylabel="MAE / MPa")
    _plain_numbers(axes.yaxis)
    axes.grid(alpha=0.3, which="both")
    _stretch_axes(axes)
    figure.legend(loc="outside lower center", ncols=2, fontsize=6)
    return figure


@styled
def distance_figure(results: pd.DataFrame) -> Figure:
    """MAE over the distance to the nearest grain boundary, validation data, one panel a mode."""
    rows = select(results, suite="paper", split="validation", metric="MAE", distance_px=True)
    return _panels_by_mode(
        rows, "distance_px", "distance to the nearest grain boundary / pixel", _whole_ticks
    )


def _whole_ticks(*all_axes):
    for axes in all_axes:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _panels_by_mode(rows, abscissa, label, finish):
    rows = rows[rows["kind"] != SOLVER]  # orders of magnitude below
    figure = Figure(figsize=(TWO_COLUMNS, 3.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    styles, legend = _line_styles(rows), {}
    for axes, mode in zip(panels, _MODE_STYLE, strict=True):
        for key, part in rows[rows["mode"] == mode].groupby(["model", "stride"]):
            (legend[key],) = axes.plot(part[abscissa], part["value"], **styles[key])
        axes.set(xlabel=label, yscale="log", title=mode)
        axes.grid(alpha=0.3, which="both")
    keys = [key for key in styles if key in legend]
    names = [f"{model}, Δt = {time_step(stride)}" for model, stride in keys]
    handles = [legend[key] for key in keys]
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=6)
    panels[0].set_ylabel("MAE / MPa")
    _plain_numbers(panels[0].yaxis)
    finish(*panels)
    return figure


def _line_styles(rows):
    """(model, stride) -> style: a colour a network; naive references in greys, dashed by stride."""
    trained = sorted(set(networks(rows)["model"]))
    naive = sorted(set(rows["model"]) - set(trained))
    strides = sorted(set(rows["stride"]), reverse=True)
    dashes = {stride: ("--", ":", "-.")[i % 3] for i, stride in enumerate(strides)}
    styles = {}
    for i, model in enumerate(trained):
        style = {"color": f"C{i}", "marker": "o", "ms": 2.5}
        styles |= {(model, stride): style for stride in strides}
    for i, model in enumerate(naive):
        style = {"color": str(0.75 * i / len(naive)), "lw": 0.9}
        styles |= {(model, stride): {**style, "ls": dashes[stride]} for stride in strides}
    return styles


@styled
def pareto_figure(speed: pd.DataFrame) -> Figure:
    """Error beside seconds per simulation on one core, of networks and of solvers alike.

    One row of panels for each machine: against the converged fields, and against the paper's kind.

    Parameters
    ----------
    speed : DataFrame
        Columns contender, kind, setting, default, cores, seconds, mae, mae_converged, machine.
    """
    machines = list(speed["machine"].unique())
    size = TWO_COLUMNS, 0.9 + 2.7 * len(machines)
    figure = Figure(figsize=size, layout="constrained")
    one = speed[speed["cores"] == 1]
    families = dict.fromkeys(_family(row) for row in one.itertuples())
    styles = _pareto_styles(list(families))
    grid = figure.subplots(len(machines), 2, squeeze=False, sharex=True)
    errors = {"mae_converged": "the converged fields", "mae": "fields of the paper's kind"}
    for axes_row, machine in zip(grid, machines, strict=True):
        here = one[one["machine"] == machine]
        for axes, (column, against) in zip(axes_row, errors.items(), strict=True):
            shown = worth_it(here[here[column].notna()], column)
            family = [_family(row) for row in shown.itertuples()]
            for name, part in shown.groupby(family):
                part = part.sort_values("seconds")
                axes.plot(1000 * part["seconds"], part[column], label=name, **styles[name])
            axes.set(xscale="log", yscale="log", ylabel=f"MAE against {against} / MPa")
            axes.set_title(machine.replace("; ", ";\n"), fontsize=6)
            axes.grid(alpha=0.3, which="both")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    for axes in grid[-1]:
        axes.set_xlabel("ms per simulation, one core")
    found = {name: line for axes in grid.flat for line, name in _labelled(axes)}
    shown = [name for name in families if name in found]
    handles = [found[name] for name in shown]
    figure.legend(handles, shown, loc="outside lower center", ncols=3, fontsize=6)
    return figure


def _labelled(axes):
    return zip(*axes.get_legend_handles_labels(), strict=True)


def _family(row) -> str:
    """What belongs on one line of the Pareto figure: one contender, and one grid of the solver."""
    if row.contender != "reference model":
        return row.contender
    parts = row.setting.split(", ")
    points = [part for part in parts if part.endswith("points")]
    return f"reference model, {'rotated, ' if 'rotated' in parts else ''}" + (
        points[0] if points else "1 x 1 points"
    )


def _pareto_styles(families) -> dict[str, dict]:
    """Solvers in greys with lines, networks in colours with markers of their own."""
    solvers = [name for name in families if name.startswith(("reference model", "DAMASK"))]
    greys = np.linspace(0, 0.7, len(solvers))
    dashes = ("-", "--", "-.", ":")
    styles = {
        name: {"color": str(grey), "marker": "o", "ms": 3, "ls": dashes[i % len(dashes)]}
        for i, (name, grey) in enumerate(zip(solvers, greys, strict=True))
    }
    networks_ = [name for name in families if name not in solvers]
    markers = "sD^v<>pPX*hd"
    return styles | {
        name: {"color": f"C{i % 10}", "marker": markers[i % len(markers)], "ms": 5, "ls": ":"}
        for i, name in enumerate(networks_)
    }
