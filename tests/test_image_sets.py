import json
import re

import keras
import numpy as np
import pytest
import scipy.ndimage

from keras_segen.data.cifar10 import read_cifar10
from keras_segen.errors import InputError
from keras_segen.metrics import Reference, cifar10_features, image_set_scores, image_sets
from keras_segen.metrics.features import named_extractor
from keras_segen.metrics.inception import NAME


@pytest.fixture
def extractor():
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    return named_extractor(keras.Model(image, [features, keras.layers.Dense(3)(features)]), "small", 3)


def noise(count=40, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3)).astype("uint8")


def test_scores_bear_the_extractors_name(extractor):
    scores = image_set_scores(noise(seed=1), Reference.of(noise(), extractor), extractor)
    words = ("frechet_distance", "kernel_distance", "inception_score", "precision", "recall", "density", "coverage")
    assert list(scores) == [f"{word}_small" for word in words]
    published = named_extractor(keras.Model(extractor.input, extractor.output), NAME, 3)
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
    few = named_extractor(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]), "wide", 3)
    told = r"7 images beside 40 real ones are few for 192 features: .*\(real images, 7 beside 33, have (\d+\.?\d*)"
    with pytest.warns(UserWarning, match=told) as warned:
        image_set_scores(noise(7, seed=1), Reference.of(noise(), few), few)
    # What it says is what another seven real images have.
    floor = float(re.search(told, str(warned[0].message))[1])
    with pytest.warns(UserWarning, match="are few"):
        others = image_set_scores(noise(7, seed=2), Reference.of(noise(33), few), few)
    assert floor == pytest.approx(others["frechet_distance_wide"], rel=0.3)
    with pytest.raises(ValueError, match="Scores need 6 images or more, real and other. Received: 40, 5"):
        image_set_scores(noise(5), reference, extractor)
    with pytest.raises(ValueError, match="two images or more. Received: 1"):
        Reference.of(noise(1), extractor)
    with pytest.raises(ValueError, match="it sees nothing of them"):
        image_set_scores(noise(), Reference.of(np.repeat(noise(1), 40, 0), extractor), extractor)


def test_another_extractors_statistics_are_refused(extractor):
    other = named_extractor(keras.Model(extractor.input, extractor.output), "other", 3)
    with pytest.raises(ValueError, match="by small, the images are to be scored by other"):
        image_set_scores(noise(), Reference.of(noise(), extractor), other)


def test_statistics_are_computed_once_and_kept(extractor, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    words = {"data": "noise", "split": "train", "count": 40, "crop": "none", "resize": "8", "fingerprint": "1f"}
    first = Reference.kept(noise(), extractor, **words)
    (path,) = (tmp_path / "keras_segen/references").iterdir()
    assert re.fullmatch(r"noise-train-40-none-8-small-[0-9a-f]{8}\.npz", path.name)
    again = Reference.kept("never looked at", extractor, **words)
    np.testing.assert_array_equal(first.covariance, again.covariance)
    np.testing.assert_array_equal(first.features, again.features)
    assert (again.count, again.protocol) == (40, {**words, "count": "40", "extractor": "small"})
    Reference.kept(noise(), extractor, **{**words, "split": "test"})
    Reference.kept(noise(seed=2), extractor, **{**words, "fingerprint": "2e"})
    assert len(list(path.parent.iterdir())) == 3
    with pytest.raises(InputError, match=r"another protocol \(crop none, where middle is asked for\)"):
        Reference.load(path, {**first.protocol, "crop": "middle"})
    with np.load(path, allow_pickle=False) as archive:
        assert json.loads(str(archive["protocol"]))["resize"] == "8"
    whole = path.read_bytes()
    for damage in (b"", whole[:-200], b"PK\x03\x04 nothing"):
        path.write_bytes(damage)
        with pytest.raises(InputError, match="is damaged .* delete it, and compute it anew"):
            Reference.kept(noise(), extractor, **words)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.with_suffix(".npy").replace(path)
    with pytest.raises(InputError, match="is damaged"):
        Reference.kept(noise(), extractor, **words)
    good = {"protocol": json.dumps(first.protocol), "count": 40, "mean": first.mean, "covariance": first.covariance}
    good["features"] = first.features
    changes = [{"protocol": "[1]"}, {"count": -5}, {"count": [1, 2]}, {"mean": np.zeros(3)}]
    changes += [{"features": np.zeros((0, 4))}, {"covariance": first.covariance * np.nan}]
    for change in changes:
        np.savez(path, **{**good, **change})
        with pytest.raises(InputError, match="is damaged"):
            Reference.kept(noise(), extractor, **words)
    first.save(path.with_name("of any name"))
    assert Reference.load(path.with_name("of any name"), first.protocol).count == 40
    with pytest.raises(InputError, match="nowhere: does not exist"):
        Reference.load("nowhere", first.protocol)


def test_a_cache_that_cannot_be_written_costs_nothing_else(extractor, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    words = {"data": "n" * 99 + "星" * 99, "split": "a", "count": 40, "crop": "b", "resize": "c"}
    with pytest.warns(UserWarning, match="are not kept"):
        assert Reference.kept(noise(), extractor, **words, fingerprint="d").count == 40


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
