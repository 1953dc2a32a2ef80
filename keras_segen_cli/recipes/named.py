"""Named recipes: the rows of the results' tables, each with its score and its time.

`keras-segen recipes` lists them, `keras-segen train NAME` runs one, and any option overrides its setting. Times are by
the clock, on two cores of an AMD EPYC (Zen 4), unless they say otherwise. All have seed 0 and were trained once.
"""

from dataclasses import dataclass, replace

from keras_segen_cli.recipes.gans import CGAN, DCGAN
from keras_segen_cli.recipes.recipe import Recipe
from keras_segen_cli.recipes.segmenters import FCN, DeepLabV3Plus, UNet
from keras_segen_cli.recipes.vaes import VAE

YOURS = ""  # data that are a folder of yours: `train` asks for --data
_NOT_RUN = "not yet run: needs a GPU"


@dataclass(frozen=True)
class Named:
    """A recipe with a name.

    Attributes:
        recipe: the settings.
        on: the data in words.
        score: what to expect.
        time: how long it takes.
    """

    recipe: Recipe
    on: str
    score: str
    time: str


_ANIMALS = "Pascal VOC 2012, 440 images of animals and people"
_FCN_ANIMALS = FCN(
    data="voc",
    backbone_width=0.25,
    loss=("cross_entropy",),
    frozen_epochs=2,
    learning_rate=3e-3,
    released_learning_rate=5e-4,
    epochs=34,
)
_FCN_NUCLEI = FCN(
    data=YOURS,
    backbone_width=0.25,
    loss=("cross_entropy",),
    image_size=256,
    frozen_epochs=1,
    learning_rate=3e-3,
    released_learning_rate=1e-3,
    epochs=13,
)
# Long, Shelhamer and Darrell, 2015, section 4.3.
_FCN_PAPER = FCN(
    data="voc_trainaug",
    backbone="vgg16",
    stride=32,
    loss=("cross_entropy",),
    optimizer="sgd",
    schedule="constant",
    learning_rate=1e-4,
    weight_decay=5e-4,
    batch_size=20,
    image_size=512,
    epochs=100,
)

