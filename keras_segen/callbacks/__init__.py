"""What happens at the end of an epoch, beside what Keras's own callbacks do."""

from keras_segen.callbacks.checkpoint import Backup, Checkpoint, back_up, read_epoch, save
from keras_segen.callbacks.collapse import CollapseWatch
from keras_segen.callbacks.fine_tuning import FineTuning
from keras_segen.callbacks.frechet import FrechetDistance
from keras_segen.callbacks.sample_grids import SampleGrids
from keras_segen.callbacks.validation import Validation

__all__ = [
    "Backup",
    "Checkpoint",
    "CollapseWatch",
    "FineTuning",
    "FrechetDistance",
    "SampleGrids",
    "Validation",
    "back_up",
    "read_epoch",
    "save",
]
