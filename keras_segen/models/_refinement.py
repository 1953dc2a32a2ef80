"""Boundary refinement: a stage that can be appended to any segmenter."""

import keras
from keras import layers

from keras_segen.layers import CropLike, FusedBatchNormalization, ValueRange


def refined(model: keras.Model, *, filters: int = 32) -> keras.Model:
    """Append a small network to a segmenter that takes the image and the logits, and corrects the logits.

    It learns a residual, zero at first, as in the boundary refinement of Peng et al., 2017 (arXiv:1703.02719, section
    3.2); it takes the image once more, as in the refinement stage of Xu et al., 2017 (arXiv:1703.03872, section 4.2).
    Its four convolutions, at half the image's resolution, see 7 pixels to each side: it moves boundaries, and does not
    find objects. Both stages are trained together, by the same loss. The coarser the segmenter's own output, the more
    there is to gain; a U-Net, which ends at full resolution, gains little.

    Args:
        model: A segmenter with one output: images (batch, height, width, channels) in [0, 255] -> logits (batch,
            height, width, num_classes).
        filters: The channels of the stage's convolutions.

    Returns:
        A Functional model like the one given, with the same name and sharing its layers and weights.

    Raises:
        ValueError: For a model that is not a segmenter, or has several outputs; or `filters` under 1.

    Example:
        >>> model = ks.models.refined(ks.models.unet(21, filters=(4, 8)), filters=8)
        >>> model.output_shape
        (None, None, None, 21)
    """
    if filters < 1:
        raise ValueError(f"`filters` must be at least 1. Received: filters={filters}")
    if len(model.outputs) != 1:
        raise ValueError(
            "Refinement is for a segmenter with one output; one with deep supervision has several. Received: "
            f"model={model.name!r}, with {len(model.outputs)}"
        )
    image, logits = model.inputs[0], model.outputs[0]
    if len(model.inputs) != 1 or len(image.shape) != 4 or len(logits.shape) != 4:
        raise ValueError(
            "Refinement is for a segmenter: images (batch, height, width, channels) -> logits (batch, height, width, "
            f"num_classes). Received: model={model.name!r}, {model.input_shape} -> {model.output_shape}"
        )
    # Where the segmenter brings the image's values to [0, 255], this stage looks at these.
    scaled = next((layer.output for layer in model.layers if isinstance(layer, ValueRange)), image)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="refine_scale")(scaled)
    x = layers.Concatenate(name="refine_join")([x, logits])
    for i, (kernel, stride) in enumerate([(4, 2), (3, 1), (3, 1)], start=1):
        x = layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"refine_conv{i}",
        )(x)
        x = FusedBatchNormalization(name=f"refine_norm{i}")(x)
        x = layers.ReLU(name=f"refine_relu{i}")(x)
    x = layers.Conv2DTranspose(
        logits.shape[-1],
        4,
        strides=2,
        padding="same",
        kernel_initializer="zeros",
        dtype="float32",
        name="refine_logits",
    )(x)
    residual = CropLike(dtype="float32", name="refine_crop")([x, image])  # of odd sizes
    return keras.Model(image, layers.Add(dtype="float32", name="refined")([logits, residual]), name=model.name)
