"""Starting a run with the weights of another: `--start-from RUN`."""

from collections.abc import Iterator

import keras

from keras_segen.errors import InputError
from keras_segen.runs import Run
from keras_segen.training import LatentModel
from keras_segen_cli.recipes import FCN, Recipe, Segmenter, as_typed
from keras_segen_cli.recipes.generator import Generator
from keras_segen_cli.tasks import open_run

# A layer and the place of a weight in it, by a name that does not depend on what else the process has built.
_Key = tuple[str, int]


def check_start(recipe: Recipe) -> None:
    """Raise `InputError` if the run that `start_from` names, where it names one, was trained with another network."""
    if recipe.start_from is None:
        return
    run = Run(recipe.start_from)
    run.require_best()
    before = open_run(recipe.start_from).recipe
    if before.model != recipe.model:
        raise InputError(f"--start-from {run.path}: is a {before.model}, not a {recipe.model}: name another run")
    for name in recipe.structure:
        theirs, ours = getattr(before, name), getattr(recipe, name)
        # Which attributes they are may differ, as classes may; but they are another kind of label.
        if theirs != ours and not (name == "attributes" and theirs and ours):
            raise InputError(
                f"--start-from {run.path}: was trained with {as_typed(name, theirs)}, not {as_typed(name, ours)}: give "
                "it the same"
            )
    if isinstance(recipe, Generator) and isinstance(before, Generator) and before.image_shape != recipe.image_shape:
        raise InputError(
            f"--start-from {run.path}: is of another kind of images, {before.image_shape[-1]} channels instead of "
            f"{recipe.image_shape[-1]}: name another run"
        )
    if isinstance(recipe, Segmenter) and isinstance(before, Segmenter):
        _check_segmenters(recipe, before)


def _check_segmenters(recipe: Segmenter, before: Segmenter) -> None:
    if before.refinement and not recipe.refinement:
        raise InputError(
            f"--start-from {recipe.start_from}: ends in a refinement stage, which would be lost: add --refinement, or "
            "start from a run without one"
        )
    if str(recipe.output_codes).isdecimal() and before.seed != recipe.seed:
        raise InputError(
            f"--start-from {recipe.start_from}: has other code words, which --seed {before.seed} drew: repeat it"
        )
    if isinstance(recipe, FCN) and isinstance(before, FCN) and before.stride < recipe.stride:
        raise InputError(
            f"--start-from {recipe.start_from}: is an FCN-{before.stride}s, which is finer than --stride "
            f"{recipe.stride}: train 32, 16 and 8 in this order"
        )


def start(recipe: Recipe, names: tuple[str, ...]) -> keras.Model:
    """Build a network, with the best weights of the run that `start_from` names; print what is taken and what is new.

    Where the classes differ, the part of a weight that belongs to single classes is new: all of a segmenter's last
    layer, or what a generative model makes of labels. It is told by its growth with one class more.

    Args:
        recipe: of the new run.
        names: of its classes.

    Raises:
        InputError: if the weights do not fit.
    """
    network = recipe.build(names)
    if recipe.start_from is None:
        return network
    task = open_run(recipe.start_from)
    run, known = task.run, task.class_names
    if names != known and isinstance(recipe, Segmenter) and recipe.output_codes is not None:
        raise InputError(
            f"--start-from {run.path}: its code words are of the classes {', '.join(known)}, and the data have "
            f"{', '.join(names)}: start from a run on the same classes"
        )
    ours, theirs = dict(_weights(network)), dict(_weights(run.load_best()))
    if lost := sorted(theirs.keys() - ours.keys()):
        raise InputError(f"--start-from {run.path}: has {lost[0][0]}, which would be lost: build the same network")
    same_layers = names == known or (isinstance(recipe, Segmenter) and recipe.one_logit)
    wider = ours if same_layers else dict(_weights(recipe.build([*names, ""])))
    taken, new = [], [layer for layer, _ in ours.keys() - theirs.keys()]
    for (layer, i), weight in theirs.items():
        mine = ours[layer, i]
        growth = [wide - length for wide, length in zip(wider[layer, i].shape, mine.shape, strict=True)]
        part = tuple(slice(length - more * len(names)) for length, more in zip(mine.shape, growth, strict=True))
        values = keras.ops.convert_to_numpy(mine).copy()
        source = keras.ops.convert_to_numpy(weight)
        fixed = [axis for axis, more in enumerate(growth) if not more]
        if source.ndim != values.ndim or any(source.shape[axis] != values.shape[axis] for axis in fixed):
            raise InputError(
                f"--start-from {run.path}: its layer {layer} has weights {source.shape}, here they are {values.shape}: "
                "build the same network"
            )
        values[part] = source[part]
        mine.assign(values)
        taken += [layer] if values[part].size else []
        new += [layer] if any(growth) else []
    listed = ", ".join([*dict.fromkeys(new)][:5]) + (", …" if len(set(new)) > 5 else "")
    print(
        f"start from {run.path}: weights of {len(set(taken))} layers are taken"
        + (f"; {len(set(new))} layers are new, or new in what belongs to the classes: {listed}" if new else ""),
        flush=True,
    )
    return network


def _weights(network: keras.Model) -> Iterator[tuple[_Key, keras.Variable]]:
    if not isinstance(network, LatentModel):
        yield from _named(network, "")
        return
    # The layers of these are named by the order in which a process builds them.
    for role, part in network.networks().items():
        for i, layer in enumerate(part.layers):
            for j, weight in enumerate(layer.weights):
                yield (f"{part.name}{' (average)' * (role == 'average')} {i}", j), weight


def _named(network: keras.Model, prefix: str) -> Iterator[tuple[_Key, keras.Variable]]:
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _named(layer, f"{prefix}{layer.name}/")
        else:
            for j, weight in enumerate(layer.weights):
                yield (prefix + layer.name, j), weight
