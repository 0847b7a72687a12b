"""The page of results, its tables, cards and figures: assembled, written, or only compared."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, partial
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro import models, paper
from repro.data import dataset, suites
from repro.data.checks import Check
from repro.data.discretization import PAPER
from repro.data.pairs import Pairs
from repro.evaluation.assessment import LABEL_NOISE
from repro.evaluation.campaign import read_checks
from repro.evaluation.results import AGAINST, read_rows, select
from repro.models.runs import labels_of, read_config, read_environment, read_history, run_of
from repro.reference import generation
from repro.report import architecture, benchmark_pages, figures, gallery, pictures, tables
from repro.report.numbers import NotMeasuredError, Numbers, fill_table
from repro.report.templates import render
from repro.surrogate import load
from repro.tools.csv_files import read_csv
from repro.tools.files import write_text
from repro.tools.progress import Progress

# The paper's figures of fields: number -> suite and what it shows.
FIELD_FIGURES = {
    1: ("grains5", "5 grains"),
    2: ("paper", "10 grains, from the validation part"),
    3: ("grains20", "20 grains"),
    4: ("case1", "property contrast, Case 1"),
    5: ("case3", "property contrast, Case 3"),
    6: ("circle", "circular inclusion"),
    7: ("square", "square inclusion"),
    8: ("extension", f"beyond the training data, to F11 = {paper.F11_EXTENSION}"),
}
# What a person states, one row each, with measured numbers filled in by name.
FIDELITY, CAUSES = (Path(__file__).with_name(f"{name}.csv") for name in ("fidelity", "causes"))
# Networks in the main table of the project's own results.
MAIN_TABLE = (
    "paper_unet",
    "paper_unet_seed1",
    "paper_unet_seed2",
    "res_unet",
    "baseline_unet",
    "direct_prediction_converged",
    "learned_correction_converged",
)
# Table -> surrogate whose bounds it shows, and another whose errors stand beside them.
BOUNDS = {
    "correction_bounds": "learned_correction",
    "direct_bounds": "direct_prediction_averaged",
    "converged_correction_bounds": "learned_correction_converged",
    "converged_direct_bounds": "direct_prediction_converged_averaged",
}
BESIDE = {
    "direct_bounds": "direct_prediction",
    "converged_direct_bounds": "direct_prediction_converged",
}
# Studies of single choices, by the name of their table.
STUDIES = ("open_choices", "learned_correction", "direct_prediction")
# Around what is generated in the README of the project, by the template that it is made from.
MARKS = {
    template: (f"<!-- {about} -->\n", f"<!-- /{about} -->\n")
    for template, about in (("readme", "main table"), ("readme_times", "times"))
}


@dataclass(frozen=True)
class Sources:
    """What the page is made from: the tables of results and the shipped models."""

    directory: Path
    results: pd.DataFrame
    speeds: pd.DataFrame | None  # of all machines
    histogram: pd.DataFrame | None
    studies: dict[str, pd.DataFrame]  # name -> rows
    ablation: pd.DataFrame | None
    deviations: pd.DataFrame | None
    bounds: pd.DataFrame | None
    checks: list[Check]
    benchmarks: dict[str, pd.DataFrame]  # name -> rows
    models: dict[str, Path]  # name -> directory

    @property
    def speed(self) -> pd.DataFrame | None:
        """Times on the machine that was measured last."""
        if self.speeds is None:
            return None
        return self.speeds[self.speeds["machine"] == self.speeds["machine"].iloc[0]]

    @property
    def headline(self) -> str | None:
        """The model in the paper's figures."""
        return headline(self.models)

    @property
    def readme(self) -> Path | None:
        """The README of the project, if these are its own results; other results have none."""
        path = self.directory.parent / "README.md"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        return path if all(mark in text for mark in MARKS["readme"]) else None

    def histories(self) -> dict[str, pd.DataFrame]:
        """Learning curves of the shipped models, on from the epochs that they started from."""
        found = {}
        for name, path in self.models.items():
            history = read_history(path)
            before = run_of(path).epochs - len(history)
            found[name] = history.assign(epoch=before + history["epoch"])
        return found


