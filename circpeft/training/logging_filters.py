"""Filters for messages of the libraries that tell a user of circpeft nothing."""

import logging
import warnings

import datasets
from transformers.utils import logging as hf_logging


def quiet() -> None:
    """Silence messages that appear in every run although nothing is wrong, such as that a new head is new.

    The progress bars of loading weights and data sets are switched off as well. That of training stays.
    """
    for name in ("modeling_utils", "distributed.tensor_parallel"):
        logging.getLogger(f"transformers.{name}").setLevel(logging.ERROR)
    for message in (
        ".*is_gradient_checkpointing.*",
        ".*activation_checkpointing.*",
        "Failed to load the CUDA extension",
        "Setting boft_n",
    ):
        warnings.filterwarnings("ignore", message=message)
    hf_logging.disable_progress_bar()
    datasets.disable_progress_bars()
