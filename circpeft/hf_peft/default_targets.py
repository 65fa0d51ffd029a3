"""The layers that are adapted if a config names none: query and value, by the model's type in transformers."""

from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

# Families that PEFT's table lacks in some versions. Where one layer computes query, key and value, it is that layer.
_ADDED: dict[str, list[str] | str] = {
    "distilbert": ["q_lin", "v_lin"],
    "gemma3": r".*language_model\..*\.(q_proj|v_proj)",  # not the layers for images
    "gemma3_text": ["q_proj", "v_proj"],
    "gpt_oss": ["q_proj", "v_proj"],
    "granite": ["q_proj", "v_proj"],
    "modernbert": ["Wqkv"],
    "olmo": ["q_proj", "v_proj"],
    "olmo2": ["q_proj", "v_proj"],
    "olmo3": ["q_proj", "v_proj"],
    "phi3": ["qkv_proj"],
    "qwen3": ["q_proj", "v_proj"],
    "qwen3_moe": ["q_proj", "v_proj"],
    "smollm3": ["q_proj", "v_proj"],
    "vit": r".*\.(query|value|q_proj|v_proj)",  # the names in transformers 4, and those in transformers 5
}
DEFAULT_TARGETS: dict[str, list[str] | str] = {**_ADDED, **TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING}