def headline(directories: dict[str, Path]) -> str | None:
    """Of shipped models, name -> directory, the first of the paper's network, else the first."""
    runs = {name: run_of(path) for name, path in directories.items()}
    of_paper = [name for name, run in runs.items() if run.network == "paper_unet"]
    return next(iter(of_paper or runs), None)


def read_sources(directory) -> Sources:
    """Read `results.csv` and what lies beside it; only `results.csv` has to be there."""
    directory = Path(directory)

    def optional(name):
        return read_csv(directory / name) if (directory / name).is_file() else None

    def existing(names):
        found = {name: optional(f"{name}.csv") for name in names}
        return {name: table for name, table in found.items() if table is not None}

    return Sources(
        directory,
        read_rows(directory / "results.csv"),
        _speeds(optional("speed.csv")),
        optional("histogram.csv"),
        existing(STUDIES),
        optional("ablation.csv"),
        optional("deviations.csv"),
        optional("bounds.csv"),
        read_checks(directory / "data_checks.csv"),
        existing(benchmark_pages.PAGES),
        {name: models.SHIPPED / name for name in models.shipped()},
    )


def _speeds(table: pd.DataFrame | None) -> pd.DataFrame | None:
    """Times of all machines; older tables are of one, and know no converged fields."""
    if table is None or "machine" in table:
        return table
    return table.assign(machine=table["hardware"].iloc[0], mae_converged=np.nan)


def build(directory, check: bool = False) -> list[Path]:
    """Write everything that is not up to date, or with `check` only name it.

    A text is compared by its content, a figure by what it looks like. Cards and README follow the
    project's own results only.

    Returns
    -------
    list of Path
        The files that were, or would be, written.

    Raises
    ------
    FileNotFoundError
        If there are no results in `directory`.
    ValueError
        If a template asks for a number that the results do not hold.
    """
    sources = read_sources(directory)
    drawings, stale = _figures(sources), []
    for path, text in _texts(sources, drawings.keys()).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not check:
                write_text(path, text)
    for path, draw in Progress(drawings.items(), "drawing", "figure"):
        drawn = pictures.png(draw())
        if not pictures.looks_like(path, drawn):
            stale.append(path)
            if not check:
                pictures.write_png(path, drawn)
    return stale


# --- Figures -------------------------------------------------------------------------------


def _figures(sources: Sources) -> dict[Path, Callable[[], Figure]]:
    """Path of every figure, and how to draw it."""
    results, histories = sources.results, sources.histories()
    drawn = {
        "increments": partial(figures.increment_figure, results),
        "boundary_distance": partial(figures.distance_figure, results),
        "figure9": _figure_9,
    }
    stepping = {name: history for name, history in histories.items() if _steps(sources, name)}
    if stepping:
        drawn["learning_curves"] = partial(figures.learning_curves, stepping)
    if (results["against"] != AGAINST).any():
        drawn["converged"] = partial(figures.converged_figure, results)
    if sources.histogram is not None:
        drawn["figure11"] = partial(figures.histogram_figure, sources.histogram)
    if sources.speed is not None:
        drawn["pareto"] = partial(figures.pareto_figure, sources.speeds)
    if sources.headline:
        weights = _weights(sources.models[sources.headline])
        drawn["figure12"] = partial(_figure_12, weights)
        drawn["points"] = _points_figure
        for number, (suite, _) in FIELD_FIGURES.items():
            drawn[f"figure{number}"] = partial(_field_figure, weights, suite)
    found = {sources.directory / "figures" / f"{name}.png": draw for name, draw in drawn.items()}
    for name, rows in sources.benchmarks.items():
        for picture, draw in benchmark_pages.drawings(name, rows).items():
            found[sources.directory / f"{picture}.png"] = draw
    for name, path in sources.models.items() if sources.readme else ():
        curve = {name: histories[name]}, _steps(sources, name)
        found[path / "learning_curve.png"] = partial(figures.learning_curves, *curve)
        found[path / "prediction.png"] = partial(_field_figure, _weights(path), "paper")
    return found


