"""Conformal error bounds: what a score of a predictor means in MPa, by reference solutions.

Split conformal prediction (Lei et al., J. Am. Stat. Assoc. 113:1094, 2018), with errors in
proportion to a score. The bound holds with the chosen confidence, on average over cells that are
drawn like those that it was calibrated on. It says nothing of cells that are drawn otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from scipy.stats import ks_2samp

from repro.data.discretization import Discretization
from repro.data.flow_rule import FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.tools.files import atomic_path
from repro.tools.values import Value, number, unmasked

SIGNIFICANCE = 0.01  # below it, cells are taken to be of another kind


@dataclass(frozen=True, eq=False)
class Case(Value):
    """Which errors a calibration holds: those of one predictor against one reference solution."""

    predictor: str  # its name
    load: Load
    discretization: Discretization  # of the reference solution
    flow_rule: FlowRule
    pixels: tuple[int, int]  # of a cell

    def difference(self, other: Case) -> str:
        """How it differs from another case, in words; empty if it does not."""
        pixels = ["{} x {} pixels".format(*case.pixels) for case in (self, other)]
        on = self.discretization, other.discretization
        for same, words in (
            (self.predictor == other.predictor, f"is of {self.predictor}, not {other.predictor}"),
            (self.load.same_as(other.load), "is under another load"),
            (on[0] == on[1], f"is against fields of {on[0]}, not of {on[1]}"),
            (self.flow_rule == other.flow_rule, "is for another flow rule"),
            (self.pixels == other.pixels, f"is of cells of {pixels[0]}, not {pixels[1]}"),
        ):
            if not same:
                return words
        return ""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What it holds by name, for a file."""
        kept = {"predictor": self.predictor, "pixels": self.pixels}
        kept |= {"time": self.load.time, "F": self.load.F, "P": self.load.P}
        kept |= {**self.discretization.attributes, **self.flow_rule.attributes}
        return {name: np.asarray(value) for name, value in kept.items()}

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> Case:
        """The case with these `arrays`."""
        load = Load(*(arrays[name] for name in ("time", "F", "P")))
        plain = {name: array.item() for name, array in arrays.items() if array.ndim == 0}
        how = Discretization.of(plain), FlowRule.of(plain)
        return cls(plain["predictor"], load, *how, tuple(arrays["pixels"].tolist()))


