"""Tiny models in GGUF files, and a cache of their own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONTROL, NORMAL = 3, 1
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


@dataclass(frozen=True)
class Written:
    """A GGUF file, and the model whose weights it holds."""

    path: Path
    model: LlamaForCausalLM


def _permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Return query or key weights in llama.cpp's order: the halves of a head's rotation alternate."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return rows.swapaxes(1, 2).reshape(weight.shape)


def _names(config: LlamaConfig) -> dict[str, str]:
    parts = {
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    names = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    if not config.tie_word_embeddings:
        names["output.weight"] = "lm_head.weight"
    for layer in range(config.num_hidden_layers):
        names |= {f"blk.{layer}.{a}.weight": f"model.layers.{layer}.{b}.weight" for a, b in parts.items()}
    return names


def _write_vocabulary(writer, tokens: list[str], template: str | None, rule: str) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rule)
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if token in SPECIAL else NORMAL for token in tokens])
    writer.add_token_merges(["Ġ Ġ", "Ċ Ċ", "a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    if template:
        writer.add_chat_template(template)


@pytest.fixture(scope="session")
def write_gguf(tmp_path_factory) -> Callable[..., Written]:
    """Return a function that writes a GGUF file of a random LLaMA.

    Its options: ``bits`` (32 or 8), ``tied``, ``template``, ``architecture``, ``leave_out`` (a tensor), ``more``
    (tokens without an embedding), ``split`` (the number of parts that the file claims to be one of), and
    ``rule`` (how its tokenizer splits texts into words).
    """
    gguf = pytest.importorskip("gguf", reason="needs the package gguf: pip install 'circpeft[gguf]'")

    def write(
        name: str = "tiny.gguf",
        bits: int = 32,
        tied: bool = True,
        template: str | None = TEMPLATE,
        architecture: str = "llama",
        leave_out: str = "",
        more: int = 0,
        split: int = 1,
        rule: str = "smollm",
        seed: int = 0,
    ) -> Written:
        from transformers.convert_slow_tokenizer import bytes_to_unicode

        tokens = [*SPECIAL, *bytes_to_unicode().values(), "ĠĠ", "ĊĊ", "ab"]
        torch.manual_seed(seed)
        config = LlamaConfig(vocab_size=len(tokens), tie_word_embeddings=tied, initializer_range=0.2, **SIZES)
        model = LlamaForCausalLM(config).eval()
        path = tmp_path_factory.mktemp("gguf") / name
        writer = gguf.GGUFWriter(path, architecture)
        writer.add_name("Tiny")
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(10000.0)
        writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
        writer.add_vocab_size(len(tokens))
        if split > 1:
            writer.add_uint16("split.count", split)
        _write_vocabulary(writer, [*tokens, *(f"more{i}" for i in range(more))], template, rule)
        weights = dict(model.named_parameters())
        for name_in_file, name_in_model in _names(config).items():
            if name_in_file == leave_out:
                continue
            values = weights[name_in_model].detach().numpy()
            heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
            heads_here = heads.get(name_in_file.split(".")[-2])
            if bits == 8 and values.ndim == 2:
                form = gguf.GGMLQuantizationType.Q8_0
                rounded = gguf.dequantize(gguf.quantize(values, form), form)
                weights[name_in_model].data.copy_(torch.from_numpy(rounded))
                values = _permuted(rounded, heads_here) if heads_here else rounded
                writer.add_tensor(name_in_file, gguf.quantize(values, form), raw_dtype=form)
            else:
                values = _permuted(values, heads_here) if heads_here else values
                writer.add_tensor(name_in_file, np.ascontiguousarray(values))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return Written(path, model)

    return write


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """Keep converted models in a folder of the test, and return the folder in which they are."""
    monkeypatch.setenv("HF_ASSETS_CACHE", str(tmp_path / "assets"))  # for further processes
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    return tmp_path / "assets" / "circpeft" / "gguf"
