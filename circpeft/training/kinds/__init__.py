"""The kinds of tasks, by name: texts, images and instructions."""

from .base import TaskKind
from .images import ImageKind
from .instructions import InstructionKind
from .text import TextKind

KINDS: dict[str, TaskKind] = {"text": TextKind(), "images": ImageKind(), "instructions": InstructionKind()}

__all__ = ["KINDS", "ImageKind", "InstructionKind", "TaskKind", "TextKind"]
