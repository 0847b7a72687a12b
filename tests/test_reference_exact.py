"""The reference model against solutions that do not come from it."""

import numpy as np
import pytest
from measurements import assert_within_bounds

from repro.benchmarks import verification
from repro.data.microstructure import Microstructure
from repro.reference import exact, simulate


def test_homogeneous_cell_is_the_one_dimensional_equation():
    assert_within_bounds(verification.homogeneous())


def test_laminates_are_their_exact_solution():
    assert_within_bounds(verification.laminate())


@pytest.mark.parametrize("normal", [0, 1])
def test_laminate_at_small_strain_has_the_textbook_stiffness(normal):
    laws = [exact.Law(300, 0.2, 1e9, 0), exact.Law(50, 0.4, 1e9, 0)]
    f = np.array([0.4, 0.6])
    lam, M = (np.array(v) for v in zip(*[(w.lam, w.lam + 2 * w.mu) for w in laws], strict=True))
    # Series and parallel: Backus' average of the P-wave modulus M = lam + 2 mu.
    series = 1 / (f / M).sum()
    wanted = series if normal == 0 else (f * (M - lam**2 / M)).sum() + series * (f @ (lam / M)) ** 2
    grain_id = np.array([0, 0, 1, 1, 1])
    grain_id = np.add.outer(grain_id, 0 * grain_id) if normal == 0 else grain_id + np.zeros((5, 1))
    cell = Microstructure(grain_id.astype(int), [law[:4] for law in laws])
    strain = 1e-6
    P11 = simulate(cell, 1 + strain, increments=20, tol=1e-13).P_mean[-1, 0, 0]
    np.testing.assert_allclose(P11 / strain, wanted, rtol=1e-5)


def test_rate_independent_limit_of_large_exponents():
    assert_within_bounds(verification.rate_independent((20, 160)))


def test_superposed_rotation_rotates_the_stress_and_nothing_else():
    assert_within_bounds(verification.objectivity())


def test_huge_flow_resistance_is_elastic():
    """No plasticity: twice the small strain is nearly twice the stress, whatever the rate."""
    cell = Microstructure(np.arange(25).reshape(5, 5) % 3, [[50, 0.4, 1e9, 0], [300, 0.2, 1e9, 0],
                                                            [175, 0.3, 1e9, 50]])  # fmt: skip
    slow, fast = (simulate(cell, 1 + 1e-5, rate=rate, tol=1e-12) for rate in (1e-6, 1e2))
    np.testing.assert_allclose(slow.sigma_vm, fast.sigma_vm, atol=1e-6)
    np.testing.assert_allclose(slow.sigma_vm[20], 2 * slow.sigma_vm[10], rtol=1e-4)


@pytest.mark.parametrize("rate", [1e-12, 1e-6, 1e2, 1e6])
def test_rates_far_from_the_reference_rate(rate):
    law = exact.Law(100, 0.3, 100, 1)
    cell = Microstructure(np.zeros((5, 5), int), [law[:4]])
    path = simulate(cell, increments=500, rate=rate, tol=verification.TIGHT)
    wanted = exact.homogeneous(law, path.F11[[0, 250, 500]], rate)
    np.testing.assert_allclose(path.sigma_vm[[0, 250, 500], 2, 2], wanted, rtol=2e-3)
