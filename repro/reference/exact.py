"""Solutions of the paper's model that do not come from the solver, to verify it against.

Written from the equations in the paper's Methods in full 3x3 tensors, continuous in time and
integrated to high order; nothing here is shared with the solver. Stresses are in MPa.
"""

from collections.abc import Sequence
from dataclasses import astuple
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from repro.data.flow_rule import PAPER_RULE, FlowRule
from repro.data.load import Load

RTOL, ATOL = 1e-9, 1e-12
STEEP = 50  # exponent
_UNIAXIAL = np.array([2, -1, -1]) / np.sqrt(6)  # flow direction under uniaxial strain


class Law(NamedTuple):
    """Parameters of one grain, as in Table 3, and its flow rule."""

    E: float  # GPa
    nu: float
    xi0: float  # MPa
    h0: float  # GPa
    flow_rule: FlowRule = PAPER_RULE

    @property
    def lam(self) -> float:
        """First Lame parameter, MPa."""
        return 1e3 * self.E * self.nu / ((1 + self.nu) * (1 - 2 * self.nu))

    @property
    def mu(self) -> float:
        """Shear modulus, MPa."""
        return 1e3 * self.E / (2 * (1 + self.nu))

    def rates(self, stress, xi) -> tuple[float, float]:
        """Rates of the plastic shear, 1/s, and of xi, MPa/s, under |S_dev| = stress."""
        n, dot_gamma_0, M, h = astuple(self.flow_rule)
        shear = dot_gamma_0 * (np.sqrt(3 / 2) * stress / (M * xi)) ** n
        return shear, h * 1e3 * self.h0 * shear


def second_piola_kirchhoff(Fe, law: Law):
    """Se = lam tr(Ee) I + 2 mu Ee with Ee = (Fe^T Fe - I)/2; Fe and Se (3, 3)."""
    Ee = (Fe.T @ Fe - np.eye(3)) / 2
    return law.lam * np.trace(Ee) * np.eye(3) + 2 * law.mu * Ee


def first_piola_kirchhoff(F, Fp, law: Law):
    """P = Fe Se Fp^-T, (3, 3)."""
    Fe = F @ np.linalg.inv(Fp)
    return Fe @ second_piola_kirchhoff(Fe, law) @ np.linalg.inv(Fp).T


def von_mises(F, P) -> float:
    """sqrt(3/2 T_dev:T_dev) of the Cauchy stress T = P F^T/det F."""
    T = P @ F.T / np.linalg.det(F)
    T = T - np.trace(T) / 3 * np.eye(3)
    return np.sqrt(1.5 * (T * T).sum())


def _plastic_rates(F, Fp, xi, law: Law):
    """Rates of Fp and xi."""
    S = second_piola_kirchhoff(F @ np.linalg.inv(Fp), law)
    S = S - np.trace(S) / 3 * np.eye(3)
    norm = np.linalg.norm(S)
    shear, hardening = law.rates(norm, xi)
    return shear * S / max(norm, 1e-300) @ Fp, hardening


def _uniaxial_state(F11, gamma, law: Law):
    """Stress and von Mises stress under F = diag(F11, 1, 1) after the plastic shear gamma.

    The stress is dev Se along the flow direction, positive in tension. The shear is negative where
    compression has prevailed.
    """
    F, Fp = np.diag([F11, 1, 1]), np.diag(np.exp(gamma * _UNIAXIAL))
    S = second_piola_kirchhoff(F @ np.linalg.inv(Fp), law)
    return np.sqrt(2 / 3) * (S[0, 0] - S[1, 1]), von_mises(F, first_piola_kirchhoff(F, Fp, law))


def _integrate(rates, start, load: Load, laws):
    """States (T+1, D) at the increments of a load, of the equation dy/dt = rates(F, P, y).

    F and P (3, 3) are the load at that time.
    """
    states = [np.asarray(start, dtype=float)]
    # Increment by increment, since the load has corners.
    for k, dt in enumerate(np.diff(load.time)):

        def derivative(t, y, k=k, dt=dt):
            F, P = (at[k] + (at[k + 1] - at[k]) * (t / dt) for at in (load.F, load.P))
            return rates(F, P, y)

        # Where nothing moves, nothing suggests a step; a steep law takes no step that goes astray.
        steep = max(law.flow_rule.n for law in laws) > STEEP
        steps = {"first_step": dt * 1e-6, "max_step": dt / 300 if steep else np.inf}
        path = solve_ivp(derivative, (0, dt), states[-1], "LSODA", rtol=RTOL, atol=ATOL, **steps)
        states.append(path.y[:, -1])
    return np.array(states)


