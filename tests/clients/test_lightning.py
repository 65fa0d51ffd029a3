"""Lightning: a module with an adapted model trains, resumes from its checkpoint, and runs in mixed precision."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

lightning = pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


class Module(lightning.LightningModule):
    """A regression with an adapted model."""

    def __init__(self, model: PeftModel) -> None:
        super().__init__()
        self.model, self.losses = model, []

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        x, y = batch
        loss = mse_loss(self.model(x), y)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], lr=1e-2)


def module(tiny: Any, method: Any, seed: int = 0) -> Module:
    torch.manual_seed(seed)
    return Module(get_peft_model(tiny.mlp(), method(target_modules=["0", "2"])))


def data() -> DataLoader:
    """Return three batches: Lightning resumes a plain loader only at the end of an epoch."""
    generator = torch.Generator().manual_seed(1)
    return DataLoader(TensorDataset(*(torch.randn(6, width, generator=generator) for width in (8, 6))), batch_size=2)


def trainer(folder: Path, epochs: int, **options: Any) -> Any:
    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"], False)
    return lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=epochs, default_root_dir=folder, **quiet, **options
    )


def parameters(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_a_run_resumed_from_a_checkpoint_ends_like_an_uninterrupted_one(tiny, method, tmp_path):
    whole = module(tiny, method)
    before = parameters(whole)
    trainer(tmp_path, 2).fit(whole, data())
    after = parameters(whole)
    assert len(whole.losses) == 6
    for name, value in after.items():
        assert torch.equal(value, before[name]) == (method.prefix not in name), name
    first = module(tiny, method)
    interrupted = trainer(tmp_path, 1)
    interrupted.fit(first, data())
    interrupted.save_checkpoint(tmp_path / "last.ckpt")
    second = module(tiny, method, seed=1)  # another start of the adapter, which the checkpoint replaces
    trainer(tmp_path, 2).fit(second, data(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert first.losses + second.losses == whole.losses
    torch.testing.assert_close(parameters(second), after, rtol=0, atol=0)


def test_the_summary_counts_the_adapters_parameters_as_trainable(tiny, method):
    summary = lightning.pytorch.utilities.model_summary.ModelSummary(module(tiny, method))
    trainable, total = summary.trainable_parameters, summary.total_parameters
    assert (trainable, total) == module(tiny, method).model.get_nb_trainable_parameters()
    assert 0 < trainable < total


def test_mixed_precision_trains_float32_adapters_and_saves_them(tiny, method, tmp_path):
    run = module(tiny, method)
    seen = []
    run.model.base_model.model[0].register_forward_hook(lambda *hook: seen.append(hook[-1].dtype))
    trainer(tmp_path, 1, precision="bf16-mixed").fit(run, data())
    assert set(seen) == {torch.bfloat16} and len(run.losses) == 3
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in run.parameters())
    run.model.save_pretrained(tmp_path / "adapter")
    x = next(iter(data()))[0]
    loaded = PeftModel.from_pretrained(tiny.mlp(), tmp_path / "adapter")
    assert torch.equal(loaded.eval()(x), run.model.eval()(x))
    assert not torch.allclose(loaded(x), module(tiny, method).model.eval()(x), atol=1e-3)
