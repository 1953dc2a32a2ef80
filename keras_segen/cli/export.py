"""`keras-segen export`: a run's best model as a servable."""

from pathlib import Path

from keras_segen import serving
from keras_segen.runs import Run
from keras_segen.training import VAE, LatentModel


def export(run_folder: str, *, to: str) -> Path:
    """Write the next version of the servable `to`; print it and the command that serves it."""
    model = Run(run_folder).load_best()
    folder = (
        serving.export(model.sampler(), to, encoder=model.encoder if isinstance(model, VAE) else None)
        if isinstance(model, LatentModel)
        else serving.export(model, to)
    )
    servable = folder.parent.resolve()
    print(
        f"{folder}\nserve it:  docker run --rm -p 8501:8501 -v {servable}:/models/{servable.name} "
        f"-e MODEL_NAME={servable.name} tensorflow/serving"
    )
    return folder
