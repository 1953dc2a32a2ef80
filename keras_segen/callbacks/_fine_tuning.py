"""Fine-tuning in two phases: first the new layers alone, then all at a lower rate."""

from typing import Any

import keras

from keras_segen.models import freeze


class FineTuning(keras.callbacks.Callback):
    """Freeze a model's backbone for some epochs, then release it, or its last stages, at a lower learning rate.

    While it is frozen neither its weights nor the statistics of its batch normalisation change, because the gradients
    from random new layers would spoil the pre-trained ones. At its release a new optimizer like the old one takes over,
    whose `iterations` count from there, because the old one's moments cover only a part of the weights. A model saved
    in either phase can be trained on in the same phase.

    Args:
        frozen_epochs: The number of epochs before the backbone is released, at least 1.
        learning_rate: The learning rate of the second phase: a number, or a schedule that counts its steps from the
            release.
        backbone: The name of the backbone's layer.
        frozen_stages: The number of the backbone's first stages that stay frozen; see `models.freeze`.

    Example:
        >>> backbone = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)], name="backbone")
        >>> model = keras.Sequential([backbone, keras.layers.Conv2DTranspose(2, 3)])
        >>> model.compile("adam", ks.losses.CrossEntropy())
        >>> tuning = ks.callbacks.FineTuning(frozen_epochs=1, learning_rate=1e-5)
        >>> history = model.fit(np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8)), epochs=2, verbose=0, callbacks=[tuning])
    """

    def __init__(
        self,
        frozen_epochs: int,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        *,
        backbone: str = "backbone",
        frozen_stages: int = 0,
    ) -> None:
        super().__init__()
        if frozen_epochs < 1:
            raise ValueError(f"`frozen_epochs` must be at least 1. Received: frozen_epochs={frozen_epochs}")
        self.frozen_epochs = frozen_epochs
        self.learning_rate = learning_rate
        self.backbone = backbone
        self.frozen_stages = frozen_stages

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Freeze or release the backbone, unless it is already in the right state."""
        model: Any = self.model
        frozen = epoch < self.frozen_epochs
        before = [layer.trainable for layer in model._flatten_layers()]
        freeze(model, stages=None if frozen else self.frozen_stages, backbone=self.backbone)
        if before == [layer.trainable for layer in model._flatten_layers()]:
            return
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
