"""The rate explorer: its training is PyTorch's Adam on circpeft's C3A, and its figures show what the course says."""

import json
import math

import pytest
import torch

import circpeft
from circpeft.course import rate_explorer, rate_task
from circpeft.plots.static import static
from tests.course.live_figures import shown


def trained_by_torch(task, parameters, change, rate):
    """Train with torch.optim.Adam and autograd; return the loss before each step and after the last."""
    optimizer, losses = torch.optim.Adam(parameters, lr=rate), []

    def left():
        gap = (task.readout @ change() - task.target).detach()
        return float(gap.square().sum() / task.target.square().sum())

    for step, (x, y) in enumerate(zip(task.inputs, task.wanted, strict=True)):
        losses.append(left())
        loss = (x @ (task.readout @ change()).T - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate * (1 - step / len(task.inputs))
        optimizer.step()
    return torch.tensor([*losses, left()])


@pytest.mark.parametrize(("alpha", "rate"), [("lora", 0.02), ("paper", 0.5), (3.0, 0.1)])
def test_c3a_is_trained_as_by_torch(alpha, rate):
    task = rate_task.make_task(12, outputs=2, steps=20)
    adapter = circpeft.C3A(12, 12, block_size=4, alpha=alpha)
    expected = trained_by_torch(task, list(adapter.parameters()), adapter.delta_weight, rate)
    runs = rate_task.train_c3a(task, alpha, 4, [1e-6, rate])
    assert torch.allclose(runs.losses[1], expected, atol=1e-4) and expected[-1] < 0.95
    assert torch.allclose(runs.deltas[1], adapter.delta_weight(), atol=1e-4)
    assert runs.losses[0, -1] > 0.999  # each run has its own rate


def test_lora_is_trained_as_by_torch():
    task = rate_task.make_task(12, outputs=2, steps=20)
    start = rate_task.train_lora(task, [0.0], r=3)
    assert start.deltas.abs().max() == 0
    a = (2 * torch.rand(3, 12, generator=torch.Generator().manual_seed(3)) - 1) / math.sqrt(12)
    a, b = a.requires_grad_(), torch.zeros(12, 3, requires_grad=True)
    expected = trained_by_torch(task, [a, b], lambda: b @ a, 0.02)
    runs = rate_task.train_lora(task, [0.02], r=3)
    assert torch.allclose(runs.losses[0], expected, atol=1e-4) and expected[-1] < 0.95


def test_the_descent_begins_at_one_rate_with_lora_and_at_rates_as_the_root_of_b_with_paper():
    losses = rate_explorer.sweep(blocks=(32, 16, 4))
    start = {
        scale: {b: rate_explorer.half_rate(rate_explorer.RATES, line) for b, line in lines.items() if b}
        for scale, lines in losses.items()
    }
    lora, paper = start["lora"], start["paper"]
    assert max(lora.values()) / min(lora.values()) < 1.3
    assert paper[32] / paper[4] == pytest.approx(math.sqrt(8), rel=0.25)
    assert paper[16] / lora[16] == pytest.approx(math.sqrt(64 * 16), rel=0.05)  # the same runs, another unit


def test_with_many_outputs_large_blocks_cannot_fit_and_the_best_rate_depends_on_the_block():
    lines = rate_explorer.sweep(blocks=(32, 4), outputs=16)["lora"]
    assert min(lines[32]) > 0.8 and min(lines[4]) < 0.2
    best = {b: rate_explorer.best_rate(rate_explorer.RATES, lines[b]) for b in (32, 4)}
    assert best[4] > 10 * best[32]


def test_a_window_of_1300_pixels_shows_the_whole_legend_of_the_explorer():
    layout = rate_explorer.figure("lora", 16, 0.01).layout
    assert layout.width <= 1100 and layout.legend.y < 0  # JupyterLab leaves about 1,110 pixels for an output


@pytest.mark.parametrize("losses", [[0.4, 0.2], [1.0, 0.9]])
def test_a_line_that_does_not_cross_one_half_has_no_such_rate(losses):
    with pytest.raises(ValueError, match="do not fall from above 0.5"):
        rate_explorer.half_rate([0.1, 1.0], losses)


def test_the_figures_have_static_forms_and_titles():
    for figure in (
        rate_explorer.sweep_figure(rate_explorer.sweep(blocks=(16,))),
        rate_explorer.figure("lora", 16, 0.01),
    ):
        assert static(figure)[1:4] == b"PNG" and figure.layout.title.text
    texts = [note.text for note in figure.layout.annotations]
    norm = torch.linalg.matrix_norm(torch.tensor(figure.data[-1].z), 2)
    assert texts[2] == f"norm of ΔW: {float(norm):.2g}"


@pytest.mark.parametrize(("control", "value"), [("alpha", "lora"), ("rate", 0.1), ("b", 64), ("outputs", 4)])
def test_the_alternative_text_follows_each_control(control, value):
    explorer = rate_explorer.explorer()
    before = explorer.figure.content["alt"]
    explorer.controls[control].value = value
    after = explorer.figure.content["alt"]
    chosen = {name: each.value for name, each in explorer.controls.items()}
    assert before != after == rate_explorer.figure(**chosen).layout.meta["alt"]
    loss = shown(explorer.figure).data[0].y[-1]
    assert f"C3A b={64 if control == 'b' else 16} {loss:.2g}, LoRA r=8" in after


def test_the_controls_train_again_and_redraw():
    explorer = rate_explorer.explorer()
    before = shown(explorer.figure)
    explorer.controls["alpha"].value = "lora"
    after = shown(explorer.figure)
    assert 'alpha="lora"' in after.layout.title.text != before.layout.title.text
    assert abs(after.data[-1].z).max() > 3 * abs(before.data[-1].z).max()
    assert len(json.dumps(explorer.figure.content)) < 50_000  # the size of a message
    explorer.controls["rate"].value = rate_explorer.RATES[8]
    assert shown(explorer.figure).data[0].y[-1] < 0.5 * after.data[0].y[-1]
    explorer.controls["b"].value = 64
    assert shown(explorer.figure).data[0].name == "C3A b=64"
    explorer.controls["outputs"].value = 4
    assert "4 outputs" in shown(explorer.figure).layout.title.text
