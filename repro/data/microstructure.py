"""Microstructures: a periodic grain map and the properties of each grain, and how to draw them."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from repro import paper
from repro.data.discretization import refined
from repro.tools.values import Value, required, unmasked, whole

MAX_REDRAWS = 1000
# Beyond the paper. One interval outward of Case 1 (Eq. 1), but for h0, which cannot be negative.
OUT_OF_RANGE = (
    ((25.0, 50.0), (300.0, 325.0)),
    ((0.18, 0.20), (0.40, 0.42)),
    ((25.0, 50.0), (300.0, 325.0)),
    ((50.0, 52.5), (52.5, 55.0)),
)
CIRCLE_RADII = (0.06, 0.16)  # of the cell edge
ELONGATION = 3.0
LARGEST_EDGE = 2**14  # pixels; a cell of more takes more memory than computers have
# What a solid may have, by property: values outside were given in another unit.
PLAUSIBLE = {"E": (0.0, 2000.0), "xi0": (0.5, 1e5), "h0": (0.0, 2000.0)}
_units_known = ContextVar("_units_known", default=False)


@dataclass(frozen=True, eq=False)
class Microstructure(Value):
    """A periodic two-dimensional cell of homogeneous, isotropic grains.

    It keeps read-only copies of both arrays; cells of equal content are equal.

    Parameters
    ----------
    grain_id : array_like of int, shape (N1, N2)
        Grain of each pixel, 0...G-1. Axis 0 is x1, the loading direction, axis 1 is x2.
    properties : array_like of float, shape (G, 4)
        Young's modulus E/GPa, Poisson's ratio nu, initial flow resistance xi0/MPa and hardening
        modulus h0/GPa of each grain. A value outside of `PLAUSIBLE` is warned of, since it was
        given in another unit.
    edges : array_like of float, shape (2,), optional
        Lengths L1, L2 of the cell along x1 and x2, of which only the ratio matters. By default the
        pixels are square, and L1 = 1.

    Raises
    ------
    ValueError
        If a shape is wrong, values are missing (masked), a grain has no properties, or a property
        is not physical: E <= 0, nu outside (-1, 0.5), xi0 <= 0, h0 < 0, or not finite. The message
        names the property and the grain.
    """

    grain_id: np.ndarray
    properties: np.ndarray
    edges: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self):
        grain_id, properties = grain_map(self.grain_id), of_grains(self.properties)
        if grain_id.min() < 0 or grain_id.max() >= len(properties):
            raise ValueError(
                f"grain_id runs from {grain_id.min()} to {grain_id.max()}, but properties "
                f"describe grains 0 to {len(properties) - 1}"
            )
        check_properties(properties)
        warn_of_units(properties, stacklevel=4)
        object.__setattr__(self, "grain_id", grain_id)
        object.__setattr__(self, "properties", properties)
        object.__setattr__(self, "edges", edges_of(grain_id.shape, self.edges))
        super().__post_init__()

    @property
    def grain_count(self) -> int:
        """Number of grains that own at least one pixel."""
        return len(np.unique(self.grain_id))

    @property
    def is_square(self) -> bool:
        """Whether it has N x N square pixels, as networks take them."""
        N1, N2 = self.grain_id.shape
        return N1 == N2 and bool(np.isclose(*self.edges))

    def property_maps(self) -> np.ndarray:
        """Properties of each pixel, shape (N1, N2, 4): E/GPa, nu, xi0/MPa, h0/GPa."""
        return self.properties[self.grain_id]

    def refined(self, factor: int) -> "Microstructure":
        """The same cell on a finer grid: every pixel becomes `factor` x `factor` of them."""
        factor = whole(factor, "factor")
        with units_known():
            return Microstructure(refined(self.grain_id, factor), self.properties, self.edges)

    def resampled(self, grid: int | tuple[int, int]) -> "Microstructure":
        """The same cell on another grid, as networks need: a pixel has the grain at its centre.

        That moves the boundaries by up to half a pixel. From 96 x 96 to 64 x 64 pixels the
        solution of the paper's cells changes by 3 MPa on average over the pixels, and their mean
        stress by 0.1 % (n = 10). A grain smaller than a pixel may have none left.

        Parameters
        ----------
        grid : int or (int, int)
            Pixels along x1 and x2; one number is both. The edges stay.

        Raises
        ------
        ValueError
            If that is no number of pixels.
        """
        shape = grid if isinstance(grid, tuple) else (grid, grid)
        x1, x2 = (
            ((np.arange(whole(n, "grid")) + 0.5) * N / n).astype(int)
            for n, N in zip(shape, self.grain_id.shape, strict=True)
        )
        with units_known():
            return Microstructure(self.grain_id[np.ix_(x1, x2)], self.properties, self.edges)


def edges_of(grid: tuple[int, int], edges=None) -> np.ndarray:
    """Edges (2,) of a cell of N1 x N2 pixels; by default 1 and that which makes them square.

    Raises
    ------
    ValueError
        If edges are given that are not two positive lengths.
    """
    if edges is None:
        return np.array([1.0, grid[1] / grid[0]])
    edges = unmasked(edges, "edges", np.float64)
    if edges.shape != (2,) or not (np.isfinite(edges) & (edges > 0)).all():
        raise ValueError(f"edges must be two positive lengths L1, L2, got {edges.tolist()}")
    return edges


def pixel_centres(grid: tuple[int, int], edges=(1, 1)) -> list[np.ndarray]:
    """Coordinates x1 (N1,) and x2 (N2,) of the pixels' centres in a cell of given edges."""
    return [(np.arange(N) + 0.5) / N * L for N, L in zip(grid, edges, strict=True)]


