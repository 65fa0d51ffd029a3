"""A saved adapter has only keys that loading accepts; what PEFT adds of the base model is named in a warning."""

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file


def test_embeddings_of_the_base_model_are_left_out_with_a_warning(tiny, method, tmp_path):
    config = method(target_modules=["query", "value"], task_type="SEQ_CLS", init_weights=False)
    model = get_peft_model(tiny.bert(), config)
    with pytest.warns(UserWarning, match=r"saved without '.*word_embeddings\.weight', a weight of the base model"):
        model.save_pretrained(tmp_path / "adapter", save_embedding_layers=True)
    keys = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert keys and not any("embeddings" in key for key in keys)
    loaded = PeftModel.from_pretrained(tiny.bert(), tmp_path / "adapter")
    kernels = {name: p for name, p in model.named_parameters() if p.requires_grad}
    same = dict(loaded.named_parameters())
    assert kernels and all(torch.equal(value, same[name]) for name, value in kernels.items())
