"""Export of models as SavedModels that need neither Keras nor this package where they are served."""

import contextlib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_segen.errors import InputError
from keras_segen.files import INCOMPLETE, require_place
from keras_segen.models import two_classes
from keras_segen.serving._generator import encode, generator, label_count
from keras_segen.serving._segmenter import segmenter
from keras_segen.types import PathLike, Tensor

SAVED_MODEL = "saved_model.pb"


def export(model: keras.Model, to: PathLike, *, class_names: Sequence[str] | None = None) -> Path:
    """Write a segmenter, a generator, a GAN or a VAE as the next version of a servable.

    Models are Functional, or Sequential with an `Input`, from this package or not. They need not be compiled.

    Signatures of a segmenter, which takes one image and returns logits (batch, height, width, 1 to 255), one a
    class, or a single one for two classes:
        serving_default: `image` uint8 (batch, height, width, channels) of any size ->
            `label_map` uint8 (batch, height, width), the likeliest class of each pixel, and
            `score` float32 (batch, height, width), its probability.
        serve_png (models of 1 or 3 channels): `image_bytes` string (batch,), JPEG or PNG of any sizes ->
            `label_map_bytes` string (batch,), each label map as a grey PNG. Its answers are small, and requests with
            images of different sizes may be batched by the server.
        serve_bytes (models of 1 or 3 channels): `image_bytes` -> `label_map_bytes`, and `label_map` and `score` as
            arrays. If the sizes in a batch differ, the smaller label maps are padded below and to the right with 255,
            and their scores with 0. Bytes are decoded to exactly the pixels that `data.read_image` returns, or are
            refused with a message: other formats, a JPEG in CMYK, and a rotation that is given only in XMP.
        A model with a `value_range` takes `image` as float32, with the values of the files. As bytes it takes PNGs of 8
            or 16 bits with its 1 to 4 channels, which are decoded as `data.read_channels` does.

    Signature of a generator, which takes latents (batch, latent_dim), or [latents, labels], and returns images in
    [-1, 1]; of a GAN; and of a VAE's decoder:
        serving_default: `latent` float32 (batch, latent_dim), drawn by the client, and for a conditional one `label`,
            int32 (batch,), or float32 (batch, num_classes) of attributes -> `image` uint8 (batch, height, width,
            channels). Latents of another size and labels that do not exist are refused.

    Signature of a VAE's encoder, beside its decoder's:
        encode: `image` uint8 (batch, height, width, channels) of the encoder's size, and `label` for a conditional one
            -> `mean` and `log_variance` float32 (batch, latent_dim).

    Signature of any model that is exported with `class_names`:
        class_names: `label` int32 (batch,), class ids -> `class_name` string (batch,); "" for 255 and other ids that
            are not a class. The names are also in the version folder, in `assets.extra/classes.txt`, one a line.

    Args:
        model: A network from images (batch, height, width, channels) in [0, 255], or its `value_range`, to logits; or
            from latents, or [latents, labels], to images in [-1, 1]; or a `training.GAN` or `training.VAE`.
        to: The servable's folder, `saved_models/NAME`.
        class_names: The name of each class, in the order of their ids; None for a servable without names.

    Returns:
        The version folder written, `to/1` at first. Servers never see it half-written: it is renamed into place.

    Raises:
        InputError: If `to` is a file, a version's folder or a SavedModel itself, or cannot be written to; or if Keras
            runs on another backend than TensorFlow.
        OSError: If the version cannot be written; no half-written version stays behind.
        ValueError: If the model cannot be served, or has another number of classes than there are names.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> folder = ks.serving.export(model, "saved_models/nuclei", class_names=["background", "nucleus"])
        >>> served = tf.saved_model.load(folder).signatures["serving_default"]
        >>> served(image=tf.zeros((1, 32, 48, 3), tf.uint8))["label_map"].shape
        TensorShape([1, 32, 48])
    """
    to = Path(to)
    _require_servable(to)
    module, signatures = _module(model, class_names)
    new = [place for place in (to, *to.parents) if not place.exists()]
    to.mkdir(parents=True, exist_ok=True)
    versions = [int(path.name) for path in to.iterdir() if path.name.isdecimal()]
    folder = to / str(max(versions, default=0) + 1)
    incomplete = to / (INCOMPLETE + folder.name)
    shutil.rmtree(incomplete, ignore_errors=True)
    try:
        tf.saved_model.save(module, str(incomplete), signatures)
        if class_names is not None:
            extra = incomplete / "assets.extra"  # servers leave it alone
            extra.mkdir()
            (extra / "classes.txt").write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
        incomplete.rename(folder)
    except tf.errors.OpError as error:  # what TensorFlow makes of a full disk
        message = re.sub(r"\s*\[Op:.*", "", error.message.splitlines()[0])
        reason = re.split("[:;] ", message)[-1]  # before it: the temporary file's path
        raise OSError(f"{folder}: cannot be written: {reason}: fix this, or name another folder") from error
    finally:
        shutil.rmtree(incomplete, ignore_errors=True)
        if not folder.exists():
            with contextlib.suppress(OSError):
                for place in new:
                    place.rmdir()
    return folder


