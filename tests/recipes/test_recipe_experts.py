"""The setting target_parameters of a recipe."""

import pytest

from circpeft.recipes import Recipe
from circpeft.recipes.plan import settings_of


def test_a_recipe_without_the_field_is_the_same_run():
    plain, experts = Recipe("gsm8k", "c3a"), Recipe("gsm8k", "c3a", target_parameters=["experts.down_proj"])
    assert "target_parameters" not in plain.settings
    assert experts.settings["target_parameters"] == ["experts.down_proj"]
    assert plain.name != experts.name


def test_text_and_wrong_values():
    settings = settings_of("smoke", "instructions", {"target_parameters": "experts.gate_up_proj, experts.down_proj"})
    assert settings["target_parameters"] == ("experts.gate_up_proj", "experts.down_proj")
    with pytest.raises(ValueError, match="target_parameters must be a list of names, got 3"):
        Recipe("gsm8k", "c3a", target_parameters=3)