@dataclass(frozen=True, eq=False)
class Calibration(Value):
    """Measured errors of a predictor beside its scores.

    Parameters
    ----------
    errors : ndarray, shape (m, T+1)
        Mean absolute error of each field of the calibration cells, MPa.
    scores : ndarray, shape (m,)
    features : ndarray, shape (m, F)
        What the calibration cells are like (`features_of`).
    case : Case
        Whose errors they are, and against what.
    confidence : float
        Share of the errors that the bounds are to hold for.

    Raises
    ------
    ValueError
        If confidence is not between 0 and 1, or there are too few cells for it.
    """

    errors: np.ndarray
    scores: np.ndarray
    features: np.ndarray
    case: Case
    confidence: float = 0.9

    def __post_init__(self):
        for name in ("errors", "scores"):
            object.__setattr__(self, name, unmasked(getattr(self, name), name))
        super().__post_init__()
        shapes = self.errors.shape, self.scores.shape
        if self.errors.ndim != 2 or self.scores.shape != self.errors.shape[:1]:
            raise ValueError(f"errors (m, T+1) and scores (m,) have shapes {shapes}")
        if self.features is not None and self.features.shape[:-1] != self.scores.shape:
            raise ValueError(f"features must be (m, F) with m = {len(self.scores)}")
        check_sample(len(self.scores), self.confidence)

    def write(self, path) -> None:
        """Keep it in a file (.npz)."""
        with atomic_path(path) as temporary:
            own = {name: value for name, value in vars(self).items() if name != "case"}
            np.savez_compressed(temporary, **own, **self.case.arrays)

    @classmethod
    def read(cls, path) -> Calibration:
        """What `write` wrote; ValueError if a file was written otherwise."""
        content = BytesIO(Path(path).read_bytes())
        try:
            with np.load(content, allow_pickle=False) as file:
                arrays = dict(file)
            own = (arrays[name] for name in ("errors", "scores", "features"))
            return cls(*own, Case.of(arrays), float(arrays["confidence"]))
        except Exception as error:  # a damaged archive raises whatever it comes upon
            raise ValueError(f"{path}: no calibration ({error}): calibrate again") from None

    def of_cells(self, scores) -> np.ndarray:
        """Bound of the error of each cell over the whole load, (n,), MPa."""
        return self._bounds(self.errors[:, 1:].mean(1, keepdims=True), scores)[:, 0]

    def of_fields(self, scores) -> np.ndarray:
        """Bound of the error of each field, (n, T+1), MPa."""
        return self._bounds(self.errors, scores)

    def _bounds(self, errors, scores) -> np.ndarray:
        """Bounds in proportion to the scores; infinite where nothing was predicted."""
        scores = unmasked(scores, "scores")
        if scores.ndim != 1:
            raise ValueError(f"scores must be (n,), got {scores.shape}")
        known, predicted = np.isfinite(self.scores), np.isfinite(scores)
        ratios = errors[known] / self.scores[known, None]
        bounds = np.full((len(predicted), errors.shape[1]), np.inf)
        quantile = conformal_quantile(ratios, self.confidence)
        bounds[predicted] = np.outer(scores[predicted], quantile)
        return bounds

    def applies_to(self, cells: Sequence[Microstructure], scores) -> bool:
        """Whether cells look like those of the calibration, by their scores and their properties.

        Kolmogorov-Smirnov tests of each quantity, corrected for their number. Cells may differ in
        what is not looked at: this finds reasons for doubt and proves nothing.
        """
        here = np.column_stack([unmasked(scores, "scores"), features_of(cells)])
        there = np.column_stack([self.scores, self.features])
        tests = [ks_2samp(*pair).pvalue for pair in zip(here.T, there.T, strict=True)]
        return bool(min(tests) * len(tests) >= SIGNIFICANCE)

    def check(self, case: Case, cells: Sequence[Microstructure], scores) -> None:
        """Raise ValueError if it says nothing of other cells, with these scores, in some case."""
        advice = "calibrate on some of your cells (calibration=50)"
        if different := self.case.difference(case):
            raise ValueError(f"the calibration {different}: {advice}")
        if not self.applies_to(cells, scores):
            raise ValueError(
                "the cells differ from those of the calibration in their properties or scores: "
                f"{advice}"
            )


def features_of(cells: Sequence[Microstructure]) -> np.ndarray:
    """Mean and standard deviation of each property over the pixels, (n, 8)."""
    maps = [cell.property_maps().reshape(-1, cell.properties.shape[1]) for cell in cells]
    return np.array([np.concatenate([m.mean(0), m.std(0)]) for m in maps])


def check_sample(cells: int, confidence: float) -> None:
    """Raise ValueError if so many cells are too few for a bound of some confidence."""
    if not 0 < number(confidence, "confidence") < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    needed = int(np.ceil(round(confidence / (1 - confidence), 9)))
    if cells < needed:
        raise ValueError(
            f"a confidence of {confidence:g} needs at least {needed} cells to calibrate on, got "
            f"{cells}"
        )


def conformal_quantile(ratios: Sequence, confidence: float) -> np.ndarray:
    """The value that one more of some exchangeable numbers stays below, with some confidence.

    Parameters
    ----------
    ratios : array_like, shape (m, ...)
    confidence : float

    Returns
    -------
    ndarray, shape (...)
        The ceil((m + 1) confidence)-th smallest; infinite where m is too small for it.
    """
    ratios = np.sort(unmasked(ratios, "ratios"), axis=0)
    rank = int(np.ceil(round((len(ratios) + 1) * confidence, 9)))
    return ratios[rank - 1] if rank <= len(ratios) else np.full(ratios.shape[1:], np.inf)
