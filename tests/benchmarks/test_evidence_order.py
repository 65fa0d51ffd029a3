"""The part of the evidence on the order of features: its plan, its differences and its table."""

import pytest

SETTINGS = [("entailment", "c3a", 384), ("entailment", "c3a", 48)]


@pytest.fixture(scope="module")
def order(load_benchmark):
    return load_benchmark("evidence_order")


@pytest.fixture(scope="module")
def plan(order):
    return order.evidence_training.evidence_cells


def rows_of(effect: dict[int, float], settings=SETTINGS, seeds=5) -> list[dict]:
    """Return rows whose permuted scores differ from the natural ones by the effect of the block size, and a little."""
    rows = []
    for seed in range(seeds):
        for task, method, size in settings:
            natural = 0.8 + 0.03 * seed
            scores = {"natural": natural, "permuted": natural + effect[size] + 0.002 * (-1) ** seed}
            for name, score in scores.items():
                place = {"task": task, "method": method, "block_size": size, "order": name}
                rows.append({**place, "seed": seed, "test_score": score})
    return rows


def test_the_plan_has_both_orders_of_every_setting_with_five_seeds(plan, order, tmp_path):
    cells = plan.planned("feature_order", tmp_path, 5)
    assert len(cells) == 5 * 2 * 4 == len({cell.recipe.name for cell in cells})
    for cell in cells:
        assert cell.recipe.feature_order == cell.place["order"]
    assert {cell.place["task"] for cell in cells} == set(order.TASKS)
    assert {cell.place["method"] for cell in cells} == set(order.NAMES)


def test_runs_in_natural_order_are_those_of_the_part_on_block_sizes(plan, tmp_path):
    others = {cell.recipe.name for cell in plan.planned("block_size", tmp_path, 1)}
    natural = [cell for cell in plan.planned("feature_order", tmp_path, 1) if cell.place["order"] == "natural"]
    assert natural and {cell.recipe.name for cell in natural} <= others


def test_a_loss_over_all_settings_is_in_bold_and_the_clear_settings_are_counted(order):
    found = order.comparisons({"rows": rows_of({384: -0.1, 48: 0.0})})
    assert found.rows == [("entailment", "**-0.050 (0.001)**", "5")]
    assert found.notes == ["Entailment: 1 of 2 settings is distinguishable; by chance it would be 0.2."]


def test_over_all_settings_the_seed_is_the_unit(order):
    """Settings of one seed share their permutations, so ten differences of five seeds are not ten independent ones."""
    [row] = order.comparisons({"rows": rows_of({384: 0.0, 48: 0.0})}).rows
    assert row[-1] == "5" and "**" not in row[1]


def test_the_table_has_a_line_for_each_setting(order):
    lines = order.table(rows_of({384: -0.1, 48: 0.0}))
    assert lines[2] == "| entailment | C3A, b = 384 | 0.860 (0.021) | 0.760 (0.021) | **-0.100 (0.001)** | 5 |"
    assert len(lines) == 4


def test_settings_without_shared_seeds_are_not_compared(order):
    rows = [row for row in rows_of({384: 0.0, 48: 0.0}) if row["order"] == "natural"]
    assert order.comparisons({"rows": rows}).rows == [("entailment", "", "0")]
    assert order.table(rows)[2].endswith("|  |  | 0 |")


def test_the_picture_has_both_orders(order):
    figure = order.figure({"rows": rows_of({384: -0.1, 48: 0.0})})
    assert [bar.name for bar in figure.data] == ["natural order", "permuted order"]


def test_at_least_five_seeds_run(order):
    assert [order._with_seeds(order.Options(seeds=n)).seeds for n in (1, 3, 7)] == [5, 5, 7]
