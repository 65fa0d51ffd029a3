"""diffusers: adapters of a UNet and of two transformers, their switches and scales, also in a pipeline."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn

import circpeft
from circpeft.hf_peft.layer import CirculantLayer

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore:Already found:UserWarning"
)
TARGETS = ["to_q", "to_v"]


def unet() -> nn.Module:
    blocks = {"down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D")}
    blocks |= {"up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "block_out_channels": (8, 16)}
    sizes = {"sample_size": 8, "in_channels": 2, "out_channels": 2, "cross_attention_dim": 12}
    heads = {"layers_per_block": 1, "attention_head_dim": 4, "norm_num_groups": 4}
    return diffusers.UNet2DConditionModel(**blocks, **sizes, **heads)


HEADS = {"attention_head_dim": 8, "num_attention_heads": 2, "joint_attention_dim": 16, "pooled_projection_dim": 8}


def flux() -> nn.Module:
    sizes = {"in_channels": 4, "patch_size": 1, "num_layers": 1, "num_single_layers": 1, "axes_dims_rope": (2, 2, 4)}
    return diffusers.FluxTransformer2DModel(**sizes, **HEADS)


def sd3() -> nn.Module:
    sizes = {"sample_size": 8, "in_channels": 4, "out_channels": 4, "num_layers": 1, "caption_projection_dim": 16}
    return diffusers.SD3Transformer2DModel(**sizes, **HEADS)


def ones(*shape: int) -> torch.Tensor:
    return torch.linspace(-1, 1, torch.Size(shape).numel()).view(shape)


TEXT = {"encoder_hidden_states": ones(2, 5, 16), "pooled_projections": ones(2, 8), "timestep": torch.tensor([0.5, 0.5])}
INPUTS = {
    unet: {"sample": ones(2, 2, 8, 8), "timestep": torch.tensor(3), "encoder_hidden_states": ones(2, 5, 12)},
    flux: {"hidden_states": ones(2, 16, 4), "img_ids": torch.zeros(16, 3), "txt_ids": torch.zeros(5, 3), **TEXT},
    sd3: {"hidden_states": ones(2, 4, 8, 8), **TEXT},
}
SCALES = {unet: "cross_attention_kwargs", flux: "joint_attention_kwargs", sd3: "joint_attention_kwargs"}


@dataclass(frozen=True)
class Kind:
    """A kind of model with fixed weights, its inputs, and the argument with which its forward takes a scale."""

    make: Callable[[], nn.Module]

    def __call__(self) -> nn.Module:
        torch.manual_seed(0)
        return self.make().eval()

    @torch.no_grad()
    def out(self, model: nn.Module, scale: float | None = None) -> torch.Tensor:
        options = {} if scale is None else {SCALES[self.make]: {"scale": scale}}
        return model(**INPUTS[self.make], **options).sample

    def adapted(self, method: Any, *names: str) -> nn.Module:
        """Return the model with adapters of these names; further ones have other targets."""
        model = self()
        for name, targets in zip(names, [TARGETS, ["to_k", "to_v"]], strict=False):
            model.add_adapter(method(target_modules=targets), name)
        return model


@pytest.fixture(params=INPUTS, ids=lambda make: make.__name__)
def kind(request) -> Kind:
    return Kind(request.param)


def differ(a: torch.Tensor, b: torch.Tensor) -> bool:
    return float((a - b).abs().max()) > 1e-3


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def with_change(kind: Kind, model: nn.Module, weights: dict[str, float]) -> nn.Module:
    """Return a plain model whose weights contain the adapters' changes, each times its weight."""
    plain = kind()
    for name, layer in model.named_modules():
        if isinstance(layer, CirculantLayer):
            for adapter, weight in weights.items():
                if adapter in layer.adapters:
                    alpha = layer.adapters[adapter].alpha / layer.initial_alphas[adapter]
                    change = layer.get_delta_weight(adapter).detach() * (weight / alpha if alpha else 0.0)
                    plain.get_submodule(name).weight.data += change
    return plain


