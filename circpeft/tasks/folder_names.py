"""Names that the folder of a task's data may have."""

# All tasks but "images", which reads any folder of images.
TASK_NAMES = (
    *("entailment", "cola", "sst2", "mrpc", "qnli", "rte", "stsb"),
    *("digits", "pets", "cars", "dtd", "eurosat", "fgvc", "resisc45", "cifar100"),
    *("word_problems", "gsm8k", "math", "viggo", "sql", "alpaca"),
)


def folder_names(task: str, hub: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the names that a folder of a task's data may have: the task's, then that of its configuration on the hub.

    >>> folder_names("gsm8k", ("openai/gsm8k", "main"))
    ('gsm8k', 'main')
    """
    return task, *(hub or ())[1:]


def names_of_others(task: str) -> tuple[str, ...]:
    """Return the names of the other tasks; none for a task that reads folders of any name.

    >>> "rte" in names_of_others("mrpc"), names_of_others("images")
    (True, ())
    """
    return tuple(name for name in TASK_NAMES if name != task) if task in TASK_NAMES else ()
