"""What a task says about its labels, and its metric."""

import numpy as np
import pytest

from circpeft import tasks
from circpeft.tasks import glue

YES_NO = tasks.Task("t", ("sentence",), ("no", "yes"), "accuracy")
GRADE = tasks.Task("g", ("sentence1", "sentence2"), (), "pearson", label_range=(0.0, 5.0))


def test_predictions_from_logits():
    np.testing.assert_array_equal(YES_NO.predictions(np.array([[2.0, 1.0], [-3.0, -1.0]])), [0, 1])
    np.testing.assert_array_equal(GRADE.predictions(np.array([[2.5], [0.5]])), [2.5, 0.5])
    assert (YES_NO.num_labels, GRADE.num_labels) == (2, 1)


def test_matthews_and_pearson_against_their_definitions():
    labels, predictions = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0]
    assert tasks.get("cola").score(labels, predictions) == pytest.approx((2 * 2 - 1 * 1) / 9)
    x, y = np.array([0.0, 1.0, 4.0, 5.0]), np.array([0.2, 0.9, 3.0, 5.5])
    assert GRADE.score(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])


@pytest.mark.parametrize("name", ["cola", "stsb"])
@pytest.mark.filterwarnings("error")
def test_a_constant_prediction_scores_zero(name):
    assert tasks.get(name).score([0, 1, 1, 0], [1, 1, 1, 1]) == 0.0


def test_every_glue_task_has_its_published_metric():
    metrics = {name: task.metric for name, task in glue.TASKS.items()}
    assert metrics == {"cola": "matthews", "stsb": "pearson"} | dict.fromkeys(
        ("sst2", "mrpc", "qnli", "rte"), "accuracy"
    )


@pytest.mark.parametrize(("wrong", "right"), [("stb", "stsb"), ("RTE", ""), ("entailmnt", "entailment")])
def test_a_misspelt_task_names_the_nearest(wrong, right):
    with pytest.raises(ValueError, match=f"unknown task '{wrong}'.*choices: .*mrpc") as error:
        tasks.get(wrong)
    assert not right or f"did you mean '{right}'?" in str(error.value)