def grain_map(grain_id) -> np.ndarray:
    """A map (N1, N2) of grains as an array of integers.

    Raises
    ------
    ValueError
        If it is something else.
    """
    grain_id = unmasked(grain_id, "grain_id")
    if grain_id.ndim != 2:
        raise ValueError(f"grain_id must be an (N1, N2) map, got shape {grain_id.shape}")
    if not grain_id.size:
        raise ValueError("grain_id must have at least one pixel")
    if grain_id.dtype.kind not in "iu":
        raise ValueError(f"grain_id must hold integers, got {grain_id.dtype}")
    return grain_id


def of_grains(properties) -> np.ndarray:
    """Properties (G, 4) of one grain or more as an array of numbers.

    Raises
    ------
    ValueError
        If they are something else.
    """
    properties = unmasked(properties, "properties", np.float64)
    if properties.ndim != 2 or properties.shape[1] != len(paper.PROPERTY_NAMES):
        raise ValueError(f"properties must be (G, 4) = E, nu, xi0, h0; got {properties.shape}")
    if not len(properties):
        raise ValueError("properties must describe at least one grain")
    return properties


def as_cells(cells) -> list[Microstructure]:
    """Cells as a list.

    Raises
    ------
    ValueError
        If they are something else.
    """
    try:
        cells = list(cells)
    except TypeError:
        raise ValueError("the cells must be a sequence of Microstructure") from None
    for i, cell in enumerate(cells):
        required(cell, Microstructure, f"cell {i}")
    return cells


def property_maps(cells: Sequence[Microstructure]) -> np.ndarray:
    """`Microstructure.property_maps` of cells, (n, N, N, 4) float32.

    Raises
    ------
    ValueError
        As `grid_of`.
    """
    n = grid_of(cells)
    maps = np.empty((len(cells), n, n, len(paper.PROPERTY_NAMES)), np.float32)
    for i, cell in enumerate(cells):
        maps[i] = cell.property_maps()
    return maps


def grid_of(cells: Sequence[Microstructure]) -> int:
    """N of cells for networks, on equal grids of N x N square pixels.

    Raises
    ------
    ValueError
        If there are no cells, or on grids of several sizes, or one that is not square.
    """
    shape_of(cells)
    check_square(all(cell.is_square for cell in cells))
    return len(cells[0].grain_id)


def shape_of(cells: Sequence[Microstructure]) -> tuple[int, int]:
    """N1, N2 of cells on equal grids.

    Raises
    ------
    ValueError
        If there are no cells, or on grids of several shapes.
    """
    shapes = {(*cell.grain_id.shape, round(cell.edges[1] / cell.edges[0], 9)) for cell in cells}
    if len(shapes) != 1:
        found = ", ".join(f"{N1} x {N2} pixels" for N1, N2, _ in sorted(shapes)) or "no cells"
        raise ValueError(f"the cells must be on equal grids, got {found}")
    return shapes.pop()[:2]


def check_square(square: bool) -> None:
    """Refuse, for networks, cells that are not square."""
    if not square:
        raise ValueError("networks take square cells of N x N square pixels only")


def check_properties(properties: np.ndarray, grains: Sequence[int] | None = None) -> None:
    """Refuse properties (G, 4) that no material has; see `Microstructure` for the bounds.

    The message numbers the grains as `grains`, by default from 0.
    """
    E, nu, xi0, h0 = properties.T
    rules = (
        ("E", E, E > 0, "must be positive"),
        ("nu", nu, (nu > -1) & (nu < 0.5), "must lie in (-1, 0.5)"),
        ("xi0", xi0, xi0 > 0, "must be positive"),
        ("h0", h0, h0 >= 0, "must not be negative"),
    )
    for name, values, valid, rule in rules:
        bad = np.flatnonzero(~(valid & np.isfinite(values)))
        if bad.size:
            grain = bad[0] if grains is None else grains[bad[0]]
            raise ValueError(f"{name} of grain {grain} is {values[bad[0]]:g}: it {rule}")


