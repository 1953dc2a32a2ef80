"""Pascal VOC's masks as a data set of TensorFlow Datasets', whose own `voc` has boxes alone.

Importing this registers it:

    import keras_segen.data.voc_segmentation
    data = tfds.load("voc_segmentation/2012", split="train[:10%]", data_dir="my_data", as_supervised=True)
    data = data.map(lambda image, mask: (image, mask[..., 0]))

TensorFlow Datasets stores a mask as a picture of one channel, (height, width, 1). The losses and metrics take masks
(height, width): drop the last axis, as above.

It is for what TensorFlow Datasets does well: one format for many data sets, slices of splits, shards on a network's
disks. `keras_segen.data.voc` reads the same folder without it, and crops as it decodes.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from keras_segen.data._voc import CLASS_NAMES, find_voc, read_mask

_CITATION = """@article{everingham2010pascal,
  title = {The Pascal Visual Object Classes (VOC) Challenge},
  author = {Everingham, Mark and Van Gool, Luc and Williams, Christopher K. I. and Winn, John and Zisserman, Andrew},
  journal = {International Journal of Computer Vision},
  volume = {88},
  pages = {303--338},
  year = {2010}
}"""
# By config, the year, and which of its splits is called what.
_SPLITS = {
    "2012": (2012, {"train": "train", "validation": "val"}),
    "2012_trainaug": (2012, {"train": "trainaug", "validation": "val"}),
    "2007": (2007, {"train": "train", "validation": "val", "test": "test"}),
}
_WHAT = {
    "2012": "1,464 and 1,449 images of 2012.",
    "2012_trainaug": "The same with 10,582 images to train on, by the masks of Hariharan et al. (2011).",
    "2007": "209, 213 and 210 images of 2007.",
}


class VOCSegmentation(tfds.core.GeneratorBasedBuilder):
    """Builder of `voc_segmentation`; the devkit is looked for in its `data_dir`, and downloaded there if need be.

    `segmentation_mask`, (height, width, 1), holds class ids, and 255 for void. Losses and metrics take it without the
    last axis.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First."}
    BUILDER_CONFIGS: ClassVar[list[Any]] = [
        tfds.core.BuilderConfig(name=name, description=what) for name, what in _WHAT.items()
    ]

    def _info(self) -> Any:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Pascal VOC's photographs and, for each pixel, which of 20 classes or background it shows.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "segmentation_mask": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "segmentation_mask"),
            metadata=tfds.core.MetadataDict(class_names=list(CLASS_NAMES)),
            homepage="http://host.robots.ox.ac.uk/pascal/VOC/",
            citation=_CITATION,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        # Downloads are our own: they go on where they broke off, know a second host, and leave a VOCdevkit that
        # everything reads, whereas `dl_manager` keeps each archive and its contents under hashed names.
        year, splits = _SPLITS[self.builder_config.name]
        return {name: self._generate_examples(year, split) for name, split in splits.items()}

    def _generate_examples(self, year: int, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for image, mask in find_voc(split, self.data_dir_root, year=year):
            yield (
                image.stem,
                {"image": str(image), "segmentation_mask": read_mask(mask)[..., None], "file_name": image.name},
            )
