import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score, recall_score

from keras_segen.losses import CrossEntropy
from keras_segen.metrics import (
    PSNR,
    SSIM,
    BoundaryF1,
    BoundaryIoU,
    FrequencyWeightedIoU,
    MeanClassAccuracy,
    MeanDice,
    MeanIoU,
    MultiScaleSSIM,
    PixelAccuracy,
)

VOID = 255


def assert_equals_scikit_learn(truth, prediction, num_classes, batches=1):
    mean_iou, accuracy = MeanIoU(num_classes), PixelAccuracy(num_classes)
    others = [cls(num_classes) for cls in (MeanClassAccuracy, FrequencyWeightedIoU, MeanDice)]
    for t, p in zip(np.array_split(truth, batches), np.array_split(prediction, batches), strict=True):
        mean_iou.update_state(t, np.eye(num_classes, dtype="float32")[p])
        for metric in (accuracy, *others):
            metric.update_state(t, p)
    t, p = truth[truth != VOID], prediction[truth != VOID]
    labels = list(range(num_classes))
    np.testing.assert_array_equal(mean_iou.confusion_matrix, confusion_matrix(t, p, labels=labels))
    present = np.union1d(t, p)
    per_class = np.full(num_classes, np.nan)
    per_class[present] = jaccard_score(t, p, labels=present, average=None)
    np.testing.assert_array_equal(mean_iou.per_class(), per_class)
    assert float(mean_iou.result()) == pytest.approx(jaccard_score(t, p, labels=present, average="macro"), rel=1e-15)
    assert float(accuracy.result()) == accuracy_score(t, p)
    expected = [
        recall_score(t, p, labels=np.unique(t), average="macro"),
        jaccard_score(t, p, labels=np.unique(t), average="weighted"),
        f1_score(t, p, labels=present, average="macro"),
    ]
    assert [float(metric.result()) for metric in others] == pytest.approx(expected, rel=1e-14)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    num_classes=st.integers(2, 21),
    void=st.sampled_from([0.0, 0.5]),
    used=st.integers(1, 21),
    batches=st.integers(1, 3),
)
def test_equals_scikit_learn_on_random_masks(seed, num_classes, void, used, batches):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, min(used, num_classes), (3, 6, 5)).astype("uint8")
    prediction = np.where(rng.random(truth.shape) < 0.5, truth, rng.integers(0, num_classes, truth.shape))
    truth[rng.random(truth.shape) < void] = VOID
    if (truth != VOID).any():
        assert_equals_scikit_learn(truth, prediction, num_classes, batches)


@pytest.mark.slow
def test_equals_scikit_learn_on_real_masks(real_data):
    rng = np.random.default_rng(0)
    paths = sorted(real_data("VOCdevkit/VOC2012/SegmentationClass").glob("*.png"))[:20]
    for path in paths:
        truth = np.asarray(Image.open(path))[None]
        prediction = np.roll(np.where(truth == VOID, 0, truth), rng.integers(1, 30), axis=(1, 2))
        assert_equals_scikit_learn(truth, prediction, 21)


def test_hand_computed_values():
    metric = MeanIoU(4)
    truth = np.array([[[0, 0, 1, VOID, 1]]])
    metric.update_state(truth, np.array([[[0, 1, 1, 2, 1]]]))
    np.testing.assert_array_equal(metric.per_class(), [1 / 2, 2 / 3, np.nan, np.nan])
    assert float(metric.result()) == (1 / 2 + 2 / 3) / 2
    metric.reset_state()
    assert np.isnan(float(metric.result()))


def test_counts_beyond_float32():
    metric = PixelAccuracy(2)
    metric._matrix.assign([[2**31, 0], [1, 2**31]])
    metric.update_state(np.array([[[1]]]), np.array([[[0]]]))
    assert metric.confusion_matrix.tolist() == [[2**31, 0], [2, 2**31]]


def test_ids_out_of_range_make_the_score_nan():
    for truth, prediction in (([[[3]]], [[[0]]]), ([[[0]]], [[[3]]]), ([[[-1]]], [[[0]]])):
        metric = MeanIoU(3)
        metric.update_state(np.array([[[0]]]), np.array([[[0]]]))
        assert float(metric.result()) == 1
        metric.update_state(np.array(truth), np.array(prediction))
        assert np.isnan(float(metric.result()))
        assert np.isnan(metric.per_class()).all()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("sizes", [(2, 8, 8), (None, 8, 8), (None, None, None)])
@pytest.mark.parametrize("channels", [[3], []])
def test_in_a_graph_and_under_xla(jit_compile, sizes, channels):
    rng = np.random.default_rng(0)
    truth = rng.choice([0, 1, 2, VOID], (2, 8, 8)).astype("uint8")
    # Few values, so that logits tie: then the first class counts, as in NumPy.
    predicted = rng.integers(0, 3, (2, 8, 8, *channels)).astype("float32" if channels else "uint8")
    inside, outside = MeanIoU(3), MeanIoU(3)
    signature = [tf.TensorSpec(sizes, tf.uint8), tf.TensorSpec((*sizes, *channels), predicted.dtype)]
    update = tf.function(inside.update_state, jit_compile=jit_compile, input_signature=signature)
    update(truth, predicted)
    outside.update_state(truth, predicted)
    ids = predicted.argmax(-1) if channels else predicted
    counts = confusion_matrix(truth[truth != VOID], ids[truth != VOID], labels=range(3))
    np.testing.assert_array_equal(inside.confusion_matrix, counts)
    np.testing.assert_array_equal(outside.confusion_matrix, counts)
    assert np.isfinite(inside.result())
    truth[0, 0, 0] = 3  # out of range
    update(truth, predicted)
    assert np.isnan(inside.result())