def _require_servable(to: Path) -> None:
    """Raise `InputError` for folders in which a server would not look for versions, or that cannot be written to."""
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"export works on TensorFlow alone, and Keras runs on {keras.backend.backend()}: save the model, and "
            "export it in a process with KERAS_BACKEND=tensorflow"
        )
    require_place(to)
    place = to.resolve()
    inside = next((folder for folder in (place, *place.parents) if (folder / SAVED_MODEL).is_file()), None)
    if place.name.isdecimal():
        raise InputError(f"{to}: is a version's folder by its name: name the servable's folder, {place.parent.name}")
    if inside is not None:
        raise InputError(f"{to}: lies in a SavedModel, where a server looks for no versions: name a folder outside it")
    fix = "name a folder for this servable alone, such as saved_models/NAME"
    if not place.name:
        raise InputError(f"{to}: has no name: {fix}")
    others = [path.name for path in to.iterdir() if path.is_dir() and not _is_version(path)] if to.is_dir() else []
    if others:
        raise InputError(f"{to}: holds the folder {others[0]}, which is not a version: {fix}")


def _is_version(folder: Path) -> bool:
    return folder.name.isdecimal() or folder.name.startswith(INCOMPLETE)


def _module(model: keras.Model, class_names: Sequence[str] | None) -> tuple[tf.Module, dict[str, Any]]:
    """Return what is saved: signatures, and a module that holds their variables."""
    networks = [model]
    if hasattr(model, "sampler"):  # a GAN or a VAE
        networks = [model.sampler(), *([model.encoder] if hasattr(model, "encoder") else [])]
    network = two_classes(networks[0])
    if not getattr(network, "inputs", None):
        raise ValueError(
            "export takes a Functional model, or a Sequential one that begins with its Input, for their shapes are "
            f"known. Received: {network.name}, a {type(network).__name__} without them"
        )
    inputs = [tuple(x.shape) for x in network.inputs]
    # Not `network.outputs`: a deeply supervised segmenter has more of them, which count in training alone.
    outputs = network.output_shape if isinstance(network.output_shape, list) else [network.output_shape]
    one_picture_out = len(outputs) == 1 and len(outputs[0]) == 4
    if [len(shape) for shape in inputs] in ([2], [2, 1], [2, 2]) and one_picture_out:
        if network.output_names == ["decoded"]:
            raise ValueError(
                f"{network.name} decodes latents to a likelihood's parameters, not to images: export the VAE that it "
                "belongs to, or the VAE's `sampler()`"
            )
        classes = label_count(network)
        signatures = generator(network) | (encode(networks[1]) if networks[1:] else {})
    elif [len(shape) for shape in inputs] == [4] and one_picture_out and 2 <= (outputs[0][-1] or 0) <= 255:
        classes = outputs[0][-1]
        signatures = segmenter(network)
    else:
        raise ValueError(
            "export takes a segmenter, one image in, logits (batch, height, width, 1 to 255) out; or a "
            "generator, latents (batch, latent_dim), or latents and labels, in, images out. "
            f"Received: {network.name} with inputs {inputs}, outputs {outputs}"
        )
    if class_names is not None:
        _check_names(class_names, classes)
        signatures["class_names"] = _name_classes(class_names)
    module = tf.Module()
    module.variables_to_save = [variable.value for network in networks for variable in network.variables]
    return module, signatures


def _check_names(class_names: Sequence[str], classes: int | None) -> None:
    if isinstance(class_names, str) or any(not isinstance(x, str) or x.splitlines() != [x] for x in class_names):
        raise ValueError(f"Class names are a list of strings, of one line each. Received: {class_names!r}")
    if classes is not None and len(class_names) != classes:
        raise ValueError(f"The model has {classes} classes. Received: {len(class_names)} names, {list(class_names)}")


def _name_classes(class_names: Sequence[str]) -> Any:
    count = len(class_names)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "label")])
    def name_classes(label: Tensor) -> dict[str, Any]:
        in_range = (label >= 0) & (label < count)
        return {"class_name": tf.gather([*class_names, ""], tf.where(in_range, label, count))}

    return name_classes
