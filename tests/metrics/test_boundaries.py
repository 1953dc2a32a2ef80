import subprocess
import sys

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_segen.metrics import BoundaryF1, BoundaryIoU

VOID = 255


def boundary_iou(truths, predictions, num_classes, reach):
    """By SciPy's erosion, as the authors' code has it."""
    both, either = np.zeros(num_classes), np.zeros(num_classes)
    for truth, prediction in zip(truths, predictions, strict=True):
        width = max(round(reach * np.hypot(*truth.shape)), 1)
        for c in range(num_classes):
            bands = []
            for mask in (truth == c, prediction == c):
                inside = scipy.ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width)
                bands.append(mask & ~inside & (truth != VOID))
            both[c] += (bands[0] & bands[1]).sum()
            either[c] += (bands[0] | bands[1]).sum()
    return both[either > 0] / either[either > 0]


def boundary_f1(truths, predictions, num_classes, reach):
    """By SciPy's distances to the nearest pixel of the other boundary."""
    found = {c: [] for c in range(num_classes)}
    cross = scipy.ndimage.generate_binary_structure(2, 1)
    for truth, prediction in zip(truths, predictions, strict=True):
        radius = max(reach * np.hypot(*truth.shape), 1)
        for c in range(num_classes):
            of_truth, of_prediction = (
                (labels == c) & scipy.ndimage.binary_dilation(labels != c, cross) for labels in (truth, prediction)
            )

            def near(outline, radius=radius):
                far = not outline.any()
                return np.zeros_like(outline) if far else scipy.ndimage.distance_transform_edt(~outline) <= radius

            counted = of_prediction & ((truth != VOID) | near(of_truth))
            if not of_truth.any() and not counted.any():
                continue
            recall = (of_truth & near(of_prediction)).sum() / max(of_truth.sum(), 1)
            precision = (of_prediction & near(of_truth)).sum() / max(counted.sum(), 1)
            found[c].append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return [np.mean(values) for values in found.values() if values]


def random_masks(seed, num_classes, void, used):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(3, 40, 2)

    def blobs():
        noise = rng.normal(size=(2, used, height, width))
        return scipy.ndimage.gaussian_filter(noise, (0, 0, 3, 3)).argmax(1)

    truths, predictions = blobs(), blobs()
    predictions = np.where(rng.random(truths.shape) < 0.8, truths, predictions)
    truths[scipy.ndimage.gaussian_filter(rng.random(truths.shape), (0, 2, 2)) < np.quantile([0.4, 0.6], void)] = VOID
    return truths.astype("uint8"), np.minimum(predictions, num_classes - 1)


@pytest.mark.parametrize(("cls", "by_scipy"), [(BoundaryIoU, boundary_iou), (BoundaryF1, boundary_f1)])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    void=st.sampled_from([0.0, 0.4]),
    used=st.integers(1, 4),
    reach=st.sampled_from([0.0075, 0.02, 0.08, 0.4]),
)
def test_equals_scipy(cls, by_scipy, seed, void, used, reach):  # noqa: PLR0917
    truths, predictions = random_masks(seed, 4, void, used)
    metric = cls(4, reach=reach)
    metric.update_state(truths[:1], np.eye(4, dtype="float32")[predictions[:1]])
    metric.update_state(truths[1:], predictions[1:])
    expected = by_scipy(truths, predictions, 4, reach)
    per_class = metric.per_class()
    np.testing.assert_allclose(per_class[~np.isnan(per_class)], expected, atol=1e-6)
    if len(expected):
        assert float(metric.result()) == pytest.approx(np.mean(expected), abs=1e-6)
    else:
        assert np.isnan(float(metric.result()))


@pytest.mark.parametrize(("cls", "by_scipy"), [(BoundaryIoU, boundary_iou), (BoundaryF1, boundary_f1)])
def test_equals_scipy_on_real_masks(cls, by_scipy, real_data):
    paths = sorted(real_data("VOCdevkit/VOC2012/SegmentationClass").glob("*.png"))[:5]
    for path in paths:
        truth = np.asarray(Image.open(path))[None]
        prediction = np.roll(np.where(truth == VOID, 0, truth), 3, axis=2)
        metric = cls(21)
        metric.update_state(truth, prediction)
        expected = by_scipy(truth, prediction, 21, metric.reach)
        assert float(metric.result()) == pytest.approx(np.mean(expected), abs=1e-6)


