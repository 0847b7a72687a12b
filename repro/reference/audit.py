"""Audit of a solved cell: does it satisfy the equations, whatever the solver says?

Evaluates the paper's equations in full 3x3 tensors at every point and increment; shares no code
with the solver but the discretisation (backward Euler in time; in space the Fourier derivative
without its Nyquist terms, or Willot's in its complex form), which is part of what is audited.
"""

from dataclasses import dataclass

import numpy as np

from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.microstructure import Microstructure
from repro.reference.simulation import Trajectory

IDENTITY = np.eye(3)


@dataclass(frozen=True)
class Audit:
    """Worst violations over all increments; strains unless said otherwise."""

    equilibrium: float  # rms of the unbalanced stress k.P/|k| over the stiffness
    flow_rule: float  # at the worst point: smallest change of strain that satisfies it
    hardening: float  # at the worst point: xi - xi0 - h h0 gamma over 2 mu
    volume: float  # at the worst point: det Fp - 1
    compatibility: float  # rms of the part of F that is no gradient
    mean_strain: float  # <F> - what is prescribed, largest component
    mean_stress: float  # <P> - what is prescribed, largest component over the stiffness
    hill_mandel: float  # <P:dF> - <P>:<dF> over the largest |<P>:<dF>|
    stress: float  # MPa, of sigma_vm, P and P_mean as recomputed from F and Fp
    smallest_det_F: float  # over all points


def audit(
    microstructure: Microstructure,
    trajectory: Trajectory,
    derivative: str = "continuous",
    flow_rule: FlowRule = PAPER_RULE,
) -> Audit:
    """Violations of the equations by a trajectory that keeps its fields.

    Derivative and flow rule are those with which it was solved.

    The flow rule says by how much Fp moves under a stress and, inverted, what stress moves Fp by so
    much; where it is flat one is ill-conditioned and where it is steep the other. So a point is
    taken to violate it by the smaller of the two misfits.
    """
    fields = trajectory.fields
    E, nu, xi0, h0 = np.moveaxis(microstructure.property_maps(), -1, 0)
    E, h0 = 1e3 * E, 1e3 * h0
    lam, mu = E * nu / ((1 + nu) * (1 - 2 * nu)), E / (2 * (1 + nu))
    F, xi, Fp_inv = fields.F, fields.xi, np.linalg.inv(fields.Fp)
    dt = np.diff(trajectory.load.time)

    Fe = F @ Fp_inv
    Ee = (_transpose(Fe) @ Fe - IDENTITY) / 2
    S = lam[..., None, None] * _trace(Ee) * IDENTITY + 2 * mu[..., None, None] * Ee
    P = Fe @ S @ _transpose(Fp_inv)
    T = P @ _transpose(F) / np.linalg.det(F)[..., None, None]
    sigma_vm = np.sqrt(1.5) * _norm(_deviator(T))
    P_mean = P.mean((1, 2))

    # Fp_inv_new = Fp_inv_old s (I - dgamma N), and tr N = 0.
    step = fields.Fp[:-1] @ Fp_inv[1:]
    flow = IDENTITY - 3 * step / _trace(step)
    dgamma, reference = _norm(flow), flow_rule.dot_gamma_0 * dt[:, None, None]
    S_dev = _deviator(S[1:])
    stress, n, M = _norm(S_dev), flow_rule.n, flow_rule.M
    N = S_dev / np.maximum(stress, 1e-300)[..., None, None]
    rule = reference * (np.sqrt(3 / 2) * stress / (M * xi[1:])) ** n
    misfit_flow = _norm(flow - rule[..., None, None] * N)
    strength = M / np.sqrt(3 / 2) * xi[1:] * (dgamma / reference) ** (1 / n)
    direction = flow / np.maximum(dgamma, 1e-300)[..., None, None]
    misfit_stress = _norm(S_dev - strength[..., None, None] * direction) / (2 * mu)

    # For the solver's correction r, |k.P/|k|| <= (lam0 + 2 mu0) |r|: so the strain it ends with is
    # at least this one.
    lam0, mu0 = ((m.min() + m.max()) / 2 for m in (lam, mu))
    stiffness = (lam0 + 2 * mu0) / (mu0 * (1 / mu).mean())
    L1, L2 = microstructure.edges
    traction, incompatible = _violations_in_space(P, F, derivative, L2 / L1)
    power = (P[1:] * np.diff(F, axis=0)).sum((-2, -1)).mean((1, 2))
    mean_power = (P_mean[1:] * np.diff(F.mean((1, 2)), axis=0)).sum((-2, -1))
    free = np.isnan(trajectory.load.F)
    off_strain, off_stress = (
        np.where(where, abs(found - prescribed), 0).max()
        for where, found, prescribed in (
            (~free, F.mean((1, 2)), trajectory.load.F),
            (free, P_mean, trajectory.load.P),
        )
    )
    return Audit(
        equilibrium=traction / stiffness,
        flow_rule=np.minimum(misfit_flow, misfit_stress).max(),
        hardening=abs((xi[1:] - xi0 - flow_rule.h * h0 * np.cumsum(dgamma, 0)) / (2 * mu)).max(),
        volume=abs(np.linalg.det(Fp_inv) - 1).max(),
        compatibility=incompatible,
        mean_strain=off_strain,
        mean_stress=off_stress / stiffness,
        hill_mandel=abs(power - mean_power).max() / abs(mean_power).max(),
        stress=max(
            abs(sigma_vm - trajectory.sigma_vm).max(),
            abs(P_mean - trajectory.P_mean).max(),
            abs(P - fields.P).max(),
        ),
        smallest_det_F=np.linalg.det(F).min(),
    )


