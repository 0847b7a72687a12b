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
    """Components 11, 22, 12, 33 of N = dev(Ce)/|dev(Ce)|; zero where the deviator vanishes."""
    mean = (C11 + C22 + C33) / 3
    D11, D22, D33 = C11 - mean, C22 - mean, C33 - mean
    norm = jnp.sqrt(D11 * D11 + D22 * D22 + D33 * D33 + 2 * C12 * C12)
    scale = 1 / jnp.maximum(norm, 1e-300)
    return D11 * scale, D22 * scale, C12 * scale, D33 * scale


def stress_polynomial(C, N):
    """Coefficients (a0, a1, a2) of N:Ce(dgamma) = a0 - a1 dgamma + a2 dgamma^2.

    With Fp^-1 <- Fp^-1 (I - dgamma N), Ce becomes (I - dgamma N) C (I - dgamma N), so that the
    projection on the fixed direction N is exactly N:C - 2 dgamma N^2:C + dgamma^2 N^3:C.
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


def rate_guess(a, xi, material: Material, dgamma_0):
    """Start value of `flow_rate_root`: the smaller of the elastic and the rate-independent answer.

    The latter is slip at the stress 0.85 xi, a little more than the true one. Single precision is
    enough for a start value and makes the root cheap.
    """
    a0, a1, _ = a
    trial = material.mu * a0
    slip = jnp.maximum(trial - 0.85 * xi, 0) / (material.mu * a1 + material.h0)
    plastic = (slip / dgamma_0).astype(jnp.float32) ** (1 / material.n)
    return jnp.minimum(trial / xi, jnp.maximum(0.85, plastic))


def flow_rate_root(a, xi, material: Material, dgamma_0, root, steps):
    """Newton steps on root = (dgamma/dgamma_0)^(1/n), dgamma_0 = dt gamma_dot_0.

    In this variable the implicit flow rule reads |S_dev| = (xi + h0 dgamma) root with |S_dev| =
    mu (a0 - a1 dgamma + a2 dgamma^2) and dgamma = dgamma_0 root^n: no transcendental function, and
    concave, so that Newton's method converges monotonically from above.
    """
    a0, a1, a2 = a
    mu, h0, n = material.mu, material.h0, material.n
    for _ in range(steps):
        power = dgamma_0 * root ** (n - 1)
        dgamma = power * root
        resistance = xi + h0 * dgamma
        residual = mu * (a0 - dgamma * (a1 - dgamma * a2)) - resistance * root
        slope = (mu * (a1 - 2 * dgamma * a2) + h0 * root) * n * power + resistance
        root = root + residual / slope
    return root


def flow(state: State, N, dgamma, material: Material) -> State:
    """State after plastic flow dgamma along N: Fp^-1 (I - dgamma N), renormalised to det 1."""
    N11, N22, N12, N33 = N
    (G11, G12), (G21, G22) = state.Fp_inv
    R11, R22, R12, R33 = 1 - dgamma * N11, 1 - dgamma * N22, -dgamma * N12, 1 - dgamma * N33
    scale = inverse_cube_root((R11 * R22 - R12 * R12) * R33)
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


def inverse_cube_root(x):
    """x^(-1/3) for x near 1, to machine precision for |x - 1| < 0.01: three Newton steps."""
    root = (4 - x) / 3
    for _ in range(2):
        root = root * (4 - x * root**3) / 3
    return root


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
    dgamma_0 = dt * material.gamma_dot_0
    C = elastic_right_cauchy_green(F, state)
    N = flow_direction(*C)
    a = stress_polynomial(C, N)
    root = rate_guess(a, state.xi, material, dgamma_0)
    root = flow_rate_root(a, state.xi, material, dgamma_0, root, NEWTON_STEPS)
    # The trial direction is off by the order of dgamma: correct it once.
    trial = flow(state, N, dgamma_0 * root**material.n, material)
    N = flow_direction(*elastic_right_cauchy_green(F, trial))
    a = stress_polynomial(C, N)
    root = flow_rate_root(a, state.xi, material, dgamma_0, root, 1)
    return flow(state, N, dgamma_0 * root**material.n, material)


def von_mises(F, P, P33):
    """von Mises stress sqrt(3/2 T_dev:T_dev) of Cauchy's T = P F^T / det F, MPa, (N, N)."""
    (F11, F12), (F21, F22) = F
    (P11, P12), (P21, P22) = P
    J = F11 * F22 - F12 * F21
    T11, T22 = P11 * F11 + P12 * F12, P21 * F21 + P22 * F22
    T12, T33 = P11 * F21 + P12 * F22, P33
    mean = (T11 + T22 + T33) / 3
    squares = (T11 - mean) ** 2 + (T22 - mean) ** 2 + (T33 - mean) ** 2 + 2 * T12**2
    return jnp.sqrt(1.5 * squares) / J
