"""Simulations with the reference model: a load path of one microstructure, or of a batch."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from inspect import signature
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from repro import paper
from repro.data.discretization import PAPER, Discretization, pixel_means, refined
from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import PAPER_LOAD, Load
from repro.data.microstructure import Microstructure, as_cells, shape_of
from repro.reference import equilibrium, material
from repro.tools import forks
from repro.tools.values import Value, number, required

TOLERANCE = 1e-7
"""Default tolerance, a strain: 0.003 MPa from the limit of tight tolerances."""
SINGLE_TOLERANCE = 1e-6  # strain; that a deformation gradient of single precision still resolves
# Per increment. A grain that is softer by 1e5 takes nearly as many, in double precision alone.
MAX_ITERATIONS = {"float64": 3000, "float32": 500}
STIFFNESS = 1e5  # MPa; makes a strain of a change of stress, where only their ratio counts
MAX_EXTRAPOLATION = 10.0  # of an increment's change, by the one before: more would be noise
# Of stiffnesses of the grains, beyond which an increment may fail for it; 36 at most in Table 3.
HIGH_CONTRAST = 100.0
# Factor by which a cell may be softer under uniaxial strain than in shear, relative to its medium,
# before this counts: in Table 3 it is 2.05 at most, in the suites beyond it 2.68.
UNIAXIAL_EXCESS = 2.7
CACHED_PIXELS = 4096  # whose constitutive update stays in a processor's cache


@dataclass(frozen=True, eq=False)
class Fields(Value):
    """Fields at every point along a trajectory, as `simulate` keeps them on request.

    The points are those of the pixels, or of `Microstructure.refined(points_per_pixel)`.
    """

    F: np.ndarray  # deformation gradient, (T+1, N1, N2, 3, 3)
    P: np.ndarray  # first Piola-Kirchhoff stress, MPa, (T+1, N1, N2, 3, 3)
    Fp: np.ndarray  # plastic deformation gradient, (T+1, N1, N2, 3, 3)
    xi: np.ndarray  # flow resistance, MPa, (T+1, N1, N2)
    gamma: np.ndarray  # plastic shear, of all flow so far, (T+1, N1, N2)


@dataclass(frozen=True, eq=False)
class Trajectory(Value):
    """Response of one microstructure to its load; increment 0 is the undeformed state."""

    load: Load
    sigma_vm: np.ndarray  # von Mises stress, MPa, (T+1, N1, N2)
    F_mean: np.ndarray  # mean deformation gradient, (T+1, 3, 3)
    P_mean: np.ndarray  # mean first Piola-Kirchhoff stress, MPa, (T+1, 3, 3)
    evaluations: np.ndarray  # constitutive evaluations per increment, (T+1,)
    residual: np.ndarray  # strain still missing before the last correction, (T+1,)
    fields: Fields | None = None

    @property
    def F11(self) -> np.ndarray:
        """Mean stretch of the increments, (T+1,)."""
        return self.F_mean[:, 0, 0]


class ConvergenceError(ArithmeticError):
    """An increment found no equilibrium; the message names microstructure, increment, residual.

    It says what may help, too: `advice`.
    """

    def __init__(
        self,
        microstructure: int,
        increment: int,
        residual: float,
        tol: float,
        advice: str = "try more increments",
    ):
        super().__init__(microstructure, increment, residual, tol, advice)
        self.microstructure, self.increment = microstructure, increment
        self.residual, self.tol, self.advice = residual, tol, advice

    def __str__(self):
        return (
            f"microstructure {self.microstructure}: increment {self.increment} did not converge, "
            f"residual {self.residual:.3g} (tolerance {self.tol:g}); {self.advice}"
        )


def simulate(
    microstructure: Microstructure,
    load: Load | None = None,
    *,
    tol: float = TOLERANCE,
    flow_rule: FlowRule = PAPER_RULE,
    discretization: Discretization = PAPER,
    dtype: type = np.float64,
    keep_fields: bool = False,
    **stretch,
) -> Trajectory:
    """Solve a microstructure under a load.

    Parameters
    ----------
    microstructure : Microstructure
        On an (N1, N2) grid.
    load : Load, optional
        By default the paper's, or what `stretch` says.
    tol : float
        Strain still missing at which an increment counts as converged: rms over the cell of what
        equilibrium asks for, and at the worst point what the flow rule asks for. One correction
        follows, which about halves what is missing. It is not evaluated again: of cells far beyond
        Table 3 two in a thousand miss equilibrium by more than `tol` after it, up to three times,
        and a few in ten thousand the flow rule, up to a hundred times.
    flow_rule : FlowRule
        By default the law in the paper's text.
    discretization : Discretization
        Derivative and points per pixel; by default the paper's.
    dtype : type
        np.float32 takes about 0.6 of the time, for tolerances from `SINGLE_TOLERANCE` on.
    keep_fields : bool
        Whether the trajectory keeps strains and stresses of every point, as its `fields`: a MB an
        increment of 64 x 64 points.
    **stretch
        `F11_max`, `increments` and `rate` of `Load.stretch`, instead of a load.

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError
        If an argument is out of range.
    ConvergenceError
        If an increment does not reach `tol`.
    RuntimeError
        If the process was forked after a first simulation: start workers with spawn.
    """
    how = {"flow_rule": flow_rule, "discretization": discretization, "tol": tol, "dtype": dtype}
    how["keep_fields"] = keep_fields
    return simulate_batch([microstructure], load, **how, **stretch)[0]


def accuracy(discretization: Discretization, tol: float | None = None) -> dict:
    """Tolerance and precision, arguments of `simulate`, that suit a discretization.

    One point per pixel is solved to 0.003 MPa. Fields of several points are a tenth of a MPa from
    those of twice as many, or more: single precision and a tolerance of 1e-6 are within 0.014 MPa
    of a tolerance of 1e-7, in a third of the time. Another `tol` is kept, and takes double
    precision if single precision does not reach it.
    """
    one_point = discretization.points_per_pixel == 1
    if tol is None:
        tol = TOLERANCE if one_point else SINGLE_TOLERANCE
    double = not number(tol, "tol") >= SINGLE_TOLERANCE or one_point
    return {"tol": tol, "dtype": np.float64 if double else np.float32}


def simulate_batch(
    microstructures: Sequence[Microstructure],
    load: Load | None = None,
    *,
    tol: float = TOLERANCE,
    flow_rule: FlowRule = PAPER_RULE,
    discretization: Discretization = PAPER,
    dtype: type = np.float64,
    keep_fields: bool = False,
    **stretch,
) -> list[Trajectory]:
    """`simulate` for several microstructures on equal grids, in one compiled call.

    On a CPU they are solved one after another, each within the cache; on an accelerator together.

    Raises
    ------
    ValueError, ConvergenceError
        As `simulate`; microstructures are numbered as in the sequence.
    """
    load, microstructures = _load(load, stretch), as_cells(microstructures)
    required(discretization, Discretization, "discretization")
    required(flow_rule, FlowRule, "flow_rule")
    maps, n = _property_maps(microstructures, flow_rule), _exponent(flow_rule)
    with _solver(tol, dtype):
        how = discretization, load.free, _edge(microstructures[0]), keep_fields
        results = jax.device_get(_solve_batch(maps, n, _steps(load), tol, *how))
    _check_convergence(results.residual, tol, microstructures)
    each = [jax.tree.map(lambda field, i=i: field[i], results) for i in range(len(maps))]
    return [_trajectory(load, one, flow_rule) for one in each]


def _trajectory(load, results, flow_rule) -> Trajectory:
    fields = results.fields
    if fields is not None:
        F, response = fields
        fields = Fields(
            _tensor(F, results.F_mean[:, 2, 2, None, None]),
            _tensor(response.P, response.P33),
            np.linalg.inv(_tensor(response.state.Fp_inv, response.state.Fp_inv33)),
            response.state.xi / flow_rule.strength,
            np.cumsum(response.dgamma, 0),
        )
    return Trajectory(load, *results[:-1], fields)


def _tensor(in_plane, T33) -> np.ndarray:
    """(..., 3, 3) of in-plane components (...) and the component 33."""
    (T11, T12), (T21, T22) = in_plane
    zero = np.zeros_like(T11)
    rows = (T11, T12, zero), (T21, T22, zero), (zero, zero, zero + T33)
    return np.stack([np.stack(row, -1) for row in rows], -2)


_STRETCH = signature(Load.stretch).parameters.keys()


def _load(load, stretch) -> Load:
    for name in stretch.keys() - _STRETCH:
        raise TypeError(f"the reference model has no option {name}; see repro.reference.simulate")
    if load is None:
        return Load.stretch(**stretch) if stretch else PAPER_LOAD
    if stretch:
        raise ValueError(f"give either a load or {', '.join(stretch)}, not both")
    required(load, Load, "load")
    return load


def _property_maps(microstructures, flow_rule) -> np.ndarray:
    """Property maps (B, 4, N1, N2) with which the paper's law, but for n, is that of the rule."""
    shape_of(microstructures)  # raises if there are several
    maps = [flow_rule.rescaled(m.properties)[m.grain_id] for m in microstructures]
    return np.moveaxis(maps, -1, 1)