def _violations_in_space(P, F, derivative, edge):
    """Largest rms over the cell of P.k/|k|, MPa, and of the part of F that is no gradient."""
    k = _frequencies(F.shape[1:3], derivative, edge)
    norm = np.linalg.norm(k, axis=-1, keepdims=True)
    e = k / np.where(norm > 1e-9, norm, 1)
    # The divergence is minus the adjoint of the gradient: so it has the conjugate of k.
    traction = np.einsum("tabij,abj->tabi", np.fft.fft2(P, axes=(1, 2)), e.conj())
    F_hat = np.fft.fft2(F, axes=(1, 2))
    F_hat[:, 0, 0] = 0
    gradient = np.einsum("tabil,abl,abj->tabij", F_hat, e.conj(), e)
    return _rms(traction), _rms(F_hat - gradient)


def _frequencies(shape, derivative, edge):
    """Frequency vectors (N1, N2, 3) of the derivative up to a factor; complex of the rotated one.

    The edge of the cell is that along x2, over that along x1.
    """
    j = [np.fft.fftfreq(N, 1 / N) for N in shape]
    if derivative == "rotated":
        shifts = [np.exp(2j * np.pi * along / N) for along, N in zip(j, shape, strict=True)]
        (d1, m1), (d2, m2) = ((shift - 1, (shift + 1) / 2) for shift in shifts)  # by a point
        k = shape[0] * np.outer(d1, m2), shape[1] / edge * np.outer(m1, d2)
    else:
        for along, N in zip(j, shape, strict=True):
            if N % 2 == 0:
                along[N // 2] = 0
        k = np.meshgrid(j[0], j[1] / edge, indexing="ij")
    return np.stack([*k, np.zeros(shape)], -1)


def _rms(field_hat):
    """Largest over the time of the rms over the cell, by Parseval's theorem."""
    N1, N2 = field_hat.shape[1:3]
    axes = tuple(range(1, field_hat.ndim))
    return float(np.sqrt((abs(field_hat) ** 2).sum(axes)).max() / (N1 * N2))


def _transpose(T):
    return np.swapaxes(T, -1, -2)


def _trace(T):
    """Trace, shape (..., 1, 1)."""
    return np.trace(T, axis1=-2, axis2=-1)[..., None, None]


def _deviator(T):
    return T - _trace(T) / 3 * IDENTITY


def _norm(T):
    return np.sqrt((T * T).sum((-2, -1)))
