"""A network with one logit is, everywhere, its twin with a softmax over two: one set of tests for all segmenters."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_segen import inference, losses, metrics, models, serving

BACKBONE = {"backbone": "mobilenet", "backbone_weights": None, "backbone_width": 0.25}
NETWORKS = {
    "unet": lambda logits: models.unet(logits, filters=(4, 8)),
    "deeply supervised": lambda logits: models.unet(logits, filters=(4, 8, 8), deep_supervision=True),
    "fcn": lambda logits: models.fcn(logits, **BACKBONE),
    "fpn": lambda logits: models.fpn(logits, **BACKBONE, pyramid_filters=8, segmentation_filters=8),
    "deeplab": lambda logits: models.deeplab_v3_plus(logits, **BACKBONE, filters=8),
    "refined": lambda logits: models.refined(models.unet(logits, filters=(4, 8)), filters=4),
}


@pytest.fixture(scope="module", params=NETWORKS)
def twins(request):
    """A network with one logit, and one whose two logits are minus and plus half of it."""
    keras.utils.set_random_seed(0)
    one, two = (NETWORKS[request.param](logits) for logits in (1, 2))
    rng, differing = np.random.default_rng(0), []
    for ours, theirs in zip(one.weights, two.weights, strict=True):
        if ours.shape == theirs.shape:
            theirs.assign(ours)
            continue
        values = rng.normal(0, 0.5, ours.shape).astype("float32")
        ours.assign(values)
        (axis,) = [i for i, (a, b) in enumerate(zip(ours.shape, theirs.shape, strict=True)) if a != b]
        *others, last = np.split(values, values.shape[axis], axis)
        # What makes the logits, or what reads them beside other channels.
        pair = [-last / 2, last / 2] if not others else [-last, last]
        theirs.assign(np.concatenate([*others, *pair], axis))
        biases = (ours, theirs) if ours.shape == (1,) else None
        differing += [ours, theirs]
    # So that both classes occur, and few pixels lie near the border between them.
    logits = one(noise(1, 70, 47).astype("float32"))
    for weight in differing:
        weight.assign(weight / np.std(logits))
    middle = np.median(one(noise(1, 70, 47).astype("float32")))
    for bias, share in zip(biases, (1, np.array([-0.5, 0.5], "float32")), strict=True):
        bias.assign(bias - middle * share)
    return one, two


def noise(*size):
    return np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)


def assert_same_labels(ours, theirs):
    """But for pixels at which rounding may decide."""
    assert np.mean(ours != theirs) < 0.002


def test_probabilities_are_the_same(twins):
    examples = [(noise(33, 47), "a"), (noise(70, 40), "b")]
    for ours, theirs in zip(*(inference.probabilities(model, examples, tile=64) for model in twins), strict=True):
        np.testing.assert_allclose(ours[3], theirs[3], atol=1e-6)
        assert_same_labels(ours[2], theirs[2])
        assert 0 < ours[2].mean() < 1
        np.testing.assert_array_equal(ours[2], ours[3].argmax(-1))


def test_probabilities_are_the_sigmoid_of_the_logit(twins):
    one, _ = twins
    image = noise(33, 47)
    ((*_, found),) = inference.probabilities(one, [(image, None)])
    np.testing.assert_allclose(found[..., 1], tf.sigmoid(one(image[None].astype("float32")))[0, ..., 0], atol=1e-6)


def test_label_maps_are_the_same(twins):
    images = [noise(33, 47), noise(70, 40)]
    for ours, theirs in zip(*(inference.predict(model, images) for model in twins), strict=True):
        assert_same_labels(ours, theirs)


def test_averages_over_flips_and_scales_are_the_same(twins):
    image = noise(33, 47)[None].astype("float32")
    ours, theirs = (inference.augmented(model, scales=(0.5, 1.0))(image) for model in twins)
    np.testing.assert_allclose(np.exp(ours), np.exp(theirs), atol=1e-6)


@pytest.mark.parametrize("class_id", [0, 1])
def test_explanations_are_the_same(twins, class_id):
    ours, theirs = (inference.explain(model, noise(64, 64), class_id) for model in twins)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_scores_are_the_same(twins):
    images = noise(2, 33, 47).astype("float32")
    masks = np.random.default_rng(2).choice([0, 1, 255], (2, 33, 47))
    for metric in (metrics.MeanIoU, metrics.PixelAccuracy, metrics.BoundaryIoU, metrics.BoundaryF1):
        ours, theirs = metric(2), metric(2)
        for mine, model in zip((ours, theirs), twins, strict=True):
            mine.update_state(masks, model(images))
        assert float(ours.result()) == pytest.approx(float(theirs.result()), abs=0.002)


@pytest.mark.parametrize("loss", [losses.CrossEntropy, losses.Focal, losses.TopKCrossEntropy])
def test_losses_are_the_same(twins, loss):
    images = noise(2, 33, 47).astype("float32")
    masks = np.random.default_rng(2).choice([0, 1, 255], (2, 33, 47))
    ours, theirs = (float(loss()(masks, model(images))) for model in twins)
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_model_is_saved_and_loaded(twins, tmp_path):
    one, _ = twins
    one.save(tmp_path / "one.keras")
    loaded, image = keras.saving.load_model(tmp_path / "one.keras"), noise(33, 47)
    ours, theirs = (next(inference.predict(model, [image])) for model in (loaded, one))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_servables_answer_the_same(twins, tmp_path):
    image = tf.constant(noise(1, 33, 47))
    answers = []
    for name, model in zip(("one", "two"), twins, strict=True):
        folder = serving.export(model, tmp_path / name, class_names=["ground", "object"])
        answers.append(tf.saved_model.load(str(folder)).signatures["serving_default"](image=image))
    assert_same_labels(answers[0]["label_map"].numpy(), answers[1]["label_map"].numpy())
    np.testing.assert_allclose(answers[0]["score"], answers[1]["score"], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_files_for_other_engines_have_two_logits(name, tmp_path):
    keras.utils.set_random_seed(0)
    one = NETWORKS[name](1)  # the twins' logits are small differences of great numbers, which no engine rounds alike
    converted = serving.export_litert(one, tmp_path / "one.tflite")
    assert converted.labels >= 0.999
    assert models.two_classes(one).output_shape[-1] == 2


def test_other_models_stay_as_they_are(twins):
    _, two = twins
    assert models.two_classes(two) is two
