"""The one page of results, its tables, cards and figures: assembled, written, or only compared."""

import hashlib
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from repro import models, paper
from repro.data import suites
from repro.evaluation.campaign import read_checks
from repro.evaluation.results import read_rows
from repro.models.backend import keras
from repro.reference import generation
from repro.report import architecture, cards, figures, gallery, reality, tables
from repro.report.fidelity import fidelity
from repro.report.findings import shortfall
from repro.tools.files import atomic_path
from repro.training.run_directory import run_of

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


@dataclass(frozen=True)
class Sources:
    """What the page is made from: the tables of results and the shipped models."""

    directory: Path
    results: pd.DataFrame
    speed: pd.DataFrame | None
    histogram: pd.DataFrame | None
    assumptions: pd.DataFrame | None
    ablation: pd.DataFrame | None
    deviations: pd.DataFrame | None
    checks: list
    models: dict[str, Path]  # name -> directory

    @property
    def headline(self) -> str | None:
        """The model in the paper's figures."""
        return headline(self.models)


def headline(directories: dict[str, Path]) -> str | None:
    """Of shipped models, name -> directory, the first of the paper's network, else the first."""
    runs = {name: run_of(path / "best.keras") for name, path in directories.items()}
    of_paper = [name for name, run in runs.items() if run.network == "paper_unet"]
    return next(iter(of_paper or runs), None)


def read_sources(directory) -> Sources:
    """Read `results.csv` and what lies beside it; only `results.csv` has to be there."""
    directory = Path(directory)

    def optional(name):
        return pd.read_csv(directory / name) if (directory / name).is_file() else None

    shipped = sorted(path.parent for path in models.SHIPPED.glob("*/best.keras"))
    return Sources(
        directory,
        read_rows(directory / "results.csv"),
        optional("speed.csv"),
        optional("histogram.csv"),
        optional("assumptions.csv"),
        optional("ablation.csv"),
        optional("deviations.csv"),
        read_checks(directory / "data_checks.csv"),
        {path.name: path for path in shipped},
    )


def build(directory, check: bool = False) -> list[Path]:
    """Write everything that is not up to date, or with `check` only name it.

    A text is compared by its content, a figure by the fingerprint of what it is drawn from.

    Returns
    -------
    list of Path
        The files that were, or would be, written.

    Raises
    ------
    FileNotFoundError
        If there are no results in `directory`.
    """
    sources = read_sources(directory)
    drawings, stale = _figures(sources), []
    for path, (fingerprint, draw) in drawings.items():
        if _fingerprint_of(path) != fingerprint:
            stale.append(path)
            if not check:
                _save_figure(path, draw(), fingerprint)
    for path, text in _texts(sources, drawings.keys()).items():
        if not path.is_file() or path.read_text() != text:
            stale.append(path)
            if not check:
                _save_text(path, text)
    return stale


# --- Figures -------------------------------------------------------------------------------


def _figures(sources: Sources) -> dict[Path, tuple[str, Callable[[], Figure]]]:
    """Path -> fingerprint of what the figure is drawn from, and how to draw it."""
    results, found = sources.results, {}

    def add(name, draw, *inputs, directory=sources.directory / "figures"):
        found[directory / f"{name}.png"] = (_fingerprint(draw, *inputs), draw)

    histories = {name: pd.read_csv(path / "history.csv") for name, path in sources.models.items()}
    for name, path in sources.models.items():
        own, weights = {name: histories[name]}, path / "best.keras"
        add("learning_curve", partial(figures.learning_curves, own), own, directory=path)
        add("prediction", partial(_field_figure, weights, "paper"), weights, directory=path)
    if histories:
        add("learning_curves", partial(figures.learning_curves, histories), histories)
    add("increments", partial(figures.increment_figure, results), results)
    add("boundary_distance", partial(figures.distance_figure, results), results)
    add("figure9", _figure_9)
    if sources.histogram is not None:
        draw = partial(figures.histogram_figure, sources.histogram)
        add("figure11", draw, sources.histogram)
    if sources.speed is not None:
        add("pareto", partial(figures.pareto_figure, sources.speed), sources.speed)
    if sources.headline:
        weights = sources.models[sources.headline] / "best.keras"
        add("figure12", partial(_figure_12, weights), weights)
        for number, (suite, _) in FIELD_FIGURES.items():
            add(f"figure{number}", partial(_field_figure, weights, suite), weights)
    return found


