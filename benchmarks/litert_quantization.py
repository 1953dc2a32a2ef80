"""What 8 bits cost and buy: a segmenter's LiteRT files, scored on a folder and timed beside Keras and ONNX Runtime.

    python benchmarks/litert_quantization.py MODEL.keras --data FOLDER [--side 256] [--rounds 15]

The folder is laid out as for `keras-segen train`. Each file is written as `keras-segen export` does, the ranges of
"int8" learnt from 50 training images; then it segments the validation images one by one at their own sizes, and a
random image of one size, in turns with the others.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from harness import Contender, command_line, compare, started

import keras_segen as ks

EXAMPLES = 50
FORMATS: dict[str, Any] = {
    "LiteRT, float32": None,
    "LiteRT, dynamic range": "dynamic_range",
    "LiteRT, int8": "int8",
}


def main() -> None:
    parser = command_line("Score and time a segmenter in 8 bits.", rounds=15)
    parser.add_argument("model", type=Path, metavar="MODEL.keras")
    parser.add_argument("--data", type=Path, required=True, help="a folder with {train,val}/{images,masks}")
    parser.add_argument("--side", type=int, default=256, help="of the image that is timed, pixels")
    options = parser.parse_args()
    model = keras.saving.load_model(options.model, compile=False)
    pairs = ks.data.read_folder("train", options.data).pairs
    examples = [ks.data.read_image(pair.image) for pair in pairs[:: -(-len(pairs) // EXAMPLES)]]
    val = ks.data.folder("val", data_dir=options.data, batch_size=1)
    image = np.random.default_rng(0).integers(0, 256, (options.side, options.side, 3), np.uint8)
    with tempfile.TemporaryDirectory() as scratch:
        files = {"Keras": options.model}
        for i, (name, quantization) in enumerate(FORMATS.items()):
            to = Path(scratch) / f"{i}.tflite"
            files[name] = ks.serving.export_litert(model, to, quantization=quantization, examples=examples).path
        files["ONNX Runtime"] = ks.serving.export_onnx(model, Path(scratch) / "model.onnx").path
        for name, path in files.items():
            iou, segment = ks.metrics.MeanIoU(model.output_shape[-1]), segmenter(path)
            for pixels, mask in val.as_numpy_iterator():
                iou.update_state(mask, segment(pixels[0].astype(np.uint8))[None])
            print(f"{name:22}  {path.stat().st_size / 1e6:5.2f} MB  mean IoU {float(iou.result()):.4f}", flush=True)
        contenders = [
            Contender(name, "litert_quantization", "prediction", (path, image), 1) for name, path in files.items()
        ]
        with started(contenders) as processes:
            compare(
                f"An image of {options.side}×{options.side}",
                processes,
                unit="image",
                rounds=options.rounds,
                clock=options.clock,
            )


def prediction(path: Path, image: np.ndarray) -> Callable[[], np.ndarray]:
    """Return what segments the image."""
    segment = segmenter(path)
    return lambda: segment(image)


def segmenter(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function: an image uint8 (height, width, channels) -> class ids (height, width)."""
    return {".keras": by_keras, ".onnx": by_onnx_runtime, ".tflite": by_litert}[path.suffix](path)


def by_keras(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    model = keras.saving.load_model(path, compile=False)
    return lambda image: next(ks.inference.predict(model, [image]))


def by_onnx_runtime(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda image: session.run(["logits"], {"image": image[None].astype("float32")})[0][0].argmax(-1)


def by_litert(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=2)
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    size: list[tuple[int, ...]] = [()]

    def segment(image: np.ndarray) -> np.ndarray:
        if image.shape != size[0]:
            interpreter.resize_tensor_input(given["index"], (1, *image.shape))
            interpreter.allocate_tensors()
            size[0] = image.shape
        interpreter.set_tensor(given["index"], image[None].astype(given["dtype"]))
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])[0].argmax(-1)

    return segment


if __name__ == "__main__":
    main()
