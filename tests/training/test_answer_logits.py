"""Logits only at answers: the same loss and gradients as with all logits, in fewer positions."""

from inspect import signature

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from circpeft import training
from circpeft.training.answer_logits import (
    KEEP,
    TAKES_POSITIONS_OF_ROWS,
    accepts_positions,
    last_position,
    only_answers,
)
from circpeft.training.exact_trainer import IGNORED
from circpeft.training.generation import write_answers
from circpeft.training.tokens import length_multiple

pytestmark = pytest.mark.skipif(not TAKES_POSITIONS_OF_ROWS, reason="needs transformers with positions for each row")

# First and last label of each row, of nine tokens.
ANSWERS = {
    "one row": [(3, 8)],
    "answers of one length": [(2, 4), (5, 7)],
    "a long and a short answer": [(1, 8), (8, 8), (3, 4)],
    "an answer from the first token": [(0, 2), (4, 6)],
    "a row without labels": [None, (6, 7)],
    "no row with labels": [None, None],
}


def batch(answers):
    """Return a batch of nine tokens in each row, with labels from the first to the last of its answer."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 40, (len(answers), 9), generator=generator)
    labels = torch.full_like(ids, IGNORED)
    mask = torch.zeros_like(ids)
    for row, answer in enumerate(answers):
        first, last = answer or (0, 8)
        mask[row, : last + 1] = 1
        if answer:
            labels[row, first : last + 1] = ids[row, first : last + 1]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def outcome(model, inputs):
    """Return the loss, summed over the labels as several processes do it, the logits' shape, and all gradients."""
    model.zero_grad()
    outputs = model(**inputs, num_items_in_batch=torch.tensor(10))
    outputs.loss.backward()
    return outputs.loss.detach(), outputs.logits.shape, [p.grad for p in model.parameters() if p.grad is not None]


def gpt2(vocabulary: int) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=2, initializer_range=0.3))


@pytest.fixture(params=["llama", "gpt2"])
def model(request, tiny_llama):
    made = AutoModelForCausalLM.from_pretrained(tiny_llama) if request.param == "llama" else gpt2(300)
    assert accepts_positions(made)
    return made.double().eval()


@pytest.mark.parametrize("multiple", [1, 16])
@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS)
def test_loss_and_gradients_are_those_of_all_logits(model, answers, multiple):
    whole = batch(answers)
    loss, _, gradients = outcome(model, whole)
    kept_loss, shape, kept_gradients = outcome(model, only_answers(whole, multiple))
    torch.testing.assert_close(kept_loss, loss)
    torch.testing.assert_close(kept_gradients, gradients)
    longest = max((last - max(first - 1, 0) + 1 for first, last in filter(None, answers)), default=1)
    assert shape[:2] == (len(answers), longest if multiple == 1 else 16)


def test_labels_with_a_gap_stay_apart(model):
    """Two answers in one row, as in a dialogue: what lies between them is not predicted."""
    whole = batch([(1, 7), (4, 8)])
    whole["labels"][0, 3:6] = IGNORED
    torch.testing.assert_close(outcome(model, only_answers(whole))[::2], outcome(model, whole)[::2])


def test_a_model_without_the_argument_gets_the_whole_batch():
    class Old(torch.nn.Module):
        def forward(self, input_ids=None, labels=None):
            return input_ids

    assert not accepts_positions(Old())
    assert last_position(Old(), torch.device("cpu")) == {}


def test_written_answers_are_those_of_generate_by_itself(model):
    ids = torch.randint(5, 40, (3, 6), generator=torch.Generator().manual_seed(1))
    options = {"max_new_tokens": 5, "do_sample": False, "pad_token_id": 0, "attention_mask": torch.ones_like(ids)}
    kept = last_position(model, ids.device)
    assert kept and torch.equal(model.generate(ids, **options, **kept), model.generate(ids, **options))


def test_answering_does_not_copy_the_vocabulary_for_each_row(peak, tiny_llama):
    """64 rows, and a frozen matrix of 13 MB in bfloat16: torch copied it for each row of a slice of hidden states."""
    model, tokenizer = gpt2(200_000).bfloat16().requires_grad_(False).eval(), AutoTokenizer.from_pretrained(tiny_llama)
    with peak(400):
        write_answers(model, tokenizer, [[5, 6, 7]] * 64, 1, 64, progress=False)


def test_the_trainer_asks_for_the_positions_of_answers_only(instruction, monkeypatch):
    """In training and in its evaluation, also through an adapter."""
    seen, forward = [], LlamaForCausalLM.forward

    def noted(self, *arguments, **options):
        if options.get("labels") is not None:
            seen.append((options.get(KEEP), options["labels"].shape, options["input_ids"].shape))
        return forward(self, *arguments, **options)

    noted.__signature__ = signature(forward)
    monkeypatch.setattr(LlamaForCausalLM, "forward", noted)
    training.run(instruction("lora", epochs=1))
    assert {ids[1] % 16 for *_, ids in seen} != {0}  # lengths are free in float32
    kept = [(positions, labels, ids) for positions, labels, ids in seen if positions is not None]
    assert len(kept) > 4 and all(positions.shape == labels for positions, labels, _ in kept)
    assert all(labels[1] < ids[1] for _, labels, ids in kept)
    assert len(seen) - len(kept) == 2  # the FLOPs of a token, with the adapter and without it


def test_in_half_precision_lengths_are_multiples_of_16(instruction, monkeypatch):
    """A CPU compiles each product anew for a new shape. The answers' positions are a shape, too."""
    seen, forward = [], LlamaForCausalLM.forward

    def noted(self, *arguments, **options):
        if options.get(KEEP) is not None and options.get("labels") is not None:
            seen.append((options["input_ids"].shape[1], options["labels"].shape[1]))
        return forward(self, *arguments, **options)

    noted.__signature__ = signature(forward)
    monkeypatch.setattr(LlamaForCausalLM, "forward", noted)
    training.run(instruction("lora", epochs=1, precision="bf16"))
    assert len(seen) > 4 and {number % 16 for both in seen for number in both} == {0}


@pytest.mark.parametrize(
    ("precision", "positions", "expected"), [("bf16", 64, 16), ("bf16", 24, 1), ("float32", 64, 1)]
)
def test_no_batch_is_padded_beyond_the_positions_of_a_model(precision, positions, expected, tiny_llama):
    """GPT-2 has 24 learnt positions in one case: padding to 32 would read a 25th."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.model_max_length = 10**30
    assert length_multiple(precision, tokenizer, GPT2Config(n_positions=positions)) == expected
