"""Region losses for segmentation: how far true and predicted regions overlap."""

from typing import Any

import keras
from keras import ops

from keras_segen.losses._segmentation import Pixels, SegmentationLoss
from keras_segen.types import Tensor


class RegionLoss(SegmentationLoss):
    """The base class of region losses: soft counts of each class in an image, and their mean.

    The mean is over the classes that occur in an image's mask, as in mean IoU: pixels wrongly given to another class
    already lower the scores of these. With binary and multi-label masks, where they would not, all classes count.

    The sample weights of pixels multiply inside the counts; those of images multiply an image's loss.
    """

    def loss(self, hits: Tensor, false: Tensor, missed: Tensor) -> Tensor:
        """Return each class's loss from soft true positives, false positives and false negatives of one shape."""
        raise NotImplementedError

    def judge(self, pixels: Pixels) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss of each image (batch,), equal weights, and the images' sample weights."""
        counts, probabilities = _counts(pixels), pixels.probabilities()
        truth = pixels.truth() * counts
        hits, occurrences = ops.sum(probabilities * truth, (1, 2)), ops.sum(truth, (1, 2))  # (batch, channels)
        losses = self.loss(hits, ops.sum(probabilities * counts, (1, 2)) - hits, occurrences - hits)
        return _mean_over_classes(losses, occurrences, pixels)


@keras.saving.register_keras_serializable("keras_segen")
class Tversky(RegionLoss):
    """Tversky loss: 1 - hits / (hits + alpha · false positives + beta · false negatives).

    Source: Salehi, Erdogmus and Gholipour, 2017 (arXiv:1706.05721), eq. 3. See `RegionLoss` for the mean over classes,
    and `SegmentationLoss` for shapes and arguments.

    Args:
        alpha: The weight of false positives.
        beta: The weight of false negatives. If it is over `alpha`, the loss prefers recall.
        smooth: The number of pixels that is added to the numerator and the denominator.

    Example:
        >>> masks = np.array([[[0, 0, 1, 1]]])
        >>> logits = 20 * np.eye(2)[[[[0, 0, 1, 0]]]]  # the last pixel is wrong
        >>> loss = ks.losses.Tversky(alpha=0.3, beta=0.7, smooth=0)
        >>> f"{loss(masks, logits):.4f}"
        '0.2711'
    """

    def __init__(
        self, *, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0, name: str = "tversky", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        if alpha < 0 or beta < 0 or smooth < 0:
            raise ValueError(f"None may be negative. Received: alpha={alpha}, beta={beta}, smooth={smooth}")
        self.alpha, self.beta, self.smooth = alpha, beta, smooth

    def loss(self, hits: Tensor, false: Tensor, missed: Tensor) -> Tensor:
        """Return each class's loss."""
        whole = hits + self.alpha * false + self.beta * missed
        return 1 - ops.divide_no_nan(hits + self.smooth, whole + self.smooth)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta, "smooth": self.smooth}


@keras.saving.register_keras_serializable("keras_segen")
class FocalTversky(Tversky):
    """Focal Tversky loss: the Tversky loss of each class, to the power of `gamma`.

    With `gamma` below 1, regions that are nearly right count for more. Source: Abraham and Khan, 2018
    (arXiv:1810.07842), eq. 4, whose 1 / gamma is this one's gamma. See `Tversky` for the other arguments.

    Args:
        gamma: The exponent, over 0.

    Example:
        >>> masks = np.array([[[0, 0, 1, 1]]])
        >>> logits = 20 * np.eye(2)[[[[0, 0, 1, 0]]]]  # the last pixel is wrong
        >>> loss = ks.losses.FocalTversky(gamma=0.75, smooth=0)
        >>> f"{loss(masks, logits):.4f}"
        '0.3655'
    """

    def __init__(self, *, gamma: float = 0.75, name: str = "focal_tversky", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not gamma > 0:
            raise ValueError(f"`gamma` must be over 0. Received: gamma={gamma}")
        self.gamma = gamma

    def loss(self, hits: Tensor, false: Tensor, missed: Tensor) -> Tensor:
        """Return each class's loss."""
        lost = super().loss(hits, false, missed)
        # At 0 the gradient of a power below 1 is infinite.
        return ops.where(lost < 1e-7, 0.0, ops.power(ops.maximum(lost, 1e-7), self.gamma))

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "gamma": self.gamma}


@keras.saving.register_keras_serializable("keras_segen")
class Dice(RegionLoss):
    """Dice loss: 1 - (2·Σ p·t + smooth) / (Σ p + Σ t + smooth), summed over an image's valid pixels.

    Source: Milletari, Navab and Ahmadi, 2016 (arXiv:1606.04797), but with plain sums in the denominator. See
    `RegionLoss` for the mean over classes, and `SegmentationLoss` for shapes and arguments.

    Args:
        smooth: The number of pixels that is added to the numerator and the denominator.

    Example:
        >>> masks = np.array([[[0, 0, 1, 1]]])
        >>> logits = 20 * np.eye(2)[[[[0, 0, 1, 0]]]]  # the last pixel is wrong
        >>> loss = ks.losses.Dice(smooth=0)
        >>> f"{loss(masks, logits):.4f}"
        '0.2667'
    """

    def __init__(self, *, smooth: float = 1.0, name: str = "dice", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.smooth = smooth

    def loss(self, hits: Tensor, false: Tensor, missed: Tensor) -> Tensor:
        """Return each class's loss."""
        return 1 - ops.divide_no_nan(2 * hits + self.smooth, 2 * hits + false + missed + self.smooth)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "smooth": self.smooth}