def warn_of_units(properties: np.ndarray, stacklevel: int) -> None:
    """Warn, in one line, of properties (..., G, 4) that no solid has; NaN is none.

    The line names the first, by grain and, where there are several cells, by cell. `stacklevel` is
    as for `warnings.warn`. Within `units_known` nothing is said.
    """
    if _units_known.get() or properties.dtype.kind not in "fiu":
        return
    for i, (name, unit) in enumerate(zip(paper.PROPERTY_NAMES, paper.PROPERTY_UNITS, strict=True)):
        low, high = PLAUSIBLE.get(name, (-np.inf, np.inf))
        values = properties[..., i]
        odd = (values < low) | (values > high)
        if odd.any():
            place = tuple(np.argwhere(odd)[0])
            *cell, grain = place
            of_cell = f" of microstructure {cell[0]}" if cell else ""
            limit = f"below {low:g}" if values[place] < low else f"above {high:g}"
            warnings.warn(
                f"{name} of grain {grain}{of_cell} is {values[place]:g}, {limit} {unit}, which no "
                f"solid has: give {name} in {unit}",
                stacklevel=stacklevel,
            )
            return


@contextmanager
def units_known() -> Iterator[None]:
    """Within the block nothing is said of units: cells of these properties were judged before."""
    before = _units_known.set(True)
    try:
        yield
    finally:
        _units_known.reset(before)


def periodic_voronoi(
    rng: np.random.Generator,
    grains: int,
    size: int | tuple[int, int] = paper.GRID,
    aspect: float = 1.0,
    edges=None,
) -> np.ndarray:
    """Draw the Voronoi tessellation of random points in a periodic cell.

    Parameters and errors are those of `seed_points`: every grain owns a pixel.

    Returns
    -------
    ndarray of uint8, shape (N1, N2)
    """
    return voronoi(seed_points(rng, grains, size, aspect, edges), size, aspect, edges)


def seed_points(
    rng: np.random.Generator,
    grains: int,
    size: int | tuple[int, int] = paper.GRID,
    aspect: float = 1.0,
    edges=None,
) -> np.ndarray:
    """Draw the points of a Voronoi tessellation, (G, 2) in edges of the cell.

    A draw in which a point owns no pixel is drawn again, so the number of grains is exact.

    Parameters
    ----------
    rng : numpy.random.Generator
    grains : int
        Number of grains.
    size : int or (int, int)
        Pixels N along both edges, or N1 and N2.
    aspect : float
        How much longer along x1 than along x2 the grains are on average.
    edges : array_like, shape (2,), optional
        Of the cell, as for `Microstructure`.

    Raises
    ------
    ValueError
        If `grains` is not in 1...min(255, N1 N2) or no draw gives every grain a pixel.
    """
    N1, N2 = grid_shape(size)
    grains = whole(grains, "grains", least=0)
    if not 1 <= grains <= min(255, N1 * N2):
        raise ValueError(f"grains must lie in 1...{min(255, N1 * N2)}, got {grains}")
    for _ in range(MAX_REDRAWS):
        points = rng.random((grains, 2))
        if len(np.unique(voronoi(points, size, aspect, edges))) == grains:
            return points
    raise ValueError(f"{grains} grains do not fit a {N1}x{N2} cell: use fewer or more pixels")


def voronoi(
    points: np.ndarray,
    size: int | tuple[int, int] = paper.GRID,
    aspect: float = 1.0,
    edges=None,
) -> np.ndarray:
    """Grain map (N1, N2) uint8: each pixel is of the nearest of `points`, also across the edge.

    Points (G, 2) are in edges of the cell; the rest is as for `seed_points`.
    """
    points = unmasked(points, "points")
    centres = _pixels(size)
    pixels = centres.reshape(2, -1).T
    # Distances along x2 count `aspect` times.
    edges = edges_of(centres.shape[1:], edges) * [1.0, aspect]
    # boxsize makes the nearest-point search periodic.
    nearest = cKDTree(edges * points, boxsize=edges).query(edges * pixels)[1]
    return nearest.reshape(centres.shape[1:]).astype(np.uint8)


def grid_shape(size) -> tuple[int, int]:
    """N1, N2 of a size: both, or one for both edges."""
    given = size if isinstance(size, tuple | list) else (size, size)
    if len(given) != 2:
        raise ValueError(f"size must be N or (N1, N2), got {size}")
    N1, N2 = (whole(N, "size") for N in given)
    if max(N1, N2) > LARGEST_EDGE:
        raise ValueError(f"size must be {LARGEST_EDGE} at most, got {size}")
    return N1, N2


def _pixels(size) -> np.ndarray:
    """Centres of the pixels, x1 and x2 in edges of the cell, (2, N1, N2)."""
    grid = grid_shape(size)
    return (np.indices(grid) + 0.5) / np.reshape(grid, (2, 1, 1))