def _edge(microstructure) -> float:
    """Edge of the cell along x2 over that along x1."""
    L1, L2 = microstructure.edges
    return float(L2 / L1)


def _exponent(flow_rule) -> float | None:
    """n as the solver takes it: None is the paper's, whose powers are multiplications."""
    return None if flow_rule.n == paper.STRESS_EXPONENT else flow_rule.n


class _Steps(NamedTuple):
    """The increments of a load, each array (T,)."""

    F: np.ndarray  # mean deformation gradient at the end, (T, 3, 3), undeformed where it is free
    P: np.ndarray  # mean stress at the end in the components that are free, MPa, (T, k)
    dt: np.ndarray  # s
    extrapolation: np.ndarray  # change of what is prescribed over that in the increment before


def _steps(load: Load) -> _Steps:
    components = np.reshape(load.free, (-1, 2)).astype(int).T
    F = np.where(np.isnan(load.F), np.eye(3), load.F)
    P = load.P[:, *components]
    change = np.diff(np.column_stack([F.reshape(len(F), 9), P / STIFFNESS]), axis=0)
    before = np.concatenate([change[:1], change[:-1]])
    along, length = (change * before).sum(1), (before**2).sum(1)
    # After a pause nothing says how the fluctuation will change.
    ratio = np.divide(along, length, out=np.zeros_like(along), where=length > 0)
    extrapolation = np.clip(ratio, -MAX_EXTRAPOLATION, MAX_EXTRAPOLATION)
    return _Steps(F[1:], P[1:], np.diff(load.time), extrapolation)


