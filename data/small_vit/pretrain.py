"""Pre-train the small vision transformer of this folder on the handwritten digits 0 to 4, in colour.

    python data/small_vit/pretrain.py [--steps 1500] [--width 128] [--to FOLDER]

Writes config.json, model.safetensors (without the head), preprocessor_config.json and pretraining.json (steps, seed,
losses, accuracy on unseen handwriting, device, versions). Takes five minutes on two cores.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from tqdm.auto import tqdm
from transformers import ViTConfig, ViTForImageClassification, get_cosine_schedule_with_warmup

from circpeft.tasks.digits import SIDE, handwriting, render

HERE = Path(__file__).resolve().parent
SEED, BATCH, RATE, CLASSES = 0, 64, 1e-3, range(5)
WIDTH, HEAD = 128, 32  # features of a token, and of each attention head
# Preprocessing of images, with the values of ViT's own processor.
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"height": SIDE, "width": SIDE},
}


def pixels(inks: np.ndarray, draw: np.random.Generator) -> torch.Tensor:
    """Return freshly rendered images of digits as the model's input, values from -1 to 1."""
    images = np.stack([np.asarray(render(ink, draw), dtype=np.float32) for ink in inks])
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1


@torch.no_grad()
def accuracy(model: ViTForImageClassification, inks: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of right answers on one image of each digit."""
    model.eval()
    logits = model(pixel_values=pixels(inks, np.random.default_rng(SEED + 1))).logits
    model.train()
    return float((logits.argmax(-1).numpy() == labels).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Pre-train the small vision transformer on the digits 0 to 4.")
    parser.add_argument("--steps", type=int, default=1500, help="training steps")
    parser.add_argument("--width", type=int, default=WIDTH, help=f"features of a token, a multiple of {HEAD}")
    parser.add_argument("--to", type=Path, help="output folder; this one by default")
    arguments = parser.parse_args()
    if arguments.width < HEAD or arguments.width % HEAD:
        parser.error(f"--width must be a positive multiple of {HEAD}, got {arguments.width}")
    if arguments.to is None and arguments.width != WIDTH:
        parser.error(f"--width {arguments.width} needs --to FOLDER: the course uses the model of width {WIDTH} here")
    folder = arguments.to or HERE
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    config = ViTConfig(
        image_size=SIDE,
        patch_size=8,
        hidden_size=arguments.width,
        intermediate_size=4 * arguments.width,
        num_hidden_layers=4,
        num_attention_heads=arguments.width // HEAD,
        num_labels=len(CLASSES),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = ViTForImageClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = get_cosine_schedule_with_warmup(optimizer, 100, arguments.steps)
    splits = handwriting(CLASSES)
    inks, labels = splits["train"]
    draw, losses, started = np.random.default_rng(SEED), [], time.perf_counter()
    progress = tqdm(range(1, arguments.steps + 1), desc="pre-training")
    for step in progress:
        rows = draw.integers(0, len(inks), BATCH)
        loss = model(pixel_values=pixels(inks[rows], draw), labels=torch.from_numpy(labels[rows]).long()).loss
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % max(1, arguments.steps // 40) == 0:
            losses.append({"step": step, "loss": round(loss.item(), 4)})
            progress.set_postfix(loss=f"{loss.item():.3f}")
    right = accuracy(model, *splits["test"])
    model.vit.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=1) + "\n", encoding="utf-8")
    record = {
        "parameters": sum(p.numel() for p in model.vit.parameters()),
        "steps": arguments.steps,
        "batch": BATCH,
        "width": arguments.width,
        "seed": SEED,
        "learning_rate": RATE,
        "losses": losses,
        "accuracy_on_new_handwriting": right,
        "seconds": round(time.perf_counter() - started),
        "device": f"CPU, {torch.get_num_threads()} threads",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    (folder / "pretraining.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"accuracy on new handwriting: {right:.3f}; loss {losses[-1]['loss']}")


if __name__ == "__main__":
    main()
