import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.segmentation_examples import KINDS, VOID, example
from keras_segen.losses import (
    CrossEntropy,
    Dice,
    Focal,
    FocalTversky,
    Jaccard,
    Lovasz,
    Sum,
    TopKCrossEntropy,
    Tversky,
)

LOSSES = [
    CrossEntropy(),
    CrossEntropy(label_smoothing=0.1),
    Focal(),
    Focal(gamma=0.5),
    TopKCrossEntropy(),
    Dice(),
    Jaccard(),
    Tversky(),
    FocalTversky(),
    Lovasz(),
    Sum([CrossEntropy(), Dice()]),
]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
each_kind = pytest.mark.parametrize("kind", KINDS)


def value_and_gradient(loss, *, jit_compile=False):
    """A function of masks and logits that is compiled once for all of one shape."""

    @tf.function(jit_compile=jit_compile)
    def both(masks, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(masks, logits)
        return value, tape.gradient(value, logits)

    def answer(masks, logits):
        return (np.asarray(tf.cast(x, tf.float32)) for x in both(tf.constant(masks), tf.convert_to_tensor(logits)))

    return answer


@each_loss
@each_kind
@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradient_equals_a_numerical_one(loss, kind, jit_compile):
    masks, logits = example(kind, 3)
    _, exact = value_and_gradient(loss, jit_compile=jit_compile)(masks, logits)
    void = masks == VOID if kind == "multi-label" else np.broadcast_to((masks == VOID)[..., None], exact.shape)
    assert not exact[void].any()
    step = 1e-2
    for index in [(0, 0, 0), (0, 3, 2), (1, 4, 3), (1, 2, 0)]:
        shift = np.zeros_like(logits)
        shift[(*index, -1)] = step
        numerical = (float(loss(masks, logits + shift)) - float(loss(masks, logits - shift))) / (2 * step)
        assert exact[(*index, -1)] == pytest.approx(numerical, abs=5e-4)


@each_loss
@each_kind
def test_void_alone_gives_zero_and_no_gradient(loss, kind):
    masks, logits = example(kind, void=1.0)
    value, gradient = value_and_gradient(loss)(masks, logits)
    assert value == 0
    assert not gradient.any()


@pytest.mark.slow
@each_loss
@each_kind
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_certain_answers_right_and_wrong_have_finite_gradients(loss, kind, dtype):
    for jit_compile in (False, True):
        both = value_and_gradient(loss, jit_compile=jit_compile)
        for used, size in itertools.product((1, None), (0.0, 60.0)):  # one class alone, or all
            masks, logits = example(kind, 5, used=used)
            assert all(np.isfinite(x).all() for x in both(masks, tf.cast(size * logits, dtype))), (
                jit_compile,
                used,
                size,
            )


@each_loss
@each_kind
def test_an_id_that_there_is_not_shows(loss, kind):
    masks, logits = example(kind)
    masks[0, 0, 0] = 7
    assert np.isnan(float(loss(masks, logits)))


@each_loss
def test_segmentation_losses_make_a_round_trip(loss):
    masks, logits = example()
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(copy(masks, logits)) == float(loss(masks, logits))
    assert copy.get_config() == loss.get_config()


def test_sum_adds_and_weighs():
    masks, logits = example(void=0.0)
    total = Sum([CrossEntropy(class_weights=[1, 2, 3]), Dice(smooth=0.5, ignore_class=1)], weights=[1, 0.25])
    expected = float(total.losses[0](masks, logits)) + 0.25 * float(total.losses[1](masks, logits))
    assert float(total(masks, logits)) == pytest.approx(expected)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(total))
    assert float(copy(masks, logits)) == float(total(masks, logits))


def test_masks_weights_and_sums_that_do_not_fit_are_named():
    masks, logits = example()
    with pytest.raises(ValueError, match=r"logits \(2, 5, 4\)"):
        CrossEntropy()(masks[:1], logits[..., 0])
    with pytest.raises(ValueError, match=r"logits \(2, 5\)"):
        CrossEntropy()(masks, logits[..., 0, 0])
    with pytest.raises(ValueError, match=r"class_weights=\[1.0\]"):
        Dice(class_weights=[1])(masks, logits)
    with pytest.raises(ValueError, match="negative"):
        CrossEntropy(class_weights=[1, -1])
    with pytest.raises(ValueError, match="not 0 for all"):
        CrossEntropy(class_weights=[0, 0])
    with pytest.raises(ValueError, match="1 losses"):
        Sum([Dice()], weights=[1, 2])


