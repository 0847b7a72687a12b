import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from repro import models, paper
from repro.models import summary
from repro.models.custom_layers import CircularPadding2D, ElasticStiffness
from repro.models.layers import physical_inputs
from repro.training import acceleration
from repro.training.acceleration import accelerated
from repro.training.matrix_products import collect, depthwise_convolution, spread


def sample_batch(rng, n=2, size=16, channels=5):
    stresses = [(0.0, 400.0)] * (channels - len(paper.PROPERTY_RANGES))
    low, high = np.array([*paper.PROPERTY_RANGES, *stresses]).T
    return rng.uniform(low, high, (n, size, size, channels)).astype(np.float32)


@pytest.fixture(params=models.NETWORKS)
def network(request):
    """Each network, small; those that start from an estimate have no zeros in their last layer."""
    keras.utils.set_random_seed(0)
    # The layers of the deformation theory, which have no weights, have tests of their own.
    options = {"learned_correction": {"levels": 2}, "direct_prediction": {"iterations": 0}}
    built = models.NETWORKS[request.param](filters=8, **options.get(request.param, {}))
    rng = np.random.default_rng(0)
    for weight in built.trainable_weights:
        if weight.name == "kernel" and not np.any(weight):
            weight.assign(0.05 * rng.standard_normal(weight.shape))
    return built


def loss_gradients(model, x, y):
    """Gradients of the MAE in training mode, on TensorFlow."""
    tf = pytest.importorskip("tensorflow")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.abs(model(x, training=True) - y))
    return tape.gradient(loss, [v.value for v in model.trainable_variables])


def test_maps_its_channels_to_stress(network, rng):
    x = sample_batch(rng, channels=network.input_shape[-1])
    y = network(x)
    assert y.shape == (2, 16, 16, network.output_shape[-1])
    assert models.samples_of(network).suit(x.shape[-1], y.shape[-1])
    assert np.isfinite(np.asarray(y)).all()


def test_every_weight_gets_a_gradient(network, rng):
    x = sample_batch(rng, channels=network.input_shape[-1])
    y = rng.uniform(0, 400, (2, 16, 16, network.output_shape[-1])).astype(np.float32)
    for variable, gradient in zip(
        network.trainable_variables, loss_gradients(network, x, y), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.abs(gradient).max() > 0, variable.path


def test_every_input_channel_matters(network, rng):
    x = sample_batch(rng, channels=network.input_shape[-1])
    y = np.asarray(network(x, training=True))
    for channel in range(x.shape[-1]):
        changed = x.copy()
        changed[..., channel] = changed[..., channel].mean()
        assert np.abs(np.asarray(network(changed, training=True)) - y).max() > 1e-3, channel


def test_saved_model_reloads_to_the_same_stress(network, rng, tmp_path):
    x = sample_batch(rng, channels=network.input_shape[-1])
    network.save(tmp_path / "model.keras")
    reloaded = models.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(reloaded(x)), np.asarray(network(x)))


def test_a_network_of_the_recipe_before_still_loads(rng, tmp_path):
    inputs = physical_inputs()
    stiffness = ElasticStiffness()(inputs)
    keras.Model(inputs, stiffness).save(tmp_path / "model.keras")
    x = sample_batch(rng)
    E, nu = x[..., :1], x[..., 1:2]
    y = np.asarray(models.load(tmp_path / "model.keras")(x))
    np.testing.assert_allclose(
        y, E / (1 + nu) * y.flat[0] * (1 + nu.flat[0]) / E.flat[0], rtol=1e-5
    )


def moved(x, shift):
    return np.roll(x, shift, axis=(1, 2))


