"""Figures in the form of the paper's."""

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from repro import paper

FIELD_MAP, ERROR_MAP, PROPERTY_MAP = "viridis", "magma", "cividis"
_STYLE = {"font.size": 8, "axes.titlesize": 8, "image.origin": "lower", "savefig.dpi": 200}


def prediction_figure(property_maps, F11, sigma_rm, sigma_network, columns: int = 4) -> Figure:
    """The form of the paper's Figs. 1-3 for one microstructure.

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
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 10.2), layout="constrained")
        top, middle, bottom = figure.subfigures(3, 1, height_ratios=[1.15, 3.1, 1.4])
        _property_panels(top, property_maps)
        columns = min(columns, len(F11))
        shown = np.arange(1, columns + 1) * len(F11) // columns - 1  # the last one included
        _field_panels(middle, F11[shown], sigma_rm[shown], sigma_network[shown])
        _mean_panels(bottom, F11, sigma_rm, sigma_network)
        return figure


def _property_panels(figure, property_maps):
    figure.suptitle("(a) microstructure", x=0.01, ha="left")
    labels = (r"$E$ / GPa", r"$\nu$", r"$\xi_0$ / MPa", r"$h_0$ / GPa")
    for i, axes in enumerate(figure.subplots(1, 4)):
        low, high = paper.PROPERTY_RANGES[i]
        image = _field(axes, property_maps[..., i], PROPERTY_MAP, low, high)
        figure.colorbar(image, ax=axes, location="bottom", label=labels[i])


def _field_panels(figure, F11, sigma_rm, sigma_network):
    figure.suptitle(r"(b) $\sigma_\mathrm{vM}$ / MPa", x=0.01, ha="left")
    error = np.abs(sigma_network - sigma_rm)
    scale = max(sigma_rm.max(), sigma_network.max())
    rows = (
        ("reference model", sigma_rm, FIELD_MAP, scale),
        ("network", sigma_network, FIELD_MAP, scale),
        ("|difference|", error, ERROR_MAP, np.percentile(error, 99.8)),
    )
    grid = figure.subplots(3, len(F11), squeeze=False)
    for axes_row, (name, fields, colours, high) in zip(grid, rows, strict=True):
        for axes, field, stretch in zip(axes_row, fields, F11, strict=True):
            image = _field(axes, field, colours, 0, high)
            if name == rows[0][0]:
                axes.set_title(rf"$\bar F_{{11}}$ = {stretch:.4f}")
        axes_row[0].set_ylabel(name)
        figure.colorbar(image, ax=axes_row, extend="neither" if high == scale else "max")


def _mean_panels(figure, F11, sigma_rm, sigma_network):
    figure.suptitle("(c) mean over the cell", x=0.01, ha="left")
    left, right = figure.subplots(1, 2)
    mean_rm, mean_network = sigma_rm.mean((1, 2)), sigma_network.mean((1, 2))
    left.plot(F11, mean_rm, "k-", label="reference model")
    left.plot(F11, mean_network, "C1o", ms=3, label="network")
    left.set(xlabel=r"$\bar F_{11}$", ylabel=r"mean $\sigma_\mathrm{vM}$ / MPa")
    left.legend()
    right.plot(F11, 100 * np.abs(mean_network / mean_rm - 1), "C1o-", ms=3)
    right.set(xlabel=r"$\bar F_{11}$", ylabel="relative error / %", ylim=(0, None))
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.ticklabel_format(axis="x", useOffset=False)
        axes.grid(alpha=0.3)


def _field(axes, field, colours, low, high):
    """Draw a field with x1, the loading direction, to the right and x2 upwards."""
    axes.set(xticks=[], yticks=[])
    return axes.imshow(field.T, cmap=colours, vmin=low, vmax=high, interpolation="nearest")


def learning_curve(history: list[dict], title: str) -> Figure:
    """MAE over epochs; `history` has a row of epoch, mae_training, mae_validation an epoch."""
    epoch, training, validation = (
        [row[key] for row in history] for key in ("epoch", "mae_training", "mae_validation")
    )
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(3.6, 2.8), layout="constrained")
        axes = figure.subplots()
        axes.semilogy(epoch, training, label="training (running)")
        axes.semilogy(epoch, validation, label="validation")
        axes.axhline(
            paper.MAE_VALIDATION, color="k", ls="--", lw=0.8, label="paper, validation, 500 epochs"
        )
        axes.set(xlabel="epoch", ylabel="one-step MAE / MPa", title=title)
        axes.legend()
        axes.grid(alpha=0.3, which="both")
        return figure
