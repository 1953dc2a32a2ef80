import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score, recall_score

from keras_segen.metrics import FrequencyWeightedIoU, MeanClassAccuracy, MeanDice, MeanIoU, PixelAccuracy

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


def test_round_trip():
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
