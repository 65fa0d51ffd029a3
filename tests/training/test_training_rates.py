"""A learning rate of another scale is told before a run, a diverged run stops, and the optimizer is as asked."""

import warnings

import pytest
from transformers import TrainerCallback

from circpeft import training

WRONG = [
    ({}, 0.3, 'c3a: learning_rate=0.3 is too large for alpha="lora" .*try 0.001'),
    ({"alpha": "paper"}, 1e-4, 'c3a:alpha=paper: learning_rate=0.0001 is too small for alpha="paper" .*try 0.3'),
    ({"alpha": 0.5}, 1e-4, "learning_rate=0.0001 is too small for alpha=0.5.*try 0.6"),
]


@pytest.mark.parametrize(("hyperparameters", "rate", "words"), WRONG)
def test_a_check_warns_of_a_rate_of_another_scale(recipe, hyperparameters, rate, words):
    with pytest.warns(UserWarning, match=words):
        training.check([recipe("c3a", hyperparameters=hyperparameters, learning_rate=rate)])


def test_a_check_looks_at_every_rate_of_a_method(recipe):
    with pytest.warns(UserWarning, match="learning_rate=0.3 is too large"):
        training.check([recipe("c3a", learning_rate=rate) for rate in (1e-3, 0.3)])


def test_usual_rates_and_other_methods_give_no_warning(recipe):
    recipes = [recipe("c3a", learning_rate=0.0), recipe("cdvft", learning_rate=0.0), recipe("lora", learning_rate=0.3)]
    recipes += [recipe("c3a", hyperparameters={"alpha": "paper"}, learning_rate=0.3)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training.check(recipes)
    assert [str(w.message) for w in caught if "learning_rate=" in str(w.message)] == []


def test_a_diverged_run_stops_in_its_first_steps(recipe):
    words = (
        r'the loss of step \d is .*: the training diverged; lower its learning_rate, which is 1e\+30 with alpha="lora"'
    )
    with pytest.raises(FloatingPointError, match=f"{words}; try 0.001"):
        training.run(recipe("c3a", learning_rate=1e30, epochs=1))


class Groups(TrainerCallback):
    """Keeps the parameter groups of the optimizer."""

    def on_train_end(self, args, state, control, optimizer=None, **_) -> None:
        self.found = optimizer.param_groups


@pytest.mark.parametrize(("settings", "beta2"), [({}, 0.999), ({"adam_beta2": 0.95}, 0.95)])
def test_every_group_of_the_optimizer_has_the_recipes_beta2(recipe, settings, beta2):
    groups = Groups()
    training.run(recipe("c3a", epochs=1, **settings), callbacks=[groups])
    assert [group["betas"] for group in groups.found] == [(0.9, beta2)] * 2
