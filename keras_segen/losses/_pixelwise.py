"""Losses for segmentation that judge each pixel by itself."""

from typing import Any

import keras
from keras import ops

from keras_segen.losses._segmentation import Pixels, SegmentationLoss
from keras_segen.types import Tensor


class PixelwiseLoss(SegmentationLoss):
    """What these losses share: a loss for each pixel, and the mean over the batch's valid pixels.

    With class weights w and sample weights s it is sum(s·w·loss) / sum(w).
    """

    def each(self, pixels: Pixels) -> Tensor:
        """Return the loss of each pixel, in the shape of `pixels.valid`."""
        raise NotImplementedError

    def judge(self, pixels: Pixels) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss of each pixel, how much it counts, and its sample weight."""
        return self.each(pixels), pixels.counts(), pixels.sample_weights()


@keras.saving.register_keras_serializable("keras_segen")
class CrossEntropy(PixelwiseLoss):
    """Cross-entropy, averaged over the pixels that are not void.

    With class weights the average is weighted too: sum(w·loss) / sum(w) over the batch's valid pixels, as in
    PyTorch's `CrossEntropyLoss`. See `SegmentationLoss` for shapes and arguments.

    Args:
        label_smoothing: share of the truth that is spread evenly over all classes (Szegedy et al., 2016,
            arXiv:1512.00567, section 7).
    """

    def __init__(self, *, label_smoothing: float = 0.0, name: str = "cross_entropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` is a share from 0 to 1. Received: label_smoothing={label_smoothing}")
        self.label_smoothing = label_smoothing

    def each(self, pixels: Pixels) -> Tensor:
        """Return the loss of each pixel."""
        return pixels.cross_entropy(self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("keras_segen")
class Focal(PixelwiseLoss):
    """Cross-entropy times (1 - p)^gamma, p the probability of what the mask says: easy pixels count little.

    Lin et al., 2017, arXiv:1708.02002, eq. 4; class weights are its alpha. Averaged as `CrossEntropy`.
    See `SegmentationLoss` for shapes and arguments.

    Args:
        gamma: 0 makes it cross-entropy.
    """

    def __init__(self, *, gamma: float = 2.0, name: str = "focal", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if gamma < 0:
            raise ValueError(f"`gamma` must not be negative. Received: gamma={gamma}")
        self.gamma = gamma

    def each(self, pixels: Pixels) -> Tensor:
        """Return the loss of each pixel."""
        cross_entropy = pixels.cross_entropy()
        # Of a pixel that is all but certain, 1 - p rounds to 0, where a power below 1 has no gradient.
        missing = ops.maximum(-ops.expm1(-cross_entropy), 1e-7)
        return ops.power(missing, self.gamma) * cross_entropy

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "gamma": self.gamma}


@keras.saving.register_keras_serializable("keras_segen")
class TopKCrossEntropy(SegmentationLoss):
    """Cross-entropy averaged over the hardest pixels of the batch alone: online hard example mining.

    Wu, Shen and van den Hengel, 2016, arXiv:1605.06457, section 2; Shrivastava et al., 2016, arXiv:1604.03540.
    Class weights and sample weights come before the choice. See `SegmentationLoss` for shapes and arguments.

    Args:
        share: of the batch's valid pixels, those with the greatest loss.
    """

    def __init__(self, *, share: float = 0.25, name: str = "top_k_cross_entropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not 0 < share <= 1:
            raise ValueError(f"`share` is over 0 and at most 1. Received: share={share}")
        self.share = share

    def judge(self, pixels: Pixels) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weighted losses from the greatest on, (pixels,), of which the first count 1 and the rest 0."""
        losses, weights = pixels.cross_entropy() * pixels.counts(), pixels.sample_weights()
        losses = ops.reshape(losses if weights is None else losses * weights, [-1])
        valid = ops.sum(pixels.valid)
        kept = ops.ceil(self.share * valid)
        # What is void has the loss 0, so that it comes last.
        hardest = ops.flip(ops.sort(losses))
        chosen = ops.cast(ops.arange(ops.shape(hardest)[0]), "float32") < kept
        unknown = 0 * valid  # NaN, of an id that is not a class, shows
        return ops.where(chosen, hardest, 0.0) + unknown, ops.cast(chosen, "float32") + unknown, None

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "share": self.share}


@keras.saving.register_keras_serializable("keras_segen")
class OutputCodeCrossEntropy(PixelwiseLoss):
    """Binary cross-entropy on a code's bits, for segmenters that end in `layers.OutputCodes`.

    The score of the true class is the log-likelihood of its word: the sum over bits of what binary cross-entropy takes
    from each. So its negative, by the number of bits, is the loss; no word has to be looked up. Averaged over pixels as
    `CrossEntropy`. See `SegmentationLoss` for shapes and arguments; classes exclude each other here.

    Args:
        bits: of a word.
    """

    def __init__(self, bits: int, *, name: str = "output_code_cross_entropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if bits < 1:
            raise ValueError(f"A word has one bit or more. Received: bits={bits}")
        self.bits = bits

    def each(self, pixels: Pixels) -> Tensor:
        """Return the loss of each pixel."""
        if not pixels.exclusive:
            raise ValueError(
                f"Output codes tell classes apart that exclude each other. Received: {tuple(pixels.logits.shape)}"
            )
        scores = ops.take_along_axis(pixels.logits, pixels.ids[..., None], axis=-1)
        return -scores / self.bits

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "bits": self.bits}
