"""Is a data set the paper's? What a reader of the paper would ask, answered and judged."""

from dataclasses import dataclass

import numpy as np

from repro import paper
from repro.data import dataset
from repro.data.dataset import DataSet

TAIL_FACTOR = 5  # by which the share of pixels with a high stress may differ


@dataclass(frozen=True)
class Check:
    """One question: what was found, what the paper says, and whether they agree."""

    question: str
    found: str
    wanted: str
    passed: bool


def verify(data: DataSet) -> list[Check]:
    """All checks of a data set against the paper's (Methods, Table 3, Fig. 11)."""
    checks = (
        _finite, _grains, _properties, _size, _split, _load, _stretch, _plastic, _high_stress
    )  # fmt: skip
    return [check(data) for check in checks]


def report(checks: list[Check]) -> str:
    """The checks as text, one a line, failures marked."""
    lines = [
        f"{'ok  ' if c.passed else 'FAIL'} {c.question}: {c.found} (paper: {c.wanted})"
        for c in checks
    ]
    failed = [c.question for c in checks if not c.passed]
    verdict = "not the paper's data: " + ", ".join(failed)
    if not failed:
        verdict = f"consistent with the paper's data ({len(checks)} of {len(checks)} checks)"
    return "\n".join([*lines, verdict])


def _finite(data):
    bad = int((~np.isfinite(data.sigma_vm)).sum() + (~np.isfinite(data.P_mean)).sum())
    return Check("NaN or infinite stresses", str(bad), "none", bad == 0)


def _grains(data):
    counts, times = np.unique([len(np.unique(g)) for g in data.grain_id], return_counts=True)
    histogram = ", ".join(f"{c} grains x {t}" for c, t in zip(counts, times, strict=True))
    return Check(
        "grains a microstructure", histogram, f"exactly {paper.GRAINS}",
        counts.tolist() == [paper.GRAINS],
    )  # fmt: skip


def _properties(data):
    values = data.properties.reshape(-1, len(paper.PROPERTY_NAMES))
    low, high = np.nanmin(values, 0), np.nanmax(values, 0)
    limits = np.array(paper.PROPERTY_RANGES)
    found, wanted = (
        ", ".join(
            f"{name} {a:g}...{b:g} {unit}".rstrip()
            for name, unit, (a, b) in zip(
                paper.PROPERTY_NAMES, paper.PROPERTY_UNITS, ranges, strict=True
            )
        )
        for ranges in (np.stack([low, high], 1).round(3), limits)
    )
    inside = bool((low >= limits[:, 0]).all() and (high <= limits[:, 1]).all())
    return Check("property ranges", found, f"Table 3: {wanted}", inside)


def _size(data):
    n = data.grain_id.shape[1]
    return Check("pixels", f"{n}x{n}", f"{paper.GRID}x{paper.GRID}", n == paper.GRID)


def _split(data):
    if len(data) < 2:
        return Check("split", "1 microstructure cannot be split", "80 % / 20 %", False)
    split = dataset.split(data)
    cells = [data.sigma_vm[i, -1].tobytes() for i in range(len(data))]
    training = {cells[i] for i in split.training}
    shared = sum(cells[i] in training for i in split.validation)
    return Check(
        "split by microstructure",
        f"{len(split.training)} / {len(split.validation)}, {shared} in both",
        "80 % / 20 %, disjoint",
        shared == 0,
    )


def _load(data):
    rate = float(np.median(np.diff(data.F11) / np.diff(data.time)))
    return Check(
        "loading rate", f"{rate:.3g} 1/s", f"{paper.RATE:g} 1/s", bool(np.isclose(rate, paper.RATE))
    )


def _stretch(data):
    return Check(
        "final stretch F11", f"{data.F11[-1]:g} in {len(data.F11) - 1} increments",
        f"{paper.F11_TRAINING:g}", bool(np.isclose(data.F11[-1], paper.F11_TRAINING)),
    )  # fmt: skip


def _plastic(data):
    # The first increment is elastic nearly everywhere: were all elastic, the stress would go on so.
    mean = data.sigma_vm.mean((0, 2, 3), dtype=np.float64)
    strain = data.F11 - 1
    ratio = mean[-1] / (mean[1] * strain[-1] / strain[1])
    return Check("stress over its elastic prediction", f"{ratio:.2f}", "plastic", ratio < 0.9)


def _high_stress(data):
    at = int(np.argmin(np.abs(data.F11 - paper.F11_TRAINING)))
    share = float((data.sigma_vm[:, at] > paper.HIGH_STRESS).mean())
    # A thin tail: our DAMASK-exact data has 0.026 %, and the paper's share above 463 MPa. So only
    # the order of magnitude is asked for.
    few = len(data) < paper.MICROSTRUCTURES // 2
    near = few or 1 / TAIL_FACTOR < share / paper.HIGH_STRESS_SHARE < TAIL_FACTOR
    return Check(
        f"pixels above {paper.HIGH_STRESS:g} MPa",
        f"{share:.3%}" + ", too few microstructures to judge" * few,
        f"{paper.HIGH_STRESS_SHARE:.3%}, to a factor of {TAIL_FACTOR}",
        near,
    )
