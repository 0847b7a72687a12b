"""Mechanical equilibrium of a periodic cell: div P(F + grad u) = 0 for a periodic u.

The unknown is the displacement fluctuation u of shape (2, N1, N2) in Fourier space. It is held
strain-scaled, x = w |k| u_hat, as one real vector; w makes its Euclidean norm the root mean square
of grad u over the pixels, so that every norm below is a strain.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from repro.reference.material import positive

DEPTH = 8  # residual differences that Anderson acceleration remembers
# Of their Gram matrix, relative: what rounding leaves of it.
REGULARISATION = {"float64": 1e-12, "float32": 1e-6}


class Grid(NamedTuple):
    """Fourier side of an N1 x N2 grid over a cell of edge 1 along x1."""

    shape: tuple[int, int]
    k: np.ndarray  # frequency vector, (2, N1, N2//2 + 1)
    k_norm: np.ndarray  # |k|, 1 where it vanishes
    scale: np.ndarray  # w, so that |x| = rms(grad u); 0 where k vanishes


def fourier_grid(shape: tuple[int, int], derivative: str = "continuous", edge: float = 1.0) -> Grid:
    """Frequency vectors of a Fourier derivative on N1 x N2 points, in strain space.

    The edge of the cell is that along x2, over that along x1; here it is 1, and N1 = N2 = N.

    "continuous" is i k with k = 2 pi (j1, j2), as in DAMASK: on an even grid each component is zero
    at its own Nyquist index.

    "rotated" (Willot, C. R. Mecanique 343, 232-245, 2015, eq. 24) has the displacement at the
    corners of the points and takes its gradient at their centres, from the means of the differences
    along opposite edges. With xi = 2 pi (j1, j2)/N the factors of the shifts are exp(i xi), and

        k1 = N (e^(i xi1) - 1)(e^(i xi2) + 1)/2 = e^(i (xi1 + xi2)/2) i 2 N sin(xi1/2) cos(xi2/2),

    k2 likewise. The complex phase is common to both components: taken into the displacement it
    cancels from every strain and stress, so that what remains is the real vector
    2 N (sin(xi1/2) cos(xi2/2), cos(xi1/2) sin(xi2/2)). On an even grid it vanishes at (pi, pi):
    that displacement, alternating like a chess board, has no gradient at any centre.
    """
    N1, N2 = shape
    j1, j2 = np.fft.fftfreq(N1, 1 / N1), np.arange(N2 // 2 + 1)
    if derivative == "rotated":
        angles = np.pi * j1 / N1, np.pi * j2 / N2
        (s1, s2), (c1, c2) = ([f(angle) for angle in angles] for f in (np.sin, np.cos))
        for c, N in ((c1, N1), (c2, N2)):
            if N % 2 == 0:  # exactly: rounding would leave a frequency of its own
                c[N // 2] = 0
        k = np.stack([2 * N1 * np.outer(s1, c2), 2 * N2 / edge * np.outer(c1, s2)])
    else:
        k1, k2 = 2 * np.pi * j1, 2 * np.pi * j2 / edge
        for k, N in ((k1, N1), (k2, N2)):
            if N % 2 == 0:
                k[N // 2] = 0
        k = np.stack(np.meshgrid(k1, k2, indexing="ij"))
    k_norm = np.sqrt((k**2).sum(0))
    # A real transform stores one of each pair of conjugate columns.
    multiplicity = np.full(N2 // 2 + 1, 2.0)
    multiplicity[0] = 1
    if N2 % 2 == 0:
        multiplicity[-1] = 1
    scale = np.where(k_norm > 0, np.sqrt(multiplicity) / (N1 * N2), 0)
    return Grid(shape, k, np.where(k_norm > 0, k_norm, 1), scale)


def displacement_gradient(x, grid: Grid):
    """In-plane tensor field grad u of the unknown x."""
    unscale = np.where(grid.scale > 0, 1 / np.where(grid.scale > 0, grid.scale, 1), 0)
    factor = unscale / grid.k_norm
    real, imag = x.reshape(2, 2, *factor.shape)
    u_hat = jax.lax.complex(real * factor, imag * factor)
    return tuple(
        tuple(jnp.fft.irfft2(1j * k * component, s=grid.shape) for k in grid.k)
        for component in u_hat
    )


def strain_correction(P, lam0, mu0, grid: Grid):
    """One step of the fixed point, x_new - x: the reference medium's answer to div P.

    Parameters
    ----------
    P : in-plane tensor field
        First Piola-Kirchhoff stress, MPa.
    lam0, mu0 : float
        Lame parameters of the isotropic reference medium, MPa.
    grid : Grid

    Returns
    -------
    Array, shape (D,)
        Zero in equilibrium; its norm is the rms of the strain that is still missing.
    """
    e1, e2 = grid.k / grid.k_norm
    # div P / |k|
    t1, t2 = (1j * (jnp.fft.rfft2(row[0]) * e1 + jnp.fft.rfft2(row[1]) * e2) for row in P)
    # Inverse acoustic tensor (I - (lam0 + mu0)/(lam0 + 2 mu0) e e)/(mu0 k^2), e = k/|k|.
    along = (lam0 + mu0) / (lam0 + 2 * mu0) * (e1 * t1 + e2 * t2)
    c1, c2 = ((t - e * along) * grid.scale for t, e in ((t1, e1), (t2, e2)))
    # XLA stacks without computing anew only what ends in a costly operation: so divide last.
    return jnp.stack([part / mu0 for part in (c1.real, c2.real, c1.imag, c2.imag)]).ravel()


def mean_compliance(lam0, mu0, components):
    """Strains, one in each of `components`, by mean stresses in them: (k, k), 1/MPa.

    The reference medium is strained in no other component. They are pairs of 0 to 2; of 12 and 21
    there may be one.
    """
    normal = np.array([i == j for i, j in components], float)
    stiffness = lam0 * np.outer(normal, normal) + mu0 * np.diag(1 + normal)
    return jnp.linalg.inv(stiffness)


class History(NamedTuple):
    """Last differences of Anderson acceleration (rows) and their Gram matrix."""

    dr: jax.Array  # of the residual, (DEPTH, D)
    dg: jax.Array  # of iterate plus residual, (DEPTH, D)
    gram: jax.Array  # dr dr^T, (DEPTH, DEPTH)
    count: jax.Array  # differences recorded so far


def empty_history(x) -> History:
    """No differences yet of unknowns like x."""
    rows = jnp.zeros((DEPTH, x.size), x.dtype)
    return History(rows, rows, jnp.eye(DEPTH, dtype=x.dtype), jnp.zeros((), jnp.int32))


def remember(history: History, dr, dg) -> History:
    """Replace the oldest difference."""
    slot = history.count % DEPTH
    rows = history.dr.at[slot].set(dr)
    products = rows @ dr
    gram = history.gram.at[slot, :].set(products).at[:, slot].set(products)
    return History(rows, history.dg.at[slot].set(dg), gram, history.count + 1)


def accelerate(history: History, x, r):
    """Next iterate: x + r, minus the combination of differences that best explains r."""
    used = jnp.arange(DEPTH) < history.count
    projections = jnp.where(used, history.dr @ r, 0)
    # Scaled to unit diagonal, so that the regularisation is relative; unused rows stay unit.
    norms = jnp.sqrt(positive(jnp.diag(history.gram)))
    gram = history.gram / jnp.outer(norms, norms)
    diagonal = jnp.where(used, REGULARISATION[x.dtype.name], 1.0)
    gram = jnp.where(jnp.outer(used, used), gram, 0) + jnp.diag(diagonal)
    weights = jnp.linalg.solve(gram, projections / norms) / norms
    return x + r - weights @ history.dg
