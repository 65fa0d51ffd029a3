"""The course: exercises inside the notebooks, and the runner, the index and the environment check around them."""

from importlib import import_module

# Loaded on first use: the check of the environment must run where papermill or plotly is missing.
_HOME = {
    "CourseRun": "runner",
    "RequestError": "parameters",
    "checks": "doctor",
    "exercise": "exercises",
    "print_report": "doctor",
    "run_course": "runner",
}

__all__ = ["CourseRun", "RequestError", "checks", "exercise", "print_report", "run_course"]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
