"""The reference model against solutions that do not come from it."""

from itertools import pairwise

import numpy as np
import pytest
from measurements import assert_within_bounds

from repro.benchmarks import verification
from repro.data import microstructure as ms
from repro.data.discretization import PAPER, Discretization
from repro.data.flow_rule import FlowRule
from repro.data.load import Load
from repro.data.microstructure import Microstructure
from repro.reference import exact, simulate, simulation
from repro.reference.audit import audit


def test_homogeneous_cell_is_the_one_dimensional_equation():
    assert_within_bounds(verification.homogeneous())


def test_laminates_are_their_exact_solution():
    assert_within_bounds(verification.laminate())


@pytest.mark.parametrize("discretization", [PAPER, Discretization("rotated", 2)], ids=str)
@pytest.mark.parametrize("normal", [0, 1])
def test_laminate_at_small_strain_has_the_textbook_stiffness(normal, discretization):
    laws = [exact.Law(300, 0.2, 1e5, 0), exact.Law(50, 0.4, 1e5, 0)]
    f = np.array([0.4, 0.6])
    lam, M = (np.array(v) for v in zip(*[(w.lam, w.lam + 2 * w.mu) for w in laws], strict=True))
    # Series and parallel: Backus' average of the P-wave modulus M = lam + 2 mu.
    series = 1 / (f / M).sum()
    wanted = series if normal == 0 else (f * (M - lam**2 / M)).sum() + series * (f @ (lam / M)) ** 2
    grain_id = np.array([0, 0, 1, 1, 1])
    grain_id = np.add.outer(grain_id, 0 * grain_id) if normal == 0 else grain_id + np.zeros((5, 1))
    cell = Microstructure(grain_id.astype(int), [law[:4] for law in laws])
    strain = 1e-6
    how = {"tol": 1e-13, "discretization": discretization}
    P11 = simulate(cell, F11_max=1 + strain, **how).P_mean[-1, 0, 0]
    np.testing.assert_allclose(P11 / strain, wanted, rtol=1e-5)


def test_rate_independent_limit_of_large_exponents():
    assert_within_bounds(verification.rate_independent((20, 160)))


def test_superposed_rotation_rotates_the_stress_and_nothing_else():
    assert_within_bounds(verification.objectivity())


def test_huge_flow_resistance_is_elastic():
    """No plasticity: twice the small strain is nearly twice the stress, whatever the rate."""
    cell = Microstructure(
        np.arange(25).reshape(5, 5) % 3,
        [[50, 0.4, 1e5, 0], [300, 0.2, 1e5, 0], [175, 0.3, 1e5, 50]],
    )
    slow, fast = (simulate(cell, F11_max=1 + 1e-5, rate=rate, tol=1e-12) for rate in (1e-6, 1e2))
    np.testing.assert_allclose(slow.sigma_vm, fast.sigma_vm, atol=1e-6)
    np.testing.assert_allclose(slow.sigma_vm[20], 2 * slow.sigma_vm[10], rtol=1e-4)


@pytest.mark.parametrize("rate", [1e-12, 1e-6, 1e2, 1e6])
def test_rates_far_from_the_reference_rate(rate):
    law = exact.Law(100, 0.3, 100, 1)
    cell = Microstructure(np.zeros((5, 5), int), [law[:4]])
    load = Load.stretch(increments=2, rate=rate)
    path = simulate(cell, load.refined(250), tol=verification.TIGHT)
    wanted = exact.homogeneous(law, load)
    np.testing.assert_allclose(path.sigma_vm[::250, 2, 2], wanted, rtol=2e-3)


def test_increments_of_unequal_length_and_a_pause():
    """Fast and slow parts, a pause in which the stress relaxes, and a way back."""
    law = exact.Law(175, 0.3, 175, 25)
    load = Load([0, 1, 1.5, 4, 8, 8.5], [1, 1.002, 1.0035, 1.004, 1.004, 1.003])
    cell = Microstructure(np.zeros((5, 5), int), [law[:4]])
    found = simulate(cell, load.refined(200), tol=verification.TIGHT).sigma_vm[::200, 2, 2]
    wanted = exact.homogeneous(law, load)
    np.testing.assert_allclose(found, wanted, atol=0.1)
    assert wanted[4] < wanted[3] - 10, "nothing relaxes: the test says nothing"


