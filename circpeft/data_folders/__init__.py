"""Find and read the files of a local data folder.

`scan` lists a folder once, as an `Inventory`. The first of `layouts.LAYOUTS` that matches the inventory reads it.
"""

from .inventory import Inventory, scan
from .layout import Layout, TaskOptions
from .reading import read_folder, read_with_unused

__all__ = ["Inventory", "Layout", "TaskOptions", "read_folder", "read_with_unused", "scan"]