@keras.saving.register_keras_serializable("keras_segen")
class Jaccard(RegionLoss):
    """Jaccard loss: 1 - the soft intersection over union (Rahman and Wang, 2016).

    See `RegionLoss` for the mean over classes, and `SegmentationLoss` for shapes and arguments.

    Args:
        smooth: The number of pixels that is added to the intersection and the union.

    Example:
        >>> masks = np.array([[[0, 0, 1, 1]]])
        >>> logits = 20 * np.eye(2)[[[[0, 0, 1, 0]]]]  # the last pixel is wrong
        >>> loss = ks.losses.Jaccard(smooth=0)
        >>> f"{loss(masks, logits):.4f}"
        '0.4167'
    """

    def __init__(self, *, smooth: float = 1.0, name: str = "jaccard", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.smooth = smooth

    def loss(self, hits: Tensor, false: Tensor, missed: Tensor) -> Tensor:
        """Return each class's loss."""
        return 1 - ops.divide_no_nan(hits + self.smooth, hits + false + missed + self.smooth)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "smooth": self.smooth}


@keras.saving.register_keras_serializable("keras_segen")
class Lovasz(SegmentationLoss):
    """Lovász loss: the Lovász extension of the Jaccard index, which trains what mean IoU measures.

    For classes that exclude each other it is the Lovász-softmax, over the classes that occur in an image's mask (eq.
    11); otherwise the Lovász hinge (eq. 8). It works best beside cross-entropy, or after it. Source: Berman, Triki and
    Blaschko, 2018 (arXiv:1705.08790). See `SegmentationLoss` for shapes and arguments, `RegionLoss` for sample weights.

    Example:
        >>> masks = np.array([[[0, 0, 1, 1]]])
        >>> logits = 20 * np.eye(2)[[[[0, 0, 1, 0]]]]  # the last pixel is wrong
        >>> loss = ks.losses.Lovasz()
        >>> f"{loss(masks, logits):.4f}"
        '0.4167'
    """

    def __init__(self, *, name: str = "lovasz", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def judge(self, pixels: Pixels) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss of each image (batch,), equal weights, and the images' sample weights."""
        channels = pixels.logits.shape[-1]

        def by_class(x: Tensor) -> Tensor:  # -> (batch, channels, pixels)
            x = ops.broadcast_to(x, ops.shape(pixels.logits))
            return ops.transpose(ops.reshape(x, (ops.shape(x)[0], -1, channels)), (0, 2, 1))

        truth, counts = by_class(pixels.truth()), by_class(_counts(pixels))
        if pixels.exclusive:
            errors = ops.abs(truth - by_class(pixels.probabilities()))
        else:
            errors = ops.relu(1 - by_class(pixels.logits) * (2 * truth - 1))
        errors = ops.where(counts == 0, 0.0, errors)  # void comes last, and counts for nothing
        order = ops.flip(ops.argsort(errors, axis=-1), axis=-1)
        errors, truth, counts = (ops.take_along_axis(x, order, axis=-1) for x in (errors, truth * counts, counts))
        losses = ops.sum(errors * ops.stop_gradient(_jaccard_steps(truth, counts)), -1)
        return _mean_over_classes(losses, ops.sum(truth, -1), pixels)


def _counts(pixels: Pixels) -> Tensor:
    """Return how much each pixel counts in a region: its sample weight, 0 for void."""
    return pixels.valid if pixels.pixel_weights is None else pixels.valid * pixels.pixel_weights


def _jaccard_steps(truth: Tensor, counts: Tensor) -> Tensor:
    """Return what each pixel adds to the Jaccard loss as errors are made in this order (Berman et al., algorithm 1)."""
    whole = ops.sum(truth, -1, keepdims=True)
    intersection = whole - ops.cumsum(truth, -1)
    union = whole + ops.cumsum(counts - truth, -1)
    # With no pixel of the class, the first error makes it all wrong.
    jaccard = 1 - ops.where(union == 0, 1.0, ops.divide_no_nan(intersection, union))
    return jaccard - ops.pad(jaccard[..., :-1], ((0, 0), (0, 0), (1, 0)))


def _mean_over_classes(losses: Any, occurrences: Tensor, pixels: Pixels) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `judge` does, from losses (batch, channels): their weighted mean over the classes that count."""
    counted = occurrences != 0 if pixels.exclusive else ops.ones_like(occurrences, dtype="bool")
    weights = ops.cast(counted, "float32")  # NaN, from an id that is not a class, counts and shows
    if pixels.class_weights is not None:
        if len(pixels.class_weights) != losses.shape[-1]:
            raise ValueError(
                f"Binary masks have one region, which needs no weight. Received: class_weights={pixels.class_weights}"
            )
        weights = weights * ops.convert_to_tensor(pixels.class_weights, "float32")
    of_images = ops.divide_no_nan(ops.sum(losses * weights, -1), ops.sum(weights, -1))
    return of_images, ops.ones_like(of_images), pixels.image_weights
