"""The page of the explorer: widgets and pictures over a `Session`, one for every browser tab."""

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import panel as pn
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, NumberFormatter, Span

from repro import paper
from repro.explorer import plots
from repro.explorer.session import LOADS, Session
from repro.report import figures

FADED = 0.35  # opacity of what is to be replaced
PAUSE = 100  # ms without a change, after which the network is asked
PROPERTIES = dict(zip(paper.PROPERTY_NAMES, ("E / GPa", "ν", "ξ0 / MPa", "h0 / GPa"), strict=True))
STEPS = (1.0, 0.005, 1.0, 0.5)  # of the sliders
STRESSES = ("reference model", "network", "|difference|")
FORMATS = dict(zip(PROPERTIES, ("0.0", "0.000", "0.0", "0.0"), strict=True))
SIDE, MAP, STRESS = 224, 138, 248  # pixels: width of the controls, edges of the pictures
WIDTH = 2 * (MAP + 52)  # of two maps with their colour bars
ABOUT_LOADS = (
    "A stretch holds the sides, a tension leaves them free of stress, a biaxial stretch the "
    "thickness. Cyclic: to the strain, to its negative, and back."
)
STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_networks = ThreadPoolExecutor(1)  # apart, since they would keep the page waiting


def serve(file: Path | None, port: int, browser: bool, allow_origin: Collection[str] = ()) -> None:
    """Serve the page to this machine until Ctrl-C; `port` 0 is any that is free.

    A browser that reaches it under another address, as through a tunnel, is refused unless
    `allow_origin` names that: HOST:PORT.
    """
    first = Session()
    if file:
        first.open(file)
    first.predict()  # compiles solver and network before somebody waits for them
    pn.extension("tabulator", raw_css=[STYLE])
    options = {"address": "127.0.0.1", "port": port, "show": browser, "title": "repro explorer"}
    if allow_origin:  # Bokeh then no longer adds the page's own name
        options["websocket_origin"] = [f"localhost:{port}", *map(str.lower, allow_origin)]
    try:
        pn.serve(lambda: Page(file).layout, **options)
    except OSError as error:
        raise ValueError(f"port {port}: {error.strerror}: choose another with --port") from None


