"""A tiny model's answers: their format, interrupted runs, damaged files and invalid calls."""

import time

import pytest
import torch

from circpeft import mt_bench


def test_answers_have_fastchats_format(model, tokenizer, tmp_path, QUESTIONS, read):
    model.train()
    state = torch.get_rng_state()
    path = mt_bench.generate(model, tokenizer, QUESTIONS, "tiny", tmp_path / "new" / "tiny.jsonl", 8, progress=False)
    assert torch.equal(state, torch.get_rng_state()) and model.training
    rows = read(path)
    assert [r["question_id"] for r in rows] == [81, 111, 141]
    for answer in rows:
        assert list(answer) == ["question_id", "answer_id", "model_id", "choices", "tstamp"]
        assert answer["model_id"] == "tiny" and answer["tstamp"] <= time.time()
        ((choice),) = answer["choices"]
        assert list(choice) == ["index", "turns"] and choice["index"] == 0
        assert len(choice["turns"]) == 2 and all(isinstance(text, str) for text in choice["turns"])
    assert len({answer["answer_id"] for answer in rows}) == 3


def test_an_interrupted_run_continues(model, tokenizer, tmp_path, monkeypatch, QUESTIONS, read):
    complete = mt_bench.generate(model, tokenizer, QUESTIONS, "tiny", tmp_path / "complete.jsonl", 8, progress=False)
    real, calls = model.generate, []

    def generate(**options):
        calls.append(options)
        if len(calls) == 4:  # in the second question
            raise KeyboardInterrupt
        return real(**options)

    monkeypatch.setattr(model, "generate", generate)
    path = tmp_path / "parts.jsonl"
    with pytest.raises(KeyboardInterrupt):
        mt_bench.generate(model, tokenizer, QUESTIONS, "tiny", path, 8, progress=False)
    before = path.read_text()
    assert [r["question_id"] for r in read(path)] == [81]
    mt_bench.generate(model, tokenizer, QUESTIONS, "tiny", path, 8, progress=False)
    assert len(calls) == 4 + 4 and path.read_text().startswith(before)
    assert [r["choices"] for r in read(path)] == [r["choices"] for r in read(complete)]
    mt_bench.generate(model, tokenizer, QUESTIONS, "tiny", path, 8, progress=False)
    assert len(calls) == 8
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_seed_changes_sampled_answers_only(model, tokenizer, tmp_path, QUESTIONS, read):
    files = [
        mt_bench.generate(model, tokenizer, QUESTIONS[:2], "t", tmp_path / f"{s}", 16, seed=s, progress=False)
        for s in (0, 1)
    ]
    (writing, math), (other_writing, other_math) = ([r["choices"] for r in read(file)] for file in files)
    assert writing != other_writing and math == other_math


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [*lines, lines[1][: len(lines[1]) // 2]], r"line 4 is not JSON.*delete the line"),
        (lambda lines: [lines[0], '{"question_id": 5}\n'], r"line 2 is not an answer; expected question_id, model_id"),
        (lambda lines: [lines[0].replace('"turns": [', '"turns": ["", ')], r"line 1 is not an answer"),
        (lambda lines: [lines[0], lines[0]], r"line 2 answers question 81 a second time"),
        (lambda lines: [lines[0], lines[1].replace("tiny", "huge")], r"line 2 is an answer of model 'huge'"),
    ],
)
def test_a_damaged_file_of_answers(model, tokenizer, answers, damage, message, QUESTIONS, write_lines):
    write_lines(answers, damage(answers.read_text().splitlines(keepends=True)))
    before = answers.read_text()
    with pytest.raises(ValueError, match=rf"tiny\.jsonl, {message}"):
        mt_bench.generate(model, tokenizer, QUESTIONS, "tiny", answers, 8, progress=False)
    assert answers.read_text() == before


def test_generate_raises_before_any_work(model, tokenizer, answers, tmp_path, QUESTIONS):
    def generate(asked=QUESTIONS, name="tiny", path=tmp_path / "new", length=8):
        mt_bench.generate(model, tokenizer, asked, name, path, length, progress=False)

    with pytest.raises(ValueError, match="answer of model 'tiny'; expected only 'other'"):
        generate(name="other", path=answers)
    for length in (0, 511, 1024):
        with pytest.raises(ValueError, match=rf"max_new_tokens={length} .* context of 512 tokens; try 256"):
            generate(length=length)
    with pytest.raises(ValueError, match="question_id 81 occurs twice"):
        generate(asked=QUESTIONS[:1] * 2)
    with pytest.raises(ValueError, match="no questions; expected those"):
        generate(asked=[])
    model.config.is_encoder_decoder = True
    with pytest.raises(ValueError, match="encoder-decoder"):
        generate()
    assert not (tmp_path / "new").exists()
