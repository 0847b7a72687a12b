"""Mechanical equilibrium of a periodic cell: div P(F + grad u) = 0 for a periodic u.

The unknown is the displacement fluctuation u of shape (2, N, N) in Fourier space. It is held
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
    """Fourier side of an N x N grid over a cell of edge 1."""

    k: np.ndarray  # frequency vector, (2, N, N//2 + 1)
    k_norm: np.ndarray  # |k|, 1 where it vanishes
    scale: np.ndarray  # w, so that |x| = rms(grad u); 0 where k vanishes


def fourier_grid(N: int, derivative: str = "continuous") -> Grid:
    """Frequency vectors of a Fourier derivative on N x N points, in strain space.

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
    j1, j2 = np.fft.fftfreq(N, 1 / N), np.arange(N // 2 + 1)
    if derivative == "rotated":
        sines, cosines = ([f(np.pi * j / N) for j in (j1, j2)] for f in (np.sin, np.cos))
        if N % 2 == 0:  # exactly: rounding would leave a frequency of its own
            cosines[0][N // 2] = cosines[1][N // 2] = 0
        k = 2 * N * np.stack([np.outer(sines[0], cosines[1]), np.outer(cosines[0], sines[1])])
    else:
        k1, k2 = 2 * np.pi * j1, 2 * np.pi * j2
        if N % 2 == 0:
            k1[N // 2] = k2[N // 2] = 0
        k = np.stack(np.meshgrid(k1, k2, indexing="ij"))
    k_norm = np.sqrt((k**2).sum(0))
    # A real transform stores one of each pair of conjugate columns.
    multiplicity = np.full(N // 2 + 1, 2.0)
    multiplicity[0] = 1
    if N % 2 == 0:
        multiplicity[-1] = 1
    scale = np.where(k_norm > 0, np.sqrt(multiplicity) / N**2, 0)
    return Grid(k, np.where(k_norm > 0, k_norm, 1), scale)


def displacement_gradient(x, grid: Grid):
    """In-plane tensor field grad u of the unknown x."""
    N = grid.k.shape[1]
    unscale = np.where(grid.scale > 0, 1 / np.where(grid.scale > 0, grid.scale, 1), 0)
    factor = unscale / grid.k_norm
    real, imag = x.reshape(2, 2, *factor.shape)
    u_hat = jax.lax.complex(real * factor, imag * factor)
    return tuple(
        tuple(jnp.fft.irfft2(1j * k * component, s=(N, N)) for k in grid.k) for component in u_hat
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
