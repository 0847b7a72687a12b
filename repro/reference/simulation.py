"""Simulations with the reference model: a load path of one microstructure, or of a batch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from repro import paper
from repro.microstructure import Microstructure
from repro.reference import equilibrium, material

TOLERANCE = 1e-7  # rms strain correction; 0.004 MPa against DAMASK at its tightest
MAX_ITERATIONS = 500  # an increment


@dataclass(frozen=True)
class Trajectory:
    """Response of one microstructure to its load path; increment 0 is the undeformed state."""

    F11: np.ndarray  # (T+1,)
    sigma_vm: np.ndarray  # von Mises stress, MPa, (T+1, N, N)
    P_mean: np.ndarray  # mean first Piola-Kirchhoff stress, MPa, (T+1, 3, 3)
    evaluations: np.ndarray  # constitutive evaluations an increment, (T+1,)
    residual: np.ndarray  # rms strain correction left, (T+1,)


class ConvergenceError(RuntimeError):
    """An increment found no equilibrium; the message names microstructure, increment, residual."""

    def __init__(self, microstructure: int, increment: int, residual: float, tol: float):
        super().__init__(microstructure, increment, residual, tol)
        self.microstructure, self.increment = microstructure, increment
        self.residual, self.tol = residual, tol

    def __str__(self):
        return (
            f"microstructure {self.microstructure}: increment {self.increment} did not converge, "
            f"residual {self.residual:.3g} (tolerance {self.tol:g}); try more increments"
        )


def simulate(
    microstructure: Microstructure,
    F11_max: float = paper.F11_TRAINING,
    increments: int = paper.INCREMENTS,
    rate: float = paper.RATE,
    tol: float = TOLERANCE,
) -> Trajectory:
    """Stretch a microstructure along x1: mean deformation gradient diag(F11(t), 1, 1).

    Parameters
    ----------
    microstructure : Microstructure
        On an (N, N) grid.
    F11_max : float
        Stretch at the end.
    increments : int
        Equal increments T.
    rate : float
        dF11/dt, 1/s.
    tol : float
        Root mean square of the strain correction at which an increment counts as converged.

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError
        If an argument is out of range.
    ConvergenceError
        If an increment does not reach `tol`.
    """
    return simulate_batch([microstructure], F11_max, increments, rate, tol)[0]


def simulate_batch(
    microstructures: Sequence[Microstructure],
    F11_max: float = paper.F11_TRAINING,
    increments: int = paper.INCREMENTS,
    rate: float = paper.RATE,
    tol: float = TOLERANCE,
) -> list[Trajectory]:
    """`simulate` for several microstructures on equal grids, in one compiled call.

    On a CPU they are solved one after another, each within the cache; on an accelerator together.

    Raises
    ------
    ValueError, ConvergenceError
        As `simulate`; microstructures are numbered as in the sequence.
    """
    _check_load(F11_max, increments, rate, tol)
    maps = np.stack([np.moveaxis(m.property_maps(), -1, 0) for m in microstructures])
    F11 = np.linspace(1, F11_max, increments + 1)
    dt = (F11_max - 1) / rate / increments
    _use_compilation_cache()
    with jax.enable_x64(True):
        results = jax.device_get(_solve_batch(maps, F11, dt, tol))
    _check_convergence(results.residual, tol)
    return [Trajectory(F11, *(field[i] for field in results)) for i in range(len(maps))]


def _check_load(F11_max, increments, rate, tol):
    if not 1 < F11_max < np.inf:
        raise ValueError(f"F11_max must be a stretch above 1, got {F11_max}")
    if increments < 1 or int(increments) != increments:
        raise ValueError(f"increments must be a positive whole number, got {increments}")
    if not 0 < rate < np.inf:
        raise ValueError(f"rate must be positive (1/s), got {rate}")
    if not 0 < tol < np.inf:
        raise ValueError(f"tol must be positive, got {tol}")


def _check_convergence(residual, tol):
    """Raise for the first increment (B, T+1) that is not under `tol` (NaN is not)."""
    failed = np.argwhere(~(residual < tol))
    if failed.size:
        cell, increment = (int(i) for i in failed[0])
        raise ConvergenceError(cell, increment, float(residual[cell, increment]), tol)


class _Fields(NamedTuple):
    sigma_vm: jax.Array
    P_mean: jax.Array
    evaluations: jax.Array
    residual: jax.Array


def _solve_batch(maps, F11, dt, tol) -> _Fields:
    """Solve property maps (B, 4, N, N) along F11 (T+1,)."""
    if jax.default_backend() == "cpu":
        results = [_solve_one(cell, F11, dt, tol) for cell in maps]
        return jax.tree.map(lambda *fields: np.stack(fields), *results)
    return _solve_together(maps, F11, dt, tol)


class _Iteration(NamedTuple):
    """Carry of the fixed-point iteration within an increment."""

    x: jax.Array
    r: jax.Array
    state: material.State
    history: equilibrium.History
    residual: jax.Array
    evaluations: jax.Array


def _solve(maps, F11, dt, tol) -> _Fields:
    mat = material.material_from_maps(*maps)
    grid = equilibrium.fourier_grid(maps.shape[-1])
    lam0, mu0 = ((jnp.min(m) + jnp.max(m)) / 2 for m in (mat.lam, mat.mu))

    def deformation_gradient(x, stretch):
        return equilibrium.displacement_gradient(x, grid) + _mean_F(stretch)[..., None, None]

    def evaluate(x, stretch, state):
        """Residual of the fixed point and the new plastic state."""
        F = deformation_gradient(x, stretch)
        state = material.update(F, state, mat, dt)
        P, _ = material.first_piola_kirchhoff(F, state, mat)
        return equilibrium.strain_correction(P, lam0, mu0, grid), state

    def equilibrate(x, stretch, old, history, active):
        def unfinished(it):
            return (
                (it.residual >= tol) & jnp.isfinite(it.residual) & (it.evaluations < MAX_ITERATIONS)
            )

        def iterate(it):
            x = equilibrium.accelerate(it.history, it.x, it.r)
            r, state = evaluate(x, stretch, old)
            dr = r - it.r
            history = equilibrium.remember(it.history, dr, x - it.x + dr)
            return _Iteration(x, r, state, history, jnp.linalg.norm(r), it.evaluations + 1)

        r, state = evaluate(x, stretch, old)
        residual = jnp.where(active, jnp.linalg.norm(r), jnp.nan)
        start = _Iteration(x, r, state, history, residual, 1)
        return jax.lax.while_loop(unfinished, iterate, start)

    def increment(carry, stretch):
        x, x_before, state, history, active = carry
        # Start from the linear extrapolation of the last two increments.
        it = equilibrate(2 * x - x_before, stretch, state, history, active)
        F = deformation_gradient(it.x, stretch)
        P, P33 = material.first_piola_kirchhoff(F, it.state, mat)
        fields = _Fields(
            material.von_mises(F, P, P33), _mean_P(P, P33), it.evaluations, it.residual
        )
        # The differences stay useful: the next increment has nearly the same Jacobian.
        return (it.x, x, it.state, it.history, it.residual < tol), fields

    x = jnp.zeros(2 * grid.k.size)
    start = (x, x, material.initial_state(mat), equilibrium.empty_history(x), jnp.bool_(True))
    _, fields = jax.lax.scan(increment, start, F11[1:])
    return jax.tree.map(lambda f: jnp.concatenate([jnp.zeros_like(f[:1]), f]), fields)


def _mean_F(stretch):
    return jnp.eye(2).at[0, 0].set(stretch)


def _mean_P(P, P33):
    return jnp.zeros((3, 3)).at[:2, :2].set(P.mean((-2, -1))).at[2, 2].set(P33.mean())


_solve_one = jax.jit(_solve)
_solve_together = jax.jit(jax.vmap(_solve, in_axes=(0, None, None, None)))


def _use_compilation_cache():
    """Keep compiled solvers between processes, unless the user has chosen a cache already."""
    if jax.config.jax_compilation_cache_dir is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(cache / "repro" / "jax"))
