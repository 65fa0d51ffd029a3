"""Measurement of whole training steps at the papers' model sizes, and of merging, beside PEFT's methods."""

import statistics
from collections.abc import Callable

import torch
from peft import C3AConfig as PeftC3AConfig
from peft import LoraConfig, PeftConfig, get_peft_model
from peft.tuners.c3a.utils import get_circulant_fast
from torch import nn
from tqdm.auto import tqdm
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaForSequenceClassification,
    ViTConfig,
    ViTForImageClassification,
)

import circpeft
from circpeft.benchmarking import peak_bytes, quartiles, time_calls

# Sizes of the published models; weights are random, so nothing is downloaded. The single block has a small vocabulary.
ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}
LLAMA_3B = {
    "vocab_size": 128256, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28,
    "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128,
}  # fmt: skip
LLAMA_BLOCK = {"vocab_size": 256, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 1}
LLAMA_BLOCK |= {"num_attention_heads": 32, "num_key_value_heads": 32}


def _roberta(device: torch.device) -> tuple[nn.Module, dict]:
    ids = torch.randint(5, 1000, (8, 128), device=device)
    model = RobertaForSequenceClassification(RobertaConfig(**ROBERTA, num_labels=2))
    return model.to(device), {"input_ids": ids, "labels": torch.zeros(8, dtype=torch.long, device=device)}


def _vit(device: torch.device) -> tuple[nn.Module, dict]:
    labels = torch.zeros(8, dtype=torch.long, device=device)
    return ViTForImageClassification(ViTConfig(num_labels=10)).to(device), {
        "pixel_values": torch.randn(8, 3, 224, 224, device=device),
        "labels": labels,
    }


def _llama(sizes: dict, batch: int, length: int, dtype: torch.dtype) -> Callable:
    def build(device: torch.device) -> tuple[nn.Module, dict]:
        ids = torch.randint(0, sizes["vocab_size"], (batch, length), device=device)
        with torch.device(device):
            model = LlamaForCausalLM(LlamaConfig(**sizes)).to(dtype)
        return model, {"input_ids": ids, "labels": ids}

    return build


def _methods(targets: list[str], b: int, r: int, peft_b: int) -> dict[str, PeftConfig]:
    """Return the configs to compare: our C3A has block size ``b``, PEFT's has ``peft_b``."""
    layers = {"target_modules": targets}
    return {
        f"lora r={r}": LoraConfig(r=r, **layers),
        f"c3a b={b}": circpeft.C3AConfig(block_size=b, init_weights=False, **layers),
        "cdvft": circpeft.CDVFTConfig(init_weights=False, **layers),
        f"peft c3a b={peft_b}": PeftC3AConfig(block_size=peft_b, init_weights="gaussian", **layers),
    }


CPU_MODELS = {
    "RoBERTa-base, 8 x 128, b = d": (_roberta, _methods(["query", "value"], 768, 8, 768), 9),
    "RoBERTa-base, 8 x 128, b = 128": (_roberta, _methods(["query", "value"], 128, 8, 128), 7),
    "ViT-base, 8 images": (_vit, _methods(["query", "value", "q_proj", "v_proj"], 768, 8, 768), 5),
    "LLaMA2-7B block, 512": (
        _llama(LLAMA_BLOCK, 1, 512, torch.float32), _methods(["q_proj", "v_proj"], 4096, 8, 4096), 5
    ),
}  # fmt: skip
CUDA_MODELS = {
    "RoBERTa-base, 8 x 128, b = d": (_roberta, _methods(["query", "value"], 768, 8, 768), 20),
    "ViT-base, 8 images": (_vit, _methods(["query", "value", "q_proj", "v_proj"], 768, 8, 768), 20),
    "LLaMA-3.2-3B, 4 x 1024, bfloat16": (
        _llama(LLAMA_3B, 4, 1024, torch.bfloat16), _methods(["q_proj", "v_proj"], 64, 32, 64), 10
    ),
}  # fmt: skip


def _stepper(model: nn.Module, inputs: dict) -> Callable[[], None]:
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)

    def step() -> None:
        model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _adapted(build: Callable, config: PeftConfig, device: torch.device) -> tuple[nn.Module, dict]:
    """Return the adapted model, its config limited to layers that it has, and its inputs."""
    torch.manual_seed(0)
    model, inputs = build(device)
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    config.target_modules = sorted(names & set(config.target_modules))
    return get_peft_model(model, config).train(), inputs


def whole_steps(device: torch.device) -> list[dict]:
    """Measure a training step with each method, in turn: milliseconds, percent over LoRA, and peak bytes of tensors."""
    rows = []
    models = CUDA_MODELS if device.type == "cuda" else CPU_MODELS
    for name, (build, configs, rounds) in tqdm(models.items(), desc="whole steps"):
        steps = {method: _stepper(*_adapted(build, config, device)) for method, config in configs.items()}
        times = time_calls(steps, rounds, device)
        lora = next(iter(times))
        over_lora = {
            method: quartiles([100 * (a / b - 1) for a, b in zip(milliseconds, times[lora], strict=True)])
            for method, milliseconds in times.items()
        }
        rows.append({
            "model": name, "rounds": rounds, "step_ms": {m: quartiles(ms) for m, ms in times.items()},
            "percent_over_lora": over_lora, "peak_bytes": {m: peak_bytes(step, device) for m, step in steps.items()},
        })  # fmt: skip
        medians = [f"{m} {statistics.median(ms):.0f} ms ({over_lora[m][1]:+.1f} %)" for m, ms in times.items()]
        tqdm.write(f"{name}: {', '.join(medians)}")
        del steps
    return rows


def merging(device: torch.device) -> list[dict]:
    """Measure the milliseconds of building ΔW, by our indexing and by PEFT's transforms, and of merging a layer."""
    rows = []
    for d_in, d_out, b, rounds in tqdm(
        [(768, 768, 768, 9), (2048, 2048, 2048, 5), (4096, 4096, 4096, 5), (4096, 4096, 128, 5), (4096, 11008, 256, 3)],
        desc="building ΔW, and merging",
    ):
        frozen = nn.Sequential(nn.Linear(d_in, d_out, device=device)).requires_grad_(False)
        layer = circpeft.inject(frozen, circpeft.C3AConfig(target_modules=["0"], block_size=b, init_weights=False))[0]
        kernel = next(iter(layer.adapters.values())).scaled_kernel.detach()

        def merge_and_unmerge(layer: nn.Module = layer) -> None:
            layer.merge()
            layer.unmerge()

        calls = {
            "ours": lambda w=kernel: circpeft.block_circulant(w, "row"),
            "peft's": lambda w=kernel: get_circulant_fast(w),
            "our layer merged and unmerged": merge_and_unmerge,
        }
        with torch.no_grad():
            times = {name: quartiles(ms) for name, ms in time_calls(calls, rounds, device).items()}
            error = (calls["ours"]() - calls["peft's"]()).abs().max() / kernel.abs().max()
        rows.append({"d_in": d_in, "d_out": d_out, "block_size": b, "ms": times, "difference": float(error)})
        medians = ", ".join(f"{name} {ms[1]:.1f} ms" for name, ms in times.items())
        tqdm.write(f"{d_in} x {d_out}, b={b}: {medians}")
    return rows
