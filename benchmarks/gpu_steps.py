"""Measure whole training steps on a GPU, beside LoRA and PEFT's C3A: wall time, the GPU's busy time, and peak memory.

The models have random weights: decoder layers of LLaMA2-7B's shape, and RoBERTa-base. Query and value are adapted.
"""

from collections.abc import Callable
from dataclasses import dataclass

import gpu_timing
import torch
from gpu_cases import CANDIDATES, Way, autocast, forced, trained
from gpu_timing import in_turn, recorded, spread
from peft import C3AConfig as PeftC3AConfig
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, RobertaConfig, RobertaForSequenceClassification

from circpeft import C3AConfig, CDVFTConfig
from circpeft.benchmarking import peak_bytes
from circpeft.ops.backends import BACKENDS

# Steps per repeat.
STEPS = 3


@dataclass(frozen=True)
class Model:
    """A model to train: its configuration, batch, precision, and the sizes of the adapters."""

    name: str
    config: LlamaConfig | RobertaConfig
    batch: int
    tokens: int
    precision: str
    r: int
    b: int

    def build(self, device: torch.device) -> nn.Module:
        """Return the model with random weights."""
        causal = isinstance(self.config, LlamaConfig)
        dtype = torch.bfloat16 if self.precision == "bfloat16" else torch.float32
        torch.manual_seed(0)
        with torch.device(device):
            return (LlamaForCausalLM if causal else RobertaForSequenceClassification)(self.config).to(dtype)

    def inputs(self, device: torch.device) -> dict[str, torch.Tensor]:
        """Return one random batch."""
        ids = torch.randint(5, self.config.vocab_size, (self.batch, self.tokens), device=device)
        labels = ids if isinstance(self.config, LlamaConfig) else torch.zeros(self.batch, dtype=torch.long).to(device)
        return {"input_ids": ids, "labels": labels}

    def ways(self) -> dict[str, Way]:
        """Return what is compared: LoRA, PEFT's C3A, and C3A and CDVFT by "auto" and by each backend."""
        causal = isinstance(self.config, LlamaConfig)
        layers = {"target_modules": ["q_proj", "v_proj"] if causal else ["query", "value"]}
        lora, c3a = LoraConfig(r=self.r, **layers), C3AConfig(block_size=self.b, init_weights=False, **layers)
        cdvft = CDVFTConfig(block_size=self.config.hidden_size, init_weights=False, **layers)
        ways = {f"lora r={self.r}": Way(lora)}
        if self.precision == "bfloat16":
            ways[f"lora r={self.r} bfloat16"] = Way(lora, float32_adapters=False)
        ways["peft c3a"] = Way(PeftC3AConfig(block_size=self.b, init_weights="gaussian", **layers))
        for name, config in (("c3a", c3a), ("cdvft", cdvft)):
            ways[name] = Way(config)
            backends = [backend for backend in CANDIDATES if backend in BACKENDS]
            backends += ["fold"] * (self.precision == "float32")
            ways |= {f"{name} {backend}": Way(config, backend) for backend in backends}
        return ways


LLAMA = {"hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32, "num_hidden_layers": 8}
ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1, "num_labels": 2}
MODELS = [
    Model("8 layers of LLaMA2-7B", LlamaConfig(**LLAMA, vocab_size=32000), 2, 1024, "bfloat16", 32, 128),
    Model("RoBERTa-base", RobertaConfig(**ROBERTA), 64, 256, "float32", 8, 768),
    Model("RoBERTa-base", RobertaConfig(**ROBERTA), 64, 256, "autocast", 8, 768),
]
SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 99}
SMALL_MODELS = [
    Model("small LLaMA", LlamaConfig(**SMALL), 1, 8, "bfloat16", 32, 32),
    Model("small RoBERTa", RobertaConfig(**SMALL), 2, 8, "float32", 8, 64),
    Model("small RoBERTa", RobertaConfig(**SMALL), 2, 8, "autocast", 8, 64),
]


def stepper(model: Model, way: Way, device: torch.device) -> Callable[[], None]:
    """Return a training step of an adapted model as a call."""
    adapted = get_peft_model(model.build(device), way.config, autocast_adapter_dtype=way.float32_adapters).train()
    inputs = model.inputs(device)
    optimizer = torch.optim.AdamW(trained(adapted), lr=1e-5, fused=device.type == "cuda")

    def step() -> None:
        with autocast(model.precision, device):
            loss = adapted(**inputs).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def step_row(model: Model, device: torch.device, repeats: int = gpu_timing.REPEATS) -> dict:
    """Measure the training steps of a model with every way, in turn.

    All models are in memory together. Ways with the same config train the same one.

    Returns: a row of a record. Step times are minimum, median and maximum in milliseconds of wall time. "busy_ms" is
    the time for which the GPU computes in one step. "peak_bytes" is what a step needs beyond models and optimizers.
    """
    failed: dict[str, str] = {}
    ways, built, steps, peaks, busy = model.ways(), {}, {}, {}, {}
    for name, way in ways.items():
        with recorded(failed, name), forced(way):
            step = built[way.model_key] = built.get(way.model_key) or stepper(model, way, device)
            for _ in range(gpu_timing.WARM_UPS if repeats > 1 else 1):
                step()
            steps[name] = step
            peaks[name] = peak_bytes(step, device)
        with recorded(failed, f"{name}, profile"), forced(way):
            busy[name] = gpu_timing.busy_milliseconds(gpu_timing.kernels_of(steps[name], device, 1))

    def timer(name: str) -> Callable[[], float]:
        def measure() -> float:
            with forced(ways[name]):
                return gpu_timing.wall_milliseconds(steps[name], device, STEPS if repeats > 1 else 1)

        return measure

    times = in_turn({name: timer(name) for name in steps}, failed, repeats)
    return {
        "model": model.name, "batch": model.batch, "tokens": model.tokens, "precision": model.precision,
        "block_size": model.b, "repeats": repeats, "step_ms": {name: spread(ms, 3) for name, ms in times.items()},
        "busy_ms": busy, "peak_bytes": peaks, "failed": failed,
    }  # fmt: skip