@cache
def _load(weights: Path) -> keras.Model:
    return models.load(weights)


def _field_figure(weights, suite):
    stride = run_of(weights).stride
    return gallery.prediction_figure(_load(weights), gallery.solve_example(suite), stride)


def _figure_9():
    index = gallery.example_index("paper")
    return figures.periodic_cell_figure(generation.Job("paper").microstructure(index)[1].grain_id)


def _figure_12(weights):
    return architecture.architecture_figure(_load(weights))


def _fingerprint(draw, *inputs) -> str:
    """Identifies the code that draws a figure and the contents that it is drawn from."""
    digest = hashlib.sha256()
    for module in (figures, architecture, gallery):
        digest.update(inspect.getsource(module).encode())
    digest.update(repr(getattr(draw, "args", ())[1:]).encode())
    for content in inputs:
        if isinstance(content, Path):
            digest.update(content.read_bytes())
        elif isinstance(content, dict):
            digest.update("".join(k + v.to_csv() for k, v in content.items()).encode())
        else:
            digest.update((content.to_csv() if hasattr(content, "to_csv") else content).encode())
    return digest.hexdigest()[:16]


def _fingerprint_of(path) -> str | None:
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return image.info.get("Source")


def _save_figure(path, figure, fingerprint):
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, metadata={"Source": fingerprint, "Software": None})


def _save_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text)


# --- Texts ---------------------------------------------------------------------------------


def _texts(sources: Sources, drawn: Collection[Path]) -> dict[Path, str]:
    """Path -> content of every generated text; `drawn` are the figures that there are."""
    directory = sources.directory
    texts = {
        directory / "tables" / f"{name}.csv": table.to_csv(index=False, float_format="%.6g")
        for name, table in _tables(sources).items()
        if len(table)
    }
    texts[directory / "RESULTS.md"] = _page(sources, drawn)
    texts |= _readme(directory.parent / "README.md", reality.summary(sources.results))
    texts[directory / "DATA_CARD.md"] = cards.data_card(sources.checks, sources.speed)
    for path in sources.models.values():
        texts[path / "README.md"] = cards.model_card(path, sources.results)
    return texts


def _readme(path: Path, summary: str) -> dict[Path, str]:
    """The page of the project with the verdict between its marks, if it has them."""
    text = path.read_text() if path.is_file() else ""
    before, start, rest = text.partition("<!-- verdict -->\n")
    _, end, after = rest.partition("<!-- /verdict -->\n")
    return {path: f"{before}{start}{summary}\n{end}{after}"} if end else {}


def _tables(sources: Sources) -> dict[str, pd.DataFrame]:
    results = sources.results
    found = {check.question: check.found for check in sources.checks}
    built = {
        name: tables.against_paper(results, section)
        for name, section in {
            "training_validation": suites.TRAINING,
            "table1_grains": suites.TABLE_1,
            "table2_contrast": suites.TABLE_2,
            "inclusions": suites.INCLUSIONS,
            "beyond": suites.BEYOND,
        }.items()
    }
    built["naive_references"] = tables.naive_references(results)
    built["regions"] = tables.by_region(results)
    built["fidelity"] = fidelity(results, found, sources.assumptions)
    if sources.assumptions is not None:
        built["open_choices"] = tables.open_choices(sources.assumptions)
    if sources.ablation is not None:
        built["ablation"] = tables.ablation(sources.ablation)
    if sources.deviations is not None:
        built["deviations"] = tables.deviations(sources.deviations)
    if sources.speed is not None:
        built["speed"] = tables.speed(sources.speed)
    return built


def _findings(sources: Sources) -> str:
    """Why the network in the paper's figures misses the paper's error, if it does."""
    name = sources.headline
    if name is None:
        return ""
    history = pd.read_csv(sources.models[name] / "history.csv")
    reasons = shortfall(name, sources.results, history)
    if not reasons:
        return ""
    return f"## Why {name} misses the paper's error\n\n" + "\n".join(f"- {r}" for r in reasons)


def _scale(study: pd.DataFrame | None) -> str:
    """The reduced scale of a study, and where it was measured."""
    if study is None:
        return ""
    # The command that went on last is the one that asked for all rows.
    first, last = study.iloc[0], study.iloc[-1]
    commits, hardware = (" and ".join(study[name].unique()) for name in ("commit", "hardware"))
    return (
        f" {first['microstructures']} microstructures, {first['filters']} filters, "
        f"{first['samples']} training samples each (`{last['command']}`, commit "
        f"{commits}, {hardware}, {study.drop_duplicates('run')['wall_s'].sum():.0f} s)."
    )


