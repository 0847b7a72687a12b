import numpy as np
import pytest

from repro import pipeline
from repro.pipeline import make_pairs


def test_pairs_are_one_stride_apart(data):
    pairs = make_pairs(data, [1, 4], stride=5)
    assert (len(pairs), pairs.steps) == (8, 4)
    x, y = pairs.gather(np.array([6]))  # second microstructure, third pair
    assert x.shape == (1, 16, 16, 5)
    assert y.shape == (1, 16, 16, 1)
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_array_equal(x[0, ..., 4], data.sigma_vm[4, 10])
    np.testing.assert_array_equal(y[0, ..., 0], data.sigma_vm[4, 15])
    E_map = data.properties[4, :, 0][data.grain_id[4]]
    np.testing.assert_allclose(x[0, ..., 0], E_map, rtol=1e-6)


@pytest.mark.parametrize("stride", [0, 3, 21])
def test_stride_must_divide_the_increments(data, stride):
    with pytest.raises(ValueError, match=f"stride {stride} does not divide the 20 increments"):
        make_pairs(data, [0], stride)


def test_every_epoch_visits_every_pair_in_its_own_order():
    orders = [pipeline.epoch_order(100, seed=0, epoch=e) for e in (0, 0, 1)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()
    np.testing.assert_array_equal(np.sort(orders[2]), np.arange(100))


def test_tf_dataset_gives_the_same_batches(data):
    pytest.importorskip("tensorflow")
    pairs = make_pairs(data, [0, 1], stride=4)
    order = pipeline.epoch_order(len(pairs), 0, 0)
    batches = list(pipeline.tf_dataset(pairs, 4, order))
    for (x, y), (x_tf, y_tf) in zip(pairs.batches(4, order), batches, strict=True):
        np.testing.assert_array_equal(x_tf, x)
        np.testing.assert_array_equal(y_tf, y)
