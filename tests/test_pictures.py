from dataclasses import replace

import numpy as np
import pytest

from repro import paper
from repro.data.pictures import as_pictures


def test_pictures_have_256_greys_and_are_off_by_half_of_one(data):
    rounded = as_pictures(data)
    step = paper.STRESS_SCALE / 255
    assert len(np.unique(rounded.sigma_vm)) <= 256
    np.testing.assert_allclose(rounded.sigma_vm, data.sigma_vm, atol=step / 2 + 1e-3)
    np.testing.assert_array_equal(as_pictures(rounded).sigma_vm, rounded.sigma_vm)
    # A rounding error that is uniform between -step/2 and step/2 is step/4 on average.
    loaded = data.sigma_vm[:, 1:]
    error = np.abs(rounded.sigma_vm[:, 1:] - loaded).mean()
    assert error == pytest.approx(step / 4, rel=0.1)


def test_pictures_keep_the_limits_and_cut_off_what_lies_beyond(data):
    limits = np.array(paper.PROPERTY_RANGES)
    grains = data.properties.shape[1]
    properties = np.tile(limits.T, (len(data), grains // 2, 1))
    kept = as_pictures(replace(data, properties=properties))
    np.testing.assert_allclose(kept.properties, properties)
    beyond = as_pictures(replace(data, properties=2 * properties + 1))
    assert (beyond.properties <= limits[:, 1]).all()