def test_masks_and_logits_of_other_sizes_are_named():
    for loss in (CrossEntropy(), Dice(), Lovasz()):
        for shape in ((3, 4, 6, 2), (1, 4, 5, 2)):
            with pytest.raises(ValueError, match="of one size"):
                loss(np.zeros((1, 4, 6), "uint8"), np.zeros(shape, "float32"))


CLASS_WEIGHTS = [[1.0, 20.0, 0.5], (1, 20, 0.5), np.array([1, 20, 0.5], "float32"), {1: 20.0, 2: 0.5}, {2: 0.5, 1: 20}]


@pytest.mark.parametrize("loss", [CrossEntropy, Focal, TopKCrossEntropy, Dice, Lovasz])
def test_class_weights_mean_the_same_as_list_array_and_dict(loss):
    masks, logits = example(void=0.1)
    values = [float(loss(class_weights=weights)(masks, logits)) for weights in CLASS_WEIGHTS]
    assert values == [values[0]] * len(values)
    assert values[0] != float(loss()(masks, logits))
    of_strings = loss.from_config(json.loads(json.dumps(loss(class_weights={1: 20.0, 2: 0.5}).get_config())))
    assert float(of_strings(masks, logits)) == values[0]


@pytest.mark.parametrize(
    "weights",
    [
        [1, -1, 1],
        [1, np.nan, 1],
        [1, np.inf, 1],
        {0: -1.0},
        {-1: 1.0},
        {"cat": 1.0},
        {0.5: 1.0},
        {},
        [],
        2.0,
        "abc",
        [[1]],
    ],
    ids=str,
)
def test_what_cannot_be_class_weights_is_refused(weights):
    with pytest.raises(ValueError, match="`class_weights` holds a number for each class"):
        CrossEntropy(class_weights=weights)


@pytest.mark.parametrize("weights", [[1, 2], [1, 2, 3, 4], {3: 2.0}], ids=str)
def test_class_weights_of_other_classes_are_refused(weights):
    for loss in (CrossEntropy, Dice, Lovasz):
        with pytest.raises(ValueError, match="each of the 3 classes"):
            loss(class_weights=weights)(*example())


def test_what_a_sum_cannot_add_is_named():
    for losses in (Dice(), [Dice], [lambda y_true, y_pred: 0.0], ["mse"], {"dice": Dice()}):
        with pytest.raises(ValueError, match="`losses` is a list of `keras.losses.Loss` instances"):
            Sum(losses)
    for weights in ([1], {0: 1.0, 1: 2.0}, [1, np.nan], [1, np.inf]):
        with pytest.raises(ValueError, match="one finite factor for each loss"):
            Sum([CrossEntropy(), Dice()], weights=weights)


@each_loss
def test_an_id_that_is_not_whole_shows_and_a_last_axis_of_one_does_not(loss):
    masks, logits = example()
    value = float(loss(masks, logits))
    assert float(loss(masks.astype("float32"), logits)) == value
    assert float(loss(masks[..., None], logits)) == value
    for wrong in (0.996, np.nan, 2.5, 1e20):
        scaled = masks.astype("float32")
        scaled[0, 1, 1] = wrong
        assert np.isnan(float(loss(scaled, logits)))
    assert np.isnan(float(loss(masks.astype("int64") + 2**32, logits)))


REGION_LOSSES = [Dice(), Jaccard(), Tversky(), FocalTversky(), Lovasz()]
PIXELWISE_LOSSES = [CrossEntropy(), CrossEntropy(label_smoothing=0.1), Focal()]
each_region_loss = pytest.mark.parametrize("loss", REGION_LOSSES, ids=lambda loss: loss.name)
seeds = given(seed=st.integers(0, 10**6))
few = settings(max_examples=10, deadline=None)


@each_region_loss
@each_kind
@few
@seeds
def test_pixels_of_weight_zero_are_void_to_regions(loss, kind, seed):
    masks, logits = example(kind, seed)
    weights = np.random.default_rng(seed).integers(0, 2, masks.shape[:3])
    void = weights[..., None] == 0 if kind == "multi-label" else weights == 0
    expected = float(loss(np.where(void, VOID, masks), logits))
    for form in (weights, weights[..., None], weights.astype(bool), weights.astype("float64")):
        assert float(loss(masks, logits, form)) == pytest.approx(expected, abs=1e-6)


@each_region_loss
@each_kind
@few
@seeds
def test_whole_weights_repeat_pixels_in_regions(loss, kind, seed):
    masks, logits = example(kind, seed)
    times = np.random.default_rng(seed).integers(0, 4, masks.shape[1:3])
    repeated = [np.repeat(x[0].reshape(20, *x.shape[3:]), times.ravel(), axis=0)[None, None] for x in (masks, logits)]
    assert float(loss(masks[:1], logits[:1], times[None])) == pytest.approx(float(loss(*repeated)), rel=1e-5, abs=1e-6)


