"""Callbacks for `fit`: checkpoints, backups, fine-tuning, validation, and scores and pictures of generators."""

from keras_segen.callbacks._checkpoint import Backup, Checkpoint, back_up, read_epoch, save
from keras_segen.callbacks._collapse import CollapseWatch
from keras_segen.callbacks._fine_tuning import FineTuning
from keras_segen.callbacks._frechet import FrechetDistance
from keras_segen.callbacks._sample_grids import SampleGrids
from keras_segen.callbacks._validation import Validation

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
