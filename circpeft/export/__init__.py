"""From a saved adapter to files that other programs read: loaded onto its base model, merged, written whole."""

from .adapter_folder import AdapterFolder
from .merged_model import Merged, merge_folder

__all__ = ["AdapterFolder", "Merged", "merge_folder"]
