"""The files of an output folder: the fields of records, how each kind is read and checked, and who works there.

>>> from circpeft import run_files
>>> run_files.Progress(step=1, of=4).of
4
"""

from .kinds import (
    CourseRecord,
    JudgedScores,
    Progress,
    SweepFile,
    read_course,
    read_judged,
    read_progress,
    read_sweep,
)

__all__ = [
    "CourseRecord",
    "JudgedScores",
    "Progress",
    "SweepFile",
    "read_course",
    "read_judged",
    "read_progress",
    "read_sweep",
]
