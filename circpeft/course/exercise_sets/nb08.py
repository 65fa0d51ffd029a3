"""The exercises and questions of notebook 08, on language understanding."""

from ..exercise_type import Exercise, Question, Twin


def c3a_parameters(layers: list[tuple[int, int]], block_size: int) -> int:
    """Return the sum over layers (d_in, d_out) of (d_in / b) * (d_out / b) * b: a kernel per block."""
    return sum((d_in // block_size) * (d_out // block_size) * block_size for d_in, d_out in layers)


def counted_by_layer(layers, block_size):
    return sum(d_in * d_out // block_size for d_in, d_out in layers)


TWINS = (
    Twin(
        "dense layers",
        "These are the entries of the whole matrices, b * b for each block. A block has a kernel of b numbers.",
        lambda layers, b: sum(d_in * d_out for d_in, d_out in layers),
    ),
    Twin(
        "blocks counted",
        "This is the number of blocks. Each of them has a kernel of b numbers.",
        lambda layers, b: sum((d_in // b) * (d_out // b) for d_in, d_out in layers),
    ),
    Twin(
        "one kernel for each layer",
        "This counts b numbers for each layer. A layer with longer sides has a grid of several blocks.",
        lambda layers, b: len(layers) * b,
    ),
    Twin(
        "sides added",
        "This is the sum of the inputs and the outputs. A grid of blocks has as many as both counts multiplied.",
        lambda layers, b: sum(d_in + d_out for d_in, d_out in layers),
    ),
)

EXERCISES = (
    Exercise(
        "08.1",
        "Counting C3A's trainable parameters",
        1,
        5,
        "A layer has (d_in / b) * (d_out / b) blocks. Each block has a kernel of b numbers.",
        c3a_parameters,
        lambda g: [
            ([(384, 384), (384, 1536), (1536, 384)], 384),
            ([(4, 4)], 4),
            ([(768, 768)] * 24, 768),
            ([(768, 768)] * 24, 128),
            ([(6, 9), (9, 3)], 3),
            ([], 8),
        ],
        twins=TWINS,
        solution=counted_by_layer,
    ),
)

QUESTIONS = (
    Question(
        "08.q1",
        "For which method are most of the singular values of ΔW zero, after every epoch?",
        "b",
        "LoRA's ΔW is a product B A, whose rank is at most r. Nothing limits the rank of the others.",
        choices={"a": "full fine-tuning", "b": "LoRA", "c": "C3A", "d": "CDVFT"},
        wrong={
            "a": "Full fine-tuning may change every direction.",
            "c": "C3A trains the fewest numbers. But a circulant of random numbers has full rank.",
            "d": "A product of diagonals and a circulant usually has full rank.",
        },
    ),
    Question(
        "08.q2",
        "Two tasks, C3A and CDVFT, and five block sizes make 16 steps to the next smaller block size, each with more "
        "parameters. After how many of these steps is the score distinguishably higher?",
        "c",
        "With three seeds, most of the differences cannot be told from chance.",
        choices={"a": "all 16", "b": "about half of them", "c": "at most four"},
        wrong={
            "a": "More parameters allow more, but a few may already be enough.",
            "b": "The differences between seeds are as large as most of these steps.",
        },
    ),
    Question(
        "08.q3",
        "Full fine-tuning has found a ΔW. Which represents more of it, with as many parameters?",
        "b",
        "In the trained ΔW a few directions dominate, as its singular values show. It is not close to a circulant.",
        choices={
            "a": "the closest block-circulant matrix",
            "b": "the closest matrix of low rank",
            "c": "both the same",
        },
        wrong={
            "a": "A block-circulant matrix represents about 1/b of any matrix, and of this one no more.",
            "c": "The singular values of ΔW fall steeply. Which of the two forms makes use of that?",
        },
    ),
    Question(
        "08.q4",
        "C3A and CDVFT see the features of each layer in a random order. What happens to the score?",
        "b",
        "In each of the four settings, the difference is below two standard errors.",
        choices={"a": "it falls", "b": "it does not differ distinguishably", "c": "it rises"},
        wrong={
            "a": "That would show that the network's own order suits circulants. Read the hint.",
            "c": "A random order is not better than another one, on average.",
        },
    ),
)
