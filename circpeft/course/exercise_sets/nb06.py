"""The exercises and questions of notebook 06, on the eight clusters."""

import math

import torch

from ..exercise_inputs import random
from ..exercise_type import Exercise, Question, Twin
from .rank_one import RANK_ONE


def summed_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the sum over networks of the mean cross entropy over points.

    Shapes: logits (networks, points, classes), labels (points,).
    """
    one_hot = torch.eye(logits.shape[-1], dtype=logits.dtype)[labels]
    return -(logits.log_softmax(-1) * one_hot).sum(-1).mean(-1).sum()


def one_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    networks = len(logits)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.repeat(networks)) * networks


def interleaved_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return `one_loss` with the labels of all networks in the order of the points."""
    networks = len(logits)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(networks)) * networks


def _loss_inputs(g: torch.Generator) -> list[tuple]:
    labels = ((0, 1, 1), (0, 2, 1, 2), (3, 0, 1, 2, 3, 3), (0, 1))
    shapes = ((2, 3, 2), (3, 4, 3), (2, 6, 4), (5, 2, 2))
    return [(random(g, *shape), torch.tensor(label)) for shape, label in zip(shapes, labels, strict=True)]


def paired_difference(first: torch.Tensor, second: torch.Tensor) -> tuple[float, float]:
    """Return the mean of first - second, both (networks,), and its standard error from the differences."""
    difference = (first - second).tolist()
    mean = sum(difference) / len(difference)
    variance = sum((value - mean) ** 2 for value in difference) / (len(difference) - 1)
    return mean, math.sqrt(variance / len(difference))


def difference_and_error(first: torch.Tensor, second: torch.Tensor) -> tuple[float, float]:
    difference = first - second
    return float(difference.mean()), float(difference.std()) / math.sqrt(len(difference))


def _pairs(g: torch.Generator) -> list[tuple]:
    return [(base := random(g, n), base + 0.3 * random(g, n) - 0.2) for n in (4, 2, 3, 8, 30)]


def _mean(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).mean())


_OTHERS = (
    Exercise(
        "06.3",
        "One loss for many networks",
        2,
        10,
        "Write the loss as a sum over networks of a mean over points. torch.nn.functional.cross_entropy takes logits "
        "(N, classes) and returns the mean over all N; with reduction='sum' it returns the sum.",
        summed_loss,
        _loss_inputs,
        allowed="anything in `torch`.",
        solution=one_loss,
        twins=(
            Twin(
                "mean over the networks",
                "You returned the mean over the networks too. Then every gradient is smaller by their number.",
                lambda logits, labels: summed_loss(logits, labels) / len(logits),
            ),
            Twin(
                "sum over the points",
                "You returned the sum over the points too. The loss of one network is the mean over its points.",
                lambda logits, labels: summed_loss(logits, labels) * len(labels),
            ),
            Twin(
                "softmax twice",
                "You gave cross_entropy probabilities. It takes logits and applies the softmax itself.",
                lambda logits, labels: summed_loss(logits.softmax(-1), labels),
            ),
            Twin(
                "labels in another order",
                "You repeated each label before the next one. The flattened logits have all points of the first "
                "network first: repeat the whole row of labels.",
                interleaved_loss,
            ),
        ),
    ),
    Exercise(
        "06.6",
        "A difference with its standard error",
        2,
        10,
        "Take the difference for each network first. The standard error of a mean is the standard deviation (with "
        "n - 1) divided by the square root of n.",
        paired_difference,
        _pairs,
        importance=3,
        allowed="anything in `torch` or `math`.",
        solution=difference_and_error,
        twins=(
            Twin(
                "pairs ignored",
                "You combined the spreads of both groups. Both networks of a pair have the same points and start, so "
                "take the spread of their differences.",
                lambda first, second: (
                    _mean(first, second),
                    math.sqrt(float(first.var() + second.var()) / len(first)),
                ),
            ),
            Twin(
                "standard deviation returned",
                "You returned the spread of one difference. The mean of n is more certain by the square root of n.",
                lambda first, second: (_mean(first, second), float((first - second).std())),
            ),
            Twin(
                "divided by n",
                "You divided the squares by n. The mean comes from the same numbers, so divide by n - 1.",
                lambda first, second: (
                    _mean(first, second),
                    float((first - second).std(unbiased=False)) / math.sqrt(len(first)),
                ),
            ),
            Twin(
                "second minus first",
                "You subtracted the first group from the second.",
                lambda first, second: paired_difference(second, first),
            ),
            Twin(
                "divided by n, not its root",
                "You divided the standard deviation by n. Divide it by the square root of n.",
                lambda first, second: (_mean(first, second), float((first - second).std()) / len(first)),
            ),
            Twin(
                "variance of the mean returned",
                "You returned the square of the standard error. Take its square root.",
                lambda first, second: (_mean(first, second), float((first - second).var()) / len(first)),
            ),
        ),
    ),
)

EXERCISES = tuple(sorted((*RANK_ONE, *_OTHERS), key=lambda item: item.id))

QUESTIONS = (
    Question(
        "06.q1",
        "A low-rank layer from 128 to 128 features is B A with rank one. How many numbers does it train?",
        256,
        "A has 1 x 128 numbers and B has 128 x 1. C3A with b = 64 has 2 x 2 kernels of 64 numbers: just as many.",
        wrong={
            128: "That is one of the two vectors.",
            16384: "That is the dense layer.",
            1: "That is how many numbers pass through it, per point.",
        },
    ),
    Question(
        "06.q2",
        "Two middle layers have 256 parameters each: C3A with b = 64, and rank one. Both networks train for 100 "
        "epochs. What do you expect?",
        "b",
        "Every C3A network is far ahead of every rank-one network at epoch 100. Section 5 asks what that shows.",
        choices={"a": "about the same accuracy", "b": "C3A is far ahead", "c": "rank one is far ahead"},
        wrong={
            "a": "The equal numbers of parameters suggest it. But only one number per point passes through rank one.",
            "c": "Only one number per point passes through the rank-one layer.",
        },
    ),
    Question(
        "06.q3",
        "Now the middle layer is the identity: it learns nothing. Which accuracy does the network reach in 100 epochs?",
        "c",
        "The first and the last layer can do it without the middle. So the test cannot tell what the middle learns.",
        choices={"a": "12.5 %, which is chance", "b": "about 40 %, as rank one", "c": "above 95 %"},
        wrong={
            "a": "The first and the last layer are trained.",
            "b": "The identity passes all 128 features on, and the first and the last layer are trained.",
        },
    ),
    Question(
        "06.q4",
        "Take away the biases after a rank-one layer. Among how many of the eight classes can such a network choose?",
        2,
        "All outputs are positive multiples of one of two vectors, one for s > 0 and one for s < 0.",
        wrong={
            8: "ReLU(u s) is s ReLU(u) for s > 0. So all points with s > 0 have the same largest output.",
            1: "That holds for the points with s > 0. There are also points with s < 0.",
        },
    ),
    Question(
        "06.q5",
        "The backward pass of PEFT's C3A gives a wrong gradient to the layer below. Will the accuracy at epoch 100 "
        "show it?",
        "c",
        "The layer below has so little to do that a wrong gradient costs nothing by epoch 100. gradcheck finds it.",
        choices={
            "a": "yes, training does not get beyond chance",
            "b": "yes, it stays below 90 %",
            "c": "no, it is above 95 % anyway",
        },
        wrong={
            "a": "The two layers above still get their right gradients.",
            "b": "Remember the identity: how much does the layer below have to learn?",
        },
    ),
)
