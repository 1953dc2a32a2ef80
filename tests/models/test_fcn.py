import keras
import numpy as np
import pytest

from keras_segen import losses
from keras_segen.models import fcn


def build(stride, **options):
    return fcn(3, backbone="mobilenet", backbone_width=0.25, backbone_weights=None, stride=stride, **options)


def batch():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (2, 64, 64, 3)).astype("float32"), rng.integers(0, 3, (2, 64, 64)).astype("uint8")


def test_scores_start_at_zero():
    for stride in (32, 16, 8):
        np.testing.assert_array_equal(build(stride)(batch()[0]), np.zeros((2, 64, 64, 3)))


@pytest.mark.slow
def test_staged_training_starts_where_the_coarser_network_ended():
    keras.utils.set_random_seed(0)
    images, masks = batch()
    coarser = build(32)
    coarser.compile(keras.optimizers.Adam(0.01), losses.CrossEntropy(), jit_compile=False)
    coarser.train_on_batch(images, masks)
    before = coarser.predict(images, verbose=0)
    assert np.abs(before).max() > 0.01
    for stride in (16, 8):
        finer = build(stride, coarser=coarser)
        # The new scores are zero, and two bilinear steps are close to one: inside a cell they are the same.
        after = finer.predict(images, verbose=0)
        assert np.abs(after - before).max() < 0.2 * np.abs(before).max()
        for name in ("backbone", "score32"):
            for ours, theirs in zip(
                finer.get_layer(name).get_weights(), coarser.get_layer(name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(ours, theirs)
        coarser = finer


def test_finer_scores_come_from_finer_maps():
    model = build(8)
    for stride, size in ((32, 2), (16, 4), (8, 8)):
        assert model.get_layer(f"score{stride}").compute_output_shape((1, size, size, 4)) == (1, size, size, 3)
    changed = {}
    for stride in (16, 8):  # of untrained weights the deepest map is all but flat
        kernel = model.get_layer(f"score{stride}").kernel
        kernel.assign(np.ones(kernel.shape))
        logits = model.predict(batch()[0], verbose=0)[0, ..., 0]
        changed[stride] = np.abs(np.diff(logits, n=2, axis=1))[:, 16:48]  # bilinear: bent at the cells alone
        kernel.assign(np.zeros(kernel.shape))
    bends = {stride: int((bend.max(0) > 1e-4 * bend.max()).sum()) for stride, bend in changed.items()}
    assert bends == {16: 2, 8: 4}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 4}, "stride=4"),
        ({"stride": 8, "up_sampling": "nearest"}, "nearest"),
        ({"stride": 8, "input_channels": 0}, "input_channels=0"),
        ({"stride": 8, "coarser": keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="dense")}, "dense"),
    ],
)
def test_wrong_arguments_of_fcn_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_only_a_coarser_network_of_the_same_kind_will_do():
    with pytest.raises(ValueError, match="num_classes=0"):
        fcn(0, backbone_weights=None)
    with pytest.raises(ValueError, match="greater stride"):
        build(16, coarser=build(8))
    other = fcn(4, backbone="mobilenet", backbone_width=0.25, backbone_weights=None, stride=32)
    with pytest.raises(ValueError, match="same backbone and classes"):
        build(16, coarser=other)
