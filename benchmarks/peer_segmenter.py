"""A finished segmenter of another project on Pascal VOC, scored as ours are: a LiteRT file that gives a label map.

    python benchmarks/peer_segmenter.py FILE.tflite --data-dir FOLDER

The file takes one image of a fixed size and returns class ids, as DeepLabV3's do that TensorFlow published. An image is
shrunk or enlarged until its longer side fits, and filled up with grey; of the label map the filling is cut off, and
each pixel of the image gets the id of the nearest cell.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from harness import machine
from PIL import Image

import keras_segen as ks

GREY = 127
SEVEN = ("background", "cat", "cow", "dog", "horse", "person", "sheep")  # those that VOC-animals has enough of


def main() -> None:
    parser = argparse.ArgumentParser(description="Score a LiteRT segmenter on Pascal VOC's validation images.")
    parser.add_argument("model", type=Path, metavar="FILE.tflite")
    parser.add_argument("--data-dir", type=Path, required=True, help="the folder that holds VOCdevkit")
    options = parser.parse_args()
    names = ks.data.class_names("voc")
    iou = ks.metrics.MeanIoU(len(names))
    segment = segmenter(options.model)
    images = 0
    for image, mask in ks.data.voc("val", data_dir=options.data_dir, batch_size=1).as_numpy_iterator():
        iou.update_state(mask, segment(image[0].astype(np.uint8))[None])
        images += 1
    by_class = np.asarray(iou.per_class())
    occurring = np.flatnonzero(iou.confusion_matrix.sum(1))
    seven = [names.index(name) for name in SEVEN]
    print(machine())
    print(f"{options.model.name}, {images} images, mean IoU")
    print(f"{by_class[seven].mean():.3f} of {', '.join(SEVEN)}")
    print(f"{by_class[occurring].mean():.3f} of all {len(occurring)} classes in the masks")


def segmenter(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function: an image uint8 (height, width, 3) -> class ids (height, width)."""
    interpreter = Interpreter(str(path), num_threads=2)
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    side = given["shape"][1]

    def segment(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        scale = side / max(height, width)
        size = max(round(height * scale), 1), max(round(width * scale), 1)
        filled = np.full((1, side, side, 3), GREY, np.uint8)
        filled[0, : size[0], : size[1]] = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
        interpreter.set_tensor(given["index"], filled)
        interpreter.invoke()
        ids = interpreter.get_tensor(found["index"])[0].astype(np.uint8)
        rows, columns = ((np.arange(n) + 0.5) * m // n for n, m in ((height, size[0]), (width, size[1])))
        return ids[np.ix_(rows.astype(int), columns.astype(int))]

    return segment


if __name__ == "__main__":
    main()
