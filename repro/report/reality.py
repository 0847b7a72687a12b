"""The reality check: what a result says about the reproduction, in words and by rule."""

import pandas as pd

from repro import paper
from repro.data.checks import Check
from repro.data.suites import PAPER_MAE
from repro.evaluation.results import select
from repro.report.tables import time_step

IN_THE_BALLPARK = 2.5  # MPa of one-step validation MAE; the paper has paper.MAE_VALIDATION
LOOK_AT_THE_DATA = 3.5  # MPa; with the paper's data and training nothing sensible is this far off


def verdict(checks: list[Check], rows: pd.DataFrame) -> str:
    """Judge data and networks, one sentence a line.

    Parameters
    ----------
    checks : list of Check
        What `verification.verify` finds about the data; empty if it was not asked.
    rows : DataFrame
        Result rows as in `repro.evaluation.results`.

    Returns
    -------
    str
        The verdict on the data, then one on each network that was evaluated on a validation part.
    """
    networks = select(
        rows[rows["epochs"].notna()], split="validation", mode="one-step", metric="MAE"
    )
    sentences = [_data(checks)] if checks else []
    sentences += [
        f"{row.model}: {' '.join(_network(row, rows, checks))}" for row in networks.itertuples()
    ]
    return "\n".join(sentences)


def summary(rows: pd.DataFrame) -> str:
    """The verdict on the paper's network, and on others that do better: a Markdown list.

    Of several that reach the paper's accuracy with the same time step, the best in rollout.
    """
    found = _validation(rows)
    if found.empty:
        return "- No network has been evaluated on a validation part yet."
    accuracy = f"The paper's accuracy of {paper.MAE_VALIDATION} MPa"
    of_paper = found["network"] == "paper_unet"
    sentence = f"{accuracy} has not been tried with its own network yet"
    if of_paper.any():
        row = found.loc[found.loc[of_paper, "one-step"].idxmin()]
        reached = "reached" if row["one-step"] <= paper.MAE_VALIDATION else "not reached"
        sentence = (
            f"{accuracy} is {reached} by its network, which stands at {_errors(row)}; "
            f"the paper trains for {paper.EPOCHS}"
        )
    others = found[~of_paper & (found["one-step"] <= paper.MAE_VALIDATION)]
    others = others.sort_values(["stride", "rollout"], ascending=[False, True])
    best = [
        f"{row['model']} reaches it one-step, with {_errors(row)}{_trivial(rows, row)}"
        for row in others.drop_duplicates("stride").to_dict("records")
    ]
    return "\n".join(f"- {line}." for line in [sentence, *best])


def _trivial(rows, row):
    """Words for naive references that reach the paper's accuracy on the same steps as well."""
    reach = [
        f"{name} {error:.2f} MPa"
        for name, error in _naive(rows, row["suite"], row["stride"])
        if error <= paper.MAE_VALIDATION
    ]
    return f" (where it takes no network to reach it one-step: {', '.join(reach)})" * bool(reach)


def _naive(rows, suite, stride):
    """Name and one-step validation MAE of what needs no network."""
    about = {"suite": suite, "stride": stride, "split": "validation", "mode": "one-step"}
    for name in ("persistence", "linear extrapolation"):
        for error in select(rows, model=name, metric="MAE", **about)["value"]:
            yield name, error


def _validation(rows):
    """MAE of every network on a validation part, a column a mode."""
    about = ["model", "suite", "network", "stride", "epochs"]
    found = select(rows[rows["epochs"].notna()], split="validation", metric="MAE")
    table = found.pivot_table(index=about, columns="mode", values="value").reset_index()
    return table.reindex(columns=[*about, "one-step", "rollout"])


def _errors(row):
    return (
        f"{row['one-step']:.2f} MPa one-step and {row['rollout']:.2f} MPa in rollout at "
        f"Δt = {time_step(row['stride'])}, {_trained(row['model'], row['epochs'])}"
    )


def _trained(model, epochs):
    """For how long; what is evaluated of a run is its best epoch, unless another is named."""
    return f"{'after' if model.endswith(' (last)') else 'the best of'} {epochs:.0f} epochs"


def _data(checks):
    failed = [f"{c.question} ({c.found}; the paper has {c.wanted})" for c in checks if not c.passed]
    if failed:
        return "The data is not the paper's: " + "; ".join(failed) + "."
    return "The data is the paper's in everything that can be checked."