def _solver(tol, dtype=np.float64):
    """Context in which the solver is called."""
    if not 0 < number(tol, "tol") < np.inf:
        raise ValueError(f"tol must be positive, got {tol}")
    try:
        precision = np.dtype(dtype).name
    except (TypeError, ValueError):
        precision = f"a {type(dtype).__name__}"
    if precision not in ("float64", "float32"):
        raise ValueError(f"dtype must be float64 or float32, got {precision}")
    single = precision == "float32"
    if single and tol < SINGLE_TOLERANCE:
        raise ValueError(
            f"single precision does not reach tol {tol:g}: {SINGLE_TOLERANCE:g} it does"
        )
    forks.use("jax")
    _use_compilation_cache()
    return jax.enable_x64(not single)


def batch_size() -> int:
    """Microstructures to hand to `simulate_batch` at a time: many run together on a GPU."""
    forks.use("jax")
    return 25 if jax.default_backend() == "cpu" else 250


def _check_convergence(residual, tol, microstructures):
    """Raise for the first increment (B, T+1) that is not under `tol` (NaN is not)."""
    failed = np.argwhere(~(residual < tol))
    if failed.size:
        i, increment = (int(index) for index in failed[0])
        advice = _advice(microstructures[i])
        raise ConvergenceError(i, increment, float(residual[i, increment]), tol, advice)


def _advice(cell: Microstructure) -> str:
    """What may help a cell to converge."""
    E, nu, *_ = cell.properties.T
    mu = E / (2 * (1 + nu))
    uniaxial = 2 * mu * (1 - nu) / (1 - 2 * nu)  # lam + 2 mu
    grains = np.unique(cell.grain_id)
    soft, stiff = grains[mu[grains].argmin()], grains[uniaxial[grains].argmax()]
    contrast = uniaxial[stiff] / mu[soft]
    if contrast < HIGH_CONTRAST:
        return "try more increments"
    softest, stiffest = (f"grain {i} (E = {E[i]:g} GPa, nu = {nu[i]:g})" for i in (soft, stiff))
    return (
        f"the moduli of {softest} and {stiffest} differ by a factor of {contrast:.0e}: try "
        'discretization=Discretization("rotated") in double precision, or more increments'
    )


