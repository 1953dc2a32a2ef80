"""The commands of `keras-segen`: one file each, its options above and its action below."""

from importlib.metadata import version

from cyclopts import App

from keras_segen_cli.commands.baseline import baseline
from keras_segen_cli.commands.compare import compare
from keras_segen_cli.commands.compose import compose
from keras_segen_cli.commands.convert import convert
from keras_segen_cli.commands.demo import demo
from keras_segen_cli.commands.evaluate import evaluate
from keras_segen_cli.commands.export import export
from keras_segen_cli.commands.predict import predict
from keras_segen_cli.commands.recipes import recipes
from keras_segen_cli.commands.sample import sample
from keras_segen_cli.commands.train import app as train
from keras_segen_cli.commands.worth import worth
from keras_segen_cli.options import EVERY

app = App(
    name="keras-segen",
    help="Train, score and serve models for images: segmentation and generation.",
    version=lambda: version("keras-segen"),
    default_parameter=EVERY,
)
app.command(train)
for _command in (demo, recipes, convert, compose, evaluate, compare, baseline, predict, sample, worth, export):
    app.command(_command)

__all__ = ["app"]
