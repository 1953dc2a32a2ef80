"""`keras-segen demo`: everything once, offline, in a minute or two."""

from keras_segen.cli.export import export
from keras_segen.cli.train import train


def demo(*, out: str | None, verbose: bool) -> None:
    """Train a small U-Net on the embedded shapes, score it, draw what it sees and export it."""
    run = train(
        "unet",
        data="shapes",
        out=out,
        resume=False,
        verbose=verbose,
        seed=0,
        precision="float32",
        jit_compile="auto",
        epochs=6,
        steps_per_epoch=128,
        batch_size=16,
        image_size=64,
        filters=[16, 32, 64, 128],
    )
    export(str(run.path), to=str(run.path / "saved_models" / "unet"))