def homogeneous(law: Law, load: Load) -> np.ndarray:
    """Von Mises stress (T+1,) of a homogeneous cell at the increments of a load diag(F11, 1, 1).

    The flow is along one direction, Fp = exp(gamma diag(2, -1, -1)/sqrt(6)), forth or back, so that
    the model is one ordinary differential equation for gamma, and one for the flow resistance.
    """

    def rates(F, P, y):
        gamma, resistance = y
        stress, _ = _uniaxial_state(F[0, 0], gamma, law)
        shear, hardening = law.rates(abs(stress), resistance)
        return [np.sign(stress) * shear, hardening]

    states = _integrate(rates, [0.0, law.xi0], load, [law])
    return np.array(
        [
            _uniaxial_state(F11, gamma, law)[1]
            for F11, (gamma, _) in zip(load.F11, states, strict=True)
        ]
    )


def rate_independent(law: Law, F11) -> np.ndarray:
    """Von Mises stress of a homogeneous cell in the limit n -> infinity: |dev Se| <= xi.

    Of the paper's flow rule, but for n.
    """

    def excess(gamma, stretch):
        return _uniaxial_state(stretch, gamma, law)[0] - law.xi0 - 1e3 * law.h0 * gamma

    def shear(stretch):
        return brentq(excess, 0, stretch - 1, (stretch,)) if excess(0, stretch) > 0 else 0

    return np.array([_uniaxial_state(stretch, shear(stretch), law)[1] for stretch in F11])


class LaminateResponse(NamedTuple):
    """What a laminate does at the increments of a load."""

    sigma_vm: np.ndarray  # of each layer, (T+1, L)
    P_mean: np.ndarray  # (T+1, 3, 3)
    F_mean: np.ndarray  # (T+1, 3, 3)


def laminate(
    laws: Sequence[Law], fractions: Sequence[float], normal: int, load: Load
) -> LaminateResponse:
    """A laminate of two layers under any load; of equal layers it is a homogeneous cell.

    Each layer is homogeneous: F_i = F_mean + a_i x n with sum f_i a_i = 0, and P_i n is the same in
    both. The mean stress is as prescribed in the free components of F_mean. Along with the plastic
    states that is a differential-algebraic system of index 1.

    Parameters
    ----------
    laws : two Law
    fractions : two float
        Volume fractions.
    normal : int
        Axis of the normal n of the layers: 0 is x1.
    load : Load
    """
    n, free = np.eye(3)[normal], np.isnan(load.F[0])

    def deformation(F, z):
        """Mean deformation gradient and those of the layers, for the unknowns a and free F."""
        mean = F.copy()
        mean[free] = np.eye(3)[free] + z[3:]
        jump = np.outer(z[:3], n)
        return mean, [mean + jump / fractions[0], mean - jump / fractions[1]]

    def residual(F, P, z, Fp):
        """Jump of the traction between the layers, and what the mean stress misses, MPa."""
        P1, P2 = map(first_piola_kirchhoff, deformation(F, z)[1], Fp, laws)
        mean = fractions[0] * P1 + fractions[1] * P2
        return np.concatenate([(P1 - P2) @ n, (mean - P)[free]])

    undeformed, step = np.array([np.eye(3), np.eye(3)]), 1e-6
    rest = np.where(free, np.nan, np.eye(3)), np.zeros((3, 3))
    unit = np.eye(3 + free.sum())
    tangent = np.column_stack([residual(*rest, step * e, undeformed) / step for e in unit])

    def layers(F, P, Fp):
        """The same deformation gradients, in equilibrium for given plastic states."""
        z, limit = np.zeros(len(unit)), 1e-12 * np.linalg.norm(tangent)
        for _ in range(100):
            # Nearly linear: the tangent of the undeformed layers gains digits with every step.
            missing = residual(F, P, z, Fp)
            if np.linalg.norm(missing) < limit:
                return deformation(F, z)
            z = z - np.linalg.solve(tangent, missing)
        raise FloatingPointError(f"no equilibrium of the laminate under F = {F.tolist()}")

    def unpack(y):
        y = y.reshape(2, 10)
        return y[:, :9].reshape(2, 3, 3), y[:, 9]

    def rates(F, P, y):
        Fp, xi = unpack(y)
        of_layers = map(_plastic_rates, layers(F, P, Fp)[1], Fp, xi, laws)
        return np.concatenate([np.append(dFp, dxi) for dFp, dxi in of_layers])

    start = np.concatenate([np.append(np.eye(3), law.xi0) for law in laws])
    sigma_vm, P_mean, F_mean = [], [], []
    for F, P, y in zip(load.F, load.P, _integrate(rates, start, load, laws), strict=True):
        Fp, _ = unpack(y)
        mean, of_layers = layers(F, P, Fp)
        stresses = [first_piola_kirchhoff(*one) for one in zip(of_layers, Fp, laws, strict=True)]
        sigma_vm.append([von_mises(*one) for one in zip(of_layers, stresses, strict=True)])
        P_mean.append(np.tensordot(fractions, stresses, 1))
        F_mean.append(mean)
    return LaminateResponse(*map(np.array, (sigma_vm, P_mean, F_mean)))
