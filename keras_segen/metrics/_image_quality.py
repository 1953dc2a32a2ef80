"""Image quality beside an original: PSNR, SSIM and multi-scale SSIM as streaming Keras metrics."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_segen.types import Tensor

WINDOW, SIGMA = 11, 1.5  # of the Gaussian that SSIM looks through, pixels (Wang et al. 2004, section III.B)
K1, K2 = 0.01, 0.03
# Weights of the scales, from the finest on (Wang, Simoncelli and Bovik 2003, section 3.2).
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


class ImageQualityMetric(keras.metrics.Metric):
    """The base class of image quality metrics: the mean of a score over the images of a data set.

    `update_state` takes originals and images (batch, height, width, channels) in [0, max_val]. A value out of this
    range (by more than a thousandth of it), NaN, or originals in [0, 1] where `max_val` is 255 make the result NaN,
    because the score would not compare with others. Called outside a graph, `update_state` raises instead.

    Args:
        max_val: The greatest value that the images may have: 255, or 1.

    Raises:
        ValueError: For shapes that differ, sample weights, or (eagerly) values out of range.
    """

    _direction = "up"  # for callbacks that monitor it with mode="auto"

    def __init__(self, max_val: float, *, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        if not 0 < max_val < math.inf:
            raise ValueError(f"`max_val` is the images' greatest value, 255 or 1. Received: max_val={max_val}")
        self.max_val = max_val
        self._total = self.add_variable((), "zeros", dtype="float32", name="total")
        self._count = self.add_variable((), "zeros", dtype="float32", name="count")

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> None:
        """Score a batch."""
        if sample_weight is not None:
            raise ValueError(f"{type(self).__name__} counts images alike and takes no sample weights.")
        originals, images = (ops.cast(ops.convert_to_tensor(y), "float32") for y in (y_true, y_pred))
        if (
            len(originals.shape) != 4
            or len(images.shape) != 4
            or any(
                a is not None and b is not None and a != b for a, b in zip(originals.shape, images.shape, strict=False)
            )
        ):
            raise ValueError(
                f"{type(self).__name__} takes originals and images (batch, height, width, channels) of one shape. "
                f"Received: {tuple(originals.shape)} and {tuple(images.shape)}"
            )
        slack = 1e-3 * self.max_val
        low, high = (extreme(ops.stack([extreme(originals), extreme(images)])) for extreme in (ops.min, ops.max))
        in_range = ops.logical_and(low >= -slack, high <= self.max_val + slack)  # NaN is not
        if self.max_val > 1:
            # Originals in [0, 1]: darker than any picture, and with fractions of a level.
            dark = ops.max(originals) <= self.max_val / 255
            fractions = ops.any(originals != ops.floor(originals))
            in_range = ops.logical_and(in_range, ops.logical_not(ops.logical_and(dark, fractions)))
        self._refuse(low, high, in_range)
        scores = self.scores(originals, images)
        self._total.assign_add(ops.where(in_range, ops.sum(scores), float("nan")))
        self._count.assign_add(ops.cast(ops.shape(scores)[0], "float32"))

    def _refuse(self, low: Tensor, high: Tensor, in_range: Any) -> None:
        try:
            fine = bool(ops.convert_to_numpy(in_range))
        except Exception:  # inside a graph there is no value yet; each backend says so by another type
            return
        if not fine:
            hint = "map [-1, 1] by (x + 1) / 2 * max_val" if -1.001 <= float(low) < 0 else "is it max_val=255, or 1?"
            raise ValueError(
                f"{type(self).__name__} was made for images in [0, {self.max_val:g}]. "
                f"Received: values from {float(low):g} to {float(high):g}; {hint}"
            )

    def scores(self, originals: Tensor, images: Tensor) -> Tensor:
        """Return each image's score, (batch,)."""
        raise NotImplementedError

    def result(self) -> Any:
        """Return the mean over the images so far; NaN before the first."""
        return ops.where(self._count > 0, self._total / ops.maximum(self._count, 1), float("nan"))

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "max_val": self.max_val}


@keras.saving.register_keras_serializable("keras_segen")
class PSNR(ImageQualityMetric):
    """Peak signal-to-noise ratio in dB, 10 log10(max_val² / mean squared error), as a mean over images.

    It equals scikit-image's to 1e-5. The ratio of an image that equals its original is infinite. See
    `ImageQualityMetric` for shapes and arguments.

    Example:
        >>> originals = np.full((1, 16, 16, 3), 100.0)
        >>> metric = ks.metrics.PSNR(255)
        >>> metric.update_state(originals, originals + 5)
        >>> f"{metric.result():.2f}"
        '34.15'
    """

    def __init__(self, max_val: float, *, name: str = "psnr", **kwargs: Any) -> None:
        super().__init__(max_val, name=name, **kwargs)

    def scores(self, originals: Tensor, images: Tensor) -> Tensor:
        """Return each image's ratio."""
        error = ops.mean(ops.square((originals - images) / self.max_val), axis=(1, 2, 3))
        return -10 / math.log(10) * ops.log(error)


