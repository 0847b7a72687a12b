"""Verification of the reference model: what is measured, and the bounds it has to keep.

Each check yields findings. The tests run the same checks at small size.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import pairwise, product

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from repro import paper
from repro.data import microstructure as ms
from repro.data.discretization import DERIVATIVES, Discretization, pixel_means
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.reference import TOLERANCE, ConvergenceError, exact, material, simulate, simulate_batch
from repro.reference.audit import Audit, audit
from repro.reference.recorded_damask import TRAJECTORIES, read_cases
from repro.tools import provenance
from repro.tools.progress import Progress

# Of the solver where it is compared with exact solutions, so that time is the only error left.
TIGHT = 1e-10
# Corners and middle of Table 3, and a grain without hardening.
LAWS = (
    exact.Law(50, 0.4, 50, 50),
    exact.Law(300, 0.2, 300, 5),
    exact.Law(175, 0.3, 175, 25),
    exact.Law(300, 0.3, 50, 0),
)
# In few increments, each of which is divided where the limit in time is sought.
LOADS = {
    "stretch": Load.stretch(increments=4),
    "load and unload": Load.through((paper.F11_TRAINING, 0.999), 4),
    "compression": Load.stretch(0.996, 4),
}


@dataclass(frozen=True)
class Finding:
    """A measured number and the bounds within which it has to lie."""

    check: str
    case: str
    quantity: str
    value: float
    unit: str
    n: int  # microstructures, or points, that the number is the worst of
    low: float = -np.inf
    high: float = np.inf

    @property
    def passed(self) -> bool:
        return bool(self.low <= self.value <= self.high)


def damask(directory=TRAJECTORIES) -> Iterator[Finding]:
    """The von Mises fields of DAMASK, at all increments and pixels."""
    for case in read_cases(directory):
        ours = simulate(case.microstructure, case.load).sigma_vm
        error = abs(ours - case.sigma_vm)[1:]
        about = f"{case.name}, eps_rel_div_P = {case.eps_rel_div_P:g}"
        yield Finding(
            "DAMASK", about, "MAE", error.mean(), "MPa", 1, high=0.01 if case.tight else 0.1
        )
        yield Finding(
            "DAMASK", about, "max error", error.max(), "MPa", 1, high=0.5 if case.tight else np.inf
        )


def homogeneous(factors: Sequence[int] = (125, 250)) -> Iterator[Finding]:
    """A homogeneous cell against the one-dimensional equation, in the limit of small increments."""
    for name, load in LOADS.items():
        for law in LAWS:
            yield from _limit_in_time(
                "homogeneous cell",
                f"{name}, E {law.E:g}, nu {law.nu:g}, xi0 {law.xi0:g}, h0 {law.h0:g}",
                partial(exact.homogeneous, law),
                lambda path: path.sigma_vm[:, 0, 0],
                Microstructure(np.zeros((5, 5), int), [law[:4]]),
                load,
                factors,
            )


# Edges on which the discrete laminate is exact: "continuous" has no Nyquist term on odd grids, and
# "rotated" is exact wherever the layers meet at the edges of points.
LAMINATES = {"continuous": 5, "rotated": 10}


def laminate(factors: Sequence[int] = (125, 250)) -> Iterator[Finding]:
    """Laminates of two layers, elastic and viscoplastic, against the exact solution."""
    for (derivative, edge), (normal, name) in product(
        LAMINATES.items(), enumerate(("across", "along"))
    ):
        yield from _laminate(derivative, edge, normal, f"{name} the load, {derivative}", factors)


def _laminate(derivative, edge, normal, case, factors):
    fractions = np.array([0.4, 0.6])
    grain_id = np.broadcast_to(np.arange(edge) >= fractions[0] * edge, (edge, edge)).astype(int)
    grain_id = grain_id.T if normal == 0 else grain_id
    pixels = (fractions * edge**2).round().astype(int)
    how = {"tol": TIGHT, "discretization": Discretization(derivative)}

    def response(path):
        of_layers = [path.sigma_vm[:, grain_id == g].T for g in (0, 1)]
        return np.concatenate([*of_layers, path.P_mean.reshape(len(path.F11), 9).T]).T

    def solution(load, laws):
        sigma_vm, P_mean, _ = exact.laminate(laws, fractions, normal, load)
        return np.concatenate([np.repeat(sigma_vm, pixels, 1), P_mean.reshape(-1, 9)], 1)

    elastic = [exact.Law(300, 0.2, 1e5, 0), exact.Law(50, 0.4, 1e5, 0)]
    path = simulate(Microstructure(grain_id, [law[:4] for law in elastic]), **how)
    error = abs(response(path) - solution(path.load, elastic)).max()
    yield Finding("laminate", f"{case}, elastic", "max error", error, "MPa", 1, high=1e-3)
    for a, b in ((0, 1), (2, 3)):
        laws = [LAWS[a], LAWS[b]]
        yield from _limit_in_time(
            "laminate",
            f"{case}, viscoplastic {'AB'[a // 2]}",
            partial(solution, laws=laws),
            response,
            Microstructure(grain_id, [law[:4] for law in laws]),
            LOADS["stretch"],
            factors,
            **how,
        )


def _limit_in_time(check, case, solution, response, cell, load, factors, tol=TIGHT, **how):
    """Order in dt of the error against an exact solution, and the error extrapolated to dt = 0."""
    wanted = solution(load)
    coarse, fine = (
        response(simulate(cell, load.refined(factor), tol=tol, **how))[::factor]
        for factor in factors
    )
    errors = [abs(found - wanted).max() for found in (coarse, fine)]
    ratio = factors[1] / factors[0]
    order = np.log(errors[0] / errors[1]) / np.log(ratio)
    extrapolated = fine + (fine - coarse) / (ratio - 1)
    limit = abs(extrapolated - wanted).max()
    increments = factors[1] * load.increments
    yield Finding(check, case, f"max error, {increments} increments", errors[1], "MPa", 1)
    yield Finding(check, case, "order in dt", order, "", 1, 0.85, 1.25)
    yield Finding(check, case, "max error, dt -> 0", limit, "MPa", 1, high=0.02)


def rate_independent(exponents: Sequence[int] = (20, 80, 320)) -> Iterator[Finding]:
    """A material point for growing exponent n against rate-independent plasticity."""
    law, increments = LAWS[2], 4000
    load = Load.stretch(increments=increments)
    F = np.zeros((increments + 1, 2, 2, 1, 1))
    F[:, 0, 0, 0, 0], F[:, 1, 1] = load.F11, 1
    at = np.arange(increments // 2, increments + 1, increments // 10)
    wanted = exact.rate_independent(law, load.F11[at])
    errors = []
    for n in exponents:
        sigma_vm, _, _ = follow(F, [law[:4]], load.time, n)
        errors.append(abs(sigma_vm[at, 0, 0] - wanted).max())
        yield Finding("rate-independent limit", f"n = {n}", "max error", errors[-1], "MPa", 1)
    order = np.log(errors[0] / errors[-1]) / np.log(exponents[-1] / exponents[0])
    yield Finding("rate-independent limit", "", "order in 1/n", order, "", 1, 0.85, 1.15)


def objectivity(points: int = 1000, seed: int = 0) -> Iterator[Finding]:
    """Random deformation paths with and without a superposed rotation that grows to half a turn."""
    rng, increments = np.random.default_rng(seed), 20
    t = np.linspace(0, 1, increments + 1)[:, None, None, None, None]
    F = np.eye(2)[..., None, None] + t * rng.normal(scale=0.01, size=(2, 2, points, 1))
    angle = np.pi * t[:, 0, 0] * rng.uniform(-1, 1, (points, 1))
    Q = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    Q = np.moveaxis(Q, 2, 0)
    properties = ms.table3_properties(rng, points)[:, None]
    time = Load.stretch(increments=increments).time
    sigma_vm, P, xi = follow(F, properties, time)
    turned = follow(np.einsum("tijab,tjkab->tikab", Q, F), properties, time)
    case = "random paths, rotated"
    for name, unturned, found in (
        ("sigma_vm", sigma_vm, turned[0]),
        ("P", np.einsum("tijab,tjkab->tikab", Q, P), turned[1]),
        ("xi", xi, turned[2]),
    ):
        change = abs(found - unturned).max()
        quantity = f"largest change of {name}"
        yield Finding("objectivity", case, quantity, change, "MPa", points, high=1e-5)


def follow(F, properties, time, n: float = paper.STRESS_EXPONENT):
    """Material points along given deformations.

    Parameters
    ----------
    F : ndarray, shape (T+1, 2, 2, A, B)
        In-plane deformation gradients of A x B points; F33 = 1.
    properties : array_like, broadcast to (A, B, 4)
        E/GPa, nu, xi0/MPa, h0/GPa.
    time : ndarray, shape (T+1,)
        In equal steps from 0, s.
    n : float
        Exponent of the flow rule.

    Returns
    -------
    sigma_vm (T+1, A, B), P (T+1, 2, 2, A, B), xi (T+1, A, B), all in MPa

    Raises
    ------
    ConvergenceError
        If the flow rule is not solved to `TIGHT`.
    """
    dt = time[-1] / (len(time) - 1)
    shape = (*F.shape[-2:], len(paper.PROPERTY_NAMES))
    maps = np.moveaxis(np.broadcast_to(properties, shape), -1, 0)
    with jax.enable_x64(True):
        *found, imbalance = jax.device_get(_follow(F, maps, dt, n))
    worst = np.sqrt(imbalance.max((1, 2)))
    if not (worst < TIGHT).all():
        step = int(np.argmax(~(worst < TIGHT)))
        raise ConvergenceError(0, step, float(worst[step]), TIGHT)
    return found


@jax.jit
def _follow(F, maps, dt, n):
    law = material.material_from_maps(*maps, n=n)

    def step(carry, F):
        def unfinished(it):
            _, imbalance, updates = it
            return (jnp.sqrt(imbalance.max()) >= TIGHT / 10) & (updates < 200)

        def improve(it):
            flow, response = material.update(F, 1, state, it[0], law, dt)
            return flow, response.imbalance, it[2] + 1

        state, flow = carry
        flow, imbalance, _ = jax.lax.while_loop(
            unfinished, improve, (flow, jnp.full_like(law.mu, jnp.inf), 0)
        )
        response = material.respond(F, 1, state, flow, law, dt)
        fields = (
            material.von_mises(F, 1, response.P, response.P33),
            jnp.array(response.P),
            response.state.xi,
            imbalance,
        )
        return (response.state, flow), fields

    return jax.lax.scan(step, material.initial_state(law), F)[1]


def symmetries(size: int = paper.GRID, count: int = 3) -> Iterator[Finding]:
    """A translated or reflected microstructure has the translated or reflected field."""
    maps = {
        "translation": lambda field: np.roll(field, (size // 3, size // 5), (-2, -1)),
        "reflection of x1": lambda field: np.flip(field, -2),
        "reflection of x2": lambda field: np.flip(field, -1),
    }
    for name, move in maps.items():
        change = 0.0
        for i in range(count):
            cell = ms.polycrystal(ms.generator(i), size=size)
            moved = Microstructure(move(cell.grain_id), cell.properties)
            fields = simulate(cell).sigma_vm, simulate(moved).sigma_vm
            change = max(change, abs(move(fields[0]) - fields[1]).max())
        # The iterations are the same up to rounding, whatever the tolerance.
        yield Finding("symmetry", name, "largest change", change, "MPa", count, high=1e-5)


def batch(size: int = paper.GRID, count: int = 4) -> Iterator[Finding]:
    """A batch gives what its members give one at a time."""
    cells = [ms.polycrystal(ms.generator(i), size=size) for i in range(count)]
    together = simulate_batch(cells)
    change = max(
        abs(simulate(cell).sigma_vm - path.sigma_vm).max()
        for cell, path in zip(cells, together, strict=True)
    )
    yield Finding("batch", "", "largest change", change, "MPa", count, high=1e-5)


def equations(size: int = paper.GRID, count: int = 10) -> Iterator[Finding]:
    """Audit of polycrystals: Hill-Mandel, equilibrium, flow rule and the rest, point by point."""
    cells = [ms.polycrystal(ms.generator(i), size=size) for i in range(count)]
    for derivative in DERIVATIVES:
        how = Discretization(derivative)
        audits = [
            audit(cell, simulate(cell, discretization=how, keep_fields=True), derivative)
            for cell in cells
        ]
        case = f"10 grains, Table 3, {derivative}"
        yield from _worst("equations", case, audits, hill_mandel=1e-3)


def robustness(count: int = 200, sizes: Sequence[int] = (8, 9), seed: int = 0) -> Iterator[Finding]:
    """Random cells far beyond Table 3: an error is raised, or the equations are satisfied."""
    rng, audits = np.random.default_rng(seed), []
    for i in range(count):
        cell = extreme_microstructure(rng, sizes[i % len(sizes)])
        try:
            audits.append(audit(cell, simulate(cell, keep_fields=True)))
        except ConvergenceError:
            continue
    share = len(audits) / count
    case = "contrast 1000, nu to 0.49, h0 = 0, grains of a pixel"
    yield Finding("robustness", case, "share that converges", share, "", count, low=0.9)
    yield from _worst("robustness", case, audits)


def extreme_microstructure(rng: np.random.Generator, size: int) -> Microstructure:
    """Grains of a pixel or a few; E and xi0 over three decades, nu from -0.5, h0 often 0."""
    grains = int(rng.integers(2, size * size))
    grain_id = rng.integers(0, grains, (size, size))
    return Microstructure(
        grain_id,
        np.column_stack(
            [
                10 ** rng.uniform(0, 3, grains),
                rng.uniform(-0.5, 0.49, grains),
                10 ** rng.uniform(0, 3, grains),
                rng.choice([0, 0, 1, 50, 500], grains),
            ]
        ),
    )


# Equilibrium and flow rule are what the tolerance bounds; the rest holds by construction.
AUDIT_BOUNDS = {
    "equilibrium": TOLERANCE,
    "flow_rule": 2 * TOLERANCE,
    "hardening": 1e-11,
    "volume": 1e-12,
    "compatibility": 1e-14,
    "mean_strain": 1e-13,
    "mean_stress": TOLERANCE,
    "stress": 1e-6,
}


def _worst(check, case, audits: Sequence[Audit], **bounds):
    bounds = AUDIT_BOUNDS | bounds
    for name in (field.name for field in fields(Audit)):
        values = [getattr(a, name) for a in audits]
        unit = "MPa" if name == "stress" else ""
        if name == "smallest_det_F":
            yield Finding(check, case, name, min(values), unit, len(audits), low=0.5)
        else:
            high = bounds.get(name, np.inf)
            yield Finding(check, case, name, max(values), unit, len(audits), high=high)


def time_order(
    size: int = paper.GRID, increments: Sequence[int] = (10, 20, 40, 80, 160), count: int = 3
) -> Iterator[Finding]:
    """Change of the final field of polycrystals when the increments are halved."""
    cells = [ms.polycrystal(ms.generator(i), size=size) for i in range(count)]
    final = [
        np.stack([simulate(cell, increments=T, tol=1e-8).sigma_vm[-1] for cell in cells])
        for T in increments
    ]
    changes = [abs(b - a).mean() for a, b in pairwise(final)]
    for T, change in zip(increments, changes, strict=False):
        case = f"{T} -> {2 * T} increments"
        yield Finding("order in dt", case, "MAE", change, "MPa", count)
    order = np.log2(changes[-2] / changes[-1])
    yield Finding("order in dt", "polycrystal", "order", order, "", count, 0.8, 1.25)


def grid_convergence(
    sizes: Sequence[int] = (32, 64, 128, 256), count: int = 3
) -> Iterator[Finding]:
    """Polycrystals on finer and finer grids, against the finest averaged over the coarse pixels."""

    def solve(i, size):
        # Microstructure i has the same seeds on every grid.
        path = simulate(ms.polycrystal(ms.generator(i), size=size))
        return path.sigma_vm[-1]

    fields_ = {size: [solve(i, size) for i in range(count)] for size in sizes}
    finest, errors = fields_[sizes[-1]], []
    for size in sizes[:-1]:
        pairs = list(zip(fields_[size], finest, strict=True))
        errors.append(np.mean([abs(f - pixel_means(g, len(g) // size)).mean() for f, g in pairs]))
        mean = max(abs(f.mean() / g.mean() - 1) for f, g in pairs)
        case = f"{size} against {sizes[-1]}"
        yield Finding("grid", case, "MAE of the field", errors[-1], "MPa", count)
        yield Finding("grid", case, "mean stress, relative", mean, "", count, high=0.02)
    # The finest compared with is itself in error, which makes the last ratios optimistic.
    order = np.log2(errors[0] / errors[1])
    yield Finding("grid", "", "order in 1/N", order, "", count, low=0.5)


def points_per_pixel(
    size: int = paper.GRID, points: Sequence[int] = (1, 2, 4, 8), count: int = 3, tol: float = 1e-6
) -> Iterator[Finding]:
    """The same cells on more and more points per pixel, by both derivatives, over the whole load.

    Against the most points by the rotated one, which are themselves in error: the last ratios are
    optimistic.
    """
    cells = [ms.polycrystal(ms.generator(i), size=size) for i in range(count)]

    def fields_of(derivative, p):
        how = {"tol": tol, "discretization": Discretization(derivative, p)}
        return np.stack([simulate(cell, **how).sigma_vm[1:] for cell in cells])

    finest = fields_of("rotated", points[-1])
    for derivative in DERIVATIVES:
        fewer = points[:-1] if derivative == "rotated" else points
        errors = [abs(fields_of(derivative, p) - finest).mean() for p in fewer]
        for p, error in zip(fewer, errors, strict=True):
            case = f"{derivative}, {p} x {p}"
            yield Finding("points per pixel", case, "MAE", error, "MPa", count)
        order = np.log2(errors[0] / errors[1])
        yield Finding("points per pixel", derivative, "order", order, "", count, low=1.0)


CHECKS: dict[str, Callable[..., Iterator[Finding]]] = {
    check.__name__: check
    for check in (
        damask,
        homogeneous,
        laminate,
        rate_independent,
        objectivity,
        symmetries,
        batch,
        equations,
        robustness,
        time_order,
        grid_convergence,
        points_per_pixel,
    )
}


def run(directory=TRAJECTORIES) -> pd.DataFrame:
    """All checks at full size; one row per finding, with its provenance."""
    rows = []
    for name, check in Progress(CHECKS.items(), "verifying", "check"):
        start = time.perf_counter()
        found = list(check(directory) if check is damask else check())
        wall = time.perf_counter() - start
        rows += [asdict(f) | {"passed": f.passed, "wall_s": round(wall, 1)} for f in found]
        failed = sum(not f.passed for f in found)
        print(f"{name}: {len(found)} measurements, {failed} out of bounds, {wall:.0f} s")
    return pd.DataFrame(rows).assign(**provenance.stamp())