def test_hand_computed_values():
    truth = np.zeros((1, 8, 8), int)
    truth[0, 2:6, 2:6] = 1
    shifted = np.roll(truth, 1, axis=2)
    for cls in (BoundaryIoU, BoundaryF1):
        metric = cls(2)
        metric.update_state(truth, truth)
        assert float(metric.result()) == 1
    metric = BoundaryIoU(2)
    metric.update_state(truth, shifted)
    # The square's band has 12 pixels; moved by one, 6 of them lie on each other (two rows of 3).
    assert metric.per_class()[1] == pytest.approx(6 / 18)
    metric = BoundaryF1(2)
    metric.update_state(truth, shifted)
    assert float(metric.result()) == 1  # all within one pixel
    metric.reset_state()
    metric.update_state(truth, np.roll(truth, 2, axis=2))
    assert float(metric.result()) < 1
    metric.reset_state()
    assert np.isnan(float(metric.result()))


def test_a_border_of_void_is_a_boundary():
    # As Pascal VOC draws objects: a border of void between them and the ground.
    truth = np.zeros((1, 40, 40), int)
    truth[0, 8:32, 8:32] = VOID
    truth[0, 10:30, 10:30] = 1
    prediction = np.zeros((1, 40, 40), int)
    prediction[0, 9:31, 9:31] = 1  # in the middle of the border
    metric = BoundaryF1(2, reach=0.06)  # 3.4 pixels
    metric.update_state(truth, prediction)
    assert float(metric.result()) == 1
    metric.reset_state()
    metric.update_state(truth, np.zeros_like(truth))
    assert float(metric.result()) == 0
    # What is predicted in the midst of void is neither right nor wrong.
    truth[0, :, 30:] = VOID
    blob = prediction.copy()
    blob[0, 2:5, 35:39] = 1
    scores = []
    for other in (prediction, blob):
        metric.reset_state()
        metric.update_state(truth, other)
        scores.append(metric.per_class()[1])
    assert scores[0] == scores[1] > 0.9


@pytest.mark.parametrize("cls", [BoundaryIoU, BoundaryF1])
def test_void_alone_and_ids_that_there_are_not(cls):
    metric = cls(3)
    metric.update_state(np.full((1, 6, 6), VOID), np.zeros((1, 6, 6), int))
    assert np.isnan(float(metric.result()))
    masks = np.zeros((1, 6, 6), int)
    masks[0, :3] = 1
    metric.update_state(masks, masks)
    assert float(metric.result()) == 1
    masks[0, 0, 0] = 7
    metric.update_state(masks, np.zeros_like(masks))
    assert np.isnan(float(metric.result()))


@pytest.mark.parametrize("cls", [BoundaryIoU, BoundaryF1])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_a_graph_and_under_xla(cls, jit_compile):
    truths, predictions = random_masks(0, 3, 0.4, 3)
    inside, outside = cls(3), cls(3)
    shape = [None, None, None] if not jit_compile else list(truths.shape)
    spec = [tf.TensorSpec(shape, tf.uint8), tf.TensorSpec(shape, tf.int64)]
    tf.function(inside.update_state, spec, jit_compile=jit_compile)(tf.constant(truths), tf.constant(predictions))
    outside.update_state(truths, predictions)
    np.testing.assert_allclose(inside.per_class(), outside.per_class(), atol=1e-6)


def test_round_trip_and_wrong_arguments():
    for metric in (BoundaryIoU(5, ignore_class=0), BoundaryF1(5, reach=0.1, name="f1")):
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
        assert copy.get_config() == metric.get_config()
    with pytest.raises(ValueError, match="reach=2"):
        BoundaryIoU(3, reach=2)


def test_an_ignored_class_is_neither_true_nor_right():
    rng = np.random.default_rng(0)
    truth, prediction = (np.kron(rng.integers(0, 3, (1, 4, 4)), np.ones((1, 8, 8), int)) for _ in range(2))
    for cls in (BoundaryIoU, BoundaryF1):
        inside, outside = cls(3, ignore_class=0), cls(3)
        inside.update_state(truth, prediction)
        outside.update_state(np.where(truth == 0, VOID, truth), prediction)
        np.testing.assert_array_equal(inside.per_class(), outside.per_class())


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/self/status is Linux's")
def test_many_classes_take_little_memory():
    code = (
        "import numpy as np, tensorflow as tf, keras_segen.metrics as metrics\n"
        "status = lambda: (line.split() for line in open('/proc/self/status'))\n"
        "peak = lambda: next(int(line[1]) * 1024 for line in status() if line[0] == 'VmHWM:')\n"
        "truth = np.kron(np.arange(100).reshape(10, 10), np.ones((50, 50), int))[None]\n"
        "scores = [metrics.BoundaryIoU(133), metrics.BoundaryF1(133)]\n"
        "small = tf.constant(truth[:, :60, :60])\n"
        "for score in scores: score.update_state(small, small); score.reset_state()\n"
        "before = peak()\n"
        "for score in scores: score.update_state(truth, truth); print(float(score.result()))\n"
        "print(peak() - before)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    iou, f1, grown = map(float, answer.stdout.split())
    assert iou == f1 == 1
    assert grown < 0.5e9