def test_wrong_input_is_named():
    metric = MeanIoU(3)
    masks = np.zeros((1, 2, 2), "uint8")
    with pytest.raises(ValueError, match=r"3 classes and got logits for 4"):
        metric.update_state(masks, np.zeros((1, 2, 2, 4)))
    with pytest.raises(ValueError, match="takes masks"):
        metric.update_state(masks, np.zeros((1, 2)))
    with pytest.raises(ValueError, match="no sample weights"):
        metric.update_state(masks, masks, np.ones((1, 2, 2)))


def test_segmentation_metrics_make_a_round_trip():
    for metric in (MeanIoU(5, ignore_class=0), PixelAccuracy(5, name="accuracy"), MeanDice(3), MeanClassAccuracy(2)):
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
        assert copy.get_config() == metric.get_config()


def test_what_does_not_go_together_is_named():
    masks = np.zeros((2, 4, 6), "uint8")
    for prediction in (np.zeros((2, 4, 5, 3), "float32"), np.zeros((1, 4, 6), int)):
        with pytest.raises(ValueError, match="of one size"):
            MeanIoU(3).update_state(masks, prediction)
    with pytest.raises(ValueError, match="as whole numbers"):
        MeanIoU(3).update_state(masks, np.zeros((2, 4, 6), "float32"))


METRICS = (MeanIoU, PixelAccuracy, MeanClassAccuracy, FrequencyWeightedIoU, MeanDice, BoundaryIoU, BoundaryF1)
each_metric = pytest.mark.parametrize("metric", METRICS)


@pytest.mark.slow
@each_metric
def test_an_id_that_is_not_whole_makes_the_score_nan(metric):
    truth = np.kron(np.eye(2), np.ones((4, 4)))[None]
    prediction = np.eye(2, dtype="float32")[truth.astype(int)]
    for update in ("eager", "graph", "xla"):
        scored = metric(2)
        call = scored.update_state
        if update != "eager":
            call = tf.function(call, jit_compile=update == "xla")
        for masks, score in (
            (truth, 1),
            (254 / 255 * truth, np.nan),
            (truth + np.nan, np.nan),
            (truth + 2**32, np.nan),
        ):
            scored.reset_state()
            call(tf.constant(masks), tf.constant(prediction))
            np.testing.assert_equal(float(scored.result()), score)
    scored = metric(2)
    scored.update_state(truth.astype("int64") + 2**32, prediction)
    assert np.isnan(float(scored.result()))


@each_metric
def test_a_logit_that_is_nan_makes_the_score_nan(metric):
    truth = np.kron(np.eye(2), np.ones((4, 4))).astype("uint8")[None]
    for class_id in (0, 1):
        for pixel in ((0, 0, 0), (0, 7, 7)):
            logits = np.eye(2, dtype="float32")[truth]
            scored = metric(2)
            scored.update_state(truth, logits)
            assert float(scored.result()) == 1
            logits[(*pixel, class_id)] = np.nan
            scored.update_state(truth, logits)
            assert np.isnan(float(scored.result()))


@each_metric
def test_a_last_axis_of_one_counts_as_none(metric):
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 3, (2, 2, 6, 5))
    plain, with_axis = metric(3), metric(3)
    plain.update_state(truth, prediction)
    for masks, predicted in (
        (truth[..., None], prediction),
        (truth[..., None], prediction[..., None]),
        (truth[..., None].astype("float32"), np.eye(3, dtype="float32")[prediction]),
    ):
        with_axis.reset_state()
        with_axis.update_state(masks, predicted)
        assert float(with_axis.result()) == float(plain.result())


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric", [*(cls(2) for cls in METRICS), PSNR(1), SSIM(1), MultiScaleSSIM(1)], ids=lambda m: m.name
)
def test_callbacks_know_that_more_is_better(metric, tmp_path):
    monitor = f"val_{metric.name}"
    callbacks = [
        keras.callbacks.EarlyStopping(monitor, patience=1),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor=monitor, save_best_only=True),
        keras.callbacks.ReduceLROnPlateau(monitor, patience=1),
    ]
    rng = np.random.default_rng(0)
    x = rng.random((2, 16, 16, 2), "float32")
    image, judges_images = keras.Input((16, 16, 2)), isinstance(metric, PSNR | SSIM | MultiScaleSSIM)
    model = keras.Model(image, keras.layers.Conv2D(2, 1, activation="sigmoid" if judges_images else None)(image))
    model.compile("sgd", "mse" if judges_images else CrossEntropy(), metrics=[metric], run_eagerly=True)
    y = x if judges_images else rng.integers(0, 2, (2, 16, 16))
    model.fit(x, y, validation_data=(x, y), epochs=2, verbose=0, callbacks=callbacks)
    assert all(callback.monitor_op is keras.ops.greater for callback in callbacks)


def test_a_metric_needs_a_class():
    with pytest.raises(ValueError, match="num_classes=0"):
        MeanIoU(0)
    with pytest.raises(ValueError, match="num_classes=2.5"):
        MeanIoU(2.5)
