"""The page of results, its tables, cards and figures: assembled, written, or only compared."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, partial, reduce
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro import models, paper
from repro.benchmarks.speed import read as read_speeds
from repro.data import dataset, suites
from repro.data.checks import Check
from repro.data.corrections import FINE
from repro.data.discretization import PAPER
from repro.data.load import LONGER_LOAD
from repro.data.pairs import Pairs
from repro.data.trajectories import STRAINS, Trajectories
from repro.evaluation.campaign import read_checks
from repro.evaluation.results import SURROGATE, read_rows, select
from repro.models.runs import labels_of, read_config, read_environment, read_history, run_of
from repro.reference import Request
from repro.report import architecture, benchmark_pages, figures, gallery, pictures, tables
from repro.report.numbers import Numbers, fill_table
from repro.report.templates import render
from repro.surrogate import AVERAGED, load
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
SEEDS = ("", "_seed1", "_seed2")  # endings of the names of runs that differ in their seed alone
# Runs in the main table of the project's own results, and what they are called.
MAIN_TABLE = {
    **{f"paper_unet{seed}": "the paper's U-Net" for seed in SEEDS},
    "res_unet": "residual U-Net",
    **{f"direct_prediction{seed}": "direct prediction, data's grid" for seed in SEEDS},
    **{f"direct_prediction_converged{seed}": "direct prediction" for seed in SEEDS},
    "learned_correction_converged": "learned correction",
}
FURTHER = {  # in all other tables, and in figures
    "baseline_unet": "plain U-Net",
    "learned_correction": "learned correction, data's grid",
}
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
# Settings of a run that say nothing of its network to a reader, or that its card says in words.
UNSAID = (
    *("network", "split_hash", "architecture", "mean_stress", "statistics_samples", "start"),
    *("shuffle_seed", "patience", "labels", "epochs", "start_epochs", "start_further", "further"),
)
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
    def galleries(self) -> dict[str, Path]:
        """Weights in the paper's figures of fields, by the beginning of the names of these."""
        of_cells = {"figure": self.headline, "direct": "direct_prediction"}
        shipped = {name: self.models[of] for name, of in of_cells.items() if of in self.models}
        return {name: _weights(path) for name, path in shipped.items()}

    @property
    def readme(self) -> Path | None:
        """The README of the project, if these are its own results; other results have none."""
        path = self.directory.parent / "README.md"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        return path if all(mark in text for mark in MARKS["readme"]) else None

    def histories(self) -> dict[str, pd.DataFrame]:
        """Learning curves of the shipped models."""
        return {
            name: _learning_curve(path).assign(steps=_steps(path))
            for name, path in self.models.items()
        }

    @property
    def titles(self) -> dict[str, str] | None:
        """What runs are called in the project's own results; others show all by their names."""
        return MAIN_TABLE | FURTHER if self.readme else None


def _learning_curve(run: Path) -> pd.DataFrame:
    """History of a run, on from the epochs that it started from, over the fields learned from.

    Those epochs are taken to have been of as many fields each, where the run does not say it.
    """
    history, config = read_history(run), read_config(run)
    before, epoch = config.get("start_epochs") or 0, history["epoch"]
    of_start = config | {"further": config.get("start_further", config.get("further"))}
    fields = before * _fields_of_epoch(of_start) + epoch * _fields_of_epoch(config)
    return history.assign(epoch=before + epoch, fields=fields)


