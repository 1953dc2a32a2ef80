"""`keras-segen export`: a run's best model as a servable."""

import shlex
from pathlib import Path

from keras_segen import serving
from keras_segen.runs import Run


def export(run_folder: str, *, to: str) -> Path:
    """Write the next version of the servable `to`; print it and the command that serves it."""
    run = Run(run_folder)
    folder = serving.export(run.load_best(), to, class_names=run.config()["class_names"] or None)
    servable = folder.parent.resolve()
    print(
        f"{folder}\nserve it:  docker run --rm -p 8501:8501 -v {shlex.quote(f'{servable}:/models/{servable.name}')} "
        f"-e {shlex.quote(f'MODEL_NAME={servable.name}')} tensorflow/serving"
    )
    return folder
