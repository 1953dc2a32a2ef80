import json
import re

import keras
import numpy as np
import pytest

from keras_segen.errors import InputError
from keras_segen.metrics import Reference, reference
from keras_segen.metrics.features import named_extractor


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
