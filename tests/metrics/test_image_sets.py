import itertools
import re

import keras
import numpy as np
import pytest
import scipy.ndimage

from keras_segen.data._cifar10 import read_cifar10
from keras_segen.metrics import Reference, cifar10_features, image_set_scores
from keras_segen.metrics._features import named_extractor
from keras_segen.metrics._inception import NAME


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


def test_published_statistics_leave_the_inception_score(extractor, tmp_path):
    real = Reference.of(noise(), extractor)
    np.savez(tmp_path / "stats.npz", mu=real.mean, sigma=real.covariance)
    scores = image_set_scores(noise(seed=1), Reference.from_statistics(tmp_path / "stats.npz", extractor), extractor)
    whole = image_set_scores(noise(seed=1), real, extractor)
    assert scores == {name: whole[name] for name in ("frechet_distance_small", "inception_score_small")}


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


@pytest.fixture(scope="module")
def cifar10_scores(real_data):
    """Scores of what was done to CIFAR-10's images, by the name of that, beside the first thousand of them."""
    root = real_data("tfds/cifar10").parent
    (images, labels), (test, _) = read_cifar10("train", root), read_cifar10("test", root)
    extractor = cifar10_features()
    reference = Reference.of(images[:1000], extractor)
    half, rest = images[1000:2000], labels[1000:2000]
    assert set(rest) == set(range(10))
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
    scores = {name: image_set_scores(pictures, reference, extractor) for name, pictures in sets.items()}
    return {name: {k.removesuffix(f"_{extractor.name}"): v for k, v in row.items()} for name, row in scores.items()}


@pytest.mark.slow
@pytest.mark.parametrize("distance", ["frechet_distance", "kernel_distance"])
@pytest.mark.parametrize(
    "sets",
    [
        ("half", "class missing", "repeated"),
        ("test", "class missing"),
        ("half", "slight blur", "blur"),
        ("half", "slight noise", "noise"),
    ],
    ids=" < ".join,
)
def test_cifar10_is_ordered_as_a_person_would(cifar10_scores, distance, sets):
    """The other half of the training images is nearest, then test images, then what was done to them."""
    found = [cifar10_scores[name][distance] for name in sets]
    assert all(one < other for one, other in itertools.pairwise(found))


@pytest.mark.slow
def test_images_that_repeat_are_recalled_less(cifar10_scores):
    assert cifar10_scores["repeated"]["recall"] < cifar10_scores["half"]["recall"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "share"), [("repeated", 0.5), ("class missing", 1)])
def test_images_that_repeat_or_lack_a_class_cover_less(cifar10_scores, name, share):
    assert cifar10_scores[name]["coverage"] < share * cifar10_scores["half"]["coverage"]
