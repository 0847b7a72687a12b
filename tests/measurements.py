"""Assertions on what the checks of `repro.benchmarks.verification` measure."""

from collections.abc import Iterable

from repro.benchmarks.verification import Finding


def assert_within_bounds(measurements: Iterable[Finding]) -> None:
    """Fail with all measurements that are out of bounds; there must be some with bounds."""
    measurements = list(measurements)
    assert any(m.low > float("-inf") or m.high < float("inf") for m in measurements)
    outside = [m for m in measurements if not m.passed]
    assert not outside, "\n".join(map(str, outside))
