"""J2 viscoplastic law of a field of points (Methods of the paper; backward Euler in time).

Nothing varies along x3, F33 is one number, and the grains are isotropic: a tensor has the in-plane
components 11, 12, 21, 22 and the component 33; out-of-plane shear never appears. A scalar field is
an array (N1, N2), an in-plane tensor field ((T11, T12), (T21, T22)). Stresses are in MPa.

A step of length dt takes the plastic state by Fp^-1 <- s Fp^-1 (I - dgamma N), with s such that
det Fp stays 1, and xi <- xi + h0 dgamma, where at the end of the step

    mu dev Ce = xi (dgamma/(dt gamma_dot_0))^(1/n) N,    |N| = 1.                            (*)

By isotropy N, Ce, Se and the trial Ce (no flow in the step) share their principal axes, so (*) is
solved for principal values. The unknowns, `Flow`, are improved along with the displacement: each
`update` is one iteration of both, and the imbalance of (*) is part of the convergence criterion.

gamma_dot_0 is the paper's: `FlowRule.rescaled` moves that of another flow rule into xi0 and h0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from repro import paper

NEWTON_STEPS = 2  # an update


class Material(NamedTuple):
    """Fields (N1, N2) of the material parameters, and the exponent of the flow rule."""

    lam: jax.Array  # first Lame parameter, MPa
    mu: jax.Array  # shear modulus, MPa
    xi0: jax.Array  # initial flow resistance, MPa
    h0: jax.Array  # hardening modulus, MPa
    n: jax.Array | int


class State(NamedTuple):
    """Plastic state of every point."""

    Fp_inv: tuple  # inverse plastic deformation gradient in plane
    Fp_inv33: jax.Array  # its 33 component, (N1, N2)
    xi: jax.Array  # flow resistance, MPa, (N1, N2)


class Flow(NamedTuple):
    """Plastic flow of a step."""

    root: jax.Array  # (dgamma/(dt gamma_dot_0))^(1/n), (N1, N2)
    N1: jax.Array  # first and second principal value of N; the third is -(N1 + N2)
    N2: jax.Array


class Response(NamedTuple):
    """What a step ends with."""

    P: tuple  # first Piola-Kirchhoff stress in plane, MPa
    P33: jax.Array  # its 33 component, MPa, (N1, N2)
    state: State
    dgamma: jax.Array  # plastic shear of the step, (N1, N2)
    imbalance: jax.Array  # |left - right side of (*)|/(2 mu), squared: a strain squared, (N1, N2)


def material_from_maps(E, nu, xi0, h0, n=None) -> Material:
    """`Material` of property maps (N1, N2) in units of Table 3 (GPa, -, MPa, GPa) and exponent n.

    Without an exponent it is the paper's, which is known when the solver is compiled.
    """
    E = 1e3 * E
    return Material(
        lam=E * nu / ((1 + nu) * (1 - 2 * nu)),
        mu=E / (2 * (1 + nu)),
        xi0=xi0,
        h0=1e3 * h0,
        n=paper.STRESS_EXPONENT if n is None else n,
    )


def initial_state(material: Material) -> tuple[State, Flow]:
    """Undeformed state, Fp = I and xi = xi0, without flow."""
    one, zero = jnp.ones_like(material.xi0), jnp.zeros_like(material.xi0)
    return State(((one, zero), (zero, one)), one, material.xi0), Flow(zero, zero, zero)


def at_rest(state: State) -> Response:
    """Response of the undeformed state."""
    zero = jnp.zeros_like(state.xi)
    return Response(((zero, zero), (zero, zero)), zero, state, zero, zero)


def positive(x):
    """x >= 0, at least the smallest number of its precision: as a divisor it keeps 0/0 at 0."""
    return jnp.maximum(x, jnp.finfo(x.dtype).tiny)


def _power(x, n):
    """x^n for x >= 0; multiplications, if n is known when the solver is compiled."""
    return x**n if isinstance(n, int) else jnp.maximum(x, 0) ** n


class _Trial(NamedTuple):
    """Elastic trial of a step: Ce = A^T A with A = F Fp^-1 at its beginning."""

    A: tuple
    C: tuple  # principal values of Ce, the third along x3
    cos: jax.Array  # of twice the angle from x1 to the first principal axis
    sin: jax.Array


def _trial(F, F33, state: State) -> _Trial:
    (F11, F12), (F21, F22) = F
    (G11, G12), (G21, G22) = state.Fp_inv
    A11, A12 = F11 * G11 + F12 * G21, F11 * G12 + F12 * G22
    A21, A22 = F21 * G11 + F22 * G21, F21 * G12 + F22 * G22
    C11, C22, C12 = A11 * A11 + A21 * A21, A12 * A12 + A22 * A22, A11 * A12 + A21 * A22
    mean, half = (C11 + C22) / 2, (C11 - C22) / 2
    radius = jnp.sqrt(half * half + C12 * C12)
    scale = 1 / positive(radius)
    A33 = F33 * state.Fp_inv33
    principal = mean + radius, mean - radius, A33 * A33
    return _Trial(((A11, A12), (A21, A22)), principal, half * scale, C12 * scale)


def _deviator(T):
    mean = (T[0] + T[1] + T[2]) / 3
    return T[0] - mean, T[1] - mean, T[2] - mean


def _direction(D):
    scale = 1 / positive(jnp.sqrt(D[0] * D[0] + D[1] * D[1] + D[2] * D[2]))
    N1, N2 = D[0] * scale, D[1] * scale
    return N1, N2, -(N1 + N2)


def _plastic_stretch(dgamma, N):
    """Cube root c of det(I - dgamma N) and principal values of U = (I - dgamma N)/c.

    The root by two steps of Halley's method: to machine precision for dgamma < 0.5.
    """
    # XLA computes all that leads to a value again wherever it is used, unless a costly operation
    # such as a division comes last: so the results of this module that are used often end in one.
    U1, U2, U3 = (1 - dgamma * Ni for Ni in N)
    det = U1 * U2 * U3
    c = (2 + det) / 3
    for _ in range(2):
        cube = c * c * c
        c = c * ((cube + 2 * det) / (2 * cube + det))
    return c, (U1 / c, U2 / c, U3 / c)


def _principal_directions(flow: Flow):
    return flow.N1, flow.N2, -(flow.N1 + flow.N2)


def _improve(flow: Flow, C, xi, material: Material, dgamma_0) -> Flow:
    """Improve the direction once, then the amount of flow along it by Newton's method on (*).

    With root = (dgamma/dgamma_0)^(1/n), (*) along N reads |dev Se| = (xi + h0 dgamma) root, where
    |dev Se| is an exact quadratic of dgamma = dgamma_0 root^n: no transcendental function, and
    concave, so that Newton's method converges monotonically from above.
    """
    mu, h0, n = material.mu, material.h0, material.n
    N = _principal_directions(flow)
    dgamma = dgamma_0 * _power(flow.root, n)
    c, U = _plastic_stretch(dgamma, N)
    # To first order dev Ce = dev C - 2 dgamma N: with the last term on the other side of (*) the
    # direction hardly depends on dgamma.
    D = _deviator([Ui * Ui * Ci for Ui, Ci in zip(U, C, strict=True)])
    N = _direction([Di + 2 * dgamma * Ni for Di, Ni in zip(D, N, strict=True)])
    # |dev Se| = a0 - a1 dgamma + a2 dgamma^2 for this N and c.
    scale = mu / (c * c)
    terms = [scale * Ni * Ci for Ni, Ci in zip(N, C, strict=True)]
    a0 = sum(terms)
    terms = [Ti * Ni for Ti, Ni in zip(terms, N, strict=True)]
    a1 = 2 * sum(terms)
    a2 = sum(Ti * Ni for Ti, Ni in zip(terms, N, strict=True))
    # An upper bound of the new root, unless the old one is: flow at the stress that the old root
    # stands for, or no flow. Single precision is enough and makes the power cheap.
    slip = jnp.maximum(a0 - flow.root * xi, 0) / (a1 + flow.root * h0)
    bound = jnp.exp(jnp.log((slip / dgamma_0).astype(jnp.float32)) / n)
    root = jnp.minimum(a0 / xi, jnp.maximum(flow.root, bound))
    for _ in range(NEWTON_STEPS):
        power = dgamma_0 * _power(root, n - 1)
        dgamma = power * root
        resistance = xi + h0 * dgamma
        slope = n * power * (a1 - 2 * dgamma * a2 + h0 * root) + resistance
        root = (a0 + dgamma * ((n - 1) * a1 + n * h0 * root - (2 * n - 1) * dgamma * a2)) / slope
    return Flow(root, N[0], N[1])


def update(F, F33, state: State, flow: Flow, material: Material, dt) -> tuple[Flow, Response]:
    """Improve the plastic flow of a step to the deformation gradient F, and respond to it.

    Parameters
    ----------
    F : in-plane tensor field
        Deformation gradient at the end of the step.
    F33 : float
        Its 33 component.
    state : State
        At the beginning of the step.
    flow : Flow
        Of the step, as far as known: from the last update, or from the step before.
    material : Material
    dt : float
        Length of the step, s.

    Returns
    -------
    Flow, Response
        The response satisfies (*) up to its `imbalance`, everything else exactly.
    """
    C = _trial(F, F33, state).C
    flow = _improve(flow, C, state.xi, material, dt * paper.GAMMA_DOT_0)
    return flow, respond(F, F33, state, flow, material, dt)


def respond(F, F33, state: State, flow: Flow, material: Material, dt) -> Response:
    """Response to a given flow; arguments as `update`."""
    lam, mu, dgamma_0 = material.lam, material.mu, dt * paper.GAMMA_DOT_0
    trial = _trial(F, F33, state)
    N = _principal_directions(flow)
    dgamma = dgamma_0 * _power(flow.root, material.n)
    _, U = _plastic_stretch(dgamma, N)
    squares = [Ui * Ui for Ui in U]
    C = [Ui2 * Ci for Ui2, Ci in zip(squares, trial.C, strict=True)]
    # Se = lam tr(Ee) I + 2 mu Ee, Ee = (Ce - I)/2; P = Fe Se Fp^-T = A (U Se U) Fp^-T.
    pressure = 0.5 * lam * (C[0] + C[1] + C[2] - 3)
    S1, S2, S3 = (Ui2 * (pressure + mu * (Ci - 1)) for Ui2, Ci in zip(squares, C, strict=True))
    S11, S12, _, S22 = _in_plane(S1, S2, trial)
    (A11, A12), (A21, A22) = trial.A
    (G11, G12), (G21, G22) = state.Fp_inv
    B11, B12 = A11 * S11 + A12 * S12, A11 * S12 + A12 * S22
    B21, B22 = A21 * S11 + A22 * S12, A21 * S12 + A22 * S22
    P = (
        (B11 * G11 + B12 * G12, B11 * G21 + B12 * G22),
        (B21 * G11 + B22 * G12, B21 * G21 + B22 * G22),
    )
    R11, R12, R21, R22 = _in_plane(U[0], U[1], trial)
    new = State(
        Fp_inv=(
            (G11 * R11 + G12 * R21, G11 * R12 + G12 * R22),
            (G21 * R11 + G22 * R21, G21 * R12 + G22 * R22),
        ),
        Fp_inv33=state.Fp_inv33 * U[2],
        xi=state.xi + material.h0 * dgamma,
    )
    strength = new.xi * flow.root / mu
    D = _deviator(C)
    errors = [Di - strength * Ni for Di, Ni in zip(D, N, strict=True)]
    imbalance = sum(error * error for error in errors) / 4
    return Response(P, F33 * state.Fp_inv33**2 * S3, new, dgamma, imbalance)


def _in_plane(T1, T2, trial: _Trial):
    """Components 11, 12, 21, 22 of the tensor with principal values T1, T2."""
    mean, half = (T1 + T2) / 2, (T1 - T2) / 2
    T12 = half * trial.sin
    return mean + half * trial.cos, T12, T12, mean - half * trial.cos


def von_mises(F, F33, P, P33):
    """Von Mises stress sqrt(3/2 T_dev:T_dev) of the Cauchy stress P F^T/det F, MPa, (N1, N2)."""
    (F11, F12), (F21, F22) = F
    (P11, P12), (P21, P22) = P
    J = (F11 * F22 - F12 * F21) * F33
    T11, T22 = P11 * F11 + P12 * F12, P21 * F21 + P22 * F22
    T12, T33 = P11 * F21 + P12 * F22, P33 * F33
    mean = (T11 + T22 + T33) / 3
    squares = (T11 - mean) ** 2 + (T22 - mean) ** 2 + (T33 - mean) ** 2 + 2 * T12**2
    return jnp.sqrt(1.5 * squares) / J
