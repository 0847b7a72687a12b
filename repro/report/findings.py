"""Why a network misses the paper's error: what the measurements rule out, and what they leave."""

import pandas as pd

from repro import paper
from repro.data.suites import SUITES
from repro.evaluation.regions import FRAME, FRAME_WIDTH
from repro.evaluation.results import select
from repro.report.tables import networks, time_step

WINDOW = 10  # epochs that are compared with as many before them
STALLED = 0.02  # a smaller relative gain over the window is none
OVERFITTED = 1.2  # validation MAE over training MAE
UNEVEN = 1.2  # MAE near the edges or corners of the cell over that in its middle


def shortfall(model: str, results: pd.DataFrame, history: pd.DataFrame | None = None) -> list[str]:
    """One sentence a possible reason, each with the measurement that speaks for or against it.

    Parameters
    ----------
    model : str
        Name of a network in `results`.
    results : DataFrame
        Rows as in `repro.evaluation.results`.
    history : DataFrame, optional
        Its learning curve.

    Returns
    -------
    list of str
        Empty if the network was not evaluated or reaches the paper's validation MAE.
    """
    own = _of(results, model=model)
    errors = select(own, metric="MAE", mode="one-step").set_index("split")["value"]
    if errors.get("validation", 0.0) <= paper.MAE_VALIDATION:
        return []
    return [
        *_labels(results, errors),
        *_generalization(errors),
        *_samples(own),
        *(_training(history) if history is not None and len(history) >= 2 * WINDOW else ()),
        *places(model, results),
        *_tail(own),
        *_increments(own),
        *_larger_cells(model, results, errors),
        *_other_network(results, own, errors),
    ]


def _of(results, **wanted):
    return select(results, suite="paper", region=None, F11=None, distance_px=None, **wanted)


def _labels(results, errors):
    noise = select(_of(results, metric="MAE", mode="rollout"), split="validation")
    noise = noise[noise["model"].str.startswith("reference model")]["value"]
    if len(noise):
        share = noise.iloc[0] / errors["validation"]
        limit = "are not the limit" if share < 0.1 else "are part of it"
        yield f"The labels {limit}: their own error is {noise.iloc[0]:.2g} MPa."


def _generalization(errors):
    if "training" not in errors:
        return
    ratio = errors["validation"] / errors["training"]
    what = "It overfits" if ratio > OVERFITTED else "It does not overfit"
    yield (
        f"{what}: {errors['training']:.2f} MPa on the training part, "
        f"{errors['validation']:.2f} MPa on the validation part."
    )


def _samples(own):
    row = select(own, metric="MAE", split="training", mode="one-step")
    if row.empty or row["epochs"].isna().all():
        return
    epochs, n, stride = row[["epochs", "n", "stride"]].iloc[0]
    seen = epochs * n * (paper.INCREMENTS // stride)
    cells = round(paper.MICROSTRUCTURES * paper.TRAINING_FRACTION)
    whole = paper.EPOCHS * cells * paper.INCREMENTS
    yield (
        f"It has seen {seen:,.0f} samples in {epochs / paper.EPOCHS:.0%} of {paper.EPOCHS} epochs; "
        f"{paper.EPOCHS} epochs of {cells} microstructures and a pair for each of "
        f"{paper.INCREMENTS} increments are {whole:,.0f}."
    )


def _training(history):
    curve = history["mae_training"]
    now, before = curve.iloc[-WINDOW:].mean(), curve.iloc[-2 * WINDOW : -WINDOW].mean()
    gain = 1 - now / before
    what = "Its training has stalled" if gain < STALLED else "Its training has not ended"
    yield (
        f"{what}: over the last {WINDOW} of {len(curve)} epochs the mean training MAE is "
        f"{now:.2f} MPa, over the {WINDOW} before {before:.2f} MPa."
    )
    recent = history["mae_validation"].iloc[-WINDOW:]
    low, high = recent.min(), recent.max()
    steady = "is steady" if high < OVERFITTED * low else "jumps from epoch to epoch"
    yield (
        f"Its validation MAE {steady}: between {low:.2f} and {high:.2f} MPa in the last {WINDOW} "
        f"epochs, at a learning rate of {history['learning_rate'].iloc[-1]:.2g}."
    )


def places(model: str, results: pd.DataFrame) -> list[str]:
    """Where in the grains and in the cell the one-step error is, validation; a sentence each."""
    rows = select(_of(results, model=model), metric="MAE", split="validation", mode="one-step",
                  region=None)  # fmt: skip
    error, found = rows.set_index("region")["value"], []
    if {"interiors", "grain boundaries"} <= set(error.index):
        inside, boundary = error["interiors"], error["grain boundaries"]
        found.append(
            f"The error is {boundary / inside:.1f} times as large at grain boundaries "
            f"({boundary:.2f} MPa) as inside the grains ({inside:.2f} MPa)."
        )
    if set(FRAME) <= set(error.index):
        corners, edges, middle = (error[name] for name in FRAME)
        uneven = max(corners, edges) > UNEVEN * middle
        found.append(
            f"The error within {FRAME_WIDTH} pixels of the edges of the cell is {edges:.2f} MPa, "
            f"in its corners {corners:.2f} MPa, in its middle {middle:.2f} MPa: "
            + ("the cell is periodic, zero padding is not." if uneven else "no place is special.")
        )
    return found


def _tail(own):
    rows = select(own, split="validation", mode="one-step").set_index("metric")["value"]
    if {"MAE", "median", "q99"} <= set(rows.index):
        yield (
            f"Half of the pixels are off by less than {rows['median']:.2f} MPa, one in a hundred "
            f"by more than {rows['q99']:.2f} MPa; the mean is {rows['MAE']:.2f} MPa."
        )


def _increments(own):
    rows = select(own, metric="MAE", split="validation", mode="one-step", F11=True)
    rows = rows.sort_values("F11")
    if len(rows) > 1:
        first, last = rows.iloc[0], rows.iloc[-1]
        yield (
            f"Of the steps, the first (to F11 = {first['F11']:g}) is off by {first['value']:.2f} "
            f"MPa, the last (to {last['F11']:g}) by {last['value']:.2f} MPa."
        )


def _larger_cells(model, results, errors):
    about = {"model": model, "metric": "MAE", "mode": "one-step"}
    found = select(results, **about).set_index("suite")["value"]
    sizes = {suite.size: name for name, suite in SUITES.items() if suite.size > paper.GRID}
    larger = [f"{found[name]:.2f} MPa on {n}²" for n, name in sizes.items() if name in found.index]
    if larger:
        yield (
            f"On larger cells, with as many pixels a grain, its error is {' and '.join(larger)} "
            f"pixels, against {errors['validation']:.2f} MPa on {paper.GRID}²."
        )


def _other_network(results, own, errors):
    stride = own["stride"].iloc[0]
    others = select(
        _of(networks(results), metric="MAE", mode="one-step"), split="validation", stride=stride
    )
    others = others[others["value"] < errors["validation"]]
    if len(others):
        best = others.loc[others["value"].idxmin()]
        yield (
            f"The data allows more: {best['model']}, on the same pairs with Δt = "
            f"{time_step(stride)}, has {best['value']:.2f} MPa after {best['epochs']:.0f} epochs."
        )
