"""`keras-segen sample`: images from a generator, as one picture or as files."""

from pathlib import Path

from keras_segen_cli.commands.inputs import require_run
from keras_segen_cli.commands.process import begin
from keras_segen_cli.options import Name, Number, Seed


def sample(
    run: Name,
    /,
    *,
    count: Number,
    out: Name,
    label: str | None = None,
    mixture: bool = False,
    seed: Seed = 0,
) -> None:
    """Generate images with a run's best model.

    Args:
        run: The run folder.
        count: How many images.
        out: FILE.png for one picture, or a folder, which gets a sub-folder for each class.
        label: A class by name or number, or attributes with commas between. Default: all in turn.
        mixture: With a VAE, draw latents from the mixture of its images' latents instead of the prior.
        seed: Seed of the latents.
    """
    require_run(run)
    verbose = begin()
    from keras_segen_cli.tasks import open_run

    open_run(run).sample(count, Path(out), label=label, mixture=mixture, seed=seed, verbose=verbose)