def _page(sources: Sources, drawn: Collection[Path]) -> str:
    built = _tables(sources)

    def image(name, caption):
        if sources.directory / "figures" / f"{name}.png" not in drawn:
            return ""
        return f"![{caption}](figures/{name}.png)\n\n*{caption}.*"

    def table(name, command):
        if name not in built or built[name].empty:
            return f"*Not there yet: `{command}`.*"
        return tables.markdown(built[name])

    evaluate = f"python -m repro.evaluate --model {sources.headline or 'M'} --suite all"
    verdict = reality.verdict(sources.checks, sources.results).splitlines()
    sections = [
        f"# Results\n\n{reality.summary(sources.results)}",
        "Generated by `python -m repro.make_tables`; do not edit. MAE of σvM in MPa, "
        "over all pixels, increments and microstructures. *One-step*: each step from the true "
        "stress. *Rollout*: the whole load from the unloaded state, on the network's own output. "
        "The paper does not say which of them it reports.",
        "## The verdict\n\n" + "\n".join(f"- {sentence}" for sentence in verdict),
        _findings(sources),
        "## Training and validation\n\n" + table("training_validation", evaluate),
        image("learning_curves", "Learning curves"),
        "## Number of grains (Table 1)\n\n" + table("table1_grains", evaluate),
        "## Property contrast (Table 2)\n\n" + table("table2_contrast", evaluate),
        "## Inclusions (Figs. 6, 7)\n\n" + table("inclusions", evaluate),
        "## Beyond the paper\n\n" + table("beyond", evaluate),
        "## What an error has to be compared with\n\nValidation part. Linear extrapolation needs "
        "two true states and says nothing about the first step. *reference model*: the error of "
        "the labels, against a ten times tighter tolerance; *DAMASK*: its recorded solutions "
        "against our reference model.\n\n" + table("naive_references", evaluate),
        image("increments", "MAE over the load"),
        "## Where the error is\n\nMAE / MPa, validation part.\n\n" + table("regions", evaluate),
        image("boundary_distance", "MAE over distance to the nearest grain boundary"),
        "## Speed\n\nSeconds a simulation; the error is of the microstructures that were timed.\n\n"
        + table("speed", "python -m repro.benchmark speed"),
        "" if sources.speed is None else reality.speed(sources.speed),
        image("pareto", "Error and time of a whole trajectory"),
        "## Fidelity\n\n" + table("fidelity", evaluate),
        "## What the paper leaves open\n\nEach choice varied alone, at reduced scale: to be "
        "compared with each other, not with the paper."
        + _scale(sources.assumptions)
        + "\n\n"
        + table("open_choices", "python -m repro.study assumptions"),
        "## What the ingredients of the advanced network gain\n\nEach left out alone, at reduced "
        "scale; a gain is positive where leaving it out makes the error larger, in MPa."
        + _scale(sources.ablation)
        + "\n\n"
        + table("ablation", "python -m repro.study ablation"),
        "## Set-ups of DAMASK that are not the paper's\n\nMean and final |ΔσvM| against the "
        "paper's model, of settings met in an earlier replication. With dilatation the response is "
        "elastic, which leaves nothing for the rate and M to change.\n\n"
        + table("deviations", "python -m repro.damask_deviations"),
        "## The paper's figures\n\n" + _paper_figures(sources, image),
        "## Provenance\n\n" + tables.provenance(sources.results),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _paper_figures(sources, image):
    if not sources.headline:
        return "*Not there yet: no model is shipped in `repro/models/shipped/`.*"
    captions = {
        number: f"Fig. {number}: {what}; rollout of {sources.headline}"
        for number, (_, what) in FIELD_FIGURES.items()
    }
    captions[9] = "Fig. 9: a random microstructure and its periodic surroundings"
    captions[11] = "Fig. 11: distribution of E and of σvM over the pixels of all microstructures"
    captions[12] = f"Fig. 12: architecture of {sources.headline}"
    images = [image(f"figure{number}", text) for number, text in captions.items()]
    return "\n\n".join(shown for shown in images if shown)