@pytest.mark.parametrize("tol", [1e-6, 1e-4])
def test_single_precision_gives_the_field_of_double_precision(tol):
    """Also without any heterogeneity, where differences of the iteration are rounding alone."""
    laminate = np.repeat([[0], [1]], 8, axis=1).repeat(4, axis=0)
    cells = (
        ms.polycrystal(ms.generator(1), size=32),
        Microstructure(np.zeros((8, 8), int), [[200, 0.3, 100, 10]]),
        Microstructure(laminate, [[200, 0.3, 100, 10], [50, 0.4, 300, 0]]),
    )
    for cell in cells:
        single = simulate(cell, tol=tol, dtype=np.float32)
        assert single.sigma_vm.dtype == np.float32
        assert abs(single.sigma_vm - simulate(cell, tol=tol).sigma_vm).mean() < 0.05


RULES = [
    FlowRule(n=1),
    FlowRule(n=1.7, dot_gamma_0=1e-2),
    FlowRule(n=5, M=1, h=3),
    FlowRule(n=20, dot_gamma_0=1e-4, M=2, h=0.5),
    FlowRule(n=100, M=1),
]


@pytest.mark.parametrize("flow_rule", RULES, ids=str)
def test_any_flow_rule_in_a_homogeneous_cell(flow_rule):
    law = exact.Law(175, 0.3, 100, 25, flow_rule)
    cell = Microstructure(np.zeros((3, 3), int), [law[:4]])
    load = Load.through((1.004, 1.001), 2)
    found = simulate(cell, load.refined(200), tol=1e-9, flow_rule=flow_rule).sigma_vm[::200, 0, 0]
    np.testing.assert_allclose(found, exact.homogeneous(law, load), atol=1)


@pytest.mark.parametrize("normal", [0, 1])
@pytest.mark.parametrize("flow_rule", RULES, ids=str)
def test_any_flow_rule_in_a_laminate(flow_rule, normal):
    laws = [exact.Law(300, 0.2, 100, 5, flow_rule), exact.Law(50, 0.4, 200, 0, flow_rule)]
    grain_id = np.repeat([[0, 0, 1, 1, 1]], 5, axis=0)
    grain_id = grain_id.T if normal == 0 else grain_id
    cell = Microstructure(grain_id, [law[:4] for law in laws])
    load = Load.stretch(increments=2)
    path = simulate(cell, load.refined(100), tol=1e-9, flow_rule=flow_rule)
    found = path.sigma_vm[::100, [0, -1], [0, -1]]
    np.testing.assert_allclose(found, exact.laminate(laws, [0.4, 0.6], normal, load)[0], atol=1)


@pytest.mark.parametrize("flow_rule", RULES, ids=str)
def test_fields_of_any_flow_rule_satisfy_the_equations(flow_rule):
    cell = ms.polycrystal(ms.generator(0), size=16)
    found = audit(cell, simulate(cell, flow_rule=flow_rule, keep_fields=True), flow_rule=flow_rule)
    assert_within_bounds(verification._worst("equations", str(flow_rule), [found]))


def test_flow_rules_need_no_compiler_of_their_own():
    cell = ms.polycrystal(ms.generator(0), grains=2, size=7)
    fields = [simulate(cell, increments=3, flow_rule=rule).sigma_vm[-1] for rule in RULES]
    compiled = simulation._solve_one._cache_size()
    simulate(cell, increments=3, flow_rule=FlowRule(n=6, dot_gamma_0=2e-3))
    assert simulation._solve_one._cache_size() == compiled
    assert min(abs(one - two).max() for one, two in pairwise(fields)) > 1


def test_the_papers_exponent_is_the_limit_of_others():
    """It is multiplied out, all others are powers."""
    cell = ms.polycrystal(ms.generator(0), size=16)
    near = simulate(cell, flow_rule=FlowRule(n=20 + 1e-9)).sigma_vm
    np.testing.assert_allclose(near, simulate(cell).sigma_vm, atol=1e-5)


def test_a_flow_rule_is_that_of_the_paper_with_other_properties():
    """M = 1, h = 3 is the law of the text with xi0 sqrt(2/3) and h0 3 sqrt(2/3)."""
    cell = Microstructure(
        [[0, 1, 1], [0, 0, 1], [1, 0, 0]], [[50, 0.4, 50, 50], [300, 0.2, 300, 5]]
    )
    factor = np.sqrt(2 / 3)
    scaled = Microstructure(cell.grain_id, cell.properties * [1, 1, factor, 3 * factor])
    found = simulate(cell, flow_rule=FlowRule(M=1, h=3)).sigma_vm
    np.testing.assert_allclose(found, simulate(scaled).sigma_vm, atol=1e-9)
    assert abs(found - simulate(cell).sigma_vm).max() > 1
