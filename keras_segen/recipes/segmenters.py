"""What the recipes of segmenters share: their options, what goes together, and how a network is compiled."""

from pathlib import Path
from typing import Any

import keras

from keras_segen import losses, metrics, models
from keras_segen.callbacks import FineTuning
from keras_segen.errors import InputError
from keras_segen.layers import OutputCodes, hadamard_codebook, minimum_distance, random_codebook
from keras_segen.recipes import start
from keras_segen.runs import Run

LOSSES: dict[str, Any] = {
    "cross_entropy": losses.CrossEntropy,
    "focal": losses.Focal,
    "top_k_cross_entropy": losses.TopKCrossEntropy,
    "dice": losses.Dice,
    "jaccard": losses.Jaccard,
    "tversky": losses.Tversky,
    "focal_tversky": losses.FocalTversky,
    "lovasz": losses.Lovasz,
}
LOSS = ("cross_entropy", "dice")
DEFAULTS: dict[str, Any] = {
    "learning_rate": 1e-3,  # at the start
    "schedule": "cosine",  # down to 0, or "constant"
    "optimizer": "adam",  # or "sgd", with momentum 0.9
    "weight_decay": 0.0,  # of every step, times the learning rate
    "loss": None,  # one or more of `LOSSES`, which are added; by default `LOSS`, or the codes' own
    "output_codes": None,  # "hadamard", or the bits of a random code: error-correcting output codes instead of softmax
    "weights": "imagenet",  # of the backbone: to be downloaded; a file; or "none"
    "alpha": 1.0,  # MobileNet's width multiplier
    "refinement": False,  # end in a stage that corrects boundaries
    "frozen_epochs": 0,  # in which the backbone stays as it is; then the learning rate is
    "released_learning_rate": None,  # a tenth of the other by default
    "start_from": None,  # a run whose best weights training begins with
    "data_dir": None,  # where named data sets lie
}
# The options that say which weights a network has.
STRUCTURE = ("backbone", "alpha", "output_codes")


def check(config: dict[str, Any]) -> None:
    """Raise `InputError` for options that go with no segmenter."""
    if config["output_codes"] is not None and config["loss"] is not None:
        raise InputError("--output-codes has a loss of its own: leave out --loss")
    if config["alpha"] != 1 and config["backbone"] != "mobilenet":
        raise InputError(f"--alpha {config['alpha']:g} is MobileNet's width: add --backbone mobilenet, or leave it out")
    if config["backbone"] is None and config["frozen_epochs"]:
        raise InputError("--frozen-epochs freezes a backbone: add --backbone")
    if config["backbone"] is None and config["weights"] != DEFAULTS["weights"]:
        raise InputError(f"--weights {config['weights']}: are a backbone's: add --backbone, or leave them out")
    if config["released_learning_rate"] is not None and not config["frozen_epochs"]:
        raise InputError("--released-learning-rate is of what --frozen-epochs froze: give both, or neither")
    if config["frozen_epochs"] >= config["epochs"]:
        raise InputError(
            f"--frozen-epochs {config['frozen_epochs']} leaves the whole network none of the {config['epochs']} epochs"
        )
    weights = config["weights"]
    if config["backbone"] is not None and weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise InputError(f'--weights {weights}: no such file: give "imagenet", "none", or a file of weights')
    if config["start_from"] is not None:
        _check_start(config)


def _check_start(config: dict[str, Any]) -> None:
    start.check(config, STRUCTURE)
    before = Run(config["start_from"]).config()
    if config["weights"] != DEFAULTS["weights"]:
        raise InputError("--start-from brings the backbone's weights: leave out --weights")
    if before.get("refinement") and not config["refinement"]:
        raise InputError(
            f"--start-from {config['start_from']}: ends in a refinement stage, which would be lost: add --refinement, "
            "or start from a run without one"
        )
    if str(config["output_codes"]).isdecimal() and before["seed"] != config["seed"]:
        raise InputError(
            f"--start-from {config['start_from']}: has other code words, which --seed {before['seed']} drew: repeat it"
        )


def backbone_options(config: dict[str, Any]) -> dict[str, Any]:
    """Return what the builders want to know of the backbone."""
    weights = None if config["weights"] == "none" or config["start_from"] else config["weights"]
    return {"backbone": config["backbone"], "backbone_weights": weights, "backbone_width": config["alpha"]}


def channels(config: dict[str, Any]) -> int:
    """Return how many logits a pixel has: a class each, or a bit of the code."""
    codebook = _codebook(config)
    return len(config["class_names"]) if codebook is None else codebook.shape[1]


def compiled(model: keras.Model, config: dict[str, Any]) -> keras.Model:
    """Return the network, images -> `channels` logits for a pixel, with its head, ready for `fit`."""
    num_classes = len(config["class_names"])
    if config["refinement"]:
        model = models.refined(model)
    codebook = _codebook(config)
    if codebook is not None:
        bits, distance = codebook.shape[1], minimum_distance(codebook)
        print(f"output codes of {bits} bits, any two at least {distance} apart", flush=True)
        model = keras.Model(model.input, OutputCodes(codebook, name="classes")(model.output), name=model.name)
        objective: keras.losses.Loss = losses.OutputCodeCrossEntropy(bits)
    else:
        objective = losses.Sum([LOSSES[name]() for name in config["loss"] or LOSS])
    frozen = config["frozen_epochs"]
    rate = config["learning_rate"] if frozen else _rate(config["learning_rate"], config, config["epochs"])
    decay = config["weight_decay"] or None
    optimizer = (
        keras.optimizers.SGD(rate, momentum=0.9, weight_decay=decay)
        if config["optimizer"] == "sgd"
        else keras.optimizers.Adam(rate, weight_decay=decay)
    )
    model.compile(
        optimizer=optimizer,
        loss=objective,
        metrics=[metrics.MeanIoU(num_classes), metrics.PixelAccuracy(num_classes)],
        jit_compile=config["jit_compile"],
    )
    # Else the first step would be traced twice: once to make these variables, and once more without.
    model.optimizer.build(model.trainable_variables)
    return model


def fine_tuning(config: dict[str, Any]) -> list[keras.callbacks.Callback]:
    """Return what releases the backbone, if it is frozen at first."""
    frozen = config["frozen_epochs"]
    if not frozen:
        return []
    rate = config["released_learning_rate"] or config["learning_rate"] / 10
    return [FineTuning(frozen, _rate(rate, config, config["epochs"] - frozen))]


def _rate(rate: float, config: dict[str, Any], epochs: int) -> Any:
    if config["schedule"] == "constant":
        return rate
    return keras.optimizers.schedules.CosineDecay(rate, decay_steps=epochs * config["steps_per_epoch"])


def _codebook(config: dict[str, Any]) -> Any:
    codes, num_classes = config["output_codes"], len(config["class_names"])
    if codes is None:
        return None
    if codes == "hadamard":
        return hadamard_codebook(num_classes)
    try:
        return random_codebook(num_classes, int(codes), seed=config["seed"])
    except ValueError as error:
        raise InputError(f"--output-codes {codes}: {error}") from error
