"""Find and read the files of a local data folder."""

from .folders import read_folder, unused

__all__ = ["read_folder", "unused"]
