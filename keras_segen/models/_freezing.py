"""Freezing of a segmenter's backbone, wholly or in part."""

import keras

from keras_segen.errors import InputError


def freeze(model: keras.Model, *, stages: int | None = None, backbone: str = "backbone") -> None:
    """Freeze the first stages of a segmenter's backbone, and release the others.

    Neither the weights of a frozen stage nor the statistics of its batch normalisation change in training. Stage 1
    holds all layers up to the backbone's first map, stage 2 those up to its second, and so on; with most backbones
    these maps have the strides 2, 4, 8, 16 and 32. Compile the model afterwards, since an optimizer must know what it
    trains.

    Args:
        model: A segmenter that stands on a backbone.
        stages: How many stages to freeze: 0 releases them all, None freezes them all.
        backbone: The name of the backbone's layer.

    Raises:
        InputError: If the model has no such layer.
        ValueError: For a number of stages that the backbone does not have.

    Example:
        >>> model = ks.models.fpn(21, backbone="mobilenet_v2", backbone_weights=None)
        >>> ks.models.freeze(model, stages=2)
        >>> model.compile("adam", ks.losses.CrossEntropy())
    """
    names = [layer.name for layer in model.layers]
    if backbone not in names:
        raise InputError(
            f"the model {model.name!r} has no layer {backbone!r} to freeze, only {', '.join(names[:8])}, …: build it "
            "on a backbone"
        )
    encoder = model.get_layer(backbone)
    maps = encoder.outputs if isinstance(encoder, keras.Model) else [encoder.output]
    if stages is not None and not 0 <= stages <= len(maps):
        raise ValueError(f"The backbone has {len(maps)} stages. Received: stages={stages}")
    encoder.trainable = stages is not None and stages < len(maps)
    if stages and encoder.trainable:
        for layer in keras.Model(encoder.inputs, maps[:stages]).layers:
            layer.trainable = False