def example_of_batch(batch):
    """Masks, logits, and a random generator for weights."""
    rng = np.random.default_rng(batch)
    masks = rng.choice([0, 1, 2, VOID], (batch, 5, 3))  # a batch of 3 could be taken for the width
    return masks, rng.normal(size=(batch, 5, 3, 3)).astype("float32"), rng


each_batch = pytest.mark.parametrize("batch", [1, 2, 3, 4])


@each_loss
@each_batch
def test_sample_weights_of_one_change_nothing_and_of_zero_leave_nothing(loss, batch):
    masks, logits, _ = example_of_batch(batch)
    plain = float(loss(masks, logits))
    for shape in ((), (batch,), (batch, 1, 1), (batch, 5, 3), (batch, 5, 3, 1)):
        assert float(loss(masks, logits, np.ones(shape))) == pytest.approx(plain, rel=1e-6)
        assert float(loss(masks, logits, np.zeros(shape))) == 0


@each_loss
@each_batch
def test_all_forms_of_images_weights_mean_the_same(loss, batch):
    masks, logits, rng = example_of_batch(batch)
    weights = rng.uniform(0, 2, batch)
    value = float(loss(masks, logits, weights))
    for shape in ((batch, 1), (batch, 1, 1), (batch, 1, 1, 1)):
        assert float(loss(masks, logits, weights.reshape(shape))) == pytest.approx(value, rel=1e-6)


@each_loss
@each_batch
def test_both_forms_of_pixels_weights_mean_the_same(loss, batch):
    masks, logits, rng = example_of_batch(batch)
    weights = rng.uniform(0, 2, masks.shape)
    value = float(loss(masks, logits, weights))
    assert float(loss(masks, logits, weights[..., None])) == pytest.approx(value, rel=1e-6)


@each_region_loss
def test_an_images_weight_multiplies_its_loss(loss):
    masks, logits = example()
    each = [float(loss(masks[i : i + 1], logits[i : i + 1])) for i in range(2)]
    assert float(loss(masks, logits, [3.0, 0.5])) == pytest.approx((3 * each[0] + 0.5 * each[1]) / 2, rel=1e-5)


@pytest.mark.parametrize("loss", PIXELWISE_LOSSES, ids=lambda loss: loss.name)
@each_kind
def test_a_pixels_weight_multiplies_its_loss_where_it_is_judged_by_itself(loss, kind):
    masks, logits = example(kind)
    weights = np.random.default_rng(0).uniform(0, 3, masks.shape[:3])
    total = 0.0
    for index in np.ndindex(masks.shape[:3]):
        alone = np.full_like(masks, VOID)
        alone[index] = masks[index]
        counted = (alone != VOID).sum()
        total += weights[index] * float(loss(alone, logits)) * counted  # the mean over this pixel alone
    assert float(loss(masks, logits, weights)) == pytest.approx(total / (masks != VOID).sum(), rel=1e-5)
    broadcast = np.broadcast_to(np.reshape([2.0, 0.5], (2, 1, 1)), masks.shape[:3])
    assert float(loss(masks, logits, [2.0, 0.5])) == pytest.approx(float(loss(masks, logits, broadcast)), rel=1e-6)


def test_top_k_takes_the_greatest_of_the_weighted_losses():
    masks = np.array([[[0, 0, 0, VOID]]])
    logits = np.log(np.array([[[[1.0, 1.0], [1.0, 3.0], [1.0, 7.0], [1.0, 99.0]]]]))
    weights = np.array([[[4.0, 1.0, 0.0, 9.0]]])
    loss = TopKCrossEntropy(share=0.5)  # two of three
    assert float(loss(masks, logits)) == pytest.approx((np.log(8) + np.log(4)) / 2)
    assert float(loss(masks, logits, weights)) == pytest.approx((4 * np.log(2) + np.log(4)) / 2)
    assert float(loss(masks, logits, [2.0])) == pytest.approx(np.log(8) + np.log(4))


@pytest.fixture(scope="module")
def weighed():
    """Masks, logits, weights of pixels, and each pixel's weighed loss."""
    masks, logits = example()
    weights = np.random.default_rng(0).uniform(0, 2, masks.shape).astype("float32")
    return masks, logits, weights, np.asarray(CrossEntropy(reduction=None)(masks, logits, weights))


def test_without_reduction_each_pixel_has_a_loss(weighed):
    masks, *_, by_pixel = weighed
    assert by_pixel.shape == masks.shape


def test_void_has_no_loss(weighed):
    masks, *_, by_pixel = weighed
    assert not by_pixel[masks == VOID].any()


