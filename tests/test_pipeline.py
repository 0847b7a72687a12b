import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repro.data.pairs import Pairs, make_pairs
from repro.models.normalization import NORMALIZATIONS
from repro.training import feed


def test_pairs_are_one_stride_apart(data):
    pairs = make_pairs(data, [1, 4], stride=5)
    assert (len(pairs), pairs.steps) == (8, 4)
    x, y = pairs.gather(pairs.in_order()[[6]])  # second microstructure, third pair
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


def test_symmetries_roll_and_reflect_the_fields(data):
    pairs = make_pairs(data, [0], stride=20)
    samples = np.array([[0, 3, 5, 0, 0], [0, 0, 0, 1, 0], [0, 2, 0, 0, 1]], np.int32)
    x, y = pairs.gather(samples)
    field = data.sigma_vm[0, 20]
    np.testing.assert_array_equal(y[0, ..., 0], np.roll(field, (-3, -5), (0, 1)))
    np.testing.assert_array_equal(y[1, ..., 0], np.roll(field[::-1], 1, 0))
    np.testing.assert_array_equal(y[2, ..., 0], np.roll(np.roll(field, -2, 0)[:, ::-1], 1, 1))
    nu = data.property_maps([0])[0, ..., 1]
    np.testing.assert_array_equal(x[0, ..., 1], np.roll(nu, (-3, -5), (0, 1)))


def test_every_epoch_visits_every_pair_in_its_own_order(data):
    pairs = make_pairs(data, [0, 1, 2])
    first, again, second = (pairs.epoch(seed=0, epoch=e) for e in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    np.testing.assert_array_equal(np.sort(second[:, 0]), np.arange(60))
    assert not first[:, 1:].any()


def test_augmentation_draws_every_symmetry(data):
    samples = make_pairs(data, range(6)).epoch(seed=0, epoch=0, augment=True)
    np.testing.assert_array_equal(np.sort(samples[:, 0]), np.arange(120))
    assert set(samples[:, 1]) == set(samples[:, 2]) == set(range(16))
    assert set(samples[:, 3]) == set(samples[:, 4]) == {0, 1}


@pytest.mark.parametrize("size", [4, 5])
def test_tf_dataset_gives_the_same_batches(data, size):
    pytest.importorskip("tensorflow")
    pairs = make_pairs(data, [0, 1], stride=4)
    samples = pairs.epoch(0, 0, augment=True)  # 10 of them
    batches = feed.tf_dataset(pairs, samples, size)
    known = size if len(samples) % size == 0 else None
    assert [spec.shape[0] for spec in batches.element_spec] == [known, known]
    for (x, y), (x_tf, y_tf) in zip(pairs.batches(samples, size), batches, strict=True):
        np.testing.assert_array_equal(x_tf, x)
        np.testing.assert_array_equal(y_tf, y)


def test_jax_gathers_the_same_batches(data):
    pairs = make_pairs(data, [0, 3], stride=5)
    samples = pairs.epoch(0, 1, augment=True)
    on_device = Pairs(jnp.asarray(pairs.properties), jnp.asarray(pairs.sigma_vm), pairs.stride)
    gathered = jax.jit(lambda rows: on_device.gather(rows))(samples)
    for field, wanted in zip(gathered, pairs.gather(samples), strict=True):
        np.testing.assert_array_equal(field, wanted)


def test_rollout_feeds_back_what_it_predicts(data):
    pairs = make_pairs(data, [0, 1], stride=5)
    seen = []

    def add_ten(x):
        seen.append(x)
        return x[..., 4:] + 10

    fields = pairs.rollout(add_ten)
    assert fields.shape == pairs.after.shape == (2, 4, 16, 16)
    np.testing.assert_array_equal(fields[:, :, 0, 0], [[10, 20, 30, 40]] * 2)
    np.testing.assert_array_equal(seen[2][..., :4], pairs.properties)


def test_earlier_stresses_stand_before_the_present_one(data):
    pairs = make_pairs(data, [0, 3], stride=5).for_inputs(7)
    x, y = pairs.gather(pairs.in_order())
    assert pairs.channels == (x.shape[-1], y.shape[-1]) == (7, 1)
    stress = np.moveaxis(x[4:, ..., 4:], -1, 0)  # of the second microstructure
    for step in range(4):
        for earlier, field in enumerate(stress[::-1, step]):
            known = data.sigma_vm[3, max(step - earlier, 0) * 5]
            np.testing.assert_array_equal(field, known)
    seen = []

    def add_ten(x):
        seen.append(x[0, 0, 0, 4:].tolist())
        return x[..., -1:] + 10

    assert pairs.rollout(add_ten).shape == pairs.after.shape
    assert seen == [[0, 0, 0], [0, 0, 10], [0, 10, 20], [10, 20, 30]]
    with pytest.raises(ValueError, match="4 input channels: the properties and no stress"):
        pairs.for_inputs(4)


def test_normalizations_map_the_data_to_order_one(data):
    pairs = make_pairs(data, range(6), stride=5)
    low, high = NORMALIZATIONS["min-max"](pairs)
    assert low[4] == 0
    assert high[4] == data.sigma_vm.max()
    np.testing.assert_allclose(low[0], np.nanmin(data.properties[..., 0]), rtol=1e-6)
    mean, mean_and_deviation = NORMALIZATIONS["per-channel"](pairs)
    np.testing.assert_allclose(mean[2], data.property_maps(range(6))[..., 2].mean(), rtol=1e-5)
    np.testing.assert_allclose((mean_and_deviation - mean)[4], data.sigma_vm.std(), rtol=1e-5)
