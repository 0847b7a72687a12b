"""The load of a cell: its mean deformation gradient diag(F11(t), 1, 1) at the increments."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from repro import paper
from repro.tools.values import Value, number, unmasked, whole


@dataclass(frozen=True, eq=False)
class Load(Value):
    """Mean stretch along x1 over time, linear between increments.

    `==` compares every digit; arrays that were stored or computed anew may differ in the last one,
    which `same_as` overlooks.

    Parameters
    ----------
    time : array_like, shape (T+1,)
        Seconds, increasing from 0; increment 0 is the undeformed state.
    F11 : array_like, shape (T+1,)
        Mean stretch, 1 at increment 0; below 1 is compression. It may return.

    Raises
    ------
    ValueError
        If the arrays are not such.
    """

    time: np.ndarray
    F11: np.ndarray

    def __post_init__(self):
        time, F11 = (unmasked(getattr(self, name), name, np.float64) for name in ("time", "F11"))
        if time.ndim != 1 or time.shape != F11.shape or len(time) < 2:
            raise ValueError(
                "a load needs time and F11 of equal length, at least 2; got shapes "
                f"{time.shape} and {F11.shape}"
            )
        if not (np.isfinite(time).all() and time[0] == 0 and (np.diff(time) > 0).all()):
            raise ValueError("the time of a load must increase from 0 and be finite")
        if not (np.isfinite(F11).all() and (F11 > 0).all()):
            raise ValueError("F11 of a load must be positive and finite")
        if not np.isclose(F11[0], 1, rtol=0, atol=1e-8):
            raise ValueError(f"F11 of a load must begin at 1, got {F11[0]:g}")
        if not (F11 - F11[0]).any():
            raise ValueError("F11 of a load must change: there is nothing to solve")
        for name, values in (("time", time), ("F11", F11)):
            object.__setattr__(self, name, values)
        super().__post_init__()

    @classmethod
    def stretch(
        cls,
        F11_max: float = paper.F11_TRAINING,
        increments: int = paper.INCREMENTS,
        rate: float = paper.RATE,
    ) -> "Load":
        """From F11 = 1 to `F11_max` in equal increments; by default the paper's training load.

        Parameters
        ----------
        F11_max : float
            Mean stretch at the end; below 1 is compression.
        increments : int
        rate : float
            |dF11/dt|, 1/s.

        Raises
        ------
        ValueError
            If an argument is out of range; the message names it.
        """
        F11_max = number(F11_max, "F11_max")
        if not 0 < F11_max < np.inf or F11_max == 1:
            raise ValueError(f"F11_max must be a positive stretch other than 1, got {F11_max}")
        return cls.through([F11_max], increments, rate)

    @classmethod
    def through(
        cls,
        stretches: Sequence[float],
        increments: int = paper.INCREMENTS,
        rate: float = paper.RATE,
    ) -> "Load":
        """From F11 = 1 to each of `stretches` in turn, such as (1.004, 1) for load and unload.

        Parameters
        ----------
        stretches : sequence of float
        increments : int
            Equal increments of each part of the way.
        rate : float
            |dF11/dt|, 1/s.

        Raises
        ------
        ValueError
            If an argument is out of range, or nothing changes on a part of the way.
        """
        increments, rate = whole(increments, "increments"), number(rate, "rate")
        if not 0 < rate < np.inf:
            raise ValueError(f"rate must be positive (1/s), got {rate}")
        corners = np.append(1.0, unmasked(stretches, "stretches", np.float64))
        if not np.diff(corners).all():
            raise ValueError(f"stretches must differ from one to the next, got {corners.tolist()}")
        arrival = np.concatenate([[0.0], np.cumsum(abs(np.diff(corners))) / rate])
        return cls(arrival, corners).refined(increments)

    def refined(self, factor: int) -> "Load":
        """The same load with every increment divided into `factor` equal ones."""
        factor, coarse = whole(factor, "factor"), np.arange(len(self.time))
        fine = np.linspace(0, self.increments, factor * self.increments + 1)
        return Load(np.interp(fine, coarse, self.time), np.interp(fine, coarse, self.F11))

    @property
    def increments(self) -> int:
        """Number of increments T."""
        return len(self.time) - 1

    @property
    def rates(self) -> np.ndarray:
        """dF11/dt of each increment, 1/s, (T,)."""
        return np.diff(self.F11) / np.diff(self.time)

    def same_as(self, other: "Load") -> bool:
        """Whether both prescribe the same at the same times, up to rounding."""
        return self.increments == other.increments and all(
            np.allclose(one, two, rtol=0, atol=1e-9 * one[-1])
            for one, two in ((self.time, other.time), (self.F11, other.F11))
        )


PAPER_LOAD = Load.stretch()
LONGER_LOAD = Load.stretch(paper.F11_EXTENSION, 2 * paper.INCREMENTS)  # twice as far
