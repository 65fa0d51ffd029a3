"""TRL's SFTTrainer with circpeft's configs as its peft_config: it trains only the adapter, saves and reloads."""

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

WORDS = ["<pad>", "<eos>", "<unk>", *"the circle turns once more and all its rows are one row moved along".split()]
TARGETS = {"llama": ["q_proj", "v_proj", "down_proj"], "gpt2": ["c_attn", "c_proj"]}


@pytest.fixture(scope="module")
def tokenizer():
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def base(tiny, name):
    """Return a model with the same weights at every call."""
    if name == "gpt2":
        return tiny.gpt2()
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    special = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    config = LlamaConfig(vocab_size=30, max_position_embeddings=16, initializer_range=0.3, **sizes, **heads, **special)
    return LlamaForCausalLM(config).eval()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("llama", {"bf16": False}),
        ("llama", {"packing": True, "packing_strategy": "wrapped", "max_length": 8}),
        ("gpt2", {"bf16": False, "gradient_checkpointing": False}),
    ],
    ids=["llama", "llama-bf16-packed", "gpt2"],
)
def test_sft_trains_only_the_adapter_and_its_result_reloads(tiny, method, tokenizer, tmp_path, name, options):
    rows = datasets.Dataset.from_dict({"text": [" ".join(WORDS[3 + i : 9 + i]) for i in range(8)] * 4})
    arguments = trl.SFTConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=8,
        max_steps=12,
        learning_rate=3e-2,
        logging_steps=1,
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
        **options,
    )
    model = base(tiny, name)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    config = method(target_modules=TARGETS[name], init_weights=True, task_type="CAUSAL_LM")
    run = trl.SFTTrainer(model, arguments, train_dataset=rows, processing_class=tokenizer, peft_config=config)
    run.train()
    losses = [row["loss"] for row in run.state.log_history if "loss" in row]
    assert len(losses) == 12 and sum(losses[-3:]) < 0.9 * sum(losses[:3]), losses
    for n, p in run.model.get_base_model().named_parameters():
        if method.prefix in n:
            assert p.requires_grad and p.dtype == torch.float32
        else:
            assert not p.requires_grad and torch.equal(p, before[n.replace(".base_layer", "")]), n
    run.save_model(str(tmp_path / "saved"))
    assert all(method.prefix in n for n in load_file(tmp_path / "saved" / "adapter_model.safetensors"))
    loaded = PeftModel.from_pretrained(base(tiny, name), tmp_path / "saved")
    after = tiny.logits(run.accelerator.unwrap_model(run.model, keep_fp32_wrapper=False).eval())
    assert torch.equal(tiny.logits(loaded), after)
    assert not torch.allclose(tiny.logits(base(tiny, name)), after, atol=0.1)
