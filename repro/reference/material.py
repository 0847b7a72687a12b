"""J2 viscoplastic update of a field of points (Methods of the paper; backward Euler in time).

The cell is in plane strain (F33 = 1) and the grains are isotropic, so a tensor has the in-plane
components 11, 12, 21, 22 and the component 33; out-of-plane shear never appears. An in-plane
tensor field is an array of shape (2, 2, N, N), a scalar field (N, N). Stresses are in MPa.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from repro import paper

NEWTON_STEPS = 5


class Material(NamedTuple):
    """Fields (N, N) of the material parameters and the two constants of the flow rule."""

    lam: jax.Array  # first Lame parameter, MPa
    mu: jax.Array  # shear modulus, MPa
    xi0: jax.Array  # initial flow resistance, MPa
    h0: jax.Array  # hardening modulus, MPa
    gamma_dot_0: float = paper.GAMMA_DOT_0  # reference rate, 1/s
    n: float = paper.STRESS_EXPONENT


class State(NamedTuple):
    """Plastic state of every point."""

    Fp_inv: jax.Array  # inverse plastic deformation gradient in plane, (2, 2, N, N)
    Fp_inv33: jax.Array  # its 33 component, (N, N)
    xi: jax.Array  # flow resistance, MPa, (N, N)


def material_from_maps(E, nu, xi0, h0, **flow_rule) -> Material:
    """`Material` of property maps (N, N) in the units of Table 3: GPa, -, MPa, GPa."""
    E = 1e3 * E
    return Material(
        lam=E * nu / ((1 + nu) * (1 - 2 * nu)),
        mu=E / (2 * (1 + nu)),
        xi0=xi0,
        h0=1e3 * h0,
        **flow_rule,
    )


def initial_state(material: Material) -> State:
    """Undeformed state: Fp = I, xi = xi0."""
    one, zero = jnp.ones_like(material.xi0), jnp.zeros_like(material.xi0)
    return State(jnp.stack([jnp.stack([one, zero]), jnp.stack([zero, one])]), one, material.xi0)


def elastic_right_cauchy_green(F, state: State):
    """Components 11, 22, 12, 33 of Ce = Fe^T Fe with Fe = F Fp^-1."""
    (F11, F12), (F21, F22) = F
    (G11, G12), (G21, G22) = state.Fp_inv
    A11, A12 = F11 * G11 + F12 * G21, F11 * G12 + F12 * G22
    A21, A22 = F21 * G11 + F22 * G21, F21 * G12 + F22 * G22
    return (
        A11 * A11 + A21 * A21,
        A12 * A12 + A22 * A22,
        A11 * A12 + A21 * A22,
        state.Fp_inv33 * state.Fp_inv33,
    )


def flow_direction(C11, C22, C12, C33):
    """Direction N = dev(Ce)/|dev(Ce)| and the norm; N = 0 where the deviator vanishes."""
    mean = (C11 + C22 + C33) / 3
    D11, D22, D33 = C11 - mean, C22 - mean, C33 - mean
    norm = jnp.sqrt(D11 * D11 + D22 * D22 + D33 * D33 + 2 * C12 * C12)
    scale = 1 / jnp.maximum(norm, 1e-300)
    return (D11 * scale, D22 * scale, C12 * scale, D33 * scale), norm


def stress_polynomial(C, N):
    """Coefficients (a0, a1, a2) of N:Ce(dgamma) = a0 - a1 dgamma + a2 dgamma^2.

    With Fp^-1 <- Fp^-1 (I - dgamma N), Ce becomes (I - dgamma N) C (I - dgamma N), so that the
    projection on the fixed direction N is an exact quadratic: N:C - 2 dgamma N^2:C + dgamma^2 N^3:C.
    """
    C11, C22, C12, C33 = C
    N11, N22, N12, N33 = N
    # M = N^2 and N^3 = M N, both symmetric.
    M11, M22, M12, M33 = N11 * N11 + N12 * N12, N22 * N22 + N12 * N12, N12 * (N11 + N22), N33 * N33
    K11, K22 = M11 * N11 + M12 * N12, M12 * N12 + M22 * N22
    K12, K33 = M11 * N12 + M12 * N22, M33 * N33
    a0 = N11 * C11 + N22 * C22 + 2 * N12 * C12 + N33 * C33
    a1 = 2 * (M11 * C11 + M22 * C22 + 2 * M12 * C12 + M33 * C33)
    a2 = K11 * C11 + K22 * C22 + 2 * K12 * C12 + K33 * C33
    return a0, a1, a2


def slip_increment(a, xi, material: Material, dt, log_dgamma, steps):
    """Newton steps on ln(dgamma) for the implicit flow rule.

    Solves y = ln(dgamma_0) + n ln(|S_dev|/xi), y = ln(dgamma), with |S_dev| = mu (a0 - a1 dgamma +
    a2 dgamma^2) and xi + h0 dgamma. The residual is convex and increasing in y, so Newton's method
    converges from any start once the step is kept inside |S_dev| > 0.
    """
    a0, a1, a2 = a
    mu, h0, n = material.mu, material.h0, material.n
    y = log_dgamma
    log_max = jnp.log(0.999 * a0 / a1)
    log_rate = jnp.log(dt * material.gamma_dot_0)
    for _ in range(steps):
        y = jnp.minimum(y, log_max)
        dgamma = jnp.exp(y)
        stress = mu * (a0 - dgamma * (a1 - dgamma * a2))
        slope = mu * (a1 - 2 * dgamma * a2)
        resistance = xi + h0 * dgamma
        residual = y - log_rate - n * jnp.log(stress / resistance)
        y = y - residual / (1 + n * dgamma * (slope / stress + h0 / resistance))
    return y


def first_guess(a, xi, material: Material, dt):
    """Start value of ln(dgamma): the smaller of the elastic and the rate-independent answer."""
    a0, a1, _ = a
    trial = material.mu * a0
    elastic = jnp.log(dt * material.gamma_dot_0) + material.n * jnp.log(trial / xi)
    plastic = jnp.log(
        jnp.maximum(trial - 0.85 * xi, 1e-6 * xi) / (material.mu * a1 + material.h0)
    )
    return jnp.minimum(elastic, plastic)


def flow(state: State, N, dgamma, material: Material) -> State:
    """State after plastic flow dgamma along N: Fp^-1 (I - dgamma N), renormalised to det 1."""
    N11, N22, N12, N33 = N
    (G11, G12), (G21, G22) = state.Fp_inv
    R11, R22, R12, R33 = 1 - dgamma * N11, 1 - dgamma * N22, -dgamma * N12, 1 - dgamma * N33
    scale = ((R11 * R22 - R12 * R12) * R33) ** (-1 / 3)
    return State(
        Fp_inv=scale
        * jnp.stack(
            [
                jnp.stack([G11 * R11 + G12 * R12, G11 * R12 + G12 * R22]),
                jnp.stack([G21 * R11 + G22 * R12, G21 * R12 + G22 * R22]),
            ]
        ),
        Fp_inv33=scale * state.Fp_inv33 * R33,
        xi=state.xi + material.h0 * dgamma,
    )


def second_piola_kirchhoff(C, material: Material):
    """Components 11, 22, 12, 33 of Se = lam tr(Ee) I + 2 mu Ee, Ee = (Ce - I)/2, in MPa."""
    C11, C22, C12, C33 = C
    pressure = 0.5 * material.lam * (C11 + C22 + C33 - 3)
    mu = material.mu
    return pressure + mu * (C11 - 1), pressure + mu * (C22 - 1), mu * C12, pressure + mu * (C33 - 1)


def first_piola_kirchhoff(F, state: State, material: Material):
    """In-plane P = Fe Se Fp^-T, shape (2, 2, N, N), and P33, shape (N, N), in MPa."""
    C = elastic_right_cauchy_green(F, state)
    S11, S22, S12, S33 = second_piola_kirchhoff(C, material)
    (G11, G12), (G21, G22) = state.Fp_inv
    (F11, F12), (F21, F22) = F
    # Z = Fp^-1 Se Fp^-T, then P = F Z.
    H11, H12 = G11 * S11 + G12 * S12, G11 * S12 + G12 * S22
    H21, H22 = G21 * S11 + G22 * S12, G21 * S12 + G22 * S22
    Z11, Z12, Z22 = H11 * G11 + H12 * G12, H11 * G21 + H12 * G22, H21 * G21 + H22 * G22
    P = jnp.stack(
        [
            jnp.stack([F11 * Z11 + F12 * Z12, F11 * Z12 + F12 * Z22]),
            jnp.stack([F21 * Z11 + F22 * Z12, F21 * Z12 + F22 * Z22]),
        ]
    )
    return P, state.Fp_inv33**2 * S33


def update(F, state: State, material: Material, dt):
    """Backward Euler step of the plastic state under the deformation gradient F.

    Parameters
    ----------
    F : Array, shape (2, 2, N, N)
        In-plane deformation gradient at the end of the step; F33 = 1.
    state : State
        At the beginning of the step.
    material : Material
    dt : float
        Length of the step, s.

    Returns
    -------
    State
        At the end of the step: Fp^-1 <- Fp^-1 (I - dgamma N) and xi <- xi + h0 dgamma with
        dgamma = dt gamma_dot_0 (|S_dev|/xi)^n and N = S_dev/|S_dev|, all at the end.
    """
    C = elastic_right_cauchy_green(F, state)
    N, _ = flow_direction(*C)
    a = stress_polynomial(C, N)
    y = slip_increment(
        a, state.xi, material, dt, first_guess(a, state.xi, material, dt), NEWTON_STEPS
    )
    # The trial direction is off by the order of dgamma: correct it once.
    N, _ = flow_direction(
        *elastic_right_cauchy_green(F, flow(state, N, jnp.exp(y), material))
    )
    y = slip_increment(stress_polynomial(C, N), state.xi, material, dt, y, 1)
    return flow(state, N, jnp.exp(y), material)


def von_mises(F, P, P33):
    """von Mises stress sqrt(3/2 T_dev:T_dev) of the Cauchy stress T = P F^T / det F, MPa, (N, N)."""
    (F11, F12), (F21, F22) = F
    (P11, P12), (P21, P22) = P
    J = F11 * F22 - F12 * F21
    T11, T22 = P11 * F11 + P12 * F12, P21 * F21 + P22 * F22
    T12, T33 = P11 * F21 + P12 * F22, P33
    mean = (T11 + T22 + T33) / 3
    squares = (T11 - mean) ** 2 + (T22 - mean) ** 2 + (T33 - mean) ** 2 + 2 * T12**2
    return jnp.sqrt(1.5 * squares) / J
