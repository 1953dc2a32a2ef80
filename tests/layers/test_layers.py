import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras.src.testing import TestCase as KerasTestCase

from keras_segen.layers import (
    BilinearUpSampling,
    CropLike,
    DepthwiseInParts,
    Dropout,
    FusedBatchNormalization,
    LegacyBilinearResize,
    MirrorPad,
    OneHot,
    OutputCodes,
    PadToStride,
    ResizeLike,
    SpectralConv2D,
)


@pytest.mark.parametrize("factor", [1, 2, 3, 8])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 5, 7, 3)])
def test_bilinear_up_sampling_equals_tensorflows_resize(factor, shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    expected = tf.image.resize(x, [factor * shape[1], factor * shape[2]], "bilinear")
    np.testing.assert_allclose(BilinearUpSampling(factor)(x), expected, atol=1e-5)


def by_transposed_convolution(x, kernel, factor, origin):
    """Bilinear up-sampling as version 0.1.0 computed it."""
    batch, height, width, channels = x.shape
    first = int(np.floor(origin - factor)) + 1
    x = tf.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], "SYMMETRIC")
    shape = [batch, (height + 3) * factor, (width + 3) * factor, channels]
    fine = tf.nn.depthwise_conv2d_backprop_input(shape, kernel, x, [1, factor, factor, 1], "VALID")
    start = factor - first
    return fine[:, start : start + height * factor, start : start + width * factor]


@pytest.mark.parametrize("size", [(1, 1), (5, 7)])
@pytest.mark.parametrize(
    ("factor", "origin"), [(1, 0.0), (2, 0.0), (2, 0.5), (2, 1.0), (3, 1.25), (8, 0.0), (8, 3.5), (8, 7.0)]
)
@pytest.mark.parametrize("learned", [False, True])
def test_bilinear_up_sampling_equals_the_transposed_convolution(size, factor, origin, learned):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, *size, 3)).astype("float32"))
    weights = rng.normal(size=(2, factor * size[0], factor * size[1], 3)).astype("float32")
    tent = np.maximum(0, 1 - np.abs(np.arange(2 * factor) + np.floor(origin - factor) + 1 - origin) / factor)
    kernel = tf.Variable(np.repeat(np.outer(tent, tent)[:, :, None, None], 3, axis=2).astype("float32"))
    layer = BilinearUpSampling(factor, origin=origin, learned=learned)
    layer.build(x.shape)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        fine = layer(x)
        known = by_transposed_convolution(x, kernel, factor, origin)
        sums = [tf.reduce_sum(weights * y) for y in (fine, known)]
    np.testing.assert_allclose(fine, known, atol=1e-6)
    gradients = tape.gradient(sums[0], [x, *(v.value for v in layer.trainable_variables)])
    expected = tape.gradient(sums[1], [x, kernel][: 1 + learned])
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("size", [(32, 32), (5, 7), (299, 299), (400, 300), (1, 1)])
def test_legacy_bilinear_resize_is_tensorflow_1s(size):
    images = np.random.default_rng(0).uniform(0, 255, (2, *size, 3)).astype("float32")
    expected = tf.compat.v1.image.resize_bilinear(images, (299, 299))
    layer = LegacyBilinearResize(299)
    np.testing.assert_allclose(layer(images) / 255, expected / 255, atol=1e-5)
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layer(image))
    assert model.output_shape == (None, 299, 299, 3)
    np.testing.assert_allclose(model.predict(images, verbose=0) / 255, expected / 255, atol=1e-5)


def test_bilinear_up_sampling_keeps_its_gradient_under_xla():
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 4, 5, 2)).astype("float32"))
    layer = BilinearUpSampling(2)

    def gradient(value):
        with tf.GradientTape() as tape:
            tape.watch(value)
            loss = tf.reduce_sum(tf.square(layer(value)))
        return tape.gradient(loss, value)

    np.testing.assert_allclose(tf.function(gradient, jit_compile=True)(x), gradient(x), rtol=1e-5)


