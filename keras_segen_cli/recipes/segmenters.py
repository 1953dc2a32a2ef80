"""Segmenters: FCN, U-Net, DeepLabV3+ and FPN."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from keras_segen_cli.options import BatchSize, Count, Dropout, Side, Width, Widths
from keras_segen_cli.recipes.recipe import WrongUseError
from keras_segen_cli.recipes.segmenter import OnBackbone, Segmenter

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class FCN(OnBackbone):
    """Fully convolutional network (Long, Shelhamer and Darrell, 2015)."""

    model: ClassVar[str] = "fcn"

    dropout: Dropout = 0.5
    stride: Literal[32, 16, 8] = 8
    """Stride of the finest scores: FCN-32s, -16s or -8s. --start-from may name a run with a greater one."""

    def build(self, class_names: Sequence[str]) -> "keras.Model":
        """Return the compiled model."""
        from keras_segen import models

        with self._refusals():
            network = models.fcn(self._channels(class_names), stride=self.stride, **self._shared())
        return self._compiled(network, class_names)


@dataclass(frozen=True, kw_only=True)
class UNet(Segmenter):
    """U-Net (Ronneberger, Fischer and Brox, 2015), by its own way down or on a backbone."""

    model: ClassVar[str] = "unet"
    structure: ClassVar[tuple[str, ...]] = (
        *Segmenter.structure,
        "filters",
        "decoder_filters",
        "padding",
        "attention_gates",
    )

    epochs: Count = 6
    batch_size: BatchSize = 16
    image_size: Side = 128
    """Side of the training crops, in pixels. Validation images have their own sizes."""
    filters: Widths = (16, 32, 64, 128)
    """Widths of U-Net's own levels, from the finest. A quarter of the paper's and a level less, for a CPU."""
    decoder_filters: tuple[Width, ...] | None = None
    """On a backbone, widths of the decoder at strides 1, 2, 4, 8 and 16. Default: 16 32 64 128 256."""
    padding: Literal["same", "valid"] = "same"
    """Padding of the convolutions. valid, as in the paper, goes without a backbone."""
    deep_supervision: bool = False
    """Add losses at the coarser levels."""
    attention_gates: bool = False
    """Weight the maps of the way down, before they are joined, by attention gates (Oktay et al., 2018)."""

    def check(self) -> None:
        """Raise `WrongUseError` for settings that do not go together."""
        super().check()
        if len(self.filters) < 2:
            raise WrongUseError(f"--filters needs at least two widths, one a level, not {_listed(self.filters)}")
        if self.backbone is not None and self.filters != UNet.filters:
            raise WrongUseError("--filters goes without a backbone: use --decoder-filters, or remove --backbone")
        if self.decoder_filters is not None and self.backbone is None:
            raise WrongUseError("--decoder-filters needs --backbone: use --filters")
        if self.decoder_filters is not None and len(self.decoder_filters) != 5:
            raise WrongUseError(f"--decoder-filters needs five widths, not {_listed(self.decoder_filters)}")
        if self.deep_supervision and self.backbone is None and len(self.filters) < 3:
            raise WrongUseError(f"--deep-supervision needs --filters of three widths, not {_listed(self.filters)}")
        if self.backbone is not None and self.padding == "valid":
            raise WrongUseError("--padding valid goes without a backbone: remove --backbone or --padding")
        if self.deep_supervision and (self.output_codes is not None or self.refinement):
            other = "--refinement" if self.refinement else "--output-codes"
            raise WrongUseError(f"--deep-supervision does not go with {other}: remove one of them")

    def build(self, class_names: Sequence[str]) -> "keras.Model":
        """Return the compiled model."""
        from keras_segen import models

        with self._refusals():
            network = models.unet(
                self._channels(class_names),
                filters=self.filters if self.backbone is None else None,
                decoder_filters=self.decoder_filters,
                padding=self.padding,
                deep_supervision=self.deep_supervision,
                attention_gates=self.attention_gates,
                **self._shared(),
            )
        return self._compiled(network, class_names)


@dataclass(frozen=True, kw_only=True)
class DeepLabV3Plus(OnBackbone):
    """DeepLabV3+ (Chen et al., 2018): an atrous backbone, pyramid pooling, and a join at stride 4."""

    model: ClassVar[str] = "deeplab_v3_plus"
    structure: ClassVar[tuple[str, ...]] = (
        *Segmenter.structure,
        "output_stride",
        "atrous_rates",
        "filters",
        "low_level_filters",
    )

    dropout: Dropout = 0.1
    output_stride: Literal[32, 16, 8] = 16
    """Stride of the backbone's deepest map, whose last stages are made atrous for 16 and 8."""
    atrous_rates: Widths = (6, 12, 18)
    """Distances of the cells that pyramid pooling looks at, for --output-stride 16; 8 doubles and 32 halves them."""
    filters: Width = 256
    """Width of pyramid pooling and of the decoder."""
    low_level_filters: Width = 48
    """Width to which the map at stride 4 is brought."""

    def build(self, class_names: Sequence[str]) -> "keras.Model":
        """Return the compiled model."""
        from keras_segen import models

        with self._refusals(f"--output-stride {self.output_stride}"):
            network = models.deeplab_v3_plus(
                self._channels(class_names),
                output_stride=self.output_stride,
                atrous_rates=self.atrous_rates,
                filters=self.filters,
                low_level_filters=self.low_level_filters,
                **self._shared(),
            )
        return self._compiled(network, class_names)


@dataclass(frozen=True, kw_only=True)
class FPN(OnBackbone):
    """Feature pyramid network with a segmentation branch (Kirillov et al., 2019)."""

    model: ClassVar[str] = "fpn"
    structure: ClassVar[tuple[str, ...]] = (*Segmenter.structure, "pyramid_filters", "segmentation_filters")

    dropout: Dropout = 0.1
    pyramid_filters: Width = 128
    """Width of the pyramid. Half the paper's, for a CPU."""
    segmentation_filters: Width = 64
    """Width of the segmentation branch. Half the paper's, for a CPU."""

    def build(self, class_names: Sequence[str]) -> "keras.Model":
        """Return the compiled model."""
        from keras_segen import models

        with self._refusals():
            network = models.fpn(
                self._channels(class_names),
                pyramid_filters=self.pyramid_filters,
                segmentation_filters=self.segmentation_filters,
                **self._shared(),
            )
        return self._compiled(network, class_names)


def _listed(values: Sequence[int]) -> str:
    return " ".join(map(str, values))
