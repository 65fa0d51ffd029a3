"""The nearest valid choice in an error message."""

from circpeft.suggest import nearest


def test_nearest_names_the_close_choice_and_all_of_them():
    assert nearest("refrence", ["rfft", "reference"]) == "did you mean 'reference'? (choices: rfft, reference)"
    assert nearest("zzz", ["rfft", "reference"]) == "choices: rfft, reference"
    assert nearest("zzz", []) == "choices: none"