def test_circular_padding_makes_the_network_follow_translations(rng):
    x = sample_batch(rng, size=32)
    shift = (8, 24)  # multiples of 2^levels

    def broken(network):
        y = np.asarray(network(x))
        return np.abs(np.asarray(network(moved(x, shift))) - moved(y, shift)).max() / y.std()

    assert broken(models.res_unet(filters=8, stresses=1)) < 1e-4
    # Zeros at the edge break it, with and without the new layers.
    assert broken(models.res_unet(filters=8, stresses=1, circular=False)) > 1e-3
    assert broken(models.paper_unet(filters=8, kernel=3)) > 1e-3


def test_untrained_increment_is_near_persistence(rng):
    x = sample_batch(rng)
    change = np.abs(np.asarray(models.res_unet(filters=8, stresses=1)(x)) - x[..., 4:]).mean()
    assert 0 < change < 30


@pytest.mark.parametrize("option", ["circular", "increment"])
def test_every_option_of_the_residual_network_changes_it(option, rng):
    x = sample_batch(rng)
    outputs = []
    for value in (True, False):
        keras.utils.set_random_seed(0)
        outputs.append(np.asarray(models.res_unet(filters=8, stresses=1, **{option: value})(x)))
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_every_layer_of_every_network_matters(network, rng):
    """Scaling any one kernel changes the output: no block is dead."""
    x = sample_batch(rng, 1, channels=network.input_shape[-1])
    y = np.asarray(network(x, training=True))
    for weight in [w for w in network.trainable_weights if w.name.endswith("kernel")]:
        value = weight.numpy()
        weight.assign(value * (1 + 0.5 * rng.standard_normal(value.shape)))
        assert np.abs(np.asarray(network(x, training=True)) - y).max() > 0, weight.path
        weight.assign(value)


def test_overview_counts_what_can_be_counted_by_hand():
    inputs = keras.Input((None, None, 5))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.SeparableConv2D(2, 5, padding="same", use_bias=False)(x)
    model = keras.Model(inputs, x)
    assert summary.operations(model, size=8) == 64 * (9 * 5 * 4) + 16 * (25 * 4 + 4 * 2)
    assert summary.receptive_field(model) == 3 + 1 + 4 * 2
    table = summary.overview()
    assert table["network"].tolist() == list(models.NETWORKS)
    assert table["parameters"].tolist() == [
        build().count_params() for build in models.NETWORKS.values()
    ]


