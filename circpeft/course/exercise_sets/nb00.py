"""The questions of notebook 00, on the first steps."""

from ..exercise_type import Exercise, Question

EXERCISES: tuple[Exercise, ...] = ()

QUESTIONS = (
    Question(
        "00.q1",
        "Six numbers describe the 6 × 6 matrix above. What is its rank?",
        "c",
        "The rank is not limited by how many numbers describe a matrix. Notebook 01 shows what limits it.",
        choices={"a": "1, because one vector describes it", "b": "3", "c": "6, the largest possible rank"},
        wrong={
            "a": "In a matrix of rank 1, all columns are multiples of one. Here they are shifts of one.",
            "b": "Look at the columns: is one of them a sum of multiples of the others?",
        },
    ),
    Question(
        "00.q2",
        "One layer has 64 inputs and 64 outputs, the next 64 inputs and 8 outputs. How many numbers does C3A train for "
        "both together, with b = 8?",
        576.0,
        "By the table, 64 · 64 / 8 = 512 for the first layer and 64 · 8 / 8 = 64 for the second.",
        wrong={
            512: "That is the first layer. The second one has an adapter, too.",
            4608: "Those are the weights of both layers. A circulant block of 8 × 8 has 8 numbers, not 64.",
            16: "That would be one kernel for each layer. Each block of 8 × 8 has its own.",
        },
    ),
)
