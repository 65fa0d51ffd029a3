"""The exercises and questions of notebook 10, on instructions."""

import torch

from ..exercise_inputs import random
from ..exercise_type import Exercise, Question, Twin


def answer_labels(ids: torch.Tensor, prompt: int) -> torch.Tensor:
    """Return the labels of a prompt and its answer: -100 for the first ``prompt`` tokens, then the token IDs."""
    return torch.cat([torch.full_like(ids[:prompt], -100), ids[prompt:]])


def labels_by_copy(ids, prompt):
    labels = ids.clone()
    labels[:prompt] = -100
    return labels


def masked(ids: torch.Tensor, mask: torch.Tensor, value: int = -100) -> torch.Tensor:
    """Return the token IDs with another value where the mask is true."""
    return torch.where(mask, value, ids)


TWINS = (
    Twin(
        "one off, too many",
        "The first token of the answer is masked as well. Positions 0 to prompt - 1 belong to the prompt.",
        lambda ids, prompt: masked(ids, torch.arange(len(ids)) <= prompt),
    ),
    Twin(
        "one off, too few",
        "The last token of the prompt still counts in the loss.",
        lambda ids, prompt: labels_by_copy(ids, prompt - 1),
    ),
    Twin(
        "answer masked",
        "The answer is masked and the prompt counts: the wrong way round.",
        lambda ids, prompt: masked(ids, torch.arange(len(ids)) >= prompt),
    ),
    Twin(
        "shifted by one",
        "The labels are moved one place to the left. The model does that itself: return each label at its own token.",
        lambda ids, prompt: torch.cat([answer_labels(ids, prompt)[1:], torch.full_like(ids[:1], -100)]),
    ),
    Twin(
        "zero instead of -100",
        "The prompt is masked with 0, which is a token like any other. The loss ignores only -100.",
        lambda ids, prompt: masked(ids, torch.arange(len(ids)) < prompt, 0),
    ),
)

EXERCISES = (
    Exercise(
        "10.1",
        "Labels for the answer only",
        1,
        5,
        "Copy ids and overwrite the start of the copy. Leave ids itself unchanged.",
        answer_labels,
        lambda g: [
            (1 + random(g, size).mul(100).abs().long(), prompt) for size, prompt in ((8, 5), (3, 1), (5, 0), (4, 4))
        ],
        twins=TWINS,
        solution=labels_by_copy,
    ),
)

QUESTIONS = (
    Question(
        "10.q1",
        "A prompt has 40 tokens and its answer 9. How many labels count in the loss?",
        10,
        "The 9 tokens of the answer, and the end-of-text token after them: the model has to learn where to stop.",
        wrong={
            9: "How would the model learn to stop after the answer?",
            49: "The prompt is given, so its 40 tokens do not count.",
            50: "The prompt is given, so its 40 tokens do not count.",
        },
    ),
    Question(
        "10.q2",
        "Several runs of C3A with one kernel per layer differ only in their seed. How far apart are the lowest and the "
        "highest test score?",
        "c",
        "One of the seeds stays far behind the others. Whoever runs only that one, or only the best, is misled.",
        choices={"a": "less than 0.02", "b": "about 0.05", "c": "more than 0.2"},
        wrong={
            "a": "That holds for full fine-tuning and LoRA, which train many more numbers.",
            "b": "One of the seeds stays far behind the others.",
        },
    ),
)
