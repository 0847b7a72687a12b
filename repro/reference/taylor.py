"""The Taylor estimate: every grain alone under the mean strain, without equilibrium."""

import jax
import jax.numpy as jnp
import numpy as np

from repro import paper
from repro.reference import material


def taylor(
    properties: np.ndarray,
    F11_max: float = paper.F11_TRAINING,
    increments: int = paper.INCREMENTS,
    rate: float = paper.RATE,
) -> np.ndarray:
    """von Mises stress of homogeneous material under diag(F11(t), 1, 1).

    Parameters
    ----------
    properties : ndarray, shape (G, 4)
        E/GPa, nu, xi0/MPa, h0/GPa.
    F11_max, increments, rate
        As for `simulate`.

    Returns
    -------
    ndarray, shape (increments + 1, G)
        sigma_vM, MPa; zero in the undeformed state.
    """
    F11 = np.linspace(1, F11_max, increments + 1)
    dt = (F11_max - 1) / rate / increments
    with jax.enable_x64(True):
        sigma_vm = np.asarray(_solve(np.asarray(properties, np.float64).T, F11[1:], dt))
    return np.concatenate([np.zeros_like(sigma_vm[:1]), sigma_vm])


@jax.jit
def _solve(properties, F11, dt):
    grains = material.material_from_maps(*properties)

    def increment(state, stretch):
        F = jnp.eye(2).at[0, 0].set(stretch)
        state = material.update(F, state, grains, dt)
        return state, material.von_mises(F, *material.first_piola_kirchhoff(F, state, grains))

    return jax.lax.scan(increment, material.initial_state(grains), F11)[1]
