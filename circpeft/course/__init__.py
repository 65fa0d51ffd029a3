"""The course: exercises, the notebook runner with its index page, and the check of the environment."""

from importlib import import_module

# Imported on first use: the check of the environment must also run if papermill or plotly is missing.
_MODULE_OF = {
    "CourseRun": "runner",
    "RequestError": "parameters",
    "checks": "doctor",
    "examples": "exercise_examples",
    "exercise": "exercises",
    "hint": "exercises",
    "predict": "exercises",
    "print_report": "doctor",
    "right_answer": "exercises",
    "run_course": "runner",
    "solution": "exercises",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
