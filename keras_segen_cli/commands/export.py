"""`keras-segen export`: a run's best model as a servable, or as a file for another engine."""

import shlex
from pathlib import Path
from typing import Literal

from keras_segen_cli.commands.inputs import require_run
from keras_segen_cli.commands.process import begin
from keras_segen_cli.options import Name, Quantization
from keras_segen_cli.recipes import WrongUseError

_SUFFIXES = {"onnx": ".onnx", "litert": ".tflite"}


def export(
    run: Name,
    /,
    *,
    out: Name,
    format: Literal["saved_model", "onnx", "litert"] = "saved_model",
    quantization: Quantization | None = None,
) -> None:
    """Write the next version of a servable from a run's best model, or a file for another engine.

    Args:
        run: The run folder.
        out: The servable, saved_models/NAME; or the file, NAME.onnx or NAME.tflite.
        format: What is written: a servable for TensorFlow Serving, an ONNX file, or a LiteRT (TensorFlow Lite) file.
            Files are checked against Keras.
        quantization: A segmenter's LiteRT file in 8 bits: its weights alone, or all numbers, whose ranges are learnt
            from the run's training images.
    """
    if quantization is not None and format != "litert":
        raise WrongUseError(f"--quantization {quantization} is for LiteRT: add --format litert, or remove it")
    if format in _SUFFIXES and not out.endswith(_SUFFIXES[format]):
        raise WrongUseError(f"--out {out}: a file of --format {format} must end in {_SUFFIXES[format]}")
    if format == "saved_model" and out.endswith(tuple(_SUFFIXES.values())):
        wanted = next(name for name, suffix in _SUFFIXES.items() if out.endswith(suffix))
        raise WrongUseError(f"--out {out}: a servable is a folder: add --format {wanted}, or name a folder")
    require_run(run)
    begin()
    from keras_segen_cli.tasks import open_run

    task = open_run(run)
    if format != "saved_model":
        file = task.convert(Path(out), quantization=quantization)
        labels = "" if file.labels is None else f", {100 * file.labels:.2f} % of the labels the same"
        print(
            f"{file.path}: {file.path.stat().st_size / 1e6:.2f} MB; beside Keras: numbers off by {file.difference:.1e} "
            f"of the greatest at most{labels}"
        )
        return
    folder = task.export(Path(out))
    servable = folder.parent.resolve()
    print(
        f"{folder}\nserve it:  docker run --rm -p 8501:8501 -v {shlex.quote(f'{servable}:/models/{servable.name}')} "
        f"-e {shlex.quote(f'MODEL_NAME={servable.name}')} tensorflow/serving"
    )