def test_variants_of_the_paper_unet():
    standard = models.paper_unet(filters=4, separable=False)
    assert not any(isinstance(la, keras.layers.SeparableConv2D) for la in standard.layers)
    with_bias = models.paper_unet(filters=4, glorot_bias=True, relu_first=True)
    assert with_bias.count_params() > models.paper_unet(filters=4, bias=False).count_params()
    ends = models.paper_unet(filters=4, skips="convolved", sigmoid=True).layers[-3:]
    assert [type(la).__name__ for la in ends] == ["Conv2D", "Activation", "Rescaling"]
    with pytest.raises(ValueError, match="skips must be pooled or convolved, got both"):
        models.paper_unet(skips="both")
    for layer in with_bias.layers:
        if isinstance(layer, keras.layers.SeparableConv2D):
            assert layer.use_bias
            assert np.abs(layer.bias).max() > 0  # Glorot, not zero
    kinds = [type(layer).__name__ for layer in with_bias.layers]
    order = [kind for kind in kinds if kind in ("BatchNormalization", "ReLU")]
    assert order == ["ReLU", "BatchNormalization"] * (len(order) // 2)
    bounds = np.array([[1.0, 2, 3, 4, 5], [2.0, 4, 6, 8, 10]])
    model = models.paper_unet(filters=4, bounds=bounds)
    scaled = model.get_layer("normalize")(bounds.reshape(2, 1, 1, 5))
    np.testing.assert_allclose(scaled, np.array([0, 1]).reshape(2, 1, 1, 1) * np.ones(5))
    np.testing.assert_allclose(model.get_layer("sigma_vm")(np.array([0.0, 1.0])), [5, 10])


def test_paper_unet_is_the_papers():
    model = models.paper_unet()
    separable = [la for la in model.layers if type(la) is keras.layers.SeparableConv2D]
    assert [la.filters for la in separable] == [32, 64, 128, 256, 128, 64, 32, 1]
    for layer in separable:
        assert layer.kernel_size == (paper.KERNEL, paper.KERNEL)
        assert isinstance(layer.depthwise_initializer, keras.initializers.GlorotUniform)
        assert isinstance(layer.pointwise_initializer, keras.initializers.GlorotUniform)
        assert isinstance(layer.bias_initializer, keras.initializers.Zeros)
    kinds = [type(la).__name__ for la in model.layers]
    # All but the last convolution are normalized and rectified.
    assert kinds.count("BatchNormalization") == kinds.count("ReLU") == len(separable) - 1
    # The oldest skip is the normalized input itself.
    joined = [la.input for la in model.layers if type(la) is keras.layers.Concatenate]
    assert [skip.shape[-1] for _, skip in joined] == [128, 64, 32, 5]
    assert joined[-1][1] is model.get_layer("normalize").output
    assert kinds.count("MaxPooling2D") == kinds.count("UpSampling2D") == paper.LEVELS
    assert all(la.interpolation == "bilinear" for la in model.layers if "UpSampling" in la.name)


def test_normalization_maps_table_3_to_unit_range():
    scale = models.paper_unet().get_layer("normalize")
    low, high = np.array([*paper.PROPERTY_RANGES, (0.0, paper.STRESS_SCALE)], np.float32).T
    np.testing.assert_allclose(scale(low.reshape(1, 1, 1, 5)), 0, atol=1e-6)
    np.testing.assert_allclose(scale(high.reshape(1, 1, 1, 5)), 1, atol=1e-6)


@pytest.mark.parametrize(("k1", "k2"), [(9, 9), (3, 5)])
def test_depthwise_convolution_by_matrix_products_is_that_of_xla(rng, k1, k2):
    x = jnp.asarray(rng.normal(size=(3, 2, 6, 8)), jnp.float32)  # C, n, N1, N2
    kernel = jnp.asarray(rng.normal(size=(3, k1, k2)), jnp.float32)

    def wanted(x, kernel):
        padding = [(k1 // 2, k1 // 2), (k2 // 2, k2 // 2)]
        y = jax.lax.conv_general_dilated(
            x.swapaxes(0, 1), kernel[:, None], (1, 1), padding, feature_group_count=3
        )
        return y.swapaxes(0, 1)

    for found, true in zip(
        jax.vjp(depthwise_convolution, x, kernel), jax.vjp(wanted, x, kernel), strict=True
    ):
        if callable(found):
            found, true = (pullback(jnp.cos(x)) for pullback in (found, true))
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(true), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_spread_is_the_adjoint_of_collect(rng):
    z, y = rng.normal(size=(2, 5, 3, 6)), rng.normal(size=(2, 5, 6))  # taps on axis 2
    collected, spread_out = collect(jnp.asarray(z), 3, 2), spread(jnp.asarray(y), 2, 2, 3)
    assert jnp.vdot(collected, y) == pytest.approx(float(jnp.vdot(z, spread_out)), rel=1e-5)
    np.testing.assert_allclose(
        jax.vjp(lambda z: collect(z, 3, 2), z)[1](jnp.asarray(y, jnp.float32))[0],
        spread_out,
        rtol=1e-5,
    )


@pytest.mark.parametrize("kernel", [9, 4])
@pytest.mark.parametrize("known_batch", [True, False])
def test_accelerated_copy_has_the_same_output_gradients_and_statistics(rng, kernel, known_batch):
    tf = pytest.importorskip("tensorflow")
    keras.utils.set_random_seed(1)
    model = models.paper_unet(filters=4, levels=2, kernel=kernel)
    fast = accelerated(model)
    kinds = {type(layer).__name__ for layer in fast.layers}
    assert {"FastGradientSeparableConv2D", "FusedBatchNormalization"} <= kinds
    x, y = sample_batch(rng, 3), sample_batch(rng, 3)[..., 4:]
    np.testing.assert_allclose(fast(x), model(x), atol=1e-6 * paper.STRESS_SCALE)

    of_any_batch = [tf.TensorSpec((None, *field.shape[1:])) for field in (x, y)]
    gradients = tf.function(
        lambda x, y: loss_gradients(fast, x, y), None if known_batch else of_any_batch
    )
    pairs = list(zip(gradients(x, y), loss_gradients(model, x, y), strict=True))
    # A bias before a normalization has no gradient, but for rounding errors.
    rounding = 1e-6 * max(np.abs(wanted).max() for _, wanted in pairs)
    for (got, wanted), variable in zip(pairs, model.trainable_variables, strict=True):
        atol = 2e-4 * np.abs(wanted).max() + rounding
        np.testing.assert_allclose(got, wanted, atol=atol, err_msg=variable.path)
    # After a pass of training the normalization is another one; both find the same.
    assert np.abs(model.non_trainable_weights[0]).max() > 0
    for got, wanted in zip(fast.non_trainable_weights, model.non_trainable_weights, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6, err_msg=wanted.path)


@pytest.mark.parametrize("width", [1, 2])
def test_accelerated_periodic_padding_has_the_same_gradient(rng, width):
    tf = pytest.importorskip("tensorflow")
    inputs = keras.Input((8, 5, 3))
    model = keras.Model(inputs, CircularPadding2D(width)(inputs))
    fast = accelerated(model)
    assert type(fast.layers[-1]) is acceleration.FastGradientCircularPadding2D
    x = tf.constant(rng.normal(size=(2, 8, 5, 3)), tf.float32)
    weights = tf.constant(rng.normal(size=(2, 8 + 2 * width, 5 + 2 * width, 3)), tf.float32)

    def gradient(network):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(network(x) * weights)
        return loss, tape.gradient(loss, x)

    for got, wanted in zip(gradient(fast), gradient(model), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    # Where the borders overlap the layer stays as it is.
    small = keras.Input((2 * width - 1, 5, 3))
    model = keras.Model(small, CircularPadding2D(width)(small))
    assert type(accelerated(model).layers[-1]) is CircularPadding2D


def test_layers_that_do_something_else_are_left_as_they_are():
    pytest.importorskip("tensorflow")
    inputs = keras.Input((16, 16, 5))
    x = keras.layers.SeparableConv2D(4, 3, padding="same", strides=2)(inputs)
    x = keras.layers.SeparableConv2D(4, 3, padding="valid")(x)
    x = keras.layers.BatchNormalization(scale=False)(x)
    x = keras.layers.BatchNormalization(axis=1)(x)
    model = keras.Model(inputs, x)
    assert [type(layer) for layer in accelerated(model).layers] == [type(la) for la in model.layers]


def test_load_refuses_what_is_no_network(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model nonsense"):
        models.load("nonsense")
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(ValueError, match=r"text.keras: not a Keras model"):
        models.load(tmp_path / "text.keras")
    wrong = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(1, 1)])
    wrong.save(tmp_path / "wrong.keras")
    with pytest.raises(ValueError, match="which no registered network does"):
        models.load(tmp_path / "wrong.keras")


def test_a_grid_that_does_not_suit_is_refused(network, rng):
    x = sample_batch(rng, size=36, channels=network.input_shape[-1])
    with pytest.raises(ValueError, match="36 x 36 pixels: their edge must be a multiple of (8|16)"):
        models.predict(network, x)


def test_one_network_is_asked_on_grids_of_several_sizes(network, rng):
    for size in (16, 32, 16):
        x = sample_batch(rng, size=size, channels=network.input_shape[-1])
        np.testing.assert_allclose(models.predict(network, x), network(x), rtol=1e-4, atol=1e-2)


def test_a_loaded_network_is_an_ordinary_keras_model(network, rng, tmp_path):
    tf = pytest.importorskip("tensorflow")
    network.save(tmp_path / "model.keras")
    loaded = models.load(tmp_path / "model.keras")
    for size in (64, 32):
        x = sample_batch(rng, size=size, channels=network.input_shape[-1])
        np.testing.assert_allclose(loaded.predict(x, verbose=0), network(x), rtol=1e-4, atol=1e-2)
    loaded.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(x), network(x), rtol=1e-4, atol=1e-2)


def test_a_file_with_the_upsampling_of_keras_loads_as_an_ordinary_model(rng, tmp_path):
    inputs = keras.Input((None, None, 5))
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(keras.layers.MaxPooling2D(2)(inputs))
    network = keras.Model(inputs, keras.layers.Conv2D(1, 1)(x))
    network.save(tmp_path / "model.keras")
    loaded = models.load(tmp_path / "model.keras")
    for size in (64, 32):
        x = sample_batch(rng, size=size)
        np.testing.assert_allclose(loaded.predict(x, verbose=0), network(x), rtol=1e-5, atol=1e-4)


def test_predict_takes_lists_and_data_sets_and_nothing(rng):
    tf = pytest.importorskip("tensorflow")
    network, x = models.res_unet(filters=4, stresses=1), sample_batch(rng, 3)
    y = models.predict(network, x)
    batches = tf.data.Dataset.from_tensor_slices((x, x[..., 4:])).batch(2)
    for given in (x.tolist(), [*x], batches, batches.map(lambda x, y: x)):
        np.testing.assert_allclose(models.predict(network, given), y, rtol=1e-4, atol=1e-3)
    assert models.predict(network, x[:0]).shape == (0, 16, 16, 1)
    assert models.predict(network, batches.take(0)).shape[0] == 0
    assert models.predict(network, []).shape == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x[0], r"got \(16, 16, 5\): the axis of the cells is missing"),
        (lambda x: x[..., :4], "the last axis must have 5 channels"),
        (lambda x: x[:0, ..., :4], "the last axis must have 5 channels"),
        (lambda x: np.moveaxis(x, -1, 1), "the channels are on axis 1: move them to the end"),
        (lambda x: x[0, 0], "there must be 4 axes"),
        (lambda x: x + 1j, "must be real numbers, got the type complex"),
        (lambda x: [x[0], x[1, :8]], "not all cells have one shape"),
        (lambda x: ["a cell"], "not numbers"),
    ],
)
def test_predict_says_in_one_line_what_is_wrong_with_its_inputs(change, said, rng):
    network = models.res_unet(filters=4, stresses=1)
    with pytest.raises(ValueError, match=said) as error:
        models.predict(network, change(sample_batch(rng)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_predict_refuses_an_impossible_batch_size(batch_size, rng):
    network = models.res_unet(filters=4, stresses=1)
    with pytest.raises(ValueError, match="batch_size must be a positive whole number"):
        models.predict(network, sample_batch(rng), batch_size)


def test_whoever_asks_jax_for_faster_products_gets_them_and_the_run_says_so(tmp_path):
    code = (
        "import sys, json; from pathlib import Path; from repro.training import run_directory;"
        "import jax; out = Path(sys.argv[1]); run_directory.start(out, {}, 0);"
        "about = json.loads((out / 'environment.json').read_text())[0];"
        "print(jax.config.jax_default_matmul_precision, about.get('precision'))"
    )
    for asked, said in (None, "highest None"), ("tensorfloat32", "tensorfloat32 tensorfloat32"):
        environment = {**os.environ, "KERAS_BACKEND": "jax"}
        environment.pop("JAX_DEFAULT_MATMUL_PRECISION", None)
        environment |= {"JAX_DEFAULT_MATMUL_PRECISION": asked} if asked else {}
        out = tmp_path / str(asked)
        out.mkdir()
        run = subprocess.run(
            [sys.executable, "-c", code, out], env=environment, capture_output=True, text=True
        )
        assert run.stdout.strip() == said, run.stderr