NAMED: dict[str, Named] = {
    "unet-demo": Named(
        UNet(data="shapes", image_size=64, learning_rate=3e-3, epochs=5, steps_per_epoch=200),
        "drawn scenes",
        "mean IoU 0.923",
        "2 minutes (Zen 5)",
    ),
    "unet-nuclei": Named(
        UNet(data=YOURS), "nuclei of the 2018 Data Science Bowl, 264 images", "mean IoU 0.889", "5.6 minutes (Zen 5)"
    ),
    "unet-membranes": Named(
        UNet(data=YOURS), "membranes of ISBI 2012, 24 of 30 images", "mean IoU 0.782", "9.6 minutes (Zen 5)"
    ),
    # Ronneberger, Fischer and Brox, 2015, section 3, without border weights.
    "unet-membranes-paper": Named(
        UNet(
            data=YOURS,
            filters=(64, 128, 256, 512, 1024),
            padding="valid",
            loss=("cross_entropy",),
            optimizer="sgd",
            learning_rate=1e-2,
            schedule="constant",
            batch_size=1,
            image_size=388,
            augmentation="microscopy",
            epochs=60,
        ),
        "membranes of ISBI 2012",
        _NOT_RUN,
        "",
    ),
    "unet-voc-animals": Named(
        UNet(
            data="voc",
            backbone="mobilenet",
            backbone_width=0.25,
            decoder_filters=(8, 16, 32, 64, 128),
            loss=("cross_entropy",),
            image_size=320,
            batch_size=8,
            steps_per_epoch=55,
            frozen_epochs=2,
            learning_rate=3e-3,
            released_learning_rate=5e-4,
            epochs=34,
        ),
        _ANIMALS,
        "mean IoU of seven classes 0.285",
        "46 minutes of processor time",
    ),
    "fcn8s-voc-animals": Named(_FCN_ANIMALS, _ANIMALS, "mean IoU of seven classes 0.508", "14.7 minutes"),
    "fcn16s-voc-animals": Named(
        replace(_FCN_ANIMALS, stride=16),
        _ANIMALS,
        "mean IoU of seven classes 0.524",
        "23 minutes of processor time",
    ),
    "fcn32s-voc-animals": Named(
        replace(_FCN_ANIMALS, stride=32), _ANIMALS, "mean IoU of seven classes 0.496", "about 15 minutes"
    ),
    "fcn8s-voc-animals-scratch": Named(
        FCN(
            data="voc",
            backbone_width=0.25,
            backbone_weights="none",
            loss=("cross_entropy",),
            learning_rate=1e-3,
            epochs=34,
        ),
        _ANIMALS,
        "mean IoU of seven classes 0.148",
        "18 minutes of processor time",
    ),
    "deeplab-voc-animals": Named(
        DeepLabV3Plus(
            data="voc",
            filters=128,
            dropout=0.3,
            loss=("cross_entropy",),
            frozen_epochs=3,
            learning_rate=1e-3,
            released_learning_rate=2e-4,
            epochs=30,
        ),
        _ANIMALS,
        "mean IoU of seven classes 0.653",
        "about 41 minutes",
    ),
    "fcn8s-nuclei": Named(
        _FCN_NUCLEI, "nuclei of the 2018 Data Science Bowl, 264 images", "mean IoU 0.858", "5.5 minutes"
    ),
    "fcn8s-nuclei-refined": Named(
        replace(_FCN_NUCLEI, refinement=True),
        "nuclei of the 2018 Data Science Bowl, 264 images",
        "mean IoU 0.894",
        "10.8 minutes",
    ),
    "fcn8s-shapes-refined": Named(
        replace(_FCN_NUCLEI, data="shapes", image_size=128, batch_size=16, epochs=4, refinement=True),
        "drawn scenes",
        "mean IoU 0.913",
        "5.3 minutes",
    ),
    "fcn32s-voc-paper": Named(_FCN_PAPER, "Pascal VOC 2012 with SBD", _NOT_RUN, ""),
    "fcn8s-voc2007": Named(
        FCN(data="voc2007", backbone="resnet50", loss=("cross_entropy",), frozen_epochs=5, epochs=100),
        "Pascal VOC 2007",
        _NOT_RUN,
        "",
    ),
    "fcn8s-pets": Named(
        FCN(
            data="oxford_iiit_pet",
            loss=("cross_entropy",),
            image_size=256,
            batch_size=16,
            frozen_epochs=1,
            learning_rate=3e-3,
            released_learning_rate=5e-4,
            epochs=10,
        ),
        "Oxford-IIIT Pet",
        _NOT_RUN,
        "",
    ),
    "fcn8s-coco": Named(
        FCN(data="coco", backbone="resnet50", loss=("cross_entropy",), image_size=512, batch_size=16, epochs=12),
        "COCO, 133 classes",
        _NOT_RUN,
        "",
    ),
    "unet-voc-augmented": Named(
        UNet(
            data="voc_trainaug",
            backbone="resnet50",
            loss=("cross_entropy",),
            image_size=512,
            frozen_epochs=2,
            epochs=50,
        ),
        "Pascal VOC 2012 with SBD",
        _NOT_RUN,
        "",
    ),
    "unet-voc2007": Named(
        UNet(
            data="voc2007",
            backbone="resnet50",
            loss=("cross_entropy",),
            image_size=320,
            frozen_epochs=5,
            epochs=100,
        ),
        "Pascal VOC 2007",
        _NOT_RUN,
        "",
    ),
    "unet-pets": Named(
        UNet(data="oxford_iiit_pet", backbone="mobilenet", image_size=256, frozen_epochs=1, epochs=10),
        "Oxford-IIIT Pet",
        _NOT_RUN,
        "",
    ),
    "unet-coco": Named(
        UNet(data="coco", backbone="resnet50", loss=("cross_entropy",), image_size=512, frozen_epochs=1, epochs=12),
        "COCO, 133 classes",
        _NOT_RUN,
        "",
    ),
    "dcgan-cifar10": Named(
        DCGAN(data="cifar10"), "CIFAR-10", "Fréchet distance 7.91 (packaged classifier)", "30 minutes"
    ),
    "cgan-cifar10": Named(
        CGAN(data="cifar10"), "CIFAR-10", "Fréchet distance 4.49 (packaged classifier)", "38 minutes"
    ),
    "cgan-celeba": Named(
        CGAN(
            data="celeb_a",
            attributes=("Smiling", "Male"),
            image_size=64,
            filters=32,
            diff_augment=True,
            epochs=18,
            steps_per_epoch=250,
        ),
        "3,200 faces of CelebA",
        "far from converged",
        "28 minutes",
    ),
    "vae-cifar10": Named(
        VAE(data="cifar10", latent_side=8, latent_dim=1024, filters=48, epochs=6),
        "CIFAR-10",
        "4.48 bits per dimension",
        "17 minutes",
    ),
}
