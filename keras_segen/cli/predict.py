"""`keras-segen predict`: label maps of a user's own images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from keras_segen import plotting
from keras_segen.data.images import read_image
from keras_segen.errors import InputError
from keras_segen.files import replacing, require_place
from keras_segen.runs import Run


def predict(run_folder: str, image_files: Sequence[str], *, out: str, verbose: bool) -> None:
    """Write `NAME.png`, the label map with the palette of Pascal VOC, and `NAME_overlay.png` for each image.

    Args:
        run_folder: what `train` wrote.
        image_files: JPEG, PNG or BMP files.
        out: folder for the results.
        verbose: show a progress bar.

    Raises:
        InputError: before anything is written, for images that cannot be used, share a name, or have a result already.
    """
    model = Run(run_folder).load_best()
    images = {Path(name): read_image(name) for name in image_files}
    folder = Path(out)
    require_place(folder)
    results: dict[Path, Path] = {}
    for path in images:
        for result in (folder / f"{path.stem}.png", folder / f"{path.stem}_overlay.png"):
            if result in results:
                raise InputError(f"{path}: both it and {results[result]} would become {result}: use two folders")
            results[result] = path
            if result.exists():
                raise InputError(f"{result}: exists already: give --out another folder")
    folder.mkdir(parents=True, exist_ok=True)

    @tf.function(reduce_retracing=True)
    def label(image: Any) -> Any:
        return tf.argmax(model(image, training=False), -1)

    bar = keras.utils.Progbar(len(images), unit_name="image") if verbose else None
    for path, image in images.items():
        label_map = label(tf.cast(image[None], tf.float32))[0].numpy().astype(np.uint8)
        picture = Image.fromarray(label_map, mode="P")
        picture.putpalette(plotting.voc_palette().tobytes())
        for result, content in (
            (folder / f"{path.stem}.png", picture),
            (folder / f"{path.stem}_overlay.png", Image.fromarray(plotting.overlay(image, label_map))),
        ):
            with replacing(result) as temporary:
                content.save(temporary)
        if bar:
            bar.add(1)
    print(f"{len(images)} label maps and overlays in {folder}")