def _steps(sources, name) -> bool:
    """Whether a learning curve is of errors of single steps, and so beside others of such."""
    network = models.NETWORKS.get(run_of(sources.models[name]).network)
    return network is not None and network.samples is Pairs


def _weights(directory: Path) -> Path:
    """The last weights of a shipped model, as the paper reports them, else the best."""
    last = directory / "last.keras"
    return last if last.is_file() else directory / "best.keras"


_load = cache(load)
_example = cache(gallery.solve_example)
_points_example = cache(gallery.points_example)


def _field_figure(weights, suite):
    """Beside the solution that the surrogate is judged by."""
    one = _load(weights)
    return gallery.prediction_figure(one, _example(suite, one.against))


def _figure_9():
    index = gallery.example_index("paper")
    return figures.periodic_cell_figure(generation.Job("paper").microstructure(index)[1].grain_id)


def _points_figure():
    return figures.points_figure(*_points_example())


def _figure_12(weights):
    return architecture.architecture_figure(_load(weights).network)


# --- Texts ---------------------------------------------------------------------------------


def _texts(sources: Sources, drawn: Collection[Path]) -> dict[Path, str]:
    """Path -> content of every generated text; `drawn` are the figures that there are."""
    directory, numbers = sources.directory, _numbers(sources)
    built = {name: table for name, table in _tables(sources, numbers).items() if len(table)}
    texts = {
        directory / "tables" / f"{name}.csv": table.to_csv(index=False, float_format="%.6g")
        for name, table in built.items()
    }
    values = {"paper": paper, "sources": sources, "tables": built, **numbers.names()}
    values["labels_error"] = _labels_error(numbers)
    values["discussion"] = render("discussion", **values) if sources.readme else ""
    texts[directory / "RESULTS.md"] = render("results", **values, **_of_page(sources, drawn))
    for name, rows in sources.benchmarks.items():
        texts[directory / f"{name.upper()}.md"] = benchmark_pages.text(name, rows)
    if sources.readme:
        texts[sources.readme] = _readme(sources.readme.read_text(encoding="utf-8"), values)
        texts[directory / "DATA_CARD.md"] = _data_card(sources)
        for path in sources.models.values():
            texts[path / "README.md"] = _model_card(path, sources.results, built)
    return texts


def _readme(text: str, values: dict) -> str:
    """The README with what stands between its marks made anew."""
    for template, (start, end) in MARKS.items():
        if start in text and end in text:
            before, after = text.split(start)
            text = f"{before}{start}{render(template, **values)}{end}{after.split(end)[1]}"
    return text


def _labels_error(numbers: Numbers) -> float | None:
    """Error of the paper's kind of data against converged fields, unseen cells, MPa."""
    try:
        return numbers.mae(f"{LABEL_NOISE}, {PAPER}", tables.UNSEEN, "trajectory", converged=True)
    except NotMeasuredError:
        return None


def _numbers(sources: Sources) -> Numbers:
    measured = (sources.speed, sources.studies.get("open_choices"), sources.deviations)
    return Numbers(sources.results, sources.checks, *measured, sources.histories())