def _network(row, rows, checks):
    yield (
        f"one-step validation MAE {row.value:.3f} MPa, {_trained(row.model, row.epochs)}; "
        f"the paper reports {paper.MAE_VALIDATION} MPa after {paper.EPOCHS}."
    )
    yield _distance(row, checks)
    yield from _entries(row, rows)
    if row.epochs < paper.EPOCHS and row.value > paper.MAE_VALIDATION:
        yield "It was trained for less than the paper's network: the comparison is not yet fair."
    yield from _against_naive(row, rows)


def _distance(row, checks):
    if row.value <= paper.MAE_VALIDATION:
        return "That reaches the paper's accuracy."
    if row.value < IN_THE_BALLPARK:
        return "That is in the right ballpark."
    if row.value <= LOOK_AT_THE_DATA:
        return "That is near, but not there."
    if any(not check.passed for check in checks):
        return "That is far off: look at the data first, which is not the paper's."
    if row.epochs < paper.EPOCHS:
        return "That is far off: train for longer before anything else."
    return "That is far off: look at the data first, then at the training."


def _entries(row, rows):
    """How many of the errors that the paper reports the network reaches."""
    own = select(rows, model=row.model, stride=row.stride, mode="one-step", metric="MAE")
    own = own.set_index(["suite", "split"])["value"]
    asked = {key: mae for key, mae in PAPER_MAE.items() if key in own.index}
    if len(asked) > 1:
        reached = sum(own[key] <= mae for key, mae in asked.items())
        yield f"It reaches {reached} of the {len(asked)} errors that the paper reports, one-step."


def _against_naive(row, rows):
    """A one-step error means nothing without its step: say what needs no network at all."""
    for name, error in _naive(rows, row.suite, row.stride):
        better = "better" if row.value < error else "worse"
        yield f"It is {better} than {name} ({error:.2f} MPa)."
        if error <= paper.MAE_VALIDATION:
            yield (
                "That needs no network and is below the paper's error already: at this Δt "
                "only the rollout says what a network is worth."
            )
    same = {"suite": row.suite, "stride": row.stride, "metric": "MAE"}
    rollout = select(rows, model=row.model, split="validation", mode="rollout", **same)["value"]
    if len(rollout):
        yield f"On its own output from the unloaded state (rollout): {rollout.iloc[0]:.3f} MPa."


def speed(measured: pd.DataFrame) -> str:
    """What measured times (`repro.benchmarks.speed`) do to the paper's statement of speed."""
    one = measured[measured["cores"] == 1]
    ours = one[one["default"]]
    nets = one[one["kind"] == "network"]
    if ours.empty or nets.empty:
        return ""
    solver, network = ours.iloc[0], nets.sort_values("seconds").iloc[0]
    ratio = solver["seconds"] / network["seconds"]
    comparison = (
        f"and {ratio:.1f} times faster" if ratio > 1 else f"but {1 / ratio:.1f} times slower"
    )
    sentences = [
        f'The paper: "about {paper.SPEED_UP:.0f} times faster", {paper.NETWORK_SECONDS} s against '
        f"{paper.DAMASK_SECONDS:g} s. Here the fastest network ({network['contender']}, "
        f"{network['setting']}) takes {network['seconds']:.2g} s a simulation on one core, with an "
        f"error of {network['mae']:.2g} MPa: it is {_against_damask(one, network)}, "
        f"{comparison} than our reference model, which takes {solver['seconds']:.2g} s with an "
        f"error of {solver['mae']:.1g} MPa.",
        *_most_accurate(one, nets, network),
        "The speed-up is one over DAMASK as it is run, not over solving the problem.",
    ]
    return " ".join(sentences)


def _against_damask(one, network):
    damask = one[one["contender"] == "DAMASK"]
    if damask.empty:
        return "not compared with DAMASK"
    fastest = damask.loc[damask["seconds"].idxmin()]
    elsewhere = " (recorded on another machine)" * (fastest["origin"] == "recorded")
    return f"{fastest['seconds'] / network['seconds']:.0f} times faster than DAMASK{elsewhere}"


def _most_accurate(one, nets, fastest):
    """The network with the least error, and the solver that is faster or as fast, if there is."""
    best = nets.sort_values(["mae", "seconds"]).iloc[0]
    if best["contender"] != fastest["contender"]:
        yield (
            f"The most accurate network ({best['contender']}, {best['setting']}) takes "
            f"{best['seconds']:.2g} s with {best['mae']:.2g} MPa."
        )
    better = one[(one["kind"] == "solver") & (one["mae"] < best["mae"])]
    better = better[better["seconds"] <= best["seconds"]]
    if len(better):
        solver = better.sort_values("seconds").iloc[0]
        yield (
            f"The {solver['contender']} at {solver['setting']} is more accurate than every network "
            f"({solver['mae']:.2g} MPa) in {solver['seconds']:.2g} s."
        )
