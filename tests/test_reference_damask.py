"""The reference model against DAMASK."""

from measurements import assert_within_bounds

from repro.benchmarks import damask, verification


def test_fields_are_those_of_damask():
    """MAE <= 0.01 MPa and max <= 0.5 MPa where DAMASK is tight, else MAE <= 0.1 MPa."""
    measured = list(verification.damask())
    assert sum(m.high == 0.5 for m in measured) == 3
    assert_within_bounds(measured)


def test_directory_without_trajectories_is_named(tmp_path):
    try:
        damask.read_cases(tmp_path)
    except FileNotFoundError as error:
        assert str(tmp_path) in str(error)
    else:
        raise AssertionError("an empty directory was accepted")
