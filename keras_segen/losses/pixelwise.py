"""Losses for segmentation that judge each pixel by itself."""

from typing import Any

import keras
from keras import ops

from keras_segen.losses.segmentation import Pixels, SegmentationLoss


@keras.saving.register_keras_serializable("keras_segen")
class CrossEntropy(SegmentationLoss):
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

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each pixel, in the masks' shape, scaled so that its plain mean is the weighted one."""
        pixels = self.pixels(y_true, y_pred)
        return _weighted(pixels.cross_entropy(self.label_smoothing), pixels, len(y_true.shape))

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("keras_segen")
class Focal(SegmentationLoss):
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

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each pixel; see `CrossEntropy.call`."""
        pixels = self.pixels(y_true, y_pred)
        cross_entropy = pixels.cross_entropy()
        # Of a pixel that is all but certain, 1 - p rounds to 0, where a power below 1 has no gradient.
        missing = ops.maximum(-ops.expm1(-cross_entropy), 1e-7)
        return _weighted(ops.power(missing, self.gamma) * cross_entropy, pixels, len(y_true.shape))

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "gamma": self.gamma}


@keras.saving.register_keras_serializable("keras_segen")
class TopKCrossEntropy(SegmentationLoss):
    """Cross-entropy averaged over the hardest pixels of the batch alone: online hard example mining.

    Wu, Shen and van den Hengel, 2016, arXiv:1605.06457, section 2; Shrivastava et al., 2016, arXiv:1604.03540.
    Class weights come before the choice. See `SegmentationLoss` for shapes and arguments.

    Args:
        share: of the batch's valid pixels, those with the greatest loss.
    """

    def __init__(self, *, share: float = 0.25, name: str = "top_k_cross_entropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if not 0 < share <= 1:
            raise ValueError(f"`share` is over 0 and at most 1. Received: share={share}")
        self.share = share

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of the batch, a scalar."""
        pixels = self.pixels(y_true, y_pred)
        losses = ops.reshape(pixels.cross_entropy() * pixels.weights * pixels.valid, [-1])
        valid = ops.reshape(pixels.valid, [-1])
        kept = ops.ceil(self.share * ops.sum(valid))
        # What is void has the loss 0, so that it comes last.
        hardest = ops.flip(ops.sort(losses))
        ranks = ops.cast(ops.arange(ops.shape(hardest)[0]), "float32")
        chosen = ops.sum(ops.where(ranks < kept, hardest, 0.0))
        return ops.divide_no_nan(chosen, kept) + 0 * ops.sum(valid)  # an id that there is not shows

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "share": self.share}


def _weighted(losses: Any, pixels: Pixels, rank: int) -> Any:
    """Return losses of pixels scaled so that their plain mean is sum(w·loss) / sum(w), in the masks' shape."""
    weights = pixels.weights * pixels.valid
    scaled = ops.divide_no_nan(losses * weights, ops.mean(weights))
    return scaled[..., 0] if rank == len(scaled.shape) - 1 else scaled


@keras.saving.register_keras_serializable("keras_segen")
class OutputCodeCrossEntropy(SegmentationLoss):
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

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each pixel; see `CrossEntropy.call`."""
        pixels = self.pixels(y_true, y_pred)
        if not pixels.exclusive:
            raise ValueError(
                f"Output codes tell classes apart that exclude each other. Received: {tuple(y_pred.shape)}"
            )
        scores = ops.take_along_axis(pixels.logits, pixels.ids[..., None], axis=-1)
        return _weighted(-scores / self.bits, pixels, len(y_true.shape))

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "bits": self.bits}
