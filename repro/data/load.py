"""The load of a cell: at its increments the mean deformation gradient, or the mean stress."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from repro import paper
from repro.tools.values import Value, number, unmasked, whole

IN_PLANE = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2))  # components that a load can prescribe


@dataclass(frozen=True, eq=False)
class Load(Value):
    """Mean deformation gradient F or mean stress P over time, linear between increments.

    Of each component 11, 12, 21, 22 and 33 either F or P is prescribed, over the whole load; the
    other is a result. The components 13, 23, 31 and 32 of both vanish. Increment 0 is the
    undeformed state: F is the identity, and P is zero.

    With `free = np.nan` and `one = np.eye(3)`, corners of loads to F11 = 1.004 in 4 s are

    - plane strain: `Load([0, 4], [1, 1.004])`, as in the paper;
    - uniaxial tension, the sides free: `Load([0, 4], [one, np.diag([1.004, free, free])])`;
    - equibiaxial tension: `Load([0, 4], [one, np.diag([1.004, 1.004, free])])`;
    - simple shear: `Load([0, 4], [one, one + 0.004 * np.outer(one[0], one[1])])`.

    `refined` divides them into increments. `==` compares every digit; arrays that were stored or
    computed anew may differ in the last one, which `same_as` overlooks.

    Parameters
    ----------
    time : array_like, shape (T+1,)
        Seconds, increasing from 0.
    F : array_like, shape (T+1, 3, 3) or (T+1,)
        Mean deformation gradient; NaN in components whose stress is prescribed. Or only F11, above
        or below 1, of plane strain: diag(F11, 1, 1). It may return.
    P : array_like, shape (T+1, 3, 3), optional
        Mean first Piola-Kirchhoff stress, MPa; NaN in components whose deformation is prescribed.
        By default zero wherever F is NaN.

    Raises
    ------
    ValueError
        If the arrays are not such.
    """

    time: np.ndarray
    F: np.ndarray
    P: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self):
        time, F = (unmasked(getattr(self, name), name, np.float64) for name in ("time", "F"))
        if F.ndim == 1:
            if not np.isfinite(F).all():
                raise ValueError("F11 of a load must be positive and finite")
            F = _plane_strain(F)
        if time.ndim != 1 or F.shape != (len(time), 3, 3) or len(time) < 2:
            raise ValueError(
                "a load needs time and F11 (or F) of equal length, at least 2; got shapes "
                f"{time.shape} and {np.shape(self.F)}"
            )
        if not (np.isfinite(time).all() and time[0] == 0 and (np.diff(time) > 0).all()):
            raise ValueError("the time of a load must increase from 0 and be finite")
        free = np.isnan(F[1:]).all(0)
        F = np.where(free, np.nan, F)
        if self.P is None:
            P = np.broadcast_to(np.where(free, 0, np.nan), F.shape)
        else:
            P = unmasked(self.P, "P", np.float64)
        if P.shape != F.shape:
            raise ValueError(f"P of a load must have the shape of F, {F.shape}, got {P.shape}")
        _check(F, P, free)
        for name, values in (("time", time), ("F", F), ("P", P)):
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
        factor = whole(factor, "factor")
        return self.at(np.linspace(0, self.increments, factor * self.increments + 1))

    def at(self, places) -> "Load":
        """The same load with increments at other places, (T+1,): 1.5 is between 1 and 2."""
        before = np.asarray(places).astype(int)
        after = np.minimum(before + 1, self.increments)
        arrays = (array.reshape(len(self.time), -1) for array in (self.time, self.F, self.P))
        part = (places - before)[:, None]
        time, F, P = ((array[after] - array[before]) * part + array[before] for array in arrays)
        return Load(time[:, 0], F.reshape(-1, 3, 3), P.reshape(-1, 3, 3))

    @property
    def increments(self) -> int:
        """Number of increments T."""
        return len(self.time) - 1

    @property
    def F11(self) -> np.ndarray:
        """Mean stretch along x1, (T+1,); NaN if the stress is prescribed instead."""
        return self.F[:, 0, 0]

    @property
    def rates(self) -> np.ndarray:
        """dF11/dt of each increment, 1/s, (T,)."""
        return np.diff(self.F11) / np.diff(self.time)

    @property
    def changes(self) -> np.ndarray:
        """Largest |change| of a prescribed component of F in each increment, (T,)."""
        return np.nanmax(abs(np.diff(self.F, axis=0)), axis=(1, 2))

    @property
    def free(self) -> tuple[tuple[int, int], ...]:
        """Components, 0 to 2, whose stress is prescribed."""
        return tuple(c for c in IN_PLANE if np.isnan(self.F[0][c]))

    @property
    def is_plane_strain_along_x1(self) -> bool:
        """Whether F = diag(F11, 1, 1) is prescribed, as in the paper."""
        return not self.free and np.array_equal(self.F, _plane_strain(self.F11))

    def same_as(self, other: "Load") -> bool:
        """Whether both prescribe the same at the same times, up to rounding."""
        return self.increments == other.increments and all(
            np.allclose(one, two, rtol=0, atol=1e-9 * np.nanmax(abs(one)), equal_nan=True)
            for one, two in zip(_arrays(self), _arrays(other), strict=True)
            if not np.isnan(one).all()
        )


def _arrays(load):
    return load.time, load.F, np.nan_to_num(load.P)


def _plane_strain(F11) -> np.ndarray:
    """Deformation gradients diag(F11, 1, 1), (T+1, 3, 3)."""
    F = np.tile(np.eye(3), (len(F11), 1, 1))
    F[:, 0, 0] = F11
    return F


def _check(F, P, free):
    """Refuse what is no load; the message names the first component that is not right."""
    given, begin = np.where(free, P, F), np.where(free, 0, np.eye(3))
    normal, in_plane = np.eye(3, dtype=bool), np.ones((3, 3), bool)
    in_plane[[0, 1, 2, 2], [2, 2, 0, 1]] = False
    finite = np.isfinite(given).all(0)
    for wrong, rule in (
        (~free & ~np.isnan(P).all(0), "is prescribed by F and by P: choose one of them"),
        (~in_plane & (free | given.any(0)), "must vanish: cells are two-dimensional"),
        (~finite, "must be finite, at all increments or at none"),
        (normal & ~free & ~(given > 0).all(0), "must be positive and finite"),
        (~np.isclose(given[0], begin, rtol=0, atol=1e-8), "must begin at {begin:g}, got {given:g}"),
    ):
        if wrong.any():
            i, j = np.argwhere(wrong)[0]
            name = f"{'P' if free[i, j] else 'F'}{i + 1}{j + 1}"
            rule = rule.format(begin=begin[i, j], given=given[0, i, j])
            raise ValueError(f"{name} of a load {rule}")
    if free[0, 1] and free[1, 0]:
        raise ValueError("a load must prescribe F12 or F21: else the cell could turn")
    if not free.any() and (np.linalg.det(F) <= 0).any():
        raise ValueError("F of a load turns the cell inside out")
    if not (given - given[0]).any():
        name = "F11" if np.array_equal(given, _plane_strain(given[:, 0, 0])) else "F"
        raise ValueError(f"{name} of a load must change: there is nothing to solve")


PAPER_LOAD = Load.stretch()
LONGER_LOAD = Load.stretch(paper.F11_EXTENSION, 2 * paper.INCREMENTS)  # twice as far