def test_adapters_of_a_model_are_switched_scaled_fused_and_deleted(kind, method):
    base = kind.out(kind())
    model = kind.adapted(method, "a", "b")
    both = {"a": 0.5, "b": 2.0}
    assert model.active_adapters() == ["b"] and differ(kind.out(model), base)
    model.set_adapters(["a", "b"], weights=[0.5, 2.0])
    scaled = kind.out(model)
    close(scaled, kind.out(with_change(kind, model, both)))
    model.disable_adapters()
    assert torch.equal(kind.out(model), base)
    model.enable_adapters()
    assert torch.equal(kind.out(model), scaled)
    model.fuse_lora()
    close(kind.out(model), scaled)
    model.unfuse_lora()
    assert torch.equal(kind.out(model), scaled)
    model.set_adapters("a")
    close(kind.out(model), kind.out(with_change(kind, model, {"a": 1.0})))
    model.delete_adapters("b")
    assert list(model.peft_config) == ["a"]
    model.unload_lora()
    assert torch.equal(kind.out(model), base) and not any(isinstance(m, CirculantLayer) for m in model.modules())


@pytest.mark.parametrize("scale", [0.25, 0.0])
def test_a_scale_of_one_call_holds_for_that_call_only(kind, method, scale):
    model = kind.adapted(method, "a")
    full = kind.out(model)
    close(kind.out(model, scale), kind.out(with_change(kind, model, {"a": scale})))
    close(kind.out(model), full)


def test_peft_saves_and_loads_in_place(kind, method, tmp_path):
    """PEFT replaces layers inside the model, so the model itself has the adapters that a PeftModel loads."""
    names = {"a": TARGETS, "b": ["to_out.0"]}
    outputs = {}
    for name, targets in names.items():
        wrapped = get_peft_model(kind(), method(target_modules=targets))
        outputs[name] = kind.out(wrapped)
        wrapped.save_pretrained(tmp_path / name)
    model = kind()
    base = kind.out(model)
    wrapped = PeftModel.from_pretrained(model, tmp_path / "a", adapter_name="a")
    wrapped.load_adapter(tmp_path / "b", adapter_name="b")
    for name, expected in outputs.items():
        model.set_adapters(name)
        assert torch.equal(kind.out(model), expected) and differ(expected, base)
    model.set_adapters(["a", "b"], [1.0, 0.5])
    expected = kind.out(model)
    wrapped.save_pretrained(tmp_path)  # the scales are not saved
    again = kind()
    PeftModel.from_pretrained(again, tmp_path / "b")
    assert torch.equal(kind.out(again), outputs["b"])
    close(kind.out(circpeft.merge(wrapped)), expected)


@pytest.mark.parametrize("targets", ["all-linear", None, ["conv_in"], ["to_q", "conv1"]], ids=str)
def test_targets_of_a_unet(method, targets):
    kind = Kind(unet)
    model, base = kind(), kind.out(kind())
    linear = {name for name, layer in model.named_modules() if type(layer) is nn.Linear}
    config = method(target_modules=targets)
    if targets is None:
        with pytest.raises(ValueError, match="target_modules is None, and UNet2DConditionModel has no default"):
            model.add_adapter(config)
        assert torch.equal(kind.out(model), base) and not hasattr(model, "peft_config")
        return
    model.add_adapter(config)
    adapted = {n for n, layer in model.named_modules() if isinstance(layer, CirculantLayer)}
    if targets == "all-linear":
        assert adapted == linear and len(linear) == 50
    else:
        assert {name.rpartition(".")[2] for name in adapted} == {*targets}
        out = kind.out(model)
        assert differ(out, base)
        torch.testing.assert_close(kind.out(circpeft.merge(model)), out, rtol=1e-3, atol=1e-3)


def test_load_lora_adapter_takes_only_lora_but_peft_reads_the_file(kind, method, tmp_path):
    saved = kind.adapted(method, "a")
    saved.save_lora_adapter(tmp_path, "a")
    model = kind()
    base = kind.out(model)
    with pytest.raises(TypeError, match="`LoraConfig` class could not be instantiated"):
        model.load_lora_adapter(tmp_path, prefix=None, use_safetensors=True)
    assert torch.equal(kind.out(model), base)
    model.add_adapter(method(target_modules=TARGETS), "mine")
    set_peft_model_state_dict(model, load_file(tmp_path / "pytorch_lora_weights.safetensors"), "mine")
    assert torch.equal(kind.out(model), kind.out(saved)) and differ(kind.out(model), base)


