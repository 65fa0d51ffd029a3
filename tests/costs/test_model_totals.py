"""Costs of whole models: sums over layers, shared inputs counted once, and errors for bad input."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

from circpeft import C3AConfig, CDVFTConfig, costs, inject, use_backend
from circpeft.profiling import count_flops, count_saved_bytes

CONFIG = AutoConfig.for_model(
    "bert", hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=50
)
TARGETS = ["query", "key", "value", "dense"]


def build():
    torch.manual_seed(0)
    return AutoModel.from_config(CONFIG, add_pooling_layer=False).eval().requires_grad_(False)


@pytest.mark.parametrize(("method", "config"), [("c3a", C3AConfig), ("cdvft", CDVFTConfig)], ids=str)
def test_totals_equal_the_counts_of_a_real_model(method, config):
    ids = torch.arange(24).view(2, 12)
    base, adapted = build(), inject(build(), config(target_modules=TARGETS, init_weights=False, block_size=16))
    with use_backend("rfft"):
        counted = count_flops(adapted, ids, backward=False).forward - count_flops(base, ids, backward=False).forward
        formula = costs.model_flops(CONFIG, method, TARGETS, tokens=24, block_size=16)
        assert abs(counted - formula) <= 2 * len(costs.layers(CONFIG, TARGETS))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert costs.model_parameters(CONFIG, method, TARGETS, block_size=16) == trained


def test_query_key_and_value_save_one_input():
    def counted_bytes(targets):
        adapted = inject(build(), C3AConfig(target_modules=targets, init_weights=False, block_size=16))
        first = adapted.encoder.layer[0].attention.self
        x = torch.randn(24, 32, requires_grad=True)

        class Three(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.parts = torch.nn.ModuleList([first.query, first.key, first.value])

            def forward(self, x):
                return [part(x) for part in self.parts]

        with use_backend("rfft"):  # a tiny layer saves the sum of its weights instead
            return count_saved_bytes(Three(), x)

    one_layer = type(CONFIG).from_dict({**CONFIG.to_dict(), "num_hidden_layers": 1})
    for targets in (["query"], ["query", "value"], ["query", "key", "value"]):
        formula = costs.model_saved_bytes(one_layer, "c3a", targets, tokens=24, block_size=16)
        assert counted_bytes(targets) == formula


@pytest.mark.parametrize(
    ("parent", "names", "inputs"),
    [
        ("mlp", ["gate_proj", "up_proj"], 1),
        ("mlp", ["gate_proj", "down_proj"], 2),
        ("attention", ["q", "k", "v"], 1),
        ("attention", ["q_proj", "k_proj", "v_proj"], 1),
        ("attention", ["q_proj", "key"], 2),
        ("encoder_attn", ["q_proj", "k_proj", "v_proj"], 2),
        ("crossattention", ["query", "value"], 2),
        ("EncDecAttention", ["k", "v"], 1),
    ],
)
def test_layers_that_share_an_input_save_it_once(parent, names, inputs):
    model = torch.nn.ModuleDict({parent: torch.nn.ModuleDict({name: torch.nn.Linear(4, 4) for name in names})})
    assert costs.model_saved_bytes(model, "c3a", names, tokens=3) == inputs * 3 * 4 * 4


def test_totals_are_sums_over_the_layers():
    layers = costs.layers("llama3-8b", ["q_proj", "v_proj"])
    for of_model, of_layer in (
        (costs.model_moved_bytes, costs.moved_bytes),
        (costs.model_saved_bytes, costs.saved_bytes),
    ):
        total = sum(of_layer("lora", la.d_in, la.d_out, tokens=7, dtype_bytes=2, r=4) for la in layers)
        shared = 32 * 7 * 4096 * 2 if of_layer is costs.saved_bytes else 0
        assert of_model("llama3-8b", "lora", ["q_proj", "v_proj"], tokens=7, dtype_bytes=2, r=4) == total - shared
    merged = sum(costs.merge_flops("lora", la.d_in, la.d_out, r=4) for la in layers)
    assert costs.model_merge_flops("llama3-8b", "lora", ["q_proj", "v_proj"], r=4) == merged
    forward, backward, both = (
        costs.model_flops("llama3-8b", "lora", ["q_proj"], tokens=3, direction=d)
        for d in ("forward", "backward", "both")
    )
    assert forward + backward == both > 0


def test_all_linear_names_every_linear_layer():
    assert costs.layers(CONFIG, "all-linear") == costs.layers(CONFIG) != []


def test_the_factors_of_boft_pair_all_blocks():
    assert costs.parameters("boft", 24, 24, block_size=4, m=2) == 2 * 24 * 4 + 24  # six blocks are three pairs
    with pytest.raises(ValueError, match=r"a multiple of 2\^\(m-1\) blocks of 4, d_in=24 has 6; largest: 2"):
        costs.parameters("boft", 24, 24, block_size=4, m=3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: costs.total_over("saved", [], "lora"), "unknown quantity 'saved'.*parameters, flops"),
        (lambda: costs.total_over("flops", [], "lorra"), "unknown method 'lorra'; did you mean 'lora'"),
        (lambda: costs.model_parameters("roberta-base", "full", counting="foo"), "unknown counting 'foo'"),
        (lambda: costs.model_flops("roberta-base", "lora", direction="up"), "unknown direction 'up'"),
        (lambda: costs.model_flops("roberta-base", "lora", tokens=-1), "tokens must be an integer of at least 0"),
        (lambda: costs.layers("roberta-base", []), "target_modules is empty"),
        (lambda: costs.layers("roberta-base", "("), "is not a valid regex"),
        (
            lambda: costs.layers("roberta-base", ["qurey"]),
            "'qurey' matches no linear layer or convolution; did you mean 'query'",
        ),
        (lambda: costs.parameters("cdvft", 8, 8, b=4, p=2), "two names of block_size"),
        (lambda: costs.parameters("boft", 768, 768, block_size=8, m=50), "largest: 6"),
        (lambda: costs.parameters(["lora"], 8, 8), "unknown method"),
    ],
)
def test_errors_name_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
