import json
import re

import keras
import numpy as np
import pytest
import scipy.ndimage

from keras_segen.data.cifar10 import read_cifar10
from keras_segen.errors import InputError
from keras_segen.metrics import Reference, cifar10_features, feature_extractor, image_set_scores, image_sets
from keras_segen.metrics.inception import NAME


@pytest.fixture
def extractor():
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    return feature_extractor(keras.Model(image, [features, keras.layers.Dense(3)(features)]), name="small")


def noise(count=40, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3)).astype("uint8")


def test_scores_bear_the_extractors_name(extractor):
    scores = image_set_scores(noise(seed=1), Reference.of(noise(), extractor), extractor)
    words = ("frechet_distance", "kernel_distance", "inception_score", "precision", "recall", "density", "coverage")
    assert list(scores) == [f"{word}_small" for word in words]
    published = feature_extractor(keras.Model(extractor.input, extractor.output), name=NAME)
    scores = image_set_scores(noise(seed=1), Reference.of(noise(), published), published)
    assert list(scores)[:4] == ["fid", "kid", "inception_score", f"precision_{NAME}"]


def test_one_by_one_or_in_large_batches(extractor):
    reference = Reference.of(noise(), extractor)
    one, all_at_once = (
        image_set_scores(batches, reference, extractor) for batches in (list(noise(seed=1)[:, None]), [noise(seed=1)])
    )
    assert one == pytest.approx(all_at_once, rel=1e-4, abs=1e-7)


def test_few_images_are_warned_of(extractor):
    reference = Reference.of(noise(), extractor)
    few = feature_extractor(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]), name="wide")
    with pytest.warns(
        UserWarning, match=r"7 images are fewer than the 192 features: .* 7 of the real images would have"
    ):
        image_set_scores(noise(7, seed=1), Reference.of(noise(), few), few)
    with pytest.raises(ValueError, match="5-th neighbour need more points. Received: 40 and 5"):
        image_set_scores(noise(5), reference, extractor)
    with pytest.raises(ValueError, match="two images or more. Received: 1"):
        Reference.of(noise(1), extractor)


def test_another_extractors_statistics_are_refused(extractor):
    other = feature_extractor(keras.Model(extractor.input, extractor.output), name="other")
    with pytest.raises(ValueError, match="by small, the images are to be scored by other"):
        image_set_scores(noise(), Reference.of(noise(), extractor), other)


def test_statistics_are_computed_once_and_kept(extractor, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    words = {"data": "noise", "split": "train", "count": "40", "crop": "none", "resize": "8"}
    first = Reference.kept(noise(), extractor, **words)
    (path,) = (tmp_path / "keras_segen/references").iterdir()
    assert re.fullmatch(r"noise-train-40-none-8-small-[0-9a-f]{8}\.npz", path.name)
    again = Reference.kept("never looked at", extractor, **words)
    np.testing.assert_array_equal(first.covariance, again.covariance)
    np.testing.assert_array_equal(first.features, again.features)
    assert (again.count, again.protocol) == (40, {**words, "extractor": "small"})
    Reference.kept(noise(), extractor, **{**words, "split": "test"})
    assert len(list(path.parent.iterdir())) == 2
    with pytest.raises(InputError, match=r"another protocol \(crop none, where middle is asked for\)"):
        Reference.load(path, {**first.protocol, "crop": "middle"})
    with np.load(path, allow_pickle=False) as archive:
        assert json.loads(str(archive["protocol"]))["resize"] == "8"
    for damage in (b"", path.read_bytes()[:-200], b"PK\x03\x04 nothing"):
        path.write_bytes(damage)
        with pytest.raises(InputError, match="is damaged .* delete it, and it is made anew"):
            Reference.kept(noise(), extractor, **words)


def test_a_cache_that_cannot_be_written_costs_nothing_else(extractor, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="are not kept"):
        assert Reference.kept(noise(), extractor, data="noise").count == 40


def test_only_the_first_features_are_kept(extractor, monkeypatch):
    whole = Reference.of(noise(), extractor)
    monkeypatch.setattr(image_sets, "KEPT", 25)
    cut = Reference.of([noise()[:10], noise()[10:]], extractor)
    np.testing.assert_allclose(cut.features, whole.features[:25], atol=1e-5)
    np.testing.assert_allclose(cut.covariance, whole.covariance, rtol=1e-4)


def test_cifar10_is_ordered_as_a_person_would(real_data):
    """The other half of the training images is nearest, then test images, then what was done to them."""
    root = real_data("tfds/cifar10").parent
    (images, labels), (test, _) = read_cifar10("train", root), read_cifar10("test", root)
    extractor = cifar10_features()
    reference = Reference.of(images[:1000], extractor)
    half, rest = images[1000:2000], labels[1000:2000]
    rng = np.random.default_rng(0)
    sets = {
        "half": half,
        "test": test[:1000],
        "class missing": images[1000:2500][labels[1000:2500] != 3][:1000],
        "repeated": half[np.arange(1000) % 50],
        "slight blur": scipy.ndimage.gaussian_filter(half, (0, 0.5, 0.5, 0)),
        "blur": scipy.ndimage.gaussian_filter(half, (0, 1.5, 1.5, 0)),
        "slight noise": np.clip(half + rng.normal(0, 10, half.shape), 0, 255).astype("uint8"),
        "noise": np.clip(half + rng.normal(0, 40, half.shape), 0, 255).astype("uint8"),
    }
    assert set(rest) == set(range(10))
    scores = {name: image_set_scores(pictures, reference, extractor) for name, pictures in sets.items()}
    for distance in ("frechet_distance", "kernel_distance"):
        by = {name: row[f"{distance}_{extractor.name}"] for name, row in scores.items()}
        assert by["half"] < by["class missing"] < by["repeated"]
        assert by["test"] < by["class missing"]
        assert by["half"] < by["slight blur"] < by["blur"]
        assert by["half"] < by["slight noise"] < by["noise"]
    recall = {name: row[f"recall_{extractor.name}"] for name, row in scores.items()}
    coverage = {name: row[f"coverage_{extractor.name}"] for name, row in scores.items()}
    assert recall["repeated"] < recall["half"]
    assert coverage["repeated"] < 0.5 * coverage["half"]
    assert coverage["class missing"] < coverage["half"]