def test_bilinear_up_sampling_refuses_factor_zero():
    with pytest.raises(ValueError, match="factor=0"):
        BilinearUpSampling(0)
    with pytest.raises(ValueError, match="origin=2"):
        BilinearUpSampling(2, origin=2)


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), stride=st.sampled_from([2, 8, 16]))
def test_padding_reaches_the_stride_and_cropping_undoes_it(height, width, stride):
    x = np.random.default_rng(0).normal(size=(1, height, width, 2)).astype("float32")
    padded = PadToStride(stride)(x)
    assert padded.shape[1] % stride == padded.shape[2] % stride == 0
    assert padded.shape[1] < height + stride
    assert padded.shape[2] < width + stride
    extra = [(0, 0), (0, padded.shape[1] - height), (0, padded.shape[2] - width), (0, 0)]
    np.testing.assert_array_equal(padded, np.pad(x, extra, mode="edge"))
    np.testing.assert_array_equal(CropLike()([padded, x]), x)


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 20), width=st.integers(1, 20), margin=st.integers(0, 25), multiple=st.sampled_from([1, 8]))
def test_mirror_padding_is_numpys_reflection(height, width, margin, multiple):
    x = np.random.default_rng(0).normal(size=(1, height, width, 2)).astype("float32")
    layer = MirrorPad(margin, multiple=multiple, remainder=4 % multiple)
    padded = layer(x)
    assert layer.compute_output_shape(x.shape) == padded.shape
    after = [side - size - margin for side, size in zip(padded.shape[1:3], (height, width), strict=True)]
    assert all(margin <= a < margin + multiple for a in after)
    assert all(side % multiple == 4 % multiple for side in padded.shape[1:3])
    expected = np.pad(x, [(0, 0), (margin, after[0]), (margin, after[1]), (0, 0)], mode="reflect")
    np.testing.assert_array_equal(padded, expected)


@settings(max_examples=20, deadline=None)
@given(factor=st.sampled_from([2, 3, 8]), origin=st.floats(0, 1, exclude_max=True), size=st.integers(2, 6))
def test_bilinear_up_sampling_from_an_origin_is_numpys_interpolation(factor, origin, size):
    origin *= factor
    x = np.random.default_rng(0).normal(size=(1, size, size, 2)).astype("float32")
    cells, pixels = np.arange(size) * factor + origin, np.arange(size * factor)
    rows = np.array([[np.interp(pixels, cells, x[0, :, j, c]) for c in range(2)] for j in range(size)])  # (w, c, H)
    expected = np.array([[np.interp(pixels, cells, rows[:, c, i]) for c in range(2)] for i in pixels])  # (H, c, W)
    result = BilinearUpSampling(factor, origin=origin)(x)[0]
    np.testing.assert_allclose(result, expected.transpose(0, 2, 1), atol=1e-5)


def test_learned_up_sampling_starts_bilinear_and_learns():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 3)).astype("float32")
    layer = BilinearUpSampling(4, learned=True)
    np.testing.assert_allclose(layer(x), BilinearUpSampling(4)(x), atol=1e-6)
    assert layer.trainable_variables[0].shape == (8, 8, 3, 1)
    assert not BilinearUpSampling(4).weights
    # A kernel that marks each fine pixel of a cell shows that every pixel has weights of its own.
    layer.kernel.assign(np.arange(8 * 8 * 3, dtype="float32").reshape(8, 8, 3, 1))
    impulse = np.zeros((1, 3, 3, 3), "float32")
    impulse[0, 1, 1] = 1
    spread = np.asarray(layer(impulse))[0, 2:10, 2:10]
    np.testing.assert_array_equal(spread, layer.kernel.numpy()[..., 0])


def test_dropout_goes_on_where_it_was_saved(tmp_path):
    x = np.ones((4, 100), "float32")
    model = keras.Sequential([keras.Input((100,)), Dropout(0.5)])
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    dropped = model(x, training=True)
    np.testing.assert_array_equal(loaded(x, training=True), dropped)
    assert (np.asarray(model(x, training=True)) != np.asarray(dropped)).any()
    np.testing.assert_array_equal(loaded(x, training=False), x)


def test_crop_like_keeps_the_middle_if_told():
    x = np.arange(25.0, dtype="float32").reshape(1, 5, 5, 1)
    np.testing.assert_array_equal(CropLike(centre=True)([x, x[:, :3, :2]]), x[:, 1:4, 1:3])