def test_a_lora_of_diffusers_adds_to_an_adapter(kind, method, tmp_path):
    lora = kind()
    lora.add_adapter(LoraConfig(target_modules=TARGETS, r=2, lora_alpha=8, init_lora_weights=False))
    lora.save_lora_adapter(tmp_path)
    model = kind.adapted(method, "a")
    ours, base = kind.out(model), kind.out(kind())
    model.load_lora_adapter(tmp_path, prefix=None, use_safetensors=True)  # diffusers names it itself
    assert list(model.peft_config) == ["a", "default_1"]
    model.set_adapters(["default_1"])
    assert torch.equal(kind.out(model), kind.out(lora)) and differ(kind.out(model), base)
    model.set_adapters(["a"])
    assert torch.equal(kind.out(model), ours)
    model.set_adapters(["a", "default_1"], [1.0, 0.0])
    close(kind.out(model), ours)
    model.set_adapters(["a", "default_1"], [0.5, 1.0])
    both = kind.out(model)
    for _ in range(2):  # layers of both methods on one weight are fused and unfused from the inside out
        model.fuse_lora()
        close(kind.out(model), both)
        model.unfuse_lora()
        close(kind.out(model), both)
    model.set_adapters(["a"])
    close(kind.out(model), ours)


@pytest.fixture(scope="module")
def pipeline():
    """Return a Stable Diffusion of a UNet and a text encoder, with one adapter in each, and a function that runs it."""
    from transformers import CLIPTextConfig, CLIPTextModel

    logging.getLogger("diffusers").setLevel(logging.ERROR)
    sizes = {"hidden_size": 12, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    encoder = CLIPTextModel(CLIPTextConfig(vocab_size=20, max_position_embeddings=8, projection_dim=12, **sizes)).eval()
    others = dict.fromkeys(["vae", "tokenizer", "safety_checker", "feature_extractor"])
    scheduler = diffusers.DDIMScheduler(num_train_timesteps=20)

    def make() -> Any:
        pipe = diffusers.StableDiffusionPipeline(
            unet=Kind(unet)(), text_encoder=encoder, scheduler=scheduler, requires_safety_checker=False, **others
        )
        pipe.set_progress_bar_config(disable=True)
        return pipe

    return make


def images(pipe: Any, **options: Any) -> torch.Tensor:
    prompts = {"prompt_embeds": ones(1, 5, 12), "negative_prompt_embeds": torch.zeros(1, 5, 12)}
    size = {"num_inference_steps": 3, "height": 64, "width": 64, "output_type": "latent"}
    return pipe(**prompts, **size, generator=torch.Generator().manual_seed(0), **options).images


def test_a_pipeline_switches_scales_and_fuses(pipeline, method, tmp_path):
    pipe = pipeline()
    base = images(pipe)
    saved = get_peft_model(Kind(unet)(), method(target_modules=TARGETS))
    saved.save_pretrained(tmp_path)
    PeftModel.from_pretrained(pipe.unet, tmp_path, adapter_name="a")
    pipe.unet.add_adapter(method(target_modules=["to_k"]), "b")
    assert pipe.get_list_adapters() == {"unet": ["a", "b"]} and pipe.get_active_adapters() == ["b"]
    pipe.set_adapters("a")
    one = images(pipe)
    assert differ(one, base)
    close(images(pipe, cross_attention_kwargs={"scale": 0.0}), base)
    pipe.set_adapters("a")  # diffusers sets the scale to 1 after a call with 0
    pipe.set_adapters("a", adapter_weights=[0.5])
    half = images(pipe)
    assert differ(half, base) and differ(half, one)
    pipe.set_adapters("a")
    close(images(pipe, cross_attention_kwargs={"scale": 0.5}), half)
    pipe.set_adapters(["a", "b"], adapter_weights=[{"unet": {"down": 0.5, "up": 0.0}}, 0.25])
    by_block = images(pipe)
    assert differ(by_block, half)
    pipe.fuse_lora(components=["unet"])
    close(images(pipe), by_block)
    pipe.unfuse_lora(components=["unet"])
    assert torch.equal(images(pipe), by_block)
    pipe.disable_lora()
    assert torch.equal(images(pipe), base)
    pipe.enable_lora()
    assert torch.equal(images(pipe), by_block)
    pipe.delete_adapters("b")
    pipe.set_adapters("a")
    close(images(pipe), one)
    pipe.unload_lora_weights()
    assert torch.equal(images(pipe), base)


def test_a_step_of_training_reduces_the_loss_and_changes_only_the_adapter(kind, method):
    model = kind()
    model.requires_grad_(False)
    model.add_adapter(method(target_modules=TARGETS, init_weights=True))
    model.enable_gradient_checkpointing()
    model.train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-2)
    goal, losses = ones(*kind.out(model).shape), []
    for _ in range(4):
        loss = (model(**INPUTS[kind.make]).sample - goal).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all(f".{method.prefix}" in name for name in changed)
