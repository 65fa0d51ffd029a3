"""The prompt of each turn and the temperature that the model gets."""

import pytest
import torch

from circpeft import mt_bench, tasks
from circpeft.mt_bench import Question
from circpeft.tasks import instructions

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"


@pytest.fixture
def scripted(model, tokenizer, monkeypatch):
    """Return a function that makes the model give these answers, and returns the list of its calls."""

    def script(*answers: str) -> list[dict]:
        calls = []

        def write(input_ids, **options):
            calls.append({"prompt": tokenizer.decode(input_ids[0]), "ids": input_ids[0].tolist(), **options})
            answer = tokenizer(answers[(len(calls) - 1) % len(answers)])["input_ids"]
            return torch.cat([input_ids, torch.tensor([answer])], dim=1)

        monkeypatch.setattr(model, "generate", write)
        return calls

    return script


def test_temperature_of_the_category(model, tokenizer, scripted, tmp_path):
    calls = scripted("yes")
    asked = [Question(i, name, ("a", "b")) for i, name in enumerate(mt_bench.TEMPERATURES)]
    mt_bench.generate(model, tokenizer, asked, "tiny", tmp_path / "a.jsonl", 9, progress=False)
    used = [(call["do_sample"], call.get("temperature")) for call in calls]
    hot, cold, mild = (True, 0.7), (False, None), (True, 0.1)
    assert used[::2] == used[1::2] == [hot, hot, cold, cold, cold, cold, mild, mild]
    assert all(call["max_new_tokens"] == 9 and call["num_beams"] == 1 for call in calls)


def test_the_second_prompt_holds_the_first_answer(model, tokenizer, scripted, tmp_path, QUESTIONS, read):
    calls = scripted("The sea is wide.", "Wide.\n\n### Instruction:\nMore?")
    path = mt_bench.generate(model, tokenizer, QUESTIONS[:1], "tiny", tmp_path / "a.jsonl", 9, progress=False)
    first = "<s>### Instruction:\nDescribe the sea.\n\n### Response:\n"
    assert [call["prompt"] for call in calls] == [
        first,
        first + "The sea is wide.\n\n### Instruction:\nShorten it.\n\n### Response:\n",
    ]
    # Text that the model adds as the user's next turn is not part of its answer.
    assert read(path)[0]["choices"][0]["turns"] == ["The sea is wide.", "Wide."]


def test_a_first_turn_is_asked_as_in_training():
    text = "  What is {1 + 1}?\n\nIn one word. \n"
    prompt = mt_bench.instruction_template([("user", text)])
    assert prompt == instructions.PROMPT.format(instruction=text.strip())
    assert prompt == tasks.get("alpaca").prompt({"instruction": text, "output": ""})


def test_the_chat_template_of_the_tokenizer(model, tokenizer, scripted, tmp_path, monkeypatch, QUESTIONS):
    monkeypatch.setattr(tokenizer, "chat_template", CHAT)
    calls = scripted("Wide.")
    mt_bench.generate(model, tokenizer, QUESTIONS[:1], "tiny", tmp_path / "a.jsonl", 9, progress=False)
    assert calls[0]["prompt"] == "<user>Describe the sea.<assistant>"
    assert calls[1]["prompt"] == "<user>Describe the sea.<assistant>Wide.<user>Shorten it.<assistant>"


@pytest.mark.parametrize("chat", [None, CHAT])
def test_a_given_template_has_priority(model, tokenizer, scripted, tmp_path, monkeypatch, chat, QUESTIONS):
    monkeypatch.setattr(tokenizer, "chat_template", chat)
    calls = scripted("Wide.")
    mt_bench.generate(
        model, tokenizer, QUESTIONS[:1], "tiny", tmp_path / "a.jsonl", 9, template=lambda m: repr(m), progress=False
    )
    assert calls[1]["prompt"] == "<s>[('user', 'Describe the sea.'), ('assistant', 'Wide.'), ('user', 'Shorten it.')]"


def test_a_long_prompt_is_cut_from_the_left(model, tokenizer, scripted, tmp_path):
    calls = scripted("fine")
    asked = [Question(83, "math", ("x" * 600 + "END", "b"))]
    room = "as the model's context leaves 500 for the prompt and 12 for the answer"
    cut = rf"the prompt has \d+ tokens; its first \d+ are cut, {room}"
    with pytest.warns(match=f"question 83, turn 1: {cut}"), pytest.warns(match=f"question 83, turn 2: {cut}"):
        mt_bench.generate(model, tokenizer, asked, "tiny", tmp_path / "a.jsonl", 12, progress=False)
    assert [len(call["ids"]) for call in calls] == [500, 500]
    assert calls[0]["prompt"].endswith("xEND\n\n### Response:\n")
    # Models rely on the token that begins a text, so it is kept.
    assert [call["ids"][:2] for call in calls] == [[0, tokenizer.convert_tokens_to_ids("x")]] * 2
