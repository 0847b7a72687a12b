"""The reference model against DAMASK."""

import pytest
from measurements import assert_within_bounds

from repro.benchmarks import verification
from repro.reference import recorded_damask


def test_fields_are_those_of_damask():
    """MAE <= 0.01 MPa and max <= 0.5 MPa where DAMASK is tight, else MAE <= 0.1 MPa."""
    measured = list(verification.damask())
    assert sum(m.high == 0.5 for m in measured) == 3
    assert_within_bounds(measured)


def test_directory_without_trajectories_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        recorded_damask.read_cases(tmp_path)
