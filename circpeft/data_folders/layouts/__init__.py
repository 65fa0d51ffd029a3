"""The layouts of data folders, in the order in which they are tried."""

from ..layout import Layout
from .class_folders import ClassFolders
from .image_metadata import ImageMetadata
from .one_row_files import OneRowFiles
from .saved_datasets import SavedDatasets
from .split_class_folders import SplitClassFolders
from .split_tables import SplitTables

# Folders of images and of one-row files come first: they refuse the tables beside them, which would hide them.
LAYOUTS: list[Layout] = [
    ImageMetadata(),
    SplitClassFolders(),
    OneRowFiles(),
    SavedDatasets(),
    SplitTables(),
    ClassFolders(),
]

__all__ = ["LAYOUTS"]
