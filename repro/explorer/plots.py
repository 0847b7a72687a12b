"""The pictures of the page: fields, maps whose grains can be picked and dragged, curves."""

import numpy as np
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    PointDrawTool,
)
from bokeh.plotting import figure
from matplotlib import colormaps
from matplotlib.colors import to_hex

MARK, PENDING = "#e4572e", "#e3e6ea"  # colours of what is selected, and of what is not there yet
_WHOLE = {"x": 0, "y": 0, "dw": 1, "dh": 1, "level": "image"}
_BARE = {"tools": "", "toolbar_location": None}


def colours(name: str, low: float = 0, high: float = 1) -> LinearColorMapper:
    """A colour map of matplotlib by name, from `low` to `high`."""
    palette = [to_hex(colour) for colour in colormaps[name](np.linspace(0, 1, 256))]
    return LinearColorMapper(palette, low=low, high=high, nan_color=PENDING)


def field(
    source: ColumnDataSource, name: str, title: str, edge: int, mapper: LinearColorMapper
) -> figure:
    """A column of a source as a picture, x1 to the right and x2 upwards, with its colour bar."""
    picture = figure(
        title=title,
        frame_width=edge,
        frame_height=edge,
        x_range=(0, 1),
        y_range=(0, 1),
        x_axis_location=None,
        y_axis_location=None,
        name=name,
        **_BARE,
    )
    picture.grid.visible = False
    image = picture.image(name, **_WHOLE, color_mapper=mapper, source=source)
    picture.add_tools(HoverTool(renderers=[image], tooltips=f"@{{{name}}}{{0.[000]}}"))
    bar = ColorBar(color_mapper=mapper, width=8, padding=6, major_label_text_font_size="11px")
    picture.add_layout(bar, "right")
    return picture


def let_drag(picture: figure, cell: ColumnDataSource, seeds: ColumnDataSource) -> figure:
    """Outline the marked grain of a picture, and let its seed points be dragged."""
    mark = LinearColorMapper([MARK], nan_color="#00000000")
    picture.image("mark", **_WHOLE, color_mapper=mark, source=cell)
    points = picture.scatter("x1", "x2", source=seeds, size=7, color="white", line_color="black")
    points.nonselection_glyph = None
    drag = PointDrawTool(renderers=[points], add=False)
    picture.add_tools(drag)
    picture.toolbar.active_drag = picture.toolbar.active_tap = drag
    return picture


def curve(title: str, width: int, height: int) -> figure:
    """An empty plot of something positive over the load."""
    plot = figure(title=title, width=width, height=height, **_BARE)
    plot.xaxis.formatter = NumeralTickFormatter(format="0.000")
    plot.y_range.start = 0
    return plot
