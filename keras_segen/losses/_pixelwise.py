"""Pixelwise losses for segmentation: cross-entropy and its relatives."""

from typing import Any

import keras
from keras import ops

from keras_segen.losses._segmentation import Pixels, SegmentationLoss
from keras_segen.types import Tensor


class PixelwiseLoss(SegmentationLoss):
    """The base class of pixelwise losses: a loss for each pixel, and the mean over the batch's valid pixels.

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
        label_smoothing: The share of the truth that is spread evenly over all classes (Szegedy et al., 2016,
            arXiv:1512.00567, section 7).

    Example:
        >>> masks, logits = np.array([[[0, 1, 255]]]), np.zeros((1, 1, 3, 2))
        >>> loss = ks.losses.CrossEntropy(class_weights={1: 2.0})
        >>> f"{loss(masks, logits):.4f}"  # log 2
        '0.6931'
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
        """Return what `from_config` needs."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("keras_segen")
class Focal(PixelwiseLoss):
    """Focal loss: cross-entropy times (1 - p)^gamma, with p the probability of the true class.

    Easy pixels therefore count little. It is averaged as `CrossEntropy` is. Source: Lin et al., 2017
    (arXiv:1708.02002), eq. 4, whose alpha is `class_weights`. See `SegmentationLoss` for shapes and arguments.

    Args:
        gamma: The exponent, from 0, which makes it cross-entropy.

    Example:
        >>> masks, logits = np.array([[[0, 1, 255]]]), np.zeros((1, 1, 3, 2))
        >>> loss = ks.losses.Focal(gamma=2.0)
        >>> f"{loss(masks, logits):.4f}"  # log 2 / 4
        '0.1733'
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
        """Return what `from_config` needs."""
        return {**super().get_config(), "gamma": self.gamma}


@keras.saving.register_keras_serializable("keras_segen")
class TopKCrossEntropy(SegmentationLoss):
    """Cross-entropy averaged over the hardest pixels of the batch alone: online hard example mining.

    Class weights and sample weights are applied before the pixels are chosen. Source: Wu, Shen and van den Hengel, 2016
    (arXiv:1605.06457), section 2; Shrivastava et al., 2016 (arXiv:1604.03540). See `SegmentationLoss` for shapes and
    arguments.

    Args:
        share: The share of the batch's valid pixels, those with the greatest loss, that are averaged over.

    Example:
        >>> masks = np.array([[[0, 0, 1, 1]]])
        >>> logits = 20 * np.eye(2)[[[[0, 0, 1, 0]]]]  # the last pixel is wrong
        >>> loss = ks.losses.TopKCrossEntropy(share=0.25)
        >>> f"{loss(masks, logits):.4f}"
        '20.0000'
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
        """Return what `from_config` needs."""
        return {**super().get_config(), "share": self.share}


@keras.saving.register_keras_serializable("keras_segen")
class OutputCodeCrossEntropy(PixelwiseLoss):
    """Binary cross-entropy on a code's bits, for segmenters that end in `layers.OutputCodes`.

    The score of the true class is the log-likelihood of its word, which is minus the sum of the binary cross-entropies
    of its bits. The loss is therefore minus this score, divided by the number of bits; no word has to be looked up. It
    is averaged over pixels as `CrossEntropy` is. See `SegmentationLoss` for shapes and arguments; classes exclude each
    other here.

    Args:
        bits: The number of bits of a word.

    Example:
        >>> codebook = ks.layers.hadamard_codebook(21)
        >>> bits = ks.models.unet(31, filters=(4, 8))
        >>> model = keras.Model(bits.input, ks.layers.OutputCodes(codebook)(bits.output))
        >>> model.compile("adam", ks.losses.OutputCodeCrossEntropy(bits=31), metrics=[ks.metrics.MeanIoU(21)])
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
        """Return what `from_config` needs."""
        return {**super().get_config(), "bits": self.bits}