class Page:
    """What one tab shows."""

    def __init__(self, file: Path | None = None):
        self.session, self.grain, self.refreshing = Session(), 0, False
        self.asked, self.waiting = Future(), None
        self.document = pn.state.curdoc
        self.cell, self.seeds = ColumnDataSource(name="cell"), ColumnDataSource(name="seeds")
        self.curve = ColumnDataSource()
        nothing = {name: [np.full((1, 1), np.nan)] for name in STRESSES}
        self.fields = ColumnDataSource(nothing, name="fields")
        self.predicted = ColumnDataSource({"at": [], "mean": [], "error": []})
        self.message = pn.pane.HTML(css_classes=["message"], visible=False, width=620)
        self.read_out = pn.pane.HTML(css_classes=["read-out"])
        self.progress = pn.pane.HTML(css_classes=["progress"])
        self._make_pictures()
        self._make_controls()
        self.layout = self._lay_out()
        self._show_controls()
        self._show_all()
        if file:
            self._change(self.session.open, file)

    # --- Controls ----------------------------------------------------------------------

    def _make_controls(self):
        number = partial(pn.widgets.IntInput, width=SIDE // 3 - 8, start=None)
        self.draw = [
            number(name="grains", value=paper.GRAINS),
            number(name="seed", value=0),
            pn.widgets.TextInput(name="pixels", value=str(paper.GRID), width=SIDE // 3 - 8),
        ]
        self.draw_button = pn.widgets.Button(name="Draw a polycrystal", width=SIDE)
        self.path = pn.widgets.TextInput(
            name="data set or grain map", placeholder="path of a file", width=SIDE - 78
        )
        self.number = pn.widgets.IntInput(name="cell", value=0, width=58)
        self.open_button = pn.widgets.Button(name="Open the file", width=SIDE // 2 - 10)
        self.file = pn.widgets.FileInput(width=SIDE // 2 - 10)
        self.kind = pn.widgets.Select(
            name="load", options=[*LOADS], description=ABOUT_LOADS, width=SIDE - 104
        )
        self.strain = pn.widgets.FloatInput(
            name="strain", value=paper.F11_TRAINING - 1, step=0.001, format="0.0000", width=84
        )
        self.discretization = pn.widgets.Select(
            name="points of the reference model", options={}, width=SIDE
        )
        self.sliders = [
            pn.widgets.FloatSlider(name=label, step=step, format=digits, width=SIDE)
            for label, step, digits in zip(
                PROPERTIES.values(), STEPS, FORMATS.values(), strict=True
            )
        ]
        self.table = pn.widgets.Tabulator(
            self._properties(),
            titles=PROPERTIES,
            formatters={n: NumberFormatter(format=f) for n, f in FORMATS.items()},
            widths={"grain": 60},
            selectable=1,
            theme="simple",
            sortable=False,
            layout="fit_columns",
            configuration={"rowHeight": 27},
            height=334,
            width=WIDTH,
        )
        self.network = pn.widgets.Select(name="compare with", options=[], width=SIDE)
        self.mode = pn.widgets.RadioButtonGroup(options=["one-step", "rollout"], width=SIDE)
        self.load = pn.widgets.DiscreteSlider(options=[0, 1], width=2 * STRESS + 110)
        self.picture_button = _download("picture", "cell.png", self.session.picture)
        self._watch_controls()

    def _watch_controls(self):
        session = self.session
        for control in (self.kind, self.strain):
            self._on_change(
                control,
                lambda: self._change(session.put_under, self.kind.value, self.strain.value),
            )
        self._on_change(self.file, self._upload)
        self._on_change(
            self.discretization,
            lambda: self._change(session.discretize, self.discretization.value),
        )
        self._on_change(self.load, self._select_increment)
        for control in (self.network, self.mode):
            self._on_change(control, self._compare)
        for column, slider in enumerate(self.sliders):
            self._on_change(slider, partial(self._slide, column))
        self.draw_button.on_click(
            lambda _: self._change(session.draw, *(widget.value for widget in self.draw))
        )
        self.open_button.on_click(
            lambda _: self._change(session.open, self.path.value, self.number.value)
        )
        self.table.on_edit(lambda _: self._edit(self.table.value.to_numpy(float)))
        self.table.on_click(lambda event: self._select_grain(event.row))
        self.seeds.on_change("data", self._move)

    def _on_change(self, widget, answer):
        widget.param.watch(lambda _: None if self.refreshing else answer(), "value")

    @contextmanager
    def _refresh(self):
        """The page changes its own controls within: nobody else does."""
        self.refreshing = True
        try:
            yield
        finally:
            self.refreshing = False

    # --- Answers to what a user does ---------------------------------------------------

    def _change(self, change, *arguments):
        """Let the session change; or say in one sentence why it did not."""
        try:
            change(*arguments)
            self.message.visible = False
        except (OSError, ValueError, ArithmeticError) as error:
            sentence = escape(" ".join(str(error).split()))
            self.message.param.update(object=f"<div role=alert>{sentence}</div>", visible=True)
        self._soon(self._show_all)

    def _soon(self, show):
        """Pictures change only in a callback of their document, which holds its lock."""
        self.document.add_next_tick_callback(show)

    def _slide(self, column):
        properties = self.session.problem.properties.copy()
        properties[self.grain, column] = self.sliders[column].value
        self._edit(properties)

    def _edit(self, properties):
        self._change(self.session.set_properties, properties)

    def _upload(self):
        if self.file.value:
            name, content = self.file.filename, self.file.value
            self._change(self.session.upload, name, content, self.number.value)

    def _compare(self):
        self._change(self.session.compare, self.network.value, self.mode.value)

    def _move(self, attribute, old, new):
        if not self.refreshing:
            points = np.column_stack([new["x1"], new["x2"]])
            self._change(self.session.place, points, [int(grain) for grain in new["grain"]])

    def _tap(self, event):
        (N1, N2), x, y = self._grain_id.shape, event.x, event.y
        if 0 <= x < 1 and 0 <= y < 1:
            self._select_grain(int(self._grain_id[int(N1 * x), int(N2 * y)]))

    def _select_grain(self, grain):
        self.grain = grain
        self._soon(self._show_grain)

    def _select_increment(self):
        self.session.increment = self.load.value
        self._soon(self._show_increment)

    def _predict_soon(self):
        """Ask the network as soon as nothing was changed for a moment."""
        if self.waiting:
            self.document.remove_timeout_callback(self.waiting)
        self.waiting = self.document.add_timeout_callback(self._predict, PAUSE)

    def _predict(self):
        self.waiting = None
        self.asked.cancel()  # what nobody has begun to answer
        self.asked = _networks.submit(self.session.ask)
        self.asked.add_done_callback(self._answered)

    def _answered(self, future):
        """In the thread of the networks: hand the answer over to that of the page."""
        if not future.cancelled():
            self._soon(partial(self._accept, future))

    def _accept(self, future):
        if self.session.accept(future.result()):
            self._show_prediction()
            self._show_increment()

    # --- What is shown -----------------------------------------------------------------

    @property
    def _grain_id(self):
        return self.session.problem.grain_id

    def _properties(self) -> pd.DataFrame:
        table = pd.DataFrame(self.session.problem.properties, columns=paper.PROPERTY_NAMES)
        return table.rename_axis("grain")

    def _show_all(self):
        """Everything as the session has it, the stress first; the network has still to answer."""
        session = self.session
        self.grain = min(self.grain, len(session.problem.properties) - 1)
        sigma, (name, at) = session.data.sigma_vm[0], session.course
        self.stress_colours.high = sigma.max()
        for pictures, edge in ((self.maps, MAP), (self.stresses, STRESS)):
            L1, L2 = session.data.edges / session.data.edges.max()
            for picture in pictures:
                picture.update(frame_width=round(edge * L1), frame_height=round(edge * L2))
        for curve in self.curves:
            curve.xaxis.axis_label = name
        self._show_increment()
        self.curve.data = {"at": at, "mean": sigma.mean((1, 2))}
        self._mark_progress(f"{session.network} computes …", FADED)
        self._predict_soon()
        self._soon(self._show_controls)

    def _show_controls(self):
        session = self.session
        points = session.problem.points
        points = np.empty((0, 2)) if points is None else points
        grains = np.arange(len(points))
        with self._refresh():
            self.seeds.data = {"x1": points[:, 0], "x2": points[:, 1], "grain": grains}
            if session.problem.loading:
                self.kind.value, self.strain.value = session.problem.loading
            self.discretization.param.update(
                options=session.discretizations, value=session.problem.discretization
            )
            self.network.param.update(options=session.contenders, value=session.network)
            self.mode.value = session.mode
            self.picture_button.disabled = bool(session.refusal)
            self.load.name, at = session.course
            self.load.options = {f"{at[i]:.4f} (increment {i})": i for i in session.increments}
            self.load.value = session.increment
            self.table.value = self._properties()
        self._show_grain()

    def _show_grain(self):
        maps = self.session.data.property_maps([0])[0]
        inside = self._grain_id == self.grain
        edge = inside & ~np.all([np.roll(inside, s, a) for a in (0, 1) for s in (1, -1)], axis=0)
        self.cell.data = {
            **{name: [maps[..., i].T] for i, name in enumerate(PROPERTIES)},
            "mark": [np.where(edge, 1.0, np.nan).T],
        }
        with self._refresh():
            self.table.selection = [self.grain]
            values = self.session.problem.properties[self.grain].tolist()
            for slider, value, limits in zip(
                self.sliders, values, paper.PROPERTY_RANGES, strict=True
            ):
                low, high = min(value, *limits), max(value, *limits)
                slider.param.update(value=value, start=low, end=high)
        self.grain_title.object = f"<h2>Grain {self.grain}</h2>"

    def _show_prediction(self):
        shown = self.session.example
        if shown is None:  # the read-out says why
            self.predicted.data = {name: [] for name in self.predicted.data}
            self._mark_progress("", 1.0)
            return
        self.predicted.data = {
            "at": self.session.course[1][self.session.increments],
            "mean": shown.sigma_network.mean((1, 2)),
            "error": self.session.errors(),
        }
        *_, difference = figures.comparison(shown.sigma_rm, shown.sigma_network)
        self.error_colours.high = difference.high
        self._mark_progress("", 1.0)

    def _mark_progress(self, text, alpha):
        """Fade what the network has still to answer, and say so."""
        self.progress.object = text
        for picture in self.stresses[1:]:
            picture.renderers[0].glyph.global_alpha = alpha

    def _show_increment(self):
        session, at = self.session, self.session.increment
        truth = session.data.sigma_vm[0, at].T
        shown = {**self.fields.data, STRESSES[0]: [truth]}
        if session.example:
            network = session.example.sigma_network[session.step].T
            shown |= {STRESSES[1]: [network], STRESSES[2]: [np.abs(network - truth)]}
        elif session.refusal:
            shown |= {name: [np.full_like(truth, np.nan)] for name in STRESSES[1:]}
        self.fields.data = shown
        for span in self.spans:
            span.location = session.course[1][at]
        self.read_out.object = f"<div role=status>{'<br>'.join(session.read_out())}</div>"

    # --- Pictures ----------------------------------------------------------------------

    def _make_pictures(self):
        self.stress_colours = plots.colours(figures.FIELD_MAP)
        self.error_colours = plots.colours(figures.ERROR_MAP)
        self.maps = []
        for (name, label), limits in zip(PROPERTIES.items(), paper.PROPERTY_RANGES, strict=True):
            mapper = plots.colours(figures.PROPERTY_MAP, *limits)
            picture = plots.field(self.cell, name, label, MAP, mapper)
            picture.on_event(Tap, self._tap)
            self.maps.append(plots.let_drag(picture, self.cell, self.seeds))
        mappers = self.stress_colours, self.stress_colours, self.error_colours
        self.stresses = [
            plots.field(self.fields, name, f"{name} / MPa", STRESS, mapper)
            for name, mapper in zip(STRESSES, mappers, strict=True)
        ]
        size = STRESS + 52, (STRESS + 38) // 2
        mean = plots.curve("mean σvM / MPa (points: network)", *size)
        error = plots.curve("mean |difference| / MPa", *size)
        error.x_range = mean.x_range
        mean.line("at", "mean", source=self.curve, color="black")
        mean.scatter("at", "mean", source=self.predicted, color=plots.MARK)
        error.line("at", "error", source=self.predicted, color=plots.MARK)
        error.scatter("at", "error", source=self.predicted, color=plots.MARK)
        self.curves = mean, error
        dashed = {"line_color": plots.MARK, "line_dash": "dashed"}
        self.spans = [Span(dimension="height", **dashed) for _ in self.curves]
        for curve, span in zip(self.curves, self.spans, strict=True):
            curve.add_layout(span)

    def _lay_out(self):
        self.grain_title = pn.pane.HTML()
        save = [
            _download("data set", "cell.h5", self.session.hdf5),
            self.picture_button,
            _download("Python", "cell.py", lambda: self.session.python().encode()),
        ]
        controls = pn.Column(
            _title("Cell"),
            pn.Row(*self.draw),
            self.draw_button,
            pn.Row(self.path, self.number),
            pn.Row(self.open_button, self.file),
            self.grain_title,
            *self.sliders,
            _title("Load"),
            pn.Row(self.kind, self.strain),
            self.discretization,
            _title("Network"),
            self.network,
            self.mode,
            _title("Save"),
            pn.Row(*save),
            css_classes=["card"],
        )
        cell = pn.Column(
            _title("Properties"),
            pn.pane.HTML(
                "Click a grain, drag its seed point, remove it by Backspace.", width=WIDTH
            ),
            pn.Row(*self.maps[:2]),
            pn.Row(*self.maps[2:]),
            self.table,
            css_classes=["card"],
        )
        stress = pn.Column(
            pn.Row(_title("von Mises stress"), self.progress),
            self.load,
            self.read_out,
            pn.Row(*self.stresses[:2]),
            pn.Row(self.stresses[2], pn.Column(*self.curves)),
            css_classes=["card"],
        )
        return pn.Column(pn.Row(_header(), self.message), pn.Row(controls, cell, stress))


def _header():
    text = "reference model and trained networks, all computed on this machine"
    return pn.pane.HTML(f"<h1>Stress of a polycrystal</h1> {text}", css_classes=["header"])


def _download(label, name, content):
    """A button that saves what `content()` returns as the file `name`."""
    options = {"filename": name, "label": label, "width": SIDE // 3 - 8}
    return pn.widgets.FileDownload(callback=lambda: BytesIO(content()), **options)


def _title(text):
    return pn.pane.HTML(f"<h2>{text}</h2>")
