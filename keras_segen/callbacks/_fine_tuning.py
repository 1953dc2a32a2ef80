"""Two phases of fine-tuning: first the new layers alone, then all at a smaller rate."""

from typing import Any

import keras

from keras_segen.errors import InputError


class FineTuning(keras.callbacks.Callback):
    """Freeze a model's backbone for some epochs, then release it at a smaller learning rate.

    While it is frozen neither its weights nor the statistics of its batch normalisation change: random new layers send
    gradients that would spoil what was learned before. At its release a new optimizer like the old one takes over,
    whose `iterations` count from there: the old one's moments know a part of the weights only. A model saved in either
    phase goes on where it was.

    Args:
        frozen_epochs: the backbone is released before the epoch of this number, counted from 0.
        learning_rate: of the second phase: a number, or a schedule that counts its steps from the release.
        backbone: the name of the layer.
    """

    def __init__(
        self,
        frozen_epochs: int,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        *,
        backbone: str = "backbone",
    ) -> None:
        super().__init__()
        if frozen_epochs < 1:
            raise ValueError(f"`frozen_epochs` must be at least 1. Received: frozen_epochs={frozen_epochs}")
        self.frozen_epochs = frozen_epochs
        self.learning_rate = learning_rate
        self.backbone = backbone

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Freeze or release, where it is not done yet."""
        model: Any = self.model
        names = [layer.name for layer in model.layers]
        if self.backbone not in names:
            raise InputError(
                f"the model {model.name!r} has no layer {self.backbone!r} to freeze, only {', '.join(names[:8])}, …: "
                "build it on a backbone"
            )
        frozen = epoch < self.frozen_epochs
        layer = model.get_layer(self.backbone)
        if layer.trainable is not frozen:
            return  # nothing to change
        layer.trainable = not frozen
        given = model._compile_config.config
        old = keras.optimizers.get(given["optimizer"])  # without the loss scaling that `compile` adds
        config = old.get_config()
        if not frozen:
            rate = self.learning_rate
            schedule = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
            config["learning_rate"] = keras.saving.serialize_keras_object(rate) if schedule else rate
        # Compiling is what makes the change count, in the optimizer, the traced step and a file saved later alike.
        model.compile(**{**given, "optimizer": type(old).from_config(config)})
        model.optimizer.build(model.trainable_variables)
        model.make_train_function(force=True)
