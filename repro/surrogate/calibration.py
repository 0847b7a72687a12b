"""Conformal error bounds: what a score of a predictor means in MPa, by reference solutions.

Split conformal prediction (Lei et al., J. Am. Stat. Assoc. 113:1094, 2018), with errors in
proportion to a score. The bound holds with the chosen confidence, on average over cells that are
drawn like those that it was calibrated on. It says nothing of cells that are drawn otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ks_2samp

from repro.data.microstructure import Microstructure
from repro.tools.files import atomic_path
from repro.tools.values import Value, number, unmasked

SIGNIFICANCE = 0.01  # below it, cells are taken to be of another kind


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
    confidence: float = 0.9

    def __post_init__(self):
        for name in ("errors", "scores"):
            object.__setattr__(self, name, unmasked(getattr(self, name), name))
        super().__post_init__()
        shapes = self.errors.shape, self.scores.shape
        if self.errors.ndim != 2 or self.scores.shape != self.errors.shape[:1]:
            raise ValueError(f"errors (m, T+1) and scores (m,) have shapes {shapes}")
        check_sample(len(self.scores), self.confidence)

    def write(self, path) -> None:
        """Keep it in a file (.npz)."""
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, **vars(self))

    @classmethod
    def read(cls, path) -> Calibration:
        """What `write` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return cls(**arrays | {"confidence": float(arrays["confidence"])})

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