@pytest.mark.parametrize("scale", [0.05, 0.5, 0.75, 1, 1.25, 2, 3.3])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (40, 30)])
def test_resize_like_equals_tensorflows_resize(scale, size):
    x = np.random.default_rng(0).normal(size=(2, 9, 13, 3)).astype("float32")
    reference = np.zeros((2, *size, 1), "float32")
    expected = tf.image.resize(x, [int(np.ceil(round(scale * side, 6))) for side in size])
    inputs = keras.Input((None, None, 3)), keras.Input((None, None, 1))
    layer = ResizeLike(scale)
    assert layer.compute_output_shape((x.shape, reference.shape)) == expected.shape
    np.testing.assert_allclose(layer((x, reference)), expected, atol=1e-5)
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, None, 3)
    np.testing.assert_allclose(model.predict((x, reference), verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("scale", [0, -1, float("nan")])
def test_resize_like_refuses_scales_that_are_not_over_0(scale):
    with pytest.raises(ValueError, match="`scale`"):
        ResizeLike(scale)


def test_shapes_are_known_where_they_can_be():
    assert PadToStride(8).compute_output_shape((None, 9, None, 3)) == (None, 16, None, 3)
    assert BilinearUpSampling(4).compute_output_shape((2, None, 5, 3)) == (2, None, 20, 3)
    assert CropLike().compute_output_shape([(None, 16, 16, 4), (None, 9, None, 3)]) == (None, 9, None, 4)


def test_fused_batch_normalization_equals_keras_layer():
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(3, 2, size=(4, 6, 5, 3)).astype("float32"))
    weights = [rng.normal(size=3), rng.normal(size=3), rng.normal(size=3), rng.uniform(0.5, 2, 3)]
    fused, plain = FusedBatchNormalization(), keras.layers.BatchNormalization(momentum=0.9)
    results = []
    for layer in (fused, plain):
        layer.build(x.shape)
        layer.set_weights(weights)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(y * tf.sin(x))
        gradients = tape.gradient(loss, [x, *[v.value for v in layer.trainable_variables]])
        results.append([y, *gradients, *layer.get_weights(), layer(x, training=False)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-5), ("float64", 1e-6), ("mixed_bfloat16", 2e-2)])
def test_frozen_batch_normalization_hands_on_the_same_gradients(jit_compile, policy, tolerance):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(3, 2, (2, 4, 5, 3)).astype("float32"))
    weights = [rng.uniform(0.5, 2, 3).astype("float32") for _ in range(4)]
    results = []
    for kind in (FusedBatchNormalization, keras.layers.BatchNormalization):
        layer = kind(momentum=0.9, dtype=policy)
        layer.build(x.shape)
        layer.set_weights(weights)

        def outputs_and_gradients(x, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=False)
                loss = tf.reduce_sum(tf.cast(y, "float32") * tf.sin(x))
            return y, tape.gradient(loss, [x, *[v.value for v in layer.trainable_variables]])

        y, gradients = tf.function(outputs_and_gradients, jit_compile=jit_compile)(x)
        assert y.dtype == layer.compute_dtype
        results.append([tf.cast(value, "float32") for value in (y, *gradients)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("channels", [8, 700, 1025])
@pytest.mark.parametrize("bias", [False, True])
def test_depthwise_in_parts_equals_keras_layer(channels, bias):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, 9, 8, channels)).astype("float32"))
    upstream = rng.normal(size=x.shape).astype("float32")
    options = {"padding": "same", "use_bias": bias, "activation": "relu", "bias_initializer": "normal"}
    ours, theirs = DepthwiseInParts(7, **options), keras.layers.DepthwiseConv2D(7, **options)
    ours(x), theirs(x)
    theirs.set_weights(ours.get_weights())
    results = []
    for layer, how in ((ours, {"training": True}), (theirs, {})):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, **how)
        results.append([y, *tape.gradient(y, [x, *layer.trainable_variables], upstream)])
    for mine, expected in zip(*results, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-5 * np.std(expected))
    np.testing.assert_array_equal(ours(x), theirs(x))


def test_frozen_batch_normalization_does_not_move():
    layer = FusedBatchNormalization()
    layer.build((None, 4, 4, 2))
    layer.trainable = False
    layer(np.random.default_rng(0).normal(5, 1, size=(2, 4, 4, 2)).astype("float32"), training=True)
    np.testing.assert_array_equal(layer.moving_mean, [0, 0])


def test_an_id_that_is_no_class_is_no_number():
    layer = OneHot(3)
    vectors = np.asarray(layer(np.array([2, 0, 3, -1])))
    np.testing.assert_array_equal(vectors[:2], [[0, 0, 1], [1, 0, 0]])
    assert np.isnan(vectors[2:]).all()
    assert OneHot.from_config(layer.get_config()).num_classes == 3


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_label_that_is_not_a_class_is_named_in_training(jit_compile):
    label = keras.Input((), dtype="int32")
    model = keras.Model(label, keras.layers.Dense(1)(OneHot(3)(label)))
    model.compile("sgd", "mse", jit_compile=jit_compile)
    labels, targets = np.array([0, 2, 1, 7, 0]), np.zeros((5, 1))
    model.fit(labels[:2], targets[:2], verbose=0)
    if jit_compile:  # XLA has no assertions
        assert np.isnan(model.fit(labels, targets, verbose=0).history["loss"]).all()
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"class ids from 0 to 2. Received:\] \[7\]"):
            model.fit(labels, targets, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"class ids from 0 to 2. Received:"):
        OneHot(3)(labels, training=True)


