"""accelerate: a prepared loop with accumulation equals the plain loop, and it resumes from a saved state."""

import pytest
import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.state import AcceleratorState
from peft import PeftModel, get_peft_model
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

ACCUMULATED, BATCHES = 2, 8


@pytest.fixture(autouse=True)
def fresh_accelerator():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def setup(tiny, method, seed=0):
    """Return model, optimizer and data. Another seed gives another start of the adapter."""
    generator = torch.Generator().manual_seed(1)
    data = TensorDataset(*(torch.randn(2 * BATCHES, width, generator=generator) for width in (8, 6)))
    torch.manual_seed(seed)
    model = get_peft_model(tiny.mlp(), method(target_modules=["0", "2"]))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    return model, optimizer, DataLoader(data, batch_size=2)


def accelerated(tiny, method, seed=0):
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=ACCUMULATED)
    return accelerator, *accelerator.prepare(*setup(tiny, method, seed))


def run(accelerator, model, optimizer, loader):
    for x, y in loader:
        with accelerator.accumulate(model):
            accelerator.backward(mse_loss(model(x), y))
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()


def parameters(model):
    return {n: p.detach().clone() for n, p in model.named_parameters()}


def same(a, b):
    return [n for n in a if torch.equal(a[n], b[n])]


def test_accumulated_steps_equal_those_of_a_plain_loop(tiny, method):
    model, optimizer, loader = setup(tiny, method)
    start = parameters(model)
    for i, (x, y) in enumerate(loader, start=1):
        (mse_loss(model(x), y) / ACCUMULATED).backward()
        if i % ACCUMULATED == 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    accelerator, other, optimizer, loader = accelerated(tiny, method)
    run(accelerator, other, optimizer, loader)
    torch.testing.assert_close(parameters(accelerator.unwrap_model(other)), parameters(model), rtol=0, atol=0)
    assert all(p.requires_grad == (n not in same(start, parameters(model))) for n, p in model.named_parameters())


def test_a_run_resumed_from_a_saved_state_ends_like_an_uninterrupted_one(tiny, method, tmp_path):
    accelerator, model, optimizer, loader = accelerated(tiny, method)
    run(accelerator, model, optimizer, skip_first_batches(loader, BATCHES // 2))
    accelerator.save_state(str(tmp_path))
    saved = parameters(model)
    run(accelerator, model, optimizer, loader)
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator, other, optimizer, loader = accelerated(tiny, method, seed=1)
    assert same(parameters(other), saved) != list(saved)
    accelerator.load_state(str(tmp_path))
    assert same(parameters(other), saved) == list(saved)
    run(accelerator, other, optimizer, loader)
    assert same(parameters(other), parameters(model)) == list(saved)
    assert same(parameters(other), saved) == [n for n, p in other.named_parameters() if not p.requires_grad]


def test_an_unwrapped_model_saves_its_adapter(tiny, method, tmp_path):
    accelerator, model, optimizer, loader = accelerated(tiny, method)
    run(accelerator, model, optimizer, loader)
    unwrapped = accelerator.unwrap_model(model)
    assert isinstance(unwrapped, PeftModel)
    unwrapped.save_pretrained(tmp_path, state_dict=accelerator.get_state_dict(model))
    x = torch.randn(4, 8)
    loaded = PeftModel.from_pretrained(tiny.mlp(), tmp_path)
    assert torch.equal(loaded.eval()(x), unwrapped.eval()(x))
    assert not torch.allclose(loaded(x), setup(tiny, method)[0].eval()(x), atol=1e-3)
