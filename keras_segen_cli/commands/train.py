"""`keras-segen train`: one sub-command a model and a named recipe."""

import difflib
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from cyclopts.config import Dict

from keras_segen_cli.commands.inputs import require_data, require_run
from keras_segen_cli.commands.process import begin
from keras_segen_cli.options import EVERY, MaxPixels, Name
from keras_segen_cli.parsing_error import in_words
from keras_segen_cli.recipes import MODELS, NAMED, YOURS, Recipe, WrongUseError, read_settings

# What a run's config.json holds beside settings.
OF_A_RUN = {"model", "class_names", "data_fingerprint", "versions"}

app = App(
    name="train",
    help="Train a model, or a named recipe; write a run folder.",
    default_parameter=EVERY,
)


def _command(recipe: type[Recipe]) -> Callable[..., None]:
    """Return the command that trains a recipe, whose fields are its options."""

    def command(*, recipe: Any, out: Name | None = None, resume: bool = False, max_pixels: MaxPixels = None) -> None:
        """Train a model.

        Args:
            recipe: The settings.
            out: The run folder. Default: the next free runs/MODEL-DATA-N.
            resume: Go on with the run in --out after an interruption, or for more --epochs; repeat its other options.
                Without a run there, begin one. A CPU then gives the same bits as without a stop, and so does a GPU with
                --deterministic; without it, the same up to rounding.
            max_pixels: Refuse larger images. Default: 89478485, Pillow's.
        """
        recipe.check()
        if resume and out is None:
            raise WrongUseError("--resume needs --out, the run folder to go on with")
        require_data(recipe.data, type(recipe))
        if recipe.start_from is not None:
            require_run(recipe.start_from)
        verbose = begin(max_pixels=max_pixels)
        from keras_segen_cli.tasks.training import train

        train(recipe, out=out, resume=resume, verbose=verbose)

    command.__annotations__["recipe"] = Annotated[recipe, Parameter(name="*")]
    if all(each.default is not MISSING for each in fields(recipe)):
        command.__kwdefaults__ = {**(command.__kwdefaults__ or {}), "recipe": recipe(**{})}
    return command


def _with_defaults(recipe: Recipe) -> type[Recipe]:
    """Return a class of recipes whose defaults are a recipe's settings."""
    model = type(recipe)
    changed = {each.name: getattr(recipe, each.name) for each in fields(model)}
    changed = {name: value for name, value in changed.items() if value != getattr(model, name, MISSING)}
    body: dict[str, Any] = {
        "__module__": model.__module__,
        "__qualname__": model.__qualname__,
        "__doc__": model.__doc__,
    }
    types = {each.name: each.type for each in fields(model) if each.name in changed}
    for name, value in changed.items():
        if isinstance(value, tuple):  # shown as it is typed
            types[name] = Annotated[types[name], Parameter(show_default=" ".join(map(str, value)))]
        elif value is True:  # a flag that the recipe sets can be taken back
            types[name] = Annotated[types[name], Parameter(negative=f"--no-{name.replace('_', '-')}")]
    body["__annotations__"] = types
    body |= {name: field() if name == "data" and value == YOURS else value for name, value in changed.items()}
    return dataclass(frozen=True, kw_only=True)(type(model.__name__, (model,), body))


for _name, _model in MODELS.items():
    app.command(_command(_model), name=_name, help=_model.__doc__, group="Models", version_flags=())
for _name, _named in NAMED.items():
    app.command(
        _command(_with_defaults(_named.recipe)),
        name=_name,
        help=f"{_named.recipe.model} on {_named.on}: {_named.score}.",
        group="Named recipes",
        version_flags=(),
    )


@app.default
def train_by_config(
    *options: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)], config: Name | None = None
) -> None:
    """Train a model, or a named recipe; write a run folder.

    Args:
        options: Options that override the file's.
        config: A run's config.json instead of a model or a recipe: train with its settings, which further options
            override.
    """
    if config is None:
        raise WrongUseError(_unknown(options))
    if options and options[0] in (*MODELS, *NAMED):
        raise WrongUseError(f"--config {config} names its model itself: remove {options[0]}")
    settings = read_settings(Path(config))
    if not isinstance(settings["model"], str) or settings["model"] not in MODELS:
        raise WrongUseError(f"{config}: names a model that this version does not know: {settings['model']}")
    model = MODELS[settings["model"]]
    known = {each.name for each in fields(model)}
    if unknown := sorted(settings.keys() - known - OF_A_RUN):
        raise WrongUseError(f"{config}: {unknown[0]} is not a setting of {settings['model']}: remove it")
    given = {name: value for name, value in settings.items() if name in known and value is not None}
    train = App(
        name=f"train --config {config}",
        # The file's flags can be taken back.
        default_parameter=Parameter.combine(EVERY, Parameter(negative=None, negative_iterable=())),
        config=Dict(
            {name.replace("_", "-"): value for name, value in given.items()},
            use_commands_as_keys=False,
            source=config,
        ),
    )
    train.default(_command(model))
    try:
        command, bound, _ = train.parse_args(list(options), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        # The parser puts what comes from a file into brackets.
        sentence, in_the_file = re.subn(r"\[([\w-]+)\]", r"\1", in_words(error))
        raise WrongUseError(f"{config}: {sentence}" if in_the_file and config not in sentence else sentence) from error
    command(*bound.args, **bound.kwargs)


def _unknown(options: tuple[str, ...]) -> str:
    if not options or options[0].startswith("-"):
        return f"train needs a model ({', '.join(MODELS)}), a named recipe (see keras-segen recipes) or --config FILE"
    close = difflib.get_close_matches(options[0], [*MODELS, *NAMED], n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{options[0]}: is not a model ({', '.join(MODELS)}) or a named recipe: {hint}see keras-segen recipes"
