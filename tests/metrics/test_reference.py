import hashlib
import json
import pickle
import re

import keras
import numpy as np
import pytest

from keras_segen.errors import InputError
from keras_segen.metrics import Reference, image_set_scores
from keras_segen.metrics import _reference as reference
from keras_segen.metrics._features import named_extractor


@pytest.fixture
def extractor():
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    return named_extractor(keras.Model(image, features), "small", 3)


def noise(count=40, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3)).astype("uint8")


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
    monkeypatch.setattr(reference, "KEPT", 25)
    cut = Reference.of([noise()[:10], noise()[10:]], extractor)
    np.testing.assert_allclose(cut.features, whole.features[:25], atol=1e-5)
    np.testing.assert_allclose(cut.covariance, whole.covariance, rtol=1e-4)


def test_published_statistics_give_the_distance_alone(extractor, tmp_path):
    real = Reference.of(noise(), extractor)
    np.savez(tmp_path / "stats.npz", mu=real.mean, sigma=real.covariance)
    published = Reference.from_statistics(tmp_path / "stats.npz", extractor)
    digest = hashlib.sha256((tmp_path / "stats.npz").read_bytes()).hexdigest()
    assert published.protocol == {"statistics": "stats.npz", "fingerprint": digest[:16], "extractor": "small"}
    assert published.count is None
    theirs, ours = (image_set_scores(noise(seed=1), reference, extractor) for reference in (published, real))
    assert theirs == {"frechet_distance_small": ours["frechet_distance_small"]}
    with pytest.warns(UserWarning, match="7 images are few for 4 features"):
        image_set_scores(noise(7), published, extractor)
    with pytest.raises(ValueError, match="6 images or more, real and other. Received: published statistics, 5"):
        image_set_scores(noise(5), published, extractor)
    with pytest.raises(ValueError, match="stats.npz holds these statistics already"):
        published.save(tmp_path / "again.npz")
    np.savez(tmp_path / "float32.npz", mu=real.mean.astype("float32"), sigma=real.covariance.astype("float32"))
    single = Reference.from_statistics(tmp_path / "float32.npz", extractor)
    np.testing.assert_allclose(single.covariance, real.covariance, rtol=1e-6)
    assert single.covariance.dtype == np.float64


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": np.zeros(4)}, "no sigma, but mu"),
        ({"mean": np.zeros(4), "cov": np.eye(4)}, "no mu and no sigma, but mean, cov"),
        ({"mu": np.zeros(5), "sigma": np.eye(5)}, r"mu is \(5,\) and sigma \(5, 5\), but small has 4 features"),
        ({"mu": np.zeros((1, 4)), "sigma": np.eye(4)}, r"mu is \(1, 4\)"),
        ({"mu": np.zeros(4), "sigma": np.ones(4)}, r"sigma \(4,\)"),
        ({"mu": np.full(4, np.nan), "sigma": np.eye(4)}, "NaN or infinities"),
        ({"mu": np.zeros(4), "sigma": np.full((4, 4), np.inf)}, "NaN or infinities"),
        ({"mu": np.zeros(4), "sigma": np.triu(np.ones((4, 4)))}, "not symmetric"),
        ({"mu": np.zeros(4), "sigma": np.diag([1.0, 1, 1, -1])}, "negative eigenvalues"),
        ({"mu": np.zeros(4, int), "sigma": np.eye(4)}, "mu is int64"),
        ({"mu": np.zeros(4), "sigma": np.array([[None]])}, "allow_pickle"),
    ],
)
def test_what_is_no_mean_and_covariance_is_refused(extractor, tmp_path, arrays, message):
    np.savez(tmp_path / "stats.npz", **arrays)
    with pytest.raises(InputError, match=rf"stats.npz: holds no statistics that can be used \(.*{message}"):
        Reference.from_statistics(tmp_path / "stats.npz", extractor)


def test_files_without_statistics_are_refused(extractor, tmp_path):
    np.savez(tmp_path / "whole.npz", mu=np.zeros(4), sigma=np.eye(4))
    whole = (tmp_path / "whole.npz").read_bytes()
    np.save(tmp_path / "one.npy", np.zeros(4))
    for content in (b"", b"mu sigma", whole[:-100], (tmp_path / "one.npy").read_bytes(), pickle.dumps({"mu": 1})):
        (tmp_path / "stats.npz").write_bytes(content)
        with pytest.raises(InputError, match="stats.npz: holds no statistics that can be used"):
            Reference.from_statistics(tmp_path / "stats.npz", extractor)
    with pytest.raises(InputError, match="nowhere.npz: does not exist"):
        Reference.from_statistics(tmp_path / "nowhere.npz", extractor)
