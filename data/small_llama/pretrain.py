"""Pre-train the small LLaMA of this folder on sums, in figures and in words, and on stories without answers.

    python data/small_llama/pretrain.py [--steps 2500] [--width 128] [--to FOLDER]

Writes config.json, model.safetensors, the tokenizer and pretraining.json (steps, seed, losses, share of right sums,
device, versions). Takes a quarter of an hour on two cores.
"""

import argparse
import importlib.util
import json
import platform
import random
import re
import time
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm.auto import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, get_cosine_schedule_with_warmup

HERE = Path(__file__).resolve().parent
SEED, BATCH, LENGTH, RATE = 0, 64, 80, 2e-3
WIDTH, HEAD = 128, 32  # features of a token, and of each attention head
PROMPT = "### Instruction:\n{}\n\n### Response:\n"  # only for the vocabulary: the model is not trained on prompts


def word_problem_generator():
    """Return the generator of the word problems, for its words and stories."""
    spec = importlib.util.spec_from_file_location("generate", HERE.parent / "word_problems" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WORD_PROBLEMS = word_problem_generator()


def a_sum(draw: random.Random, first: int | None = None) -> tuple[str, int]:
    """Return a sum with a result from 0 to 99, and the result."""
    while True:
        sign = draw.choice("++--*")
        a = first if first is not None else draw.randint(0, 99 if sign != "*" else 12)
        b = draw.randint(0, 99 if sign != "*" else 12)
        result = WORD_PROBLEMS.OPERATIONS[sign](a, b)
        if 0 <= result <= 99:
            return f"{a} {sign} {b} = {result}", result


def sums(draw: random.Random) -> str:
    """Return lines of sums; some continue with the result of the line before."""
    lines, result = [], None
    for _ in range(draw.randint(4, 8)):
        line, result = a_sum(draw, result if draw.random() < 0.3 else None)
        lines.append(line)
    return "\n".join(lines)


# Sums asked for in words: to write them, a model has to find the numbers in the text.
IN_WORDS = {
    "+": ("A plus B is A + B = R", "Add B to A: A + B = R", "The sum of A and B: A + B = R"),
    "-": ("A minus B is A - B = R", "Take B from A: A - B = R", "B less than A: A - B = R"),
    "*": ("A times B is A * B = R", "A groups of B: A * B = R", "Take A times B: A * B = R"),
}


def in_words(draw: random.Random) -> str:
    """Return lines of sums, each asked for in words."""
    lines = []
    for _ in range(draw.randint(3, 5)):
        text, result = a_sum(draw)
        a, sign, b = text.split()[:3]
        words = draw.choice(IN_WORDS[sign])
        lines.append(
            re.sub(r"\b[ABR]\b", lambda match, slots={"A": a, "B": b, "R": result}: str(slots[match[0]]), words)
        )
    return "\n".join(lines)


def story(draw: random.Random) -> str:
    """Return a story with names and things of any split; three in ten have their question, none has an answer."""
    names = " ".join(WORD_PROBLEMS.NAMES.values()).split()
    things = " ".join(WORD_PROBLEMS.THINGS.values()).split()
    a, b = draw.sample(names, 2)
    numbers = {slot: draw.randint(2, 60) for slot in "XYZ"} | {slot: draw.randint(2, 9) for slot in "PQ"}
    text, question, _ = WORD_PROBLEMS.FRAMES[draw.choice(list(WORD_PROBLEMS.FRAMES))]
    shown = text if draw.random() < 0.7 else f"{text} {question}"
    return WORD_PROBLEMS.filled(shown, {"A": a, "B": b, "T": draw.choice(things), **numbers})


def texts(draw: random.Random):
    """Yield texts without end, in turn sums in figures, sums in words and stories."""
    while True:
        yield sums(draw)
        yield in_words(draw)
        yield "\n".join(story(draw) for _ in range(2))


def trained_tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-level tokenizer with single digits on stories, prompts and sums."""
    tokenizer = Tokenizer(models.BPE())
    digits, bytes_ = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    draw = random.Random(SEED)
    corpus = [f"{PROMPT.format(story(draw))}{a_sum(draw)[0]}\n#### 1\n{in_words(draw)}" for _ in range(10_000)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>", "<pad>"]
    tokenizer.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=512, special_tokens=special, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=256
    )


def batch(source, tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Return token IDs ``(BATCH, LENGTH)``: texts one after the other, each with an end token."""
    rows = []
    while len(rows) < BATCH:
        ids: list[int] = []
        while len(ids) < LENGTH:
            ids += [*tokenizer(next(source))["input_ids"], tokenizer.eos_token_id]
        rows.append(ids[:LENGTH])
    return torch.tensor(rows)


@torch.no_grad()
def share_right(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, count: int = 300) -> float:
    """Return the share of fresh sums that the model completes with the right result."""
    draw, right = random.Random(SEED + 1), 0
    model.eval()
    for _ in range(count):
        text, result = a_sum(draw)
        prompt = text.rpartition(" = ")[0] + " ="
        ids = tokenizer(f"1 + 1 = 2\n{prompt}", return_tensors="pt")["input_ids"]
        output = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=4,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )
        answer = tokenizer.decode(output[0, ids.shape[1] :]).split("\n")[0].strip()
        right += answer == str(result)
    model.train()
    return right / count


def main() -> None:
    parser = argparse.ArgumentParser(description="Pre-train the small LLaMA on plain sums and stories.")
    parser.add_argument("--steps", type=int, default=2500, help="training steps")
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
    tokenizer = trained_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=arguments.width,
        intermediate_size=3 * arguments.width,
        num_hidden_layers=4,
        num_attention_heads=arguments.width // HEAD,
        max_position_embeddings=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, 100, arguments.steps)
    source, losses, started = texts(random.Random(SEED)), [], time.perf_counter()
    progress = tqdm(range(1, arguments.steps + 1), desc="pre-training")
    for step in progress:
        ids = batch(source, tokenizer)
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % max(1, arguments.steps // 40) == 0:
            losses.append({"step": step, "loss": round(loss.item(), 4)})
            progress.set_postfix(loss=f"{loss.item():.3f}")
    right = share_right(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    record = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": arguments.steps,
        "batch": [BATCH, LENGTH],
        "width": arguments.width,
        "seed": SEED,
        "learning_rate": RATE,
        "losses": losses,
        "sums_right": right,
        "seconds": round(time.perf_counter() - started),
        "device": f"CPU, {torch.get_num_threads()} threads",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    (folder / "pretraining.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"sums right: {right:.3f}; loss {losses[-1]['loss']}")


if __name__ == "__main__":
    main()