def test_weights_multiply_each_pixels_loss(weighed):
    masks, logits, weights, by_pixel = weighed
    plain = np.asarray(CrossEntropy(reduction="none")(masks, logits))
    np.testing.assert_allclose(by_pixel, plain * weights, rtol=1e-6)


def test_the_sum_of_losses_is_kerass():
    masks, logits = example()
    of_keras = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=VOID, reduction="sum")
    expected = float(of_keras(masks, logits))
    assert float(CrossEntropy(reduction="sum")(masks, logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean", "mean_with_sample_weight"])
def test_losses_of_pixels_are_reduced_as_keras_does(weighed, reduction):
    masks, logits, weights, by_pixel = weighed
    counted = masks != VOID
    divisor = {"sum": 1, "mean": counted.sum(), "mean_with_sample_weight": weights[counted].sum()}[reduction]
    value = float(CrossEntropy(reduction=reduction)(masks, logits, weights))
    assert value == pytest.approx(by_pixel.sum() / divisor, rel=1e-5)


def test_without_reduction_each_image_has_a_loss_of_regions():
    assert np.asarray(Dice(reduction=None)(*example(), [1.0, 3.0])).shape == (2,)


@pytest.mark.parametrize(("reduction", "divisor"), [("sum", 1), ("mean_with_sample_weight", 4)])
def test_losses_of_images_are_reduced_as_keras_does(reduction, divisor):
    by_image = np.asarray(Dice(reduction=None)(*example(), [1.0, 3.0]))
    value = float(Dice(reduction=reduction)(*example(), [1.0, 3.0]))
    assert value == pytest.approx(by_image.sum() / divisor, rel=1e-5)


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 5), (2, 5, 1), (2, 4, 5), (1, 5, 4), (2, 5, 4, 3), (2, 5, 4, 1, 1)])
def test_sample_weights_that_do_not_fit_are_named(shape):
    for loss in (CrossEntropy(), Dice(), TopKCrossEntropy(), Sum([Dice(), Lovasz()])):
        with pytest.raises(ValueError, match=r"sample weights of images, \(batch,\), or of pixels"):
            loss(*example(), np.ones(shape))


def test_labels_of_pixels_have_weights_of_their_own():
    masks, logits = example("multi-label")
    weights = np.random.default_rng(0).integers(0, 2, masks.shape)
    for loss in REGION_LOSSES:
        expected = float(loss(np.where(weights == 0, VOID, masks), logits))
        assert float(loss(masks, logits, weights)) == pytest.approx(expected, abs=1e-6)


def segmenter():
    image = keras.Input((5, 4, 3))
    return keras.Model(
        image, keras.layers.Conv2D(3, 1, kernel_initializer=keras.initializers.RandomNormal(seed=0))(image)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "tolerance", "jit_compile", "form"),
    [
        ("float32", 1e-5, False, (4,)),
        ("float32", 1e-5, False, (4, 1, 1)),
        ("float32", 1e-5, False, (4, 5, 4)),
        ("float32", 1e-5, True, (4, 5, 4)),
        ("mixed_bfloat16", 2e-2, False, (4,)),
        ("mixed_bfloat16", 2e-2, True, (4, 5, 4)),
    ],
)
def test_fit_hands_on_sample_weights(precision, tolerance, jit_compile, form):
    keras.config.set_dtype_policy(precision)
    loss = Sum([CrossEntropy(), Dice(), Lovasz(), TopKCrossEntropy()])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 5, 4, 3)).astype("float32"), rng.choice([0, 1, 2, VOID], (4, 5, 4)).astype("uint8")
    weights = rng.uniform(0, 2, form).astype("float32")
    model = segmenter()
    logits = model.predict(x, verbose=0)
    expected = float(loss(y, logits, weights))
    assert expected != pytest.approx(float(loss(y, logits)), rel=0.05)
    model.compile(keras.optimizers.SGD(0.0), loss, jit_compile=jit_compile)
    history = model.fit(x, y, batch_size=4, sample_weight=weights, verbose=0)
    assert history.history["loss"] == [pytest.approx(expected, rel=tolerance)]
    data = tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(4)
    assert model.fit(data, shuffle=False, verbose=0).history["loss"] == [pytest.approx(expected, rel=tolerance)]


def test_fits_class_weight_is_for_labels_of_images():
    model = segmenter()
    model.compile("sgd", Sum([CrossEntropy(), Dice()]))
    masks, _ = example()
    data = tf.data.Dataset.from_tensors((np.zeros((2, 5, 4, 3)), masks))
    with pytest.raises(ValueError, match="give the loss class_weights instead"):
        model.fit(data, class_weight={0: 1.0, 1: 2.0}, shuffle=False, verbose=0)
