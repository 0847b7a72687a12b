"""The paper's Fig. 12: a network's architecture, drawn from the network itself."""

from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from repro import paper
from repro.models.backend import keras
from repro.models.layers import on_grid
from repro.report.figures import TWO_COLUMNS, own_style

# What is drawn: kind of the layer -> colour and how it is called in the legend.
_DRAWN = {
    "InputLayer": ("#444444", "input"),
    "SeparableConv2D": ("#3b528b", "separable convolution {0}x{0}"),
    "Conv2D": ("#21918c", "convolution"),
    "MaxPooling2D": ("#d95f02", "max pooling"),
    "AveragePooling2D": ("#d95f02", "average pooling"),
    "UpSampling2D": ("#7570b3", "bilinear upsampling"),
    "Conv2DTranspose": ("#7570b3", "transposed convolution"),
    "Concatenate": ("#bbbbbb", "concatenation"),
    "Add": ("#e8c547", "addition"),
}
_GAP = 2.0  # between layers, in the unit of their width


def architecture_figure(model: keras.Model, size: int = paper.GRID) -> Figure:
    """Convolutions, poolings, upsamplings and skips of a network, for a cell of `size` pixels.

    A bar is a layer: its height the pixels along an edge; above it its channels and pixels.
    """
    layers = layer_boxes(model, size)
    position = {box.name: i * _GAP for i, box in enumerate(layers)}
    with own_style(), mpl.rc_context({"font.size": 7}):
        figure = Figure(figsize=(TWO_COLUMNS, 2.6), layout="constrained")
        axes = figure.subplots()
        for name, kind, pixels, channels, sources in layers:
            colour = _DRAWN[kind][0]
            x, height = position[name], pixels / size
            axes.add_patch(Rectangle((x, -height / 2), 1.2, height, color=colour, lw=0))
            shape = f"{channels}\n{pixels}²"
            axes.text(x + 0.6, height / 2 + 0.02, shape, va="bottom", ha="center", fontsize=6)
            for source in sources:
                if position[name] - position[source] > _GAP:
                    _skip(axes, position[source] + 0.6, x + 0.6, -height / 2)
        axes.set(xlim=(-1, (len(layers) + 0.2) * _GAP), ylim=(-1.05, 0.85))
        axes.axis("off")
        about = f"{model.name}: {model.count_params():,} parameters; above: channels, pixels"
        axes.set_title(about, fontsize=8)
        _legend(axes, model, {box.kind for box in layers})
        return figure


class Box(NamedTuple):
    """A layer that is drawn."""

    name: str
    kind: str
    pixels: int
    channels: int
    sources: list[str]  # names of the drawn layers before it


def layer_boxes(model: keras.Model, size: int) -> list[Box]:
    """The layers that are drawn, for a cell of `size` pixels."""
    origin = {}  # tensor -> last drawn layer before it
    drawn = []
    for layer in on_grid(model, size).layers:
        kind = type(layer).__name__
        sources = [] if kind == "InputLayer" else [origin[id(x)] for x in _inputs(layer)]
        if kind in _DRAWN:
            _, pixels, _, count = layer.output.shape
            drawn.append(Box(layer.name, kind, pixels, count, sources))
            origin[id(layer.output)] = layer.name
        else:
            origin[id(layer.output)] = source = sources[0]
            if kind == "Cropping2D":  # takes off what an upsampling was padded with
                i = next(i for i, box in enumerate(drawn) if box.name == source)
                drawn[i] = drawn[i]._replace(pixels=layer.output.shape[1])
    return drawn


def _inputs(layer):
    return layer.input if isinstance(layer.input, list) else [layer.input]


def _skip(axes, start, end, bottom):
    axes.add_patch(
        FancyArrowPatch(
            (start, bottom),
            (end, bottom),
            connectionstyle="arc3,rad=0.12",
            arrowstyle="-|>",
            mutation_scale=6,
            color="0.6",
            lw=0.8,
        )
    )


def _legend(axes, model, kinds):
    kernels = {la.kernel_size[0] for la in model.layers if "SeparableConv" in type(la).__name__}
    text = "/".join(map(str, sorted(kernels)))
    patches = [
        mpl.patches.Patch(color=colour, label=label.format(text))
        for kind, (colour, label) in _DRAWN.items()
        if kind in kinds
    ]
    axes.legend(handles=patches, loc="lower center", ncols=len(patches), frameon=False)
