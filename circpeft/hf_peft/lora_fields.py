"""Fields of LoRA's config that people write for C3A and CDVFT, and what to write instead."""

RANK = "its counterpart is 'block_size': a layer has d_in * d_out / block_size parameters, and no fixed rank"
LORA_SCALE = "its counterpart is 'alpha'; leave it at alpha='lora', which"
# The end of an error message, by the name of the field.
OTHER_NAMES = {
    "r": RANK,
    "rank": RANK,
    "rank_pattern": "its counterpart is 'block_size_pattern'",
    "lora_alpha": f"{LORA_SCALE} suits the learning rates of LoRA with lora_alpha = r (for another lora_alpha, "
    "multiply the learning rate by lora_alpha / r)",
    "use_rslora": f"{LORA_SCALE} already divides by the square root of the number of blocks along the shorter side, as "
    "rsLoRA divides by that of the rank",
    "scale": "its counterpart is 'alpha'",
    "scaling": "its counterpart is 'alpha'",
    "lora_dropout": "its counterpart is 'dropout'",
    "init_lora_weights": "its counterpart is 'init_weights'",
}
