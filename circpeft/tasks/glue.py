"""Text tasks with data on the hub: the six GLUE tasks of both papers (CDVFT Table 1, C3A Table 2)."""

from .text import Task

HUB = "nyu-mll/glue"
# GLUE's own files are tab-separated. Some columns have other names than on the hub; CoLA's train and dev have none.
COLA = ("source", "label", "star", "sentence")
MRPC = (("Quality", "label"), ("#1 String", "sentence1"), ("#2 String", "sentence2"))
STSB = (("score", "label"),)

TASKS = {
    task.name: task
    for task in (
        Task("cola", ("sentence",), ("unacceptable", "acceptable"), "matthews", (HUB, "cola"), headerless=COLA),
        Task("sst2", ("sentence",), ("negative", "positive"), "accuracy", (HUB, "sst2")),
        Task(
            "mrpc",
            ("sentence1", "sentence2"),
            ("not_equivalent", "equivalent"),
            "accuracy",
            (HUB, "mrpc"),
            publisher_names=MRPC,
        ),
        Task("qnli", ("question", "sentence"), ("entailment", "not_entailment"), "accuracy", (HUB, "qnli")),
        Task("rte", ("sentence1", "sentence2"), ("entailment", "not_entailment"), "accuracy", (HUB, "rte")),
        Task(
            "stsb",
            ("sentence1", "sentence2"),
            (),
            "pearson",
            (HUB, "stsb"),
            label_range=(0.0, 5.0),
            publisher_names=STSB,
        ),
    )
}
