import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from keras_segen.metrics import PSNR, SSIM, MultiScaleSSIM

METRICS = [PSNR, SSIM, MultiScaleSSIM]


def pairs(shape=(3, 47, 60, 3), seed=0):
    """Smooth pictures, and the same with noise, blur and a shift of brightness."""
    rng = np.random.default_rng(seed)
    pictures = scipy.ndimage.gaussian_filter(rng.normal(size=shape), (0, 4, 4, 0))
    pictures = 255 * (pictures - pictures.min()) / np.ptp(pictures)
    worse = pictures + rng.normal(0, 12, shape)
    worse[1] = scipy.ndimage.gaussian_filter(pictures[1], (3, 3, 0))
    worse[-1] = pictures[-1] * 0.8 + 10
    return pictures.astype("uint8"), np.clip(worse, 0, 255).astype("uint8")


def by_skimage(x, y):
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return structural_similarity(x, y, channel_axis=-1, data_range=255, **options)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_and_psnr_are_scikit_images(channels):
    originals, images = pairs((3, 47, 60, channels))
    for metric, reference in ((SSIM(255), by_skimage), (PSNR(255), peak_signal_noise_ratio)):
        expected = np.mean([reference(x, y) for x, y in zip(originals, images, strict=True)])
        metric.update_state(originals, images)
        assert float(metric.result()) == pytest.approx(expected, abs=1e-5)
        # In parts, and on another scale.
        metric.reset_state()
        metric.update_state(originals[:1], images[:1])
        metric.update_state(originals[1:], images[1:])
        assert float(metric.result()) == pytest.approx(expected, abs=1e-5)
        unit = type(metric)(1)
        unit.update_state(originals / np.float32(255), images / np.float32(255))
        assert float(unit.result()) == pytest.approx(expected, abs=1e-5)


def multi_scale(x, y, weights):
    """In float64, by SciPy's filters."""
    x, y = x / 255, y / 255
    score = 1
    for i, weight in enumerate(weights):
        kernel = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
        kernel /= kernel.sum()

        def blur(z, kernel=kernel):
            for axis in (0, 1):
                z = scipy.ndimage.convolve1d(z, kernel, axis)
            return z[5:-5, 5:-5]

        mx, my = blur(x), blur(y)
        covariance, variances = blur(x * y) - mx * my, blur(x * x) - mx**2 + blur(y * y) - my**2
        structure = (2 * covariance + 9e-4) / (variances + 9e-4)
        luminance = (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
        value = (structure * luminance if i == len(weights) - 1 else structure).mean((0, 1))
        score = score * np.maximum(value, 0) ** weight
        x, y = (np.pad(z, [(0, z.shape[0] % 2), (0, z.shape[1] % 2), (0, 0)], "edge") for z in (x, y))
        x, y = (z.reshape(z.shape[0] // 2, 2, z.shape[1] // 2, 2, -1).mean((1, 3)) for z in (x, y))
    return score.mean()


@pytest.mark.parametrize(
    ("side", "scales"), [(176, 5), (181, 5), (128, 4), (64, 3), (32, 2), (21, 2), (20, 1), (11, 1)]
)
def test_multi_scale_ssim(side, scales):
    originals, images = pairs((3, side, side + 5, 3))
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:scales]
    weights /= weights.sum()
    metric = MultiScaleSSIM(255)
    metric.update_state(originals, images)
    expected = np.mean([multi_scale(x, y, weights) for x, y in zip(originals, images, strict=True)])
    assert float(metric.result()) == pytest.approx(expected, abs=1e-5)
    if scales == 5:
        theirs = tf.image.ssim_multiscale(originals, images, 255).numpy().mean()
        assert float(metric.result()) == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("metric", METRICS)
def test_equal_images(metric):
    originals, _ = pairs()
    score = metric(255)
    score.update_state(originals, originals)
    assert float(score.result()) == (np.inf if metric is PSNR else pytest.approx(1, abs=1e-6))


def test_opposites_have_a_number():
    originals, _ = pairs((2, 64, 64, 1))
    metric = MultiScaleSSIM(255)
    metric.update_state(originals, 255 - originals)
    assert 0 <= float(metric.result()) < 0.2


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("max_val", "low", "high", "hint"),
    [(255, -1, 1, r"map \[-1, 1\] by"), (1, 0, 255, "is it max_val=255"), (1, -1, 1, r"map \[-1, 1\] by")],
)
def test_images_in_another_range_are_refused(metric, max_val, low, high, hint):
    images = np.random.default_rng(0).uniform(low, high, (2, 32, 32, 3)).astype("float32")
    with pytest.raises(ValueError, match=rf"in \[0, {max_val}\]. Received: values from .*{hint}"):
        metric(max_val).update_state(images, images)
    if (max_val, high) == (255, 1):
        images = np.abs(images)
        with pytest.raises(ValueError, match="is it max_val=255, or 1"):
            metric(255).update_state(images, 255 * images)
        black = np.zeros_like(images)
        metric(255).update_state(black, images)  # a model may well begin with darkness
    score = metric(max_val)
    tf.function(score.update_state)(images, images)  # in a graph nothing can be raised
    assert np.isnan(score.result())


@pytest.mark.parametrize("metric", METRICS)
def test_images_that_cannot_be_compared_are_refused(metric):
    for most in (0, np.inf):
        with pytest.raises(ValueError, match=f"max_val={most}"):
            metric(most)
    with pytest.raises(ValueError, match="no sample weights"):
        metric(1).update_state(np.zeros((1, 16, 16, 1)), np.zeros((1, 16, 16, 1)), np.ones(1))
    with pytest.raises(ValueError, match=r"of one shape. Received: \(1, 16, 16, 1\) and \(1, 16, 17, 1\)"):
        metric(1).update_state(np.zeros((1, 16, 16, 1)), np.zeros((1, 16, 17, 1)))
    with pytest.raises(ValueError, match=r"of one shape"):
        metric(1).update_state(np.zeros((16, 16, 16, 1)), np.zeros((16, 16, 16)))
    with pytest.raises(ValueError, match="values from nan"):
        metric(1).update_state(np.full((1, 16, 16, 1), np.nan), np.zeros((1, 16, 16, 1)))
    if metric is not PSNR:
        with pytest.raises(ValueError, match="window of 11 pixels. Received: images of 10×16"):
            metric(1).update_state(np.zeros((1, 10, 16, 1)), np.zeros((1, 10, 16, 1)))
    assert np.isnan(metric(1).result())


@pytest.mark.slow
def test_in_fit_and_saved(tmp_path):
    model = keras.Sequential(
        [keras.Input((32, 32, 1)), keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")]
    )
    model.compile("adam", "mse", metrics=[PSNR(1), SSIM(1), MultiScaleSSIM(1)])
    images = np.random.default_rng(0).random((4, 32, 32, 1)).astype("float32")
    history = model.fit(images, images, batch_size=2, verbose=0).history
    assert {"psnr", "ssim", "multi_scale_ssim"} < history.keys()
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    ours, theirs = (m.evaluate(images, images, verbose=0, return_dict=True) for m in (model, loaded))
    assert ours == pytest.approx(theirs)
    assert np.isfinite(list(ours.values())).all()
