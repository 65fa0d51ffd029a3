"""torch.compile of an adapted model: one graph, eager's outputs and gradients, few compilations, and no stale graph."""

import shutil

import pytest
import torch
from peft import get_peft_model
from torch._dynamo.testing import CompileCounterWithBackend

from tests.versions import COMPILES_PEFT

pytestmark = COMPILES_PEFT

TARGETS = {"mlp": ["0", "2"], "bert": ["query", "value", "dense"], "gpt2": ["c_attn", "c_proj", "c_fc"]}


def adapted(tiny, method, name, **options):
    return get_peft_model(getattr(tiny, name)(), method(target_modules=TARGETS[name], **options))


def inputs(tiny, name, rows=2):
    return torch.randn(rows, 8) if name == "mlp" else tiny.ids[:1].repeat(rows, 1)


def result(model, x):
    """Return the output and the gradient of every trainable parameter."""
    model.zero_grad()
    y = model(x)
    y = y if isinstance(y, torch.Tensor) else y.logits
    y.square().sum().backward()
    return {"output": y.detach(), **{n: p.grad for n, p in model.named_parameters() if p.requires_grad}}


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_dynamo_sees_one_graph_without_a_break(tiny, method):
    explanation = torch._dynamo.explain(adapted(tiny, method, "bert"))(inputs(tiny, "bert"))
    assert (explanation.graph_count, explanation.graph_break_count) == (1, 0), explanation.break_reasons


@pytest.mark.parametrize(("name", "autocast"), [("mlp", True), ("bert", False), ("gpt2", True)])
def test_a_compiled_model_gives_eagers_output_and_gradients(tiny, method, name, autocast, error):
    model, x = adapted(tiny, method, name), inputs(tiny, name)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        eager = result(model, x)
        compiled = result(torch.compile(model, fullgraph=True, backend="aot_eager"), x)
    compiled = {n.removeprefix("_orig_mod."): value for n, value in compiled.items()}
    assert all(value.count_nonzero() for value in eager.values()), "a zero gradient proves nothing"
    assert compiled.keys() == eager.keys()
    for key, value in compiled.items():  # a tiny layer folds, but not in a compiled graph
        assert error(value, eager[key]) < 1e-5


def test_two_active_adapters_and_dropout_in_one_graph(tiny, method):
    model = adapted(tiny, method, "mlp", dropout=0.5)
    model.add_adapter("other", method(target_modules=["0"], block_size=2))
    model.base_model.set_adapter(["default", "other"])
    model.train()
    x = inputs(tiny, "mlp")
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.manual_seed(3)
    eager = model(x)
    torch.manual_seed(3)
    torch.testing.assert_close(compiled(x), eager)
    assert not torch.allclose(model(x), eager), "dropout must act, or the test proves nothing"


def test_training_at_many_batch_sizes_compiles_twice(tiny, method):
    """One compilation for the first size and one for all others. A step of the optimizer adds none."""
    model, counter = adapted(tiny, method, "mlp"), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    for rows in (2, 3, 5, 7, 4, 2):
        x = inputs(tiny, "mlp", rows)
        torch.testing.assert_close(result(compiled, x)["output"], result(model, x)["output"])
        optimizer.step()
    assert counter.frame_count <= 2


def test_a_size_marked_as_dynamic_compiles_once(tiny, method):
    model, counter = adapted(tiny, method, "mlp"), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    for rows in (2, 3, 7):
        x = inputs(tiny, "mlp", rows)
        torch._dynamo.mark_dynamic(x, 0)
        torch.testing.assert_close(compiled(x), model(x))
    assert counter.frame_count == 1


def test_the_compiled_model_follows_the_active_adapters(tiny, method):
    model, x = adapted(tiny, method, "mlp"), inputs(tiny, "mlp")
    model.add_adapter("other", method(target_modules=["0", "2"]))
    compiled, seen = torch.compile(model, fullgraph=True, backend="aot_eager"), []

    def check():
        seen.append(model(x).detach())
        torch.testing.assert_close(compiled(x), seen[-1])

    check()
    model.set_adapter("other")
    check()
    with model.disable_adapter():
        check()
    torch.testing.assert_close(seen[-1], tiny.mlp()(x))
    model.set_adapter("default")
    check()
    different = [(a - b).norm() > 0.1 for i, a in enumerate(seen[:3]) for b in seen[:i]]
    assert torch.equal(seen[0], seen[3]) and all(different)
    model.merge_adapter()
    check()
    model.unmerge_adapter()
    check()


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "cl"))), reason="inductor needs a C++ compiler")
def test_inductor_gives_eagers_output_and_gradients(tiny, method):
    model, x = get_peft_model(tiny.mlp(), method(target_modules=["0"])), inputs(tiny, "mlp")
    eager = result(model, x)
    compiled = result(torch.compile(model, fullgraph=True, options={"compile_threads": 1}), x)
    torch.testing.assert_close({n.removeprefix("_orig_mod."): v for n, v in compiled.items()}, eager)
