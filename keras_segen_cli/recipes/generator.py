"""What the recipes of all generative models have in common."""

from dataclasses import dataclass
from typing import ClassVar

from keras_segen_cli.options import GENERATION_SETS, GREY_SETS, Data, Side
from keras_segen_cli.recipes.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Generator(Recipe):
    """What all generative models have in common."""

    data_sets: ClassVar[tuple[str, ...]] = GENERATION_SETS
    layout: ClassVar[str] = "one sub-folder of images a class, below train and val or not"

    data: Data
    """shapes, cifar10, mnist, fashion_mnist, celeb_a, or a folder with one sub-folder a class."""
    image_size: Side = 32
    """Side of the images, in pixels: 16, 32, 64, 128, …"""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape of an image, grey or RGB."""
        return (self.image_size, self.image_size, 1 if self.data in GREY_SETS else 3)
