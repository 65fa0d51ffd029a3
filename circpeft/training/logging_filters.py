"""Less noise from the libraries."""

import logging
import warnings

import datasets
from transformers.utils import logging as hf_logging


def quiet() -> None:
    """Keep loading from telling at every run that a new head is new, and other things that are as they should be."""
    for name in ("modeling_utils", "distributed.tensor_parallel"):
        logging.getLogger(f"transformers.{name}").setLevel(logging.ERROR)
    for words in (
        ".*is_gradient_checkpointing.*",
        ".*activation_checkpointing.*",
        "Failed to load the CUDA extension",
        "Setting boft_n",
    ):
        warnings.filterwarnings("ignore", message=words)
    hf_logging.disable_progress_bar()  # of loading weights; training keeps its own
    datasets.disable_progress_bars()