@keras.saving.register_keras_serializable("keras_segen")
class SSIM(ImageQualityMetric):
    """Structural similarity (Wang et al. 2004, doi:10.1109/TIP.2003.819861), as a mean over images.

    The window is a Gaussian of 11 pixels with a sigma of 1.5, placed only where it fits whole, and the similarity is
    averaged over channels. It equals scikit-image's `structural_similarity(gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False)` to 1e-5. See `ImageQualityMetric` for shapes and arguments; images have at least 11
    pixels a side.

    Example:
        >>> originals = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3))
        >>> metric = ks.metrics.SSIM(255)
        >>> metric.update_state(originals, originals)
        >>> f"{metric.result():.2f}"
        '1.00'
    """

    def __init__(self, max_val: float, *, name: str = "ssim", **kwargs: Any) -> None:
        super().__init__(max_val, name=name, **kwargs)

    def scores(self, originals: Tensor, images: Tensor) -> Tensor:
        """Return each image's similarity."""
        _require_side(originals, WINDOW, "SSIM")
        similarity, _ = _similarities(originals / self.max_val, images / self.max_val)
        return ops.mean(similarity, -1)


@keras.saving.register_keras_serializable("keras_segen")
class MultiScaleSSIM(ImageQualityMetric):
    """Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003), as a mean over images.

    It is the product of contrast and structure at five scales, each half of the one before, and luminance at the last,
    each to the power of its weight. It equals a float64 computation to 1e-5, and `tf.image.ssim_multiscale` to 1e-4 on
    photographs, as far as that is exact (on even surfaces it loses digits). TensorFlow's needs 176 pixels a side. Here
    smaller images have as many scales as the window of 11 pixels fits into, with the weights of these scales normalised
    to a sum of 1: two at 32 pixels, three at 64, four at 128. Such scores compare only with those of the same size.

    See `ImageQualityMetric` for shapes and arguments; images have at least 11 pixels a side.

    Example:
        >>> originals = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3))
        >>> metric = ks.metrics.MultiScaleSSIM(255)
        >>> metric.update_state(originals, originals)
        >>> f"{metric.result():.2f}"
        '1.00'
    """

    def __init__(self, max_val: float, *, name: str = "multi_scale_ssim", **kwargs: Any) -> None:
        super().__init__(max_val, name=name, **kwargs)

    def scores(self, originals: Tensor, images: Tensor) -> Tensor:
        """Return each image's similarity."""
        side = _require_side(originals, WINDOW, "MultiScaleSSIM")
        count = 1
        while count < len(SCALES) and math.ceil(side / 2**count) >= WINDOW:
            count += 1
        weights = np.array(SCALES[:count]) / sum(SCALES[:count])
        x, y = originals / self.max_val, images / self.max_val
        product = 1.0
        for i, weight in enumerate(weights):
            similarity, structure = _similarities(x, y)
            # Below 0, images that are each other's negatives, a power would be no number.
            product = product * ops.relu(similarity if i == count - 1 else structure) ** float(weight)
            x, y = _halve(x), _halve(y)
        return ops.mean(product, -1)


def _similarities(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return SSIM, and its factor for contrast and structure, of each image and channel: (batch, channels) both."""
    c1, c2 = K1**2, K2**2
    # About the images' mean, variances lose less to cancellation.
    centre = ops.mean(x + y, (1, 2), keepdims=True) / 2
    x, y = x - centre, y - centre
    mean_x, mean_y = _blur(x), _blur(y)
    covariance = _blur(x * y) - mean_x * mean_y
    variances = _blur(x * x + y * y) - mean_x**2 - mean_y**2
    structure = (2 * covariance + c2) / (variances + c2)
    mean_x, mean_y = mean_x + centre, mean_y + centre
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return ops.mean(luminance * structure, (1, 2)), ops.mean(structure, (1, 2))


def _blur(x: Tensor) -> Tensor:
    """Weight each pixel's neighbourhood, rows then columns; only where the window fits."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    height, width = ops.shape(x)[1] - WINDOW + 1, ops.shape(x)[2] - WINDOW + 1
    x = sum(float(w) * x[:, i : i + height] for i, w in enumerate(weights))
    return sum(float(w) * x[:, :, i : i + width] for i, w in enumerate(weights))


def _halve(x: Tensor) -> Tensor:
    """Average 2 × 2 pixels; an odd last row or column counts twice."""
    height, width = ops.shape(x)[1], ops.shape(x)[2]
    x = ops.pad(x, [[0, 0], [0, height % 2], [0, width % 2], [0, 0]], mode="symmetric")
    return ops.average_pool(x, 2, 2, data_format="channels_last")


def _require_side(images: Tensor, window: int, name: str) -> int:
    sides = images.shape[1:3]
    if None in sides:
        raise ValueError(f"{name} needs images of known height and width. Received: shape {tuple(images.shape)}")
    if min(sides) < window:
        raise ValueError(f"{name} looks through a window of {window} pixels. Received: images of {sides[0]}×{sides[1]}")
    return int(min(sides))
