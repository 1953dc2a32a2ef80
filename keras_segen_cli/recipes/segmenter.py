"""What the recipes of all segmenters have in common."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from keras_segen_cli.options import (
    MOST_WEIGHT,
    SEGMENTATION_SETS,
    Backbone,
    BatchSize,
    ClassWeights,
    Count,
    CountOrNone,
    CountOrZero,
    Data,
    Dropout,
    Each,
    Factor,
    Name,
    Positive,
    Rate,
    Share,
    Side,
    Strength,
    ValueRange,
)
from keras_segen_cli.recipes.losses import named
from keras_segen_cli.recipes.recipe import Recipe, WrongUseError

if TYPE_CHECKING:
    import keras
    import numpy as np

Loss = Literal["cross_entropy", "focal", "top_k_cross_entropy", "dice", "jaccard", "tversky", "focal_tversky", "lovasz"]
_WITHOUT_BACKGROUND = ("coco",)
_DEFAULT_LOSS: tuple[Loss, ...] = ("cross_entropy", "dice")


@dataclass(frozen=True, kw_only=True)
class Segmenter(Recipe):
    """What all segmenters have in common."""

    data_sets: ClassVar[tuple[str, ...]] = SEGMENTATION_SETS
    layout: ClassVar[str] = "{train,val}/{images,masks}, or images and masks"
    structure: ClassVar[tuple[str, ...]] = ("backbone", "backbone_width", "output_codes", "one_logit")

    data: Data
    """shapes, voc, voc_trainaug, voc2007, coco, oxford_iiit_pet, or a folder {train,val}/{images,masks}."""
    backbone: Backbone | None = None
    """Network on which the segmenter stands: one of keras.applications, such as mobilenet_v2, efficientnet_b0; or a
    file, NAME.keras, of a Functional model of images in [0, 255], with its weights."""
    backbone_weights: Name = "imagenet"
    """Weights of the backbone: imagenet, which are downloaded, none, or a file."""
    backbone_width: Factor = 1.0
    """Width of a MobileNet (alpha)."""
    channels: CountOrNone = None
    """Channels of a folder's images. Default: 3 (RGB) for pictures of 8 bits, else as many as the files have."""
    value_range: ValueRange = None
    """Values of a folder's images that become black and white in the network, low and high. Default: 0 255 for 8 bits;
    else the range of the training images, without a thousandth of each image's pixels at either end."""
    augmentation: Literal["photo", "microscopy", "aerial", "none"] = "photo"
    """Variation of the training images. photo: scale, mirror, colours; what is up stays up. microscopy: also turned,
    deformed, blurred, with noise. aerial: also turned. none: crops alone."""
    augmentation_strength: Strength = 1.0
    """Factor of how far they are varied."""
    copy_paste: Share = 0.0
    """Share of the training images into which objects of another one are pasted. Class 0 is the background."""
    dropout: Dropout = 0.0
    """Dropout at the coarsest level."""
    frozen_epochs: CountOrZero = 0
    """Epochs at the start in which the backbone is frozen."""
    released_learning_rate: Rate | None = None
    """Learning rate after them. Default: a tenth of --learning-rate."""
    frozen_stages: CountOrZero = 0
    """First stages of the backbone that stay frozen. With most, the first ends at stride 2, the fifth at 32."""
    loss: Annotated[tuple[Loss, ...], Each] | None = None
    """Losses, which are added. Default: cross_entropy dice, or the loss of --output-codes."""
    class_weights: ClassWeights = None
    """Weights of the classes in the loss, one a class; a file that holds them, one a line; or balanced: the median of
    the classes' frequencies over each one's own. Default: 1."""
    oversampling: Share = 0.0
    """Share of the training images below which a class is rare: images with rare classes come more often. 0.1 is a
    start."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """Optimizer. adam with --weight-decay is AdamW; sgd has momentum 0.9."""
    weight_decay: Share = 0.0
    """Weight decay of a step, times the learning rate."""
    schedule: Literal["cosine", "polynomial", "constant"] = "cosine"
    """Course of the learning rate. cosine and polynomial (power 0.9) fall to 0."""
    warm_up_steps: CountOrZero = 0
    """Steps over which a cosine's learning rate rises from 0; after --frozen-epochs, if there are some."""
    clip_norm: Positive | None = None
    """Largest norm of all gradients together. Default: no limit."""
    refinement: bool = False
    """Append a stage that refines boundaries."""
    one_logit: bool = False
    """Tell two classes apart by one logit and a sigmoid, instead of two and a softmax."""
    output_codes: Name | None = None
    """Error-correcting output codes instead of a softmax: hadamard, or the bits of a random code."""

    def check(self) -> None:
        """Raise `WrongUseError` for settings that do not go together."""
        super().check()
        self._check_backbone()
        if self.data == "shapes" and (self.augmentation, self.augmentation_strength) != ("photo", 1):
            raise WrongUseError("--augmentation: shapes are drawn anew for each training: remove the option")
        if self.copy_paste and self.data == "shapes":
            raise WrongUseError("--copy-paste: shapes are drawn anew for each training: remove the option")
        if self.copy_paste and self.data in _WITHOUT_BACKGROUND:
            raise WrongUseError(
                f"--copy-paste: class 0 of {self.data} is no background that objects lie on: remove the option"
            )
        if self.copy_paste and self.batch_size == 1:
            raise WrongUseError("--copy-paste takes objects of the batch's next image: give --batch-size 2 or more")
        if self.output_codes is not None:
            if self.output_codes != "hadamard" and not (
                self.output_codes.isdecimal() and 1 <= int(self.output_codes) <= 4096
            ):
                raise WrongUseError(f"--output-codes {self.output_codes}: give hadamard, or bits from 1 to 4096")
            if self.one_logit:
                raise WrongUseError("--output-codes has a code word a class: remove --one-logit")
            if self.loss is not None or self.class_weights is not None:
                raise WrongUseError("--output-codes has a loss of its own: remove --loss and --class-weights")
        if self.released_learning_rate is not None and not self.frozen_epochs:
            raise WrongUseError("--released-learning-rate needs --frozen-epochs")
        if self.frozen_epochs >= self.epochs:
            raise WrongUseError(
                f"--frozen-epochs {self.frozen_epochs} leaves the whole network none of the {self.epochs} epochs"
            )
        if self.warm_up_steps and self.schedule != "cosine":
            raise WrongUseError("--warm-up-steps needs --schedule cosine")
        self._check_class_weights()
        if self.oversampling and self.data == "shapes":
            raise WrongUseError("--oversampling: shapes are drawn anew for each training: remove the option")

    def _check_class_weights(self) -> None:
        weights = self.class_weights
        if weights is None:
            return
        words = [weight for weight in weights if isinstance(weight, str)]
        if words and len(weights) > 1:
            raise WrongUseError(f"--class-weights {words[0]}: give numbers alone, or balanced, or one file")
        if words and words[0] != "balanced":
            self.weights_of_file(words[0])
        if not words and not all(0 <= weight <= MOST_WEIGHT for weight in weights if not isinstance(weight, str)):
            raise WrongUseError(f"--class-weights must be numbers from 0 to {MOST_WEIGHT:,.0f}")
        if not any(weights):
            raise WrongUseError("--class-weights are all 0: give one class a weight at least")

    @staticmethod
    def weights_of_file(file: str) -> tuple[float, ...]:
        """Read the weights of the classes, one a line; `WrongUseError` for what is no such file."""
        try:
            weights = tuple(float(line) for line in Path(file).read_text(encoding="utf-8-sig").split())
        except (OSError, ValueError) as error:
            raise WrongUseError(
                f"--class-weights {file}: is neither balanced nor a file of numbers, one a line ({error})"
            ) from error
        if not weights or not all(0 <= weight <= MOST_WEIGHT for weight in weights) or not any(weights):
            raise WrongUseError(
                f"--class-weights {file}: must hold numbers from 0 to {MOST_WEIGHT:,.0f}, not all of them 0"
            )
        return weights

    def _check_backbone(self) -> None:
        weights, width = self.backbone_weights, self.backbone_width
        if width != 1 and (self.backbone_file or not (self.backbone or "").startswith("mobilenet")):
            raise WrongUseError(f"--backbone-width {width:g} is for MobileNets: add --backbone mobilenet, or remove it")
        if self.backbone is None and (self.frozen_epochs or self.frozen_stages):
            raise WrongUseError(f"{'--frozen-epochs' if self.frozen_epochs else '--frozen-stages'} needs --backbone")
        if self.backbone_file and not Path(self.backbone_file).is_file():
            raise WrongUseError(f"--backbone {self.backbone}: is not a file: name one that keras.Model.save wrote")
        if weights == "imagenet":
            return
        if self.backbone is None:
            raise WrongUseError(f"--backbone-weights {weights} needs --backbone")
        if self.backbone_file:
            raise WrongUseError(f"--backbone {self.backbone} brings its weights: remove --backbone-weights")
        if weights != "none" and not Path(weights).is_file():
            raise WrongUseError(f'--backbone-weights {weights}: is not a file: give "imagenet", "none", or a file')
        if self.start_from is not None:
            raise WrongUseError("--start-from brings the backbone's weights: remove --backbone-weights")

    @property
    def backbone_file(self) -> str | None:
        """The file of a backbone that is a user's own."""
        return self.backbone if self.backbone is not None and self.backbone.endswith(".keras") else None

    def _shared(self) -> dict[str, Any]:
        """Return the arguments that all builders share."""
        no_weights = self.backbone_weights == "none" or self.start_from is not None
        return {
            "backbone": self.backbone if self.backbone_file is None else self._backbone_of_file(self.backbone_file),
            "backbone_weights": None if no_weights else self.backbone_weights,
            "backbone_width": self.backbone_width,
            "input_channels": self.channels or 3,
            "value_range": self.value_range,
            "dropout": self.dropout,
        }

    @staticmethod
    def _backbone_of_file(file: str) -> "keras.Model":
        from keras_segen.errors import InputError
        from keras_segen.runs import load_model

        try:
            return load_model(file)
        except InputError as error:
            reason = str(error.__cause__).strip().splitlines()[0]
            raise WrongUseError(
                f"--backbone {file}: cannot be loaded ({reason}): save a Functional model that is made of Keras's own "
                "layers"
            ) from error

    @contextmanager
    def _refusals(self, *options: str) -> Iterator[None]:
        """Name the options behind what a builder refuses."""
        from keras_segen.errors import InputError

        try:
            yield
        except (InputError, WrongUseError):  # which say all
            raise
        except ValueError as error:
            given = options if self.backbone is None else (f"--backbone {self.backbone}", *options)
            raise WrongUseError(f"{' '.join(given)}: {error}") from error

    def _channels(self, class_names: Sequence[str]) -> int:
        """Return how many logits a pixel has: one a class, one in all for two classes, or one a bit of its code."""
        if self.one_logit:
            if len(class_names) != 2:
                raise WrongUseError(
                    f"--one-logit tells two classes apart, and the data have {len(class_names)} "
                    f"({', '.join(class_names)}): remove it"
                )
            return 1
        codebook = self._codebook(len(class_names))
        return len(class_names) if codebook is None else codebook.shape[1]

    def _compiled(self, network: "keras.Model", class_names: Sequence[str]) -> "keras.Model":
        """Return the network, images -> `_channels` logits a pixel, with its head, ready for `fit`."""
        import keras

        from keras_segen import losses, metrics, models
        from keras_segen.layers import OutputCodes, minimum_distance

        num_classes = len(class_names)
        if self.class_weights is not None and len(self.class_weights) != num_classes:
            raise WrongUseError(
                f"--class-weights has {len(self.class_weights)} weights, and the data have {num_classes} classes "
                f"({', '.join(class_names)}): give one a class"
            )
        if self.frozen_stages:
            try:
                models.freeze(network, stages=self.frozen_stages)
            except ValueError as error:
                raise WrongUseError(f"--frozen-stages {self.frozen_stages}: {error}") from error
        if self.refinement:
            network = models.refined(network)
        codebook = self._codebook(num_classes)
        objective: keras.losses.Loss
        if codebook is not None:
            bits, distance = codebook.shape[1], minimum_distance(codebook)
            print(f"output codes of {bits} bits, any two at least {distance} apart", flush=True)
            network = keras.Model(
                network.input, OutputCodes(codebook, name="classes")(network.output), name=network.name
            )
            objective = losses.OutputCodeCrossEntropy(bits)
        else:
            weights = None if self.class_weights is None else [float(weight) for weight in self.class_weights]
            parts = [named(name)(class_weights=weights) for name in self.loss or _DEFAULT_LOSS]
            objective = losses.Sum(parts)
        rate = self.learning_rate if self.frozen_epochs else self.rate(self.learning_rate, self.epochs)
        options: dict[str, Any] = {"weight_decay": self.weight_decay or None, "global_clipnorm": self.clip_norm}
        optimizer = (
            keras.optimizers.SGD(rate, momentum=0.9, **options)
            if self.optimizer == "sgd"
            else keras.optimizers.Adam(rate, **options)
        )
        network.compile(
            optimizer=optimizer,
            loss=objective,
            metrics=[metrics.MeanIoU(num_classes), metrics.PixelAccuracy(num_classes)],
            jit_compile=self.jit,
        )
        # Else the first step would be traced twice: once to make these variables, and once more without.
        network.optimizer.build(network.trainable_variables)
        return network

    def rate(self, peak: float, epochs: int) -> Any:
        """Return a learning rate, or its course over so many epochs."""
        import keras

        steps = epochs * self.steps
        if self.schedule == "constant":
            return peak
        if self.schedule == "polynomial":
            return keras.optimizers.schedules.PolynomialDecay(peak, steps, end_learning_rate=0.0, power=0.9)
        if not self.warm_up_steps:
            return keras.optimizers.schedules.CosineDecay(peak, decay_steps=steps)
        rise = self.warm_up_steps
        if rise >= steps:
            raise WrongUseError(f"--warm-up-steps {rise} leaves none of the {steps} steps for the fall: give fewer")
        return keras.optimizers.schedules.CosineDecay(
            0.0, decay_steps=steps - rise, warmup_target=peak, warmup_steps=rise
        )

    def _codebook(self, num_classes: int) -> "np.ndarray | None":
        from keras_segen.layers import hadamard_codebook, random_codebook

        if self.output_codes is None:
            return None
        if self.output_codes == "hadamard":
            return hadamard_codebook(num_classes)
        try:
            return random_codebook(num_classes, int(self.output_codes), seed=self.seed)
        except ValueError as error:
            raise WrongUseError(f"--output-codes {self.output_codes}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class OnBackbone(Segmenter):
    """What those have that always stand on a backbone."""

    least_steps: ClassVar[int] = 50

    epochs: Count = 36
    steps_per_epoch: CountOrNone = None
    """Steps of an epoch. Default: one pass over the data, but 50 steps at least."""
    batch_size: BatchSize = 8
    image_size: Side = 320
    """Side of the training crops, in pixels. Validation images have their own sizes."""
    backbone: Backbone = "mobilenet"
