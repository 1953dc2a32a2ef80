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
        epochs=5,
        steps_per_epoch=200,
        batch_size=16,
        image_size=64,
        learning_rate=3e-3,
    )
    export(str(run.path), to=str(run.path / "saved_models" / "unet"))
