"""The fidelity table: every statement of the paper, what we do, and what the difference does."""

import pandas as pd

from repro import paper
from repro.evaluation.results import select
from repro.report.tables import STUDIED, networks, time_step

AS_IS, CHANGED, NOT_STATED = "as is", "changed", "not stated"
NOT_MEASURED = "not measured"


def fidelity(
    results: pd.DataFrame, found: dict[str, str], assumptions: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row a statement of the paper.

    Parameters
    ----------
    results : DataFrame
        Result rows, for the measured effects.
    found : dict
        What the checks of the training data found, question -> finding.
    assumptions : DataFrame, optional
        Table of `repro.experiments.studies`.
    """
    columns = ["statement", "place", "status", "ours", "measured effect"]
    rows = [*_reference_model(results, found), *_network(results), *_open(results, assumptions)]
    return pd.DataFrame(rows, columns=columns)


def _reference_model(results, found):
    difference = _difference_from_damask(results)
    yield (
        f"periodic 2D cell of {paper.GRID}x{paper.GRID} pixels, Voronoi grains, isotropic",
        "Methods", AS_IS, "periodic Voronoi tessellation", "",
    )  # fmt: skip
    yield (
        "finite-strain elasto-viscoplasticity, J2 flow with linear hardening", "Methods", AS_IS,
        "same equations, backward Euler in time", "",
    )  # fmt: skip
    yield (
        "solved with DAMASK's spectral solver", "Methods", CHANGED,
        "own spectral solver, verified against DAMASK", difference,
    )  # fmt: skip
    yield (
        f"mean deformation gradient prescribed in full, {paper.RATE:g} 1/s to F11 = "
        f"{paper.F11_TRAINING}", "Methods", AS_IS,
        ", ".join(found[q] for q in ("loading rate", "final stretch F11") if q in found), "",
    )  # fmt: skip
    yield (
        f"{paper.MICROSTRUCTURES} microstructures of {paper.GRAINS} grains, "
        f"{paper.TRAINING_FRACTION:.0%} for training", "Methods",
        AS_IS if _microstructures(results) == paper.MICROSTRUCTURES else CHANGED,
        "; ".join(
            found[q] for q in ("grains a microstructure", "split by microstructure") if q in found
        ), "",
    )  # fmt: skip
    yield "each grain uniform in the ranges of Table 3", "Table 3", AS_IS, "", ""
    share = found.get(f"pixels above {paper.HIGH_STRESS:g} MPa", "")
    yield (
        f"{paper.HIGH_STRESS_SHARE:.3%} of the pixels above {paper.HIGH_STRESS:g} MPa", "Fig. 11",
        "a result", share, "",
    )  # fmt: skip


def _microstructures(results):
    rows = select(networks(results), suite="paper", metric="MAE", mode="one-step")
    return rows.groupby("split")["n"].max().sum()


def _difference_from_damask(results):
    whole = select(results, metric="MAE", mode="rollout")
    whole = whole[whole["model"].str.startswith("DAMASK")]
    finest = whole[whole["stride"] == whole["stride"].min()]
    found = [f"{row.model}: {row.value:.2g} MPa" for row in finest.itertuples()]
    return "; ".join(found) or NOT_MEASURED


def _network(results):
    yield (
        "input 64x64x5: E, nu, xi0, h0, sigma_vM(t); output sigma_vM(t + Δt)", "Methods", AS_IS,
        "any multiple of 8 pixels", "",
    )  # fmt: skip
    yield (
        f"U-Net, {paper.FILTERS} filters, separable {paper.KERNEL}x{paper.KERNEL} convolution, "
        "batch normalization, ReLU, max pooling, bilinear upsampling", "Fig. 12", AS_IS, "", "",
    )  # fmt: skip
    yield "Glorot initialization for all weights and biases", "Methods", AS_IS, "", ""
    yield (
        f"Adam, learning rate {paper.LEARNING_RATE:g}, momentum {paper.BETA_1}; loss MAE",
        "Methods", AS_IS, f"momentum read as beta_1 = {paper.BETA_1}", "",
    )  # fmt: skip
    epochs = _of_the_paper(results).groupby("model")["epochs"].max().astype(int)
    enough = len(epochs) and (epochs >= paper.EPOCHS).all()
    yield (
        f"{paper.EPOCHS} epochs", "Methods", AS_IS if enough else CHANGED,
        ", ".join(f"{model}: {count}" for model, count in epochs.items()),
        "learning curves" if len(epochs) else "",
    )  # fmt: skip


def _open(results, assumptions):
    strides = sorted({int(stride) for stride in _of_the_paper(results)["stride"]})
    ours = ", ".join(time_step(stride) for stride in strides)
    yield "time step", "–", NOT_STATED, ours, _effect_of(assumptions, "time step")
    yield (
        "mode of the reported MAE",
        "–",
        NOT_STATED,
        "one-step and rollout",
        _effect_of_mode(results),
    )
    for statement, choice in (
        ("levels and channels", f"{paper.LEVELS} poolings, {_channels()} channels"),
        (
            "normalization",
            f'"normalized to 1": Table 3 to [0, 1]; stress over {paper.STRESS_SCALE:g} MPa',
        ),
        ("batch size", f"{paper.BATCH_SIZE}"),
        ("bias and order of the layers", "no bias, batch normalization, ReLU; twice a level"),
        ("padding", "zeros"),
    ):
        yield statement, "–", NOT_STATED, choice, _effect_of(assumptions, statement)
    yield (
        "inclusion size", "–", NOT_STATED,
        f"radius {paper.CIRCLE_RADIUS}, edge {paper.SQUARE_EDGE} of the cell",
        _effect_of_size(results),
    )  # fmt: skip


def _channels():
    return "-".join(str(paper.FILTERS * 2**level) for level in range(paper.LEVELS + 1))


def _of_the_paper(results):
    """The rows of the paper's network."""
    return results[results["network"] == "paper_unet"]


def _effect_of(assumptions, statement):
    """The range of MAE over the settings of a choice, named alike in the studies."""
    if assumptions is None or statement not in set(assumptions["varied"]):
        return NOT_MEASURED
    variants = assumptions[assumptions["varied"] == statement]
    means = variants.groupby("setting")[list(STUDIED.values())].mean()
    ranges = (
        f"{mode} {means[column].min():.3g}…{means[column].max():.3g} MPa"
        for mode, column in STUDIED.items()
    )
    return "; ".join(ranges) + " (reduced scale)"


def _effect_of_size(results):
    """One-step MAE of the paper's network on inclusions of all sizes, from small to large."""
    error = select(_of_the_paper(results), metric="MAE", mode="one-step")
    error = error.groupby("suite")["value"].mean()
    sizes = {
        "circle": ["circle15", "circle", "circle40"], "square": ["square25", "square", "square75"],
    }  # fmt: skip
    found = [
        f"{shape}, small to large: " + ", ".join(f"{error[suite]:.3g}" for suite in suites) + " MPa"
        for shape, suites in sizes.items()
        if set(suites) <= set(error.index)
    ]
    return "; ".join(found) or NOT_MEASURED


def _effect_of_mode(results):
    rows = select(_of_the_paper(results), suite="paper", split="validation", metric="MAE")
    groups = rows.groupby(["stride", "mode"])["value"].mean()
    found = [f"{mode} {v:.3g} MPa at {time_step(stride)}" for (stride, mode), v in groups.items()]
    return ", ".join(found) or NOT_MEASURED
