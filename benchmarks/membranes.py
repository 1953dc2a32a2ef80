"""A segmenter of membranes, scored as the ISBI 2012 challenge did, but on images whose truth is public.

    python benchmarks/membranes.py RUN --data FOLDER

FOLDER holds val/images and val/masks, 1 in cells and 0 on membranes. Printed are the pixel error (the share of wrong
pixels) and the warping error, both of the labels and as means over the images. The challenge took the best of many
thresholds, on 30 images whose truth is hidden: its figures are another measurement.
"""

import argparse
from pathlib import Path

import numpy as np
from harness import machine

import keras_segen as ks


def main() -> None:
    parser = argparse.ArgumentParser(description="Score a segmenter of membranes by pixel and warping error.")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder of `keras-segen train`")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args()
    model = ks.runs.Run(options.run).load_best()
    channels = model.input_shape[-1]
    images, masks = zip(
        *(
            (image[0], mask[0])
            for image, mask in ks.data.folder(
                "val", data_dir=options.data, channels=channels, batch_size=1
            ).as_numpy_iterator()
        ),
        strict=True,
    )
    errors = np.array(
        [
            (np.mean(mask != label_map), ks.metrics.warping_error(mask, label_map))
            for mask, label_map in zip(masks, ks.inference.predict(model, images), strict=True)
        ]
    )
    print(machine())
    print(f"{options.run.name}, {len(errors)} images: pixel error, warping error")
    for i, (pixel, warping) in enumerate(errors):
        print(f"image {i}  {pixel:.4f}  {warping:.6f}")
    print("mean     {:.4f}  {:.6f}".format(*errors.mean(0)))


if __name__ == "__main__":
    main()
