"""`keras-segen demo`: everything once, offline, in a few minutes."""

from pathlib import Path

from keras_segen_cli.commands.process import begin
from keras_segen_cli.options import Name
from keras_segen_cli.recipes import NAMED


def demo(*, out: Name | None = None) -> None:
    """Train, measure, draw and export a small U-Net, offline, in a few minutes.

    Args:
        out: The run folder. Default: the next free runs/unet-shapes-N.
    """
    verbose = begin()
    from keras_segen_cli.commands.export import export
    from keras_segen_cli.tasks.training import train

    run = train(NAMED["unet-demo"].recipe, out=out, resume=False, verbose=verbose)
    export(str(run.path), out=str(Path(run.path, "saved_models", "unet")))