def circular_inclusion(size: int = paper.GRID, radius: float = paper.CIRCLE_RADIUS) -> np.ndarray:
    """Grain map (N, N) of a centred circle (grain 1) in a matrix (grain 0); radius in edges."""
    x1, x2 = _pixels(size) - 0.5
    return (x1**2 + x2**2 <= radius**2).astype(np.uint8)


def square_inclusion(size: int = paper.GRID, edge: float = paper.SQUARE_EDGE) -> np.ndarray:
    """Grain map (N, N) of a centred square (grain 1, edge in cell edges) in a matrix (grain 0)."""
    x1, x2 = _pixels(size) - 0.5
    return (np.maximum(abs(x1), abs(x2)) <= edge / 2).astype(np.uint8)


def random_circles(rng: np.random.Generator, circles: int, size: int = paper.GRID) -> np.ndarray:
    """Draw circles (grains 1...) that do not overlap in a periodic matrix (grain 0), (N, N) uint8.

    Radii are uniform in `CIRCLE_RADII`; the larger are placed first, each where there is room.

    Raises
    ------
    ValueError
        If no place is found for a circle.
    """
    pixels, circles = _pixels(size), whole(circles, "circles", least=0)
    grain_id = np.zeros(pixels.shape[1:], np.uint8)
    for grain, radius in enumerate(np.sort(rng.uniform(*CIRCLE_RADII, circles))[::-1], 1):
        for _ in range(MAX_REDRAWS):
            offset = abs(pixels - rng.random((2, 1, 1)))
            inside = (np.minimum(offset, 1 - offset) ** 2).sum(0) <= radius**2
            if inside.any() and not grain_id[inside].any():
                grain_id[inside] = grain
                break
        else:
            raise ValueError(f"no room for {circles} circles in the cell: use fewer")
    return grain_id


def table3_properties(rng: np.random.Generator, grains: int) -> np.ndarray:
    """Draw properties (G, 4), each uniform in its range of the paper's Table 3."""
    low, high = np.array(paper.PROPERTY_RANGES).T
    return rng.uniform(low, high, size=(whole(grains, "grains"), len(low)))


def case_properties(rng: np.random.Generator, grains: int, case: int) -> np.ndarray:
    """Draw properties (G, 4) of the paper's Case `case` (Eq. 1): uniform in two intervals each.

    The intervals of a property are equally wide, so each is chosen with probability one half.
    """
    if whole(case, "case", least=0) not in paper.CASES:
        raise ValueError(f"case must be one of {sorted(paper.CASES)}, got {case}")
    return _two_interval_properties(rng, grains, paper.CASES[case])


def out_of_range_properties(rng: np.random.Generator, grains: int) -> np.ndarray:
    """Draw properties (G, 4) outside Table 3: from the intervals next to those of Case 1."""
    return _two_interval_properties(rng, grains, OUT_OF_RANGE)


def _two_interval_properties(rng, grains, intervals):
    low, high = np.moveaxis(np.array(intervals), -1, 0)  # (4, 2): property, interval
    columns = np.arange(len(low))
    chosen = rng.integers(0, 2, size=(grains, len(low)))
    return rng.uniform(low[columns, chosen], high[columns, chosen])


def polycrystal(
    rng: np.random.Generator,
    grains: int = paper.GRAINS,
    size: int | tuple[int, int] = paper.GRID,
    properties: Callable[[np.random.Generator, int], np.ndarray] = table3_properties,
    tessellation: Callable[..., np.ndarray] = periodic_voronoi,
    edges=None,
) -> Microstructure:
    """Draw a polycrystal of N x N or N1 x N2 pixels; edges as for `Microstructure`.

    Its grain map is `tessellation(rng, grains, size)`, with the edges if they are given; its
    properties are (G, 4).
    """
    given = {} if edges is None else {"edges": edges}
    grain_id = tessellation(rng, grains, size, **given)
    return Microstructure(grain_id, properties(rng, grains), edges)


def inclusion(
    rng: np.random.Generator,
    outline: Callable[..., np.ndarray] = circular_inclusion,
    size: int = paper.GRID,
) -> Microstructure:
    """One inclusion in a matrix, both with Table 3 properties; `outline(size)` is the grain map."""
    return Microstructure(outline(size), table3_properties(rng, 2))


def composite(rng: np.random.Generator, circles: int = 8, size: int = paper.GRID) -> Microstructure:
    """Random circles in a matrix, each and the matrix with Table 3 properties of its own."""
    return Microstructure(random_circles(rng, circles, size), table3_properties(rng, circles + 1))


def generator(*seed: int) -> np.random.Generator:
    """Random generator of one microstructure: depends on `seed` alone, not on its neighbours."""
    return np.random.default_rng(np.random.SeedSequence(seed))
