"""Profiles: the settings of a recipe for each kind of task, from a quick check to the papers' models and data."""

from typing import Any

# CDVFT adapts query and value (sections 4.1, 4.2), and C3A's printed counts follow from them. MiniLM learns the
# embedded task if all linear layers are adapted.
# The model's dropout of 0.1 is off: on an earlier version of the pairs (one seed), C3A was at 0.50 after an epoch with
# it, and at 0.75 without. Smaller batches are noisier: C3A with b = d ended at 0.86 to 0.91 on validation with batches
# of 8 (seed 1), at 0.87 to 0.97 with 16, and at 0.96 to 0.98 with 32 (three seeds).
_MINILM: dict[str, Any] = {"model": "minilm", "target_modules": "query,key,value,dense", "base_dropout": 0.0}
# transformers 4 and 5 have different names for the layers of ViT.
_SMALL_VIT = {"model": "small-vit", "target_modules": "all-linear", "base_dropout": 0.0}
_VIT = {"model": "google/vit-base-patch16-224-in21k", "target_modules": r".*\.(query|value|q_proj|v_proj)"}
# A cut answer cannot be learnt, so the limit is the model's number of positions, not the 128 tokens of classification.
_SMALL_LLAMA = {"model": "small-llama", "target_modules": "all-linear", "base_dropout": None, "max_length": 512}
_ALL = {"max_train": 0, "max_eval": 0}
_FEW = {"max_train": 32, "max_eval": 32}
PROFILES: dict[str, dict[str, dict[str, Any]]] = {
    "text": {
        "smoke": {**_MINILM, **_FEW, "epochs": 1, "batch_size": 16},
        "cpu": {**_MINILM, **_ALL, "epochs": 2, "batch_size": 32},
        "paper": {
            **_ALL,
            "model": "FacebookAI/roberta-base",
            "target_modules": "query,value",
            "base_dropout": None,
            "epochs": 30,
            "batch_size": 32,
        },
    },
    "images": {
        "smoke": {**_SMALL_VIT, **_FEW, "epochs": 1, "batch_size": 16},
        "cpu": {**_SMALL_VIT, **_ALL, "epochs": 6, "batch_size": 32},
        "paper": {**_VIT, **_ALL, "base_dropout": None, "epochs": 10, "batch_size": 64},
    },
    "instructions": {
        "smoke": {**_SMALL_LLAMA, "max_train": 32, "max_eval": 8, "epochs": 1, "batch_size": 8},
        "cpu": {**_SMALL_LLAMA, **_ALL, "epochs": 5, "batch_size": 16},
        # One pass over the data (C3A section 4.3). C3A's counts in Table 3 follow from query and value.
        "paper": {
            **_ALL,
            "model": "meta-llama/Llama-2-7b-hf",
            "target_modules": "q_proj,v_proj",
            "base_dropout": None,
            "epochs": 1,
            "batch_size": 8,
            "max_length": 1024,
            "gradient_accumulation": 4,
            "gradient_checkpointing": True,
            "precision": "bf16",
            "base_dtype": "bfloat16",
        },
    },
}