IMAGES, PAIR = (2, 6, 5, 4), ((2, 12, 10, 3), (2, 7, 6, 2))


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.parametrize(
    ("layer", "arguments", "inputs", "output", "counts"),
    [
        (BilinearUpSampling, {"factor": 2}, IMAGES, (2, 12, 10, 4), (0, 0)),
        (BilinearUpSampling, {"factor": 2, "learned": True}, IMAGES, (2, 12, 10, 4), (1, 0)),
        (CropLike, {"centre": True}, PAIR, (2, 7, 6, 3), (0, 0)),
        (Dropout, {"rate": 0.3}, IMAGES, IMAGES, (0, 0)),
        (FusedBatchNormalization, {}, IMAGES, IMAGES, (2, 2)),
        (LegacyBilinearResize, {"size": 9}, IMAGES, (2, 9, 9, 4), (0, 0)),
        (MirrorPad, {"margin": 2, "multiple": 4}, IMAGES, (2, 12, 12, 4), (0, 0)),
        (OneHot, {"num_classes": 3}, (4,), (4, 3), (0, 0)),
        (OutputCodes, {"codebook": [[0, 0, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0]]}, (2, 6, 5, 3), (2, 6, 5, 4), (0, 0)),
        (PadToStride, {"stride": 4}, IMAGES, (2, 8, 8, 4), (0, 0)),
        (ResizeLike, {"scale": 0.5}, PAIR, (2, 4, 3, 3), (0, 0)),
        (SpectralConv2D, {"filters": 3, "kernel_size": 3}, IMAGES, (2, 4, 3, 3), (2, 1)),
    ],
)
def test_passes_kerass_own_check(layer, arguments, inputs, output, counts):
    rng = np.random.default_rng(0)
    given = {"input_shape": inputs, "input_dtype": "int32" if layer is OneHot else None}
    if inputs is PAIR:
        given = {"input_data": tuple(rng.normal(size=shape).astype("float32") for shape in PAIR)}
    KerasTestCase().run_layer_test(
        layer,
        arguments,
        **given,
        expected_output_shape=output,
        expected_num_trainable_weights=counts[0],
        expected_num_non_trainable_weights=counts[1],
        expected_num_seed_generators=int(layer is Dropout),
        supports_masking=issubclass(layer, keras.layers.Dropout | keras.layers.BatchNormalization),
        run_training_check=True,
        run_mixed_precision_check=True,
    )


def test_spectral_norm_is_the_largest_singular_value():
    keras.utils.set_random_seed(0)
    layer = SpectralConv2D(6, 3, use_bias=False)
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 4)).astype("float32")
    for _ in range(30):
        layer(x, training=True)
    kernel = layer.kernel.numpy()
    sigma = np.linalg.svd(kernel.reshape(-1, 6), compute_uv=False)[0]
    plain = keras.ops.conv(x, kernel, padding="valid")
    np.testing.assert_allclose(layer(x), plain / sigma, rtol=1e-3, atol=1e-3)
    before = layer.u.numpy()
    layer(x)
    np.testing.assert_array_equal(before, layer.u.numpy())  # inference leaves it alone


def test_the_gradient_goes_through_the_spectral_norm():
    keras.utils.set_random_seed(0)
    layer = SpectralConv2D(6, 3, use_bias=False)
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 4)).astype("float32")
    for _ in range(200):
        layer(x, training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    gradient = tape.gradient(loss, layer.kernel.value).numpy()
    # The output does not change with the kernel's size: its gradient has no part along the kernel.
    assert abs(np.sum(gradient * layer.kernel.numpy())) < 1e-3 * np.linalg.norm(gradient)
    kernel = layer.kernel.numpy()
    direction = np.random.default_rng(1).normal(size=kernel.shape)

    def value(step):
        moved = kernel + step * direction
        sigma = np.linalg.svd(moved.reshape(-1, 6), compute_uv=False)[0]
        return float(np.sum(np.asarray(keras.ops.conv(x.astype("float64"), moved / sigma, padding="valid")) ** 2))

    assert np.sum(gradient * direction) == pytest.approx((value(1e-5) - value(-1e-5)) / 2e-5, rel=1e-3)
