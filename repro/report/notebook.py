"""What the notebooks show: tables and figures as displayable objects, or what is missing.

Only the notebooks import this module; it needs IPython.
"""

import io

import pandas as pd
from IPython.display import Image, Markdown, display

from repro import models, reference
from repro.benchmarks import speed
from repro.damask import trajectories
from repro.data import checks
from repro.reference import generation
from repro.report import architecture, figures, gallery, page, reality, tables
from repro.training.run_directory import run_of

RESULTS = models.SHIPPED.parent
DPI = 110
_EVALUATE = "python -m repro.evaluate --model NAME --suite all"


def missing(what: str, command: str) -> Markdown:
    """Says what is not there, and which command makes it."""
    return Markdown(f"> **Missing: {what}.** `{command}` makes it.")


def image(figure) -> Image:
    """A figure as a picture in the notebook."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI, metadata={"Software": None})
    return Image(buffer.getvalue())


def table(name: str):
    """A generated table of `results/tables/`, by name."""
    path = RESULTS / "tables" / f"{name}.csv"
    if not path.is_file():
        return missing(f"the table {name}", f"{_EVALUATE}`, then `python -m repro.make_tables")
    shown = pd.read_csv(path, keep_default_na=False).rename(columns={"Unnamed: 0": ""})
    return Markdown(tables.markdown(shown))


def figure(name: str):
    """A generated figure of `results/figures/`, by name."""
    path = RESULTS / "figures" / f"{name}.png"
    if not path.is_file():
        return missing(f"the figure {name}", "python -m repro.make_tables")
    return Image(path.read_bytes(), width=710)


def verdict():
    """The reality check of the results in `results/`."""
    try:
        sources = page.read_sources(RESULTS)
    except FileNotFoundError:
        return missing("results/results.csv", _EVALUATE)
    lines = reality.verdict(sources.checks, sources.results).splitlines()
    return Markdown("\n".join(f"- {line}" for line in lines))


# --- The reference model -------------------------------------------------------------------


def microstructure(suite: str = "paper"):
    """The shown microstructure of a suite with its periodic surroundings."""
    return image(figures.periodic_cell_figure(gallery.solve_example(suite).grain_id[0]))


def trajectory(suite: str = "paper"):
    """Fields and mean stress of the shown microstructure of a suite, solved now."""
    data = gallery.solve_example(suite)
    return image(figures.trajectory_figure(data.F11, data.sigma_vm[0]))


def data_checks(count: int = 5):
    """What the verification finds about a handful of freshly generated microstructures."""
    data = generation.Job("paper").solve(range(count))
    print(checks.report(checks.verify(data)))


def parity(case: str = "g10_101"):
    """A recorded DAMASK solution beside ours, solved now, at the end of the load."""
    run = trajectories.read_case(trajectories.TRAJECTORIES / f"{case}.h5")
    load = (run.F11[-1], len(run.F11) - 1, run.rate)
    ours = reference.simulate(run.microstructure, *load).sigma_vm
    return image(figures.parity_figure(ours[-1], run.sigma_vm[-1], "reference model", "DAMASK"))


# --- Networks ------------------------------------------------------------------------------


def _shipped():
    found = {}
    for name in speed.shipped():
        found[name] = (models.load(name), run_of(models.model_path(name)).stride)
    return found


def prediction(suite: str):
    """Solution and rollout of the paper's network for the shown cell of a suite, computed now."""
    shipped = _shipped()
    if not shipped:
        return _no_model("paper_unet")
    network, stride = shipped[page.headline({name: models.SHIPPED / name for name in shipped})]
    return image(gallery.prediction_figure(network, gallery.solve_example(suite), stride))


def comparison(suite: str):
    """Solution and rollouts of all shipped networks for the shown cell of a suite."""
    shipped = _shipped()
    if not shipped:
        return _no_model("NAME")
    data = gallery.solve_example(suite)
    examples = {
        name: gallery.predict_example(network, data, stride)
        for name, (network, stride) in shipped.items()
    }
    return image(
        figures.comparison_figure(
            {name: example.F11 for name, example in examples.items()},
            {name: example.sigma_rm for name, example in examples.items()},
            {name: example.sigma_network for name, example in examples.items()},
        )
    )


def architectures():
    """The shipped networks, drawn from themselves."""
    shipped = _shipped()
    for network, _ in shipped.values():
        display(image(architecture.architecture_figure(network)))
    return None if shipped else _no_model("NAME")


def _no_model(name):
    return missing(f"a trained network repro/models/shipped/{name}", "python -m repro.train_paper")
