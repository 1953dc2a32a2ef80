"""`keras-segen export`: a run's best model as a servable."""

import shlex
from pathlib import Path

from keras_segen_cli.commands.inputs import require_run
from keras_segen_cli.commands.process import begin
from keras_segen_cli.options import Name


def export(run: Name, /, *, out: Name) -> None:
    """Write the next version of a servable from a run's best model.

    Args:
        run: The run folder.
        out: The servable, saved_models/NAME.
    """
    require_run(run)
    begin()
    from keras_segen_cli.tasks import open_run

    folder = open_run(run).export(Path(out))
    servable = folder.parent.resolve()
    print(
        f"{folder}\nserve it:  docker run --rm -p 8501:8501 -v {shlex.quote(f'{servable}:/models/{servable.name}')} "
        f"-e {shlex.quote(f'MODEL_NAME={servable.name}')} tensorflow/serving"
    )
