"""The discretization of a cell in space: how derivatives are taken, and on how many points.

The paper, DAMASK by default and this project by default place one point in each pixel and take
Fourier's derivative. Its fields oscillate from pixel to pixel where the properties jump, and their
distance from the solution of the same cell on ever finer grids is about as large as the errors of
the networks (`results/RESULTS.md`). Other discretizations come nearer.
"""

from dataclasses import asdict, dataclass, fields
from numbers import Integral
from typing import Any

import numpy as np

DERIVATIVES = ("continuous", "rotated")


@dataclass(frozen=True)
class Discretization:
    """Derivative and resolution with which the reference model solves a cell.

    Parameters
    ----------
    derivative : {"continuous", "rotated"}
        "continuous": the derivative of the trigonometric interpolation of a field, as in the paper
        (`continuous` in DAMASK). "rotated": finite differences between the corners and the centres
        of the points (Willot, C. R. Mecanique 343, 2015; `FWBW_difference` in DAMASK), whose
        fields oscillate half as much from one point to the next.
    points_per_pixel : int
        Points along an edge of each pixel. Fields are given as their means over the pixels; those
        of all points are the fields of `Microstructure.refined(points_per_pixel)`.

    Raises
    ------
    ValueError
        If the derivative is unknown, or `points_per_pixel` is no positive whole number.
    """

    derivative: str = "continuous"
    points_per_pixel: int = 1

    def __post_init__(self):
        if self.derivative not in DERIVATIVES:
            raise ValueError(
                f"derivative must be one of {', '.join(DERIVATIVES)}, got {self.derivative}"
            )
        points = self.points_per_pixel
        if isinstance(points, bool) or not isinstance(points, Integral) or points < 1:
            raise ValueError(f"points_per_pixel must be a positive whole number, got {points}")
        object.__setattr__(self, "points_per_pixel", int(points))

    def __str__(self):
        return f"{self.derivative}, {self.points_per_pixel} x {self.points_per_pixel} points"

    @property
    def suffix(self) -> str:
        """Suffix of the name of a data set; empty for the paper's discretization."""
        points = f"{self.points_per_pixel}x{self.points_per_pixel}"
        return "" if self == PAPER else f"_{self.derivative}_{points}"

    @property
    def attributes(self) -> dict[str, Any]:
        """Parameters by name, as a data set stores them."""
        return asdict(self)

    @classmethod
    def of(cls, attributes: dict[str, Any]) -> "Discretization":
        """Discretization of a data set with these attributes; by default the paper's."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: attributes[name] for name in names if name in attributes})


PAPER = Discretization()
"""One point per pixel and Fourier's derivative, as in the paper."""
CONVERGED = Discretization("rotated", 4)
"""On 64 x 64 pixels its fields are within 0.04 MPa of those on 512 x 512 points."""


def pixel_means(field, points_per_pixel: int):
    """Means (..., N, N) over the pixels of a field at all points (..., p N, p N); also of JAX's."""
    p = points_per_pixel
    if p == 1:
        return field
    *others, n1, n2 = field.shape
    return field.reshape(*others, n1 // p, p, n2 // p, p).mean((-3, -1))


def refined(field: np.ndarray, points_per_pixel: int) -> np.ndarray:
    """A field (..., N, N) of pixels at all points (..., p N, p N)."""
    return field.repeat(points_per_pixel, -1).repeat(points_per_pixel, -2)