def _tables(sources: Sources, numbers: Numbers) -> dict[str, pd.DataFrame]:
    results, speed = sources.results, sources.speed
    names = {**numbers.names(), "paper": paper, "headline": sources.headline}
    shown = MAIN_TABLE if sources.readme else None
    built = {"main": tables.main_table(results, speed, shown)}
    built |= {_name(s): tables.against_paper(results, s) for s in tables.sections()}
    built["naive_references"] = tables.naive_references(results)
    built["regions"] = tables.by_region(results)
    built["converged"] = tables.converged(results)
    built["converged_regions"] = tables.converged_by_region(results)
    built["fidelity"], built["causes"] = (fill_table(path, names) for path in (FIDELITY, CAUSES))
    measured = {
        "speed": (tables.speed, speed),
        **{name: (tables.study, rows) for name, rows in sources.studies.items()},
        "ablation": (tables.ablation, sources.ablation),
        **{
            name: (partial(tables.bounds, predictor=title, beside=BESIDE.get(name)), sources.bounds)
            for name, title in BOUNDS.items()
        },
    }
    return built | {name: of(table) for name, (of, table) in measured.items() if table is not None}


def _name(section: str) -> str:
    """Name of the table of a section of the results."""
    return re.sub("[^a-z0-9]+", "_", section.lower()).strip("_")


def _of_page(sources: Sources, drawn: Collection[Path]) -> dict:
    """What the page of results alone asks for."""
    captions = {
        number: f"{what}; rollout of {run_of(_weights(sources.models[sources.headline])).model}"
        for number, (_, what) in FIELD_FIGURES.items()
        if sources.headline
    }
    return {
        "sections": {section: _name(section) for section in tables.sections()},
        "figures": {path.stem for path in drawn if path.parent == sources.directory / "figures"},
        "captions": captions,
        "provenance": tables.provenance(sources.results),
    }


def _data_card(sources: Sources) -> str:
    """Problem, suites, schema, generation time, verification and how to evaluate."""
    speed, names = sources.speed, (paper.PROPERTY_NAMES, paper.PROPERTY_UNITS)
    solver = None if speed is None else speed[speed["default"]].sort_values("cores")
    return render(
        "data_card",
        paper=paper,
        ranges=list(zip(*names, paper.PROPERTY_RANGES, strict=True)),
        suites=suites.SUITES,
        schema=dataset.__doc__.strip(),
        solver=solver.iloc[-1] if solver is not None and len(solver) else None,
        checks=sources.checks,
    )


def _machines(directory: Path, history: pd.DataFrame) -> list[dict]:
    """The machines of a run in their order, with the epochs of each and their usual seconds."""
    found = []
    for kind, records in groupby(
        read_environment(directory), lambda record: (record["hardware"], record["backend"])
    ):
        records = list(records)
        commits = list(dict.fromkeys(record["commit"] for record in records))
        found.append({"machine": kind, "first": records[0]["from_epoch"] + 1, "commits": commits})
    ends = [machine["first"] - 1 for machine in found[1:]] + [len(history)]
    for machine, last in zip(found, ends, strict=True):
        seconds = history[history["epoch"].between(machine["first"], last)]["seconds"].median()
        machine |= {"last": last, "seconds": seconds}
    return [machine for machine in found if machine["first"] <= machine["last"]]


def _model_card(directory: Path, results: pd.DataFrame, built: dict[str, pd.DataFrame]) -> str:
    """What a shipped network is, how it was trained, how well it does, and where it ends."""
    config, name = read_config(directory), directory.name
    own = results[results["model"].str.removesuffix(tables.LAST) == name]
    columns = ["model", "suite", "split", "mode", "MAE / MPa", "q99 / MPa", "paper MAE / MPa", "n"]
    history = read_history(directory)
    network = _load(_weights(directory)).network  # which the picture shows, too
    bounds = (table for table, of in BOUNDS.items() if of.removesuffix("_averaged") == name)
    return render(
        "model_card",
        paper=paper,
        name=name,
        config=config,
        kind=models.samples_of(network).__name__,
        parameters=network.count_params(),
        labels=labels_of(directory / models.BEST),
        step=tables.time_step(config.get("stride", 1)),
        settings=pd.DataFrame(config.items(), columns=["setting", "value"]),
        machines=_machines(directory, history),
        history=history,
        errors=tables.errors(own)[columns] if len(select(own)) else None,
        regions=tables.by_region(own),
        bounds=built.get(next(bounds, None)),
    )