class _Results(NamedTuple):
    sigma_vm: jax.Array
    F_mean: jax.Array
    P_mean: jax.Array
    evaluations: jax.Array
    residual: jax.Array
    fields: tuple | None  # F and the response, if they are to be kept


def _solve_batch(maps, *problem) -> _Results:
    """Solve property maps (B, 4, N1, N2); the other arguments are those of `_solve`."""
    if jax.default_backend() == "cpu":
        results = [_solve_one(cell, *problem) for cell in maps]
        return jax.tree.map(lambda *fields: np.stack(fields), *results)
    return _solve_together(maps, *problem)


def _softness(lam, mu, lam0, mu0):
    """How much more strain a cell misses than its reference medium, whose strain a correction is.

    The same stress strains it by the mean compliance (Reuss): in shear, and under uniaxial strain,
    where a medium that is stiff for nearly incompressible grains hardly moves.
    """
    uniaxial0, uniaxial = lam0 + 2 * mu0, lam + 2 * mu
    in_shear, in_uniaxial = mu0 * jnp.mean(1 / mu), uniaxial0 * jnp.mean(1 / uniaxial)
    return jnp.maximum(in_shear, in_uniaxial / UNIAXIAL_EXCESS)


class _Iteration(NamedTuple):
    """Carry of the fixed-point iteration within an increment."""

    x: jax.Array
    r: jax.Array
    flow: material.Flow
    imbalance: jax.Array
    history: equilibrium.History
    evaluations: jax.Array


def _solve(maps, n, steps, tol, discretization, free, edge, keep_fields) -> _Results:
    points_per_pixel = discretization.points_per_pixel
    mat = material.material_from_maps(*refined(maps, points_per_pixel), n)
    grid = equilibrium.fourier_grid(mat.mu.shape, discretization.derivative, edge)
    most = MAX_ITERATIONS[mat.mu.dtype.name]
    lam0, mu0 = ((jnp.min(m) + jnp.max(m)) / 2 for m in (mat.lam, mat.mu))

    softness = _softness(mat.lam, mat.mu, lam0, mu0)

    # Components of the mean deformation gradient that are unknown stand behind the fluctuation.
    fluctuation, components = 2 * grid.k.size, tuple(np.transpose(free))
    if free:
        compliance = equilibrium.mean_compliance(lam0, mu0, free)

    def missing(it):
        return jnp.maximum(softness * jnp.linalg.norm(it.r), jnp.sqrt(jnp.max(it.imbalance)))

    def mean_deformation(x, step):
        return step.F.at[components].add(x[fluctuation:]) if free else step.F

    def deformation(x, step):
        H, F = equilibrium.displacement_gradient(x[:fluctuation], grid), mean_deformation(x, step)
        return tuple(tuple(F[i, j] + H[i][j] for j in (0, 1)) for i in (0, 1)), F[2, 2]

    def correction(P, P33, step):
        r = equilibrium.strain_correction(P, lam0, mu0, grid)
        if not free:
            return r
        mean = jnp.stack([jnp.mean(P33 if c == (2, 2) else P[c[0]][c[1]]) for c in free])
        return jnp.concatenate([r, compliance @ (step.P - mean)])

    def equilibrate(x, step, state, flow, history, failed):
        def evaluate(x, flow):
            F, F33 = deformation(x, step)

            def respond(points):
                F, state, flow, parameters = points
                law = material.Material(*parameters, mat.n)
                flow, response = material.update(F, F33, state, flow, law, step.dt)
                P33 = response.P33 if (2, 2) in free else None
                return response.P, P33, flow, response.imbalance

            P, P33, flow, imbalance = _by_blocks(respond, (F, state, flow, mat[:4]))
            return x, correction(P, P33, step), flow, imbalance

        def unfinished(it):
            residual = missing(it)
            return (residual >= tol) & jnp.isfinite(residual) & (it.evaluations < most)

        def iterate(it):
            x = equilibrium.accelerate(it.history, it.x, it.r)
            x, r, *rest = evaluate(x, it.flow)
            dr = r - it.r
            history = equilibrium.remember(it.history, dr, x - it.x + dr)
            return _Iteration(x, r, *rest, history, it.evaluations + 1)

        start = _Iteration(*evaluate(x, flow), history, jnp.where(failed, most, 1))
        return jax.lax.while_loop(unfinished, iterate, start)

    def increment(carry, step):
        x, x_before, state, flow, history, failed = carry
        # Start from the linear extrapolation of the last two increments over the load.
        start = x + step.extrapolation * (x - x_before)
        it = equilibrate(start, step, state, flow, history, failed)
        # What is still missing is known: adding it halves the error and costs little, since the
        # increment has to end with the response to its deformation anyway.
        end = equilibrium.accelerate(it.history, it.x, it.r)
        F, F33 = deformation(end, step)
        (F11, F12), (F21, F22) = F
        turned_inside_out = jnp.minimum(jnp.min(F11 * F22 - F12 * F21), F33) <= 0
        residual = jnp.where(failed | turned_inside_out, jnp.nan, missing(it))
        flow, response = material.update(F, F33, state, it.flow, mat, step.dt)
        sigma_vm = material.von_mises(F, F33, response.P, response.P33)
        fields = _Results(
            pixel_means(sigma_vm, points_per_pixel),
            mean_deformation(end, step),
            _mean_P(response),
            it.evaluations,
            residual,
            (F, response) if keep_fields else None,
        )
        # The differences stay useful: the next increment has nearly the same Jacobian.
        return (end, x, response.state, flow, it.history, ~(residual < tol)), fields

    x = jnp.zeros(fluctuation + len(free))
    state, flow = material.initial_state(mat)
    start = (x, x, state, flow, equilibrium.empty_history(x), jnp.bool_(False))
    _, fields = jax.lax.scan(increment, start, steps)
    undeformed = _Results(
        jnp.zeros_like(maps[0]),
        jnp.eye(3),
        jnp.zeros((3, 3)),
        0,
        0.0,
        (state.Fp_inv, material.at_rest(state)) if keep_fields else None,
    )
    return jax.tree.map(lambda f0, f: jnp.concatenate([jnp.array([f0]), f]), undeformed, fields)


