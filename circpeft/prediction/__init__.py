"""Predictions of a trained model on the user's own rows, by the code that scores the test split of a run."""

from .predicting import predict
from .rows import read_rows, rows_of_texts
from .trained import TrainedModel, open_trained

__all__ = ["TrainedModel", "open_trained", "predict", "read_rows", "rows_of_texts"]