def _fields_of_epoch(config: dict) -> int:
    """Fields that a run learns from in an epoch: the output of a pair, and each of a trajectory."""
    cells = round(paper.MICROSTRUCTURES * paper.TRAINING_FRACTION) + (config.get("further") or 0)
    network = models.NETWORKS.get(config["network"])
    if network is None or network.samples is Pairs:
        return cells * (paper.INCREMENTS // config.get("stride", 1))
    if network.samples is Trajectories:
        return cells * config.get("increments", len(STRAINS))
    # Older runs, which do not name their labels, learned from the paper's load.
    whole = LONGER_LOAD.increments if "labels" in config else FINE
    return cells * config.get("increments", whole)


def headline(directories: dict[str, Path]) -> str | None:
    """Of shipped models, name -> directory, the first of the paper's network, else the first."""
    runs = {name: run_of(path) for name, path in directories.items()}
    of_paper = [name for name, run in runs.items() if run.network == "paper_unet"]
    return next(iter(of_paper or runs), None)


def read_sources(directory) -> Sources:
    """Read `results.csv` and what lies beside it; only `results.csv` has to be there."""
    directory = Path(directory)

    def optional(name, read=read_csv):
        return read(directory / name) if (directory / name).is_file() else None

    def existing(names):
        found = {name: optional(f"{name}.csv") for name in names}
        return {name: table for name, table in found.items() if table is not None}

    return Sources(
        directory,
        read_rows(directory / "results.csv"),
        optional("speed.csv", read_speeds),
        optional("histogram.csv"),
        existing(STUDIES),
        optional("ablation.csv"),
        optional("deviations.csv"),
        optional("bounds.csv"),
        read_checks(directory / "data_checks.csv"),
        existing(benchmark_pages.PAGES),
        {name: models.SHIPPED / name for name in models.shipped()},
    )


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
        figure = draw()
        drawn, scalable = pictures.png(figure), path.with_suffix(".svg")
        changed = not pictures.looks_like(path, drawn)
        if changed:
            stale.append(path)
            if not check:
                pictures.write_picture(path, drawn)
        if path.stem in OF_LINES and not check and (changed or not scalable.exists()):
            pictures.write_picture(scalable, pictures.svg(figure))
    return stale


# --- Figures -------------------------------------------------------------------------------

# Also as SVG, for the site.
OF_LINES = ("increments", "boundary_distance", "learning_curves", "pareto")


def _figures(sources: Sources) -> dict[Path, Callable[[], Figure]]:
    """Path of every figure, and how to draw it."""
    results, histories, titles = sources.results, sources.histories(), sources.titles
    drawn = {
        "increments": partial(figures.increment_figure, results, titles),
        "boundary_distance": partial(figures.distance_figure, results, titles),
        "figure9": _figure_9,
    }
    if histories:
        drawn["learning_curves"] = partial(figures.learning_curves, histories, titles or {})
    if sources.histogram is not None:
        above = [c.found for c in sources.checks if c.question == "pixels above 500 MPa"]
        drawn["figure11"] = partial(figures.histogram_figure, sources.histogram, *above)
    if sources.speed is not None:
        left_out = _elsewhere(sources.models)
        drawn["pareto"] = partial(figures.pareto_figure, sources.speed, titles, left_out)
    if sources.headline:
        drawn["figure12"] = partial(_figure_12, _weights(sources.models[sources.headline]))
        drawn["points"] = _points_figure
    for name, weights in sources.galleries.items():
        for number, (suite, _) in FIELD_FIGURES.items():
            drawn[f"{name}{number}"] = partial(_field_figure, weights, suite)
    found = {sources.directory / "figures" / f"{name}.png": draw for name, draw in drawn.items()}
    for name, rows in sources.benchmarks.items():
        for picture, draw in benchmark_pages.drawings(name, rows).items():
            found[sources.directory / f"{picture}.png"] = draw
    for name, path in sources.models.items() if sources.readme else ():
        curve = histories[name], name, _steps(path)
        found[path / "learning_curve.png"] = partial(figures.learning_curve, *curve)
        found[path / "prediction.png"] = partial(_field_figure, _weights(path), "paper")
    return found


def _steps(path) -> bool:
    """Whether a network steps the stress, and so has errors of single steps."""
    network = models.NETWORKS.get(run_of(path).network)
    return network is not None and network.samples is Pairs


def _elsewhere(directories: dict[str, Path]) -> dict[str, set[str]]:
    """Surrogates that a panel of errors leaves out, by its column: each is where it belongs.

    A network that learned from converged fields is not judged by others, nor is one by converged
    fields that has such a sibling. Averages of two predictions are in no panel.
    """
    converged = {
        name for name, path in directories.items() if labels_of(path / models.BEST) != PAPER
    }
    built = {name: run_of(path).network for name, path in directories.items()}
    siblings = {name for name in built if built[name] in {built[one] for one in converged}}
    return {"mae": converged | {*AVERAGED}, "mae_converged": siblings - converged | {*AVERAGED}}


def _weights(directory: Path) -> Path:
    """The last weights of a shipped model, as the paper reports them, else the best."""
    last = directory / "last.keras"
    return last if last.is_file() else directory / "best.keras"


_load = cache(load)
_example = cache(gallery.solve_example)
_points_example = cache(gallery.points_example)


@cache
def _predicted(weights, suite, mode=None) -> gallery.Example:
    """Beside the solution that the surrogate is judged by."""
    one = _load(weights)
    return gallery.predict_example(one, _example(suite, one.against), mode=mode)


def _field_figure(weights, suite):
    return figures.prediction_figure(*gallery.fields_of(_predicted(weights, suite)))


def _cells(weights) -> pd.DataFrame:
    """The cells of the paper's Figs. 1-8: stiffness, MAE, and error of the mean stress."""
    rows = []
    for number, (suite, what) in FIELD_FIGURES.items():
        whole = _predicted(weights, suite)
        relative = 100 * (whole.mean_network / whole.mean_rm - 1)
        mae = float(np.abs(whole.sigma_network - whole.sigma_rm).mean())
        rows.append(
            {
                "figure": f"{number}: {what}",
                "suite, cell": f"`{suite}`, {gallery.example_index(suite)}",
                "mean E / GPa": f"{whole.property_maps[..., 0].mean():.0f}",
                "MAE / MPa": tables.digits(mae),
                "mean stress, first increment": _percent(relative[0]),
                "last increment": _percent(relative[-1]),
            }
        )
        if _steps(weights):
            step = _predicted(weights, suite, "one-step")
            last = 100 * (step.mean_network[-1] / step.mean_rm[-1] - 1)
            rows[-1] |= {"last increment, single step": _percent(last)}
    return pd.DataFrame(rows)


def _percent(value):
    return f"{round(value, 1) + 0.0:+.1f} %"  # no negative zero


def _figure_9():
    index = gallery.example_index("paper")
    return figures.periodic_cell_figure(Request("paper").microstructure(index)[1].grain_id)


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
    values["own"] = sources.readme is not None
    values |= _of_pages(sources, drawn)
    values["pages"] = _pages(sources, built)
    texts |= {directory / f"{name.upper()}.md": render(name, **values) for name in values["pages"]}
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


def _numbers(sources: Sources) -> Numbers:
    measured = (sources.speed, sources.studies.get("open_choices"), sources.deviations)
    return Numbers(sources.results, sources.checks, *measured, sources.histories(), sources.bounds)


def _pages(sources: Sources, built: dict[str, pd.DataFrame]) -> dict[str, str]:
    """The pages that there is something to write on: name -> what it holds."""
    bounded = sources.bounds is not None or "converged" in built
    pages = {
        "results": ("The answer", True),
        "networks": (
            "Networks that step the stress: all suites, training, references",
            True,
        ),
        "surrogates": ("Whole loads at once: converged fields, correction, bounds", bounded),
        "speed": ("Time at equal error, beside the reference model and DAMASK", "speed" in built),
        "open_choices": (
            "What the paper leaves open, and what each choice does",
            sources.readme and "open_choices" in built,
        ),
        "fidelity": ("What the paper states and what we do; earlier attempts", sources.readme),
        "gallery": ("The paper's figures", sources.headline),
        "provenance": ("Command, commit and machine of every number", True),
    }
    return {name: what for name, (what, there) in pages.items() if there}


def _tables(sources: Sources, numbers: Numbers) -> dict[str, pd.DataFrame]:
    results, speed, titles = sources.results, sources.speed, sources.titles
    histories = sources.histories()
    fields = {name: history["fields"].iloc[-1] for name, history in histories.items()}
    built = {
        "main": tables.main_table(results, speed, MAIN_TABLE if titles else None, fields),
        "single_steps": tables.by_suite(results, True, titles),
        "whole_loads": tables.by_suite(results, False, titles),
        "training": tables.training(histories, titles),
        "naive_references": tables.naive_references(results, titles),
        "regions": tables.by_region(results, titles),
        "converged": tables.converged(results, titles),
    }
    if sources.readme:
        last = sources.headline and run_of(_weights(sources.models[sources.headline])).model
        names = {**numbers.names(), "paper": paper, "headline": last}
        built |= {"fidelity": fill_table(FIDELITY, names), "causes": fill_table(CAUSES, names)}
    built |= {f"{name}_cells": _cells(weights) for name, weights in sources.galleries.items()}
    measured = {
        "speed": (tables.speed, speed),
        "machines": (tables.machines, sources.speeds),
        **{name: (tables.study, rows) for name, rows in sources.studies.items()},
        "ablation": (tables.ablation, sources.ablation),
        **{
            name: (partial(tables.bounds, predictor=title, beside=BESIDE.get(name)), sources.bounds)
            for name, title in BOUNDS.items()
        },
    }
    return built | {name: of(table) for name, (of, table) in measured.items() if table is not None}


def _of_pages(sources: Sources, drawn: Collection[Path]) -> dict:
    """What templates ask for beside tables and numbers."""
    in_main = tables.shown(sources.results, MAIN_TABLE if sources.readme else None)
    # A shipped network stands for its seeds, whose histories are not kept.
    not_chosen = in_main.loc[in_main["run"].isin(_best_at_the_end(sources)), "title"]
    chosen = (in_main["weights"] == "best") & ~in_main["title"].isin(not_chosen)
    shipped = sources.headline and run_of(_weights(sources.models[sources.headline]))
    return {
        "chosen": list(dict.fromkeys(in_main.loc[chosen, "title"])),
        "figures": {path.stem for path in drawn if path.parent == sources.directory / "figures"},
        "shipped": shipped,
        "shown": {number: what for number, (_, what) in FIELD_FIGURES.items()},
        "provenance": tables.provenance(sources.results),
    }


def _best_at_the_end(sources: Sources) -> list[str]:
    """Shipped networks whose best epoch on the validation part is their last, not a chosen one."""
    errors = {name: read_history(path)["mae_validation"] for name, path in sources.models.items()}
    return [name for name, error in errors.items() if error.idxmin() == error.index[-1]]


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


def _side_by_side(errors: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of one network, whose errors are the last column but n, as one."""
    parts = [
        table.rename(columns={table.columns[-2]: title})
        for title, table in errors.items()
        if len(table)
    ]
    if not parts:
        return pd.DataFrame()
    joined = reduce(partial(pd.merge, how="left", on=["", "n"]), parts)
    return joined[[*joined.columns.drop("n"), "n"]]


def _scores(own: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Task, data and MAE of a network for the head of its card: validation part, unseen cells."""
    rows = select(tables.shown(own), metric="MAE", against=None)
    rows = rows[(rows["split"] == "validation") | (rows["suite"] == tables.UNSEEN)]
    return [
        (
            row.mode.replace("trajectory", "whole load"),
            f"{suites.SUITES[row.suite].title}{', ' + row.split if row.split != 'all' else ''}"
            f"; fields: {row.against}",
            tables.digits(row.value),
        )
        for row in rows.itertuples()
    ]


def _model_card(directory: Path, results: pd.DataFrame, built: dict[str, pd.DataFrame]) -> str:
    """What a shipped network is, how it was trained, how well it does, and where it ends."""
    config, name = read_config(directory), directory.name
    own = results[results["model"] == name]
    history = read_history(directory)
    network = _load(_weights(directory)).network  # which the picture shows, too
    bounds = (table for table, of in BOUNDS.items() if AVERAGED.get(of, of) == name)
    errors = {"one step": tables.by_suite(own, True), "whole load": tables.by_suite(own, False)}
    errors["whole load, converged"] = tables.converged(own[own["kind"] == SURROGATE])
    settings = {k: v for k, v in config.items() if k not in UNSAID and v not in (None, False, 0)}
    return render(
        "model_card",
        paper=paper,
        name=name,
        config=config,
        kind=models.samples_of(network).__name__,
        parameters=network.count_params(),
        labels=labels_of(directory / models.BEST),
        step=tables.time_step(config.get("stride", 1)),
        settings=settings,
        machines=_machines(directory, history),
        history=history,
        errors=_side_by_side(errors),
        scores=_scores(own),
        last_weights=(own["weights"] == "last").any(),
        regions=tables.by_region(own),
        bounds=built.get(next(bounds, None)),
    )