def _by_blocks(function, fields):
    """Apply a pointwise function to fields; on a processor, by blocks that fit its cache."""
    N1, N2 = jax.tree.leaves(fields)[0].shape
    rows = CACHED_PIXELS // N2
    if jax.default_backend() != "cpu" or rows == 0 or N1 % rows or rows >= N1:
        return function(fields)
    blocks = jax.tree.map(lambda field: field.reshape(N1 // rows, rows, N2), fields)
    return jax.tree.map(lambda field: field.reshape(N1, N2), jax.lax.map(function, blocks))


def _mean_P(response: material.Response):
    (P11, P12), (P21, P22) = (tuple(jnp.mean(P) for P in row) for row in response.P)
    return jnp.array([[P11, P12, 0], [P21, P22, 0], [0, 0, jnp.mean(response.P33)]])


_compiled = partial(jax.jit, static_argnames=("discretization", "free", "edge", "keep_fields"))
_solve_one = _compiled(_solve)


@_compiled
def _solve_together(maps, n, steps, tol, discretization, free, edge, keep_fields):
    how = n, steps, tol, discretization, free, edge, keep_fields
    return jax.vmap(lambda cell: _solve(cell, *how))(maps)


def _use_compilation_cache():
    """Keep compiled solvers between processes, unless the user has chosen a cache already."""
    if jax.config.jax_compilation_cache_dir is None:
        folder = _cache_folder()
        if folder is None:
            _say_once_that_nothing_is_cached()
        else:
            jax.config.update("jax_compilation_cache_dir", str(folder / "repro" / "jax"))


def _cache_folder() -> Path | None:
    """Folder for caches of this user; None for a user without a home, as in some containers."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    if Path(chosen).is_absolute():  # the XDG standard ignores others
        return Path(chosen)
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return None


@cache
def _say_once_that_nothing_is_cached():
    warnings.warn(
        "this user has no home folder: the solver is compiled anew in every process; set "
        "XDG_CACHE_HOME to a folder that can be written to",
        stacklevel=2,
    )
