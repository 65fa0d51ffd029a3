"""MT-Bench: questions, a tiny model's answers, and a judge that is a real HTTP server on this machine."""

import json
import os
import re
import socket
import threading
import time
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from circpeft import mt_bench
from circpeft.mt_bench import Question

ROOT = os.environ.get("CIRCPEFT_DATA_DIR", "")
KEY = "sk-secret-0123456789"
QUESTIONS = [
    Question(81, "writing", ("Describe the sea.", "Shorten it.")),
    Question(111, "math", ("What is 1 + 1?", "And doubled?"), ("It is 2.", "It is 4.")),
    Question(141, "stem", ("What is light?", "How fast is it?"), ("A wave.", "Very.")),
]
CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"


def write_lines(path: Path, rows: list) -> Path:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# Questions


def row(number: int = 1, **change) -> dict:
    return {"question_id": number, "category": "math", "turns": ["a", "b"], **change}


@pytest.mark.parametrize("name", ["question.jsonl", "test.jsonl"])
def test_questions_of_a_file_and_of_its_folder(tmp_path, name):
    rows = [row(1, reference=["2", ""]), row(2, reference=None, turns=["line\u2028separator", "ü"]), "\n", row(3)]
    file = write_lines(tmp_path / name, rows)
    found = mt_bench.questions(file)
    assert found == mt_bench.questions(str(tmp_path))
    assert [(q.question_id, q.reference) for q in found] == [(1, ("2", "")), (2, ()), (3, ())]
    assert found[1].turns == ("line\u2028separator", "ü")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("{half\n", r"line 2 is not JSON"),
        ("[1]\n", r"line 2 is list; expected an object"),
        (row(2, turns=["a"]), r"line 2: turns of question 2 must be two texts, got \('a',\)"),
        (row(2, turns=["a", " "]), r"line 2: turns of question 2 must be two texts"),
        (row(2, turns="ab"), r"line 2: turns of question 2 must be two texts, got 'ab'"),
        (row(2, reference=["a", 1]), r"line 2: reference of question 2 must be up to two texts"),
        (row(2, category="maths"), r"line 2: unknown category 'maths' .* did you mean 'math'"),
        (row(2, category=["math"]), r"line 2: unknown category \['math'\]"),
        (row("2"), r"line 2: question_id must be a whole number, got '2'"),
        (row(1), r"line 2: question_id 1 is that of line 1"),
        (
            {"question_id": 2, "category": "math", "turn": ["a", "b"]},
            r"line 2: 'turns' is missing; did you mean 'turn'",
        ),
    ],
)
def test_bad_questions_are_named_with_file_and_line(tmp_path, second, message):
    file = write_lines(tmp_path / "question.jsonl", [row(1), second])
    with pytest.raises(ValueError, match=rf"question\.jsonl, {message}"):
        mt_bench.questions(file)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "question.jsonl").write_bytes(b'\n{"question_id": "\xff"}\n')
    with pytest.raises(ValueError, match=r"question\.jsonl, line 2 is not JSON"):
        mt_bench.questions(tmp_path)


def test_where_there_are_no_questions(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds nothing; expected question\.jsonl or test\.jsonl"):
        mt_bench.questions(tmp_path)
    file = write_lines(tmp_path / "question.jsonl", ["\n"])
    with pytest.raises(ValueError, match="has no questions"):
        mt_bench.questions(file)
    with pytest.raises(FileNotFoundError, match=r"did you mean 'question\.jsonl'"):
        mt_bench.questions(tmp_path / "questions.jsonl")
    write_lines(tmp_path / "test.jsonl", [row()])
    with pytest.raises(ValueError, match="give the path of one"):
        mt_bench.questions(tmp_path)


def test_without_a_path_the_published_file_is_downloaded(tmp_path, monkeypatch):
    file = write_lines(tmp_path / "question.jsonl", [row(7)])

    def download(**asked):
        assert asked["filename"] == "data/mt_bench/question.jsonl" and asked["repo_type"] == "space"
        return str(file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert mt_bench.questions()[0].question_id == 7

    def fails(**asked):
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fails)
    with pytest.raises(FileNotFoundError, match="cannot download .*no network.* give the path of a local copy"):
        mt_bench.questions("")


def test_the_real_questions():
    if not ROOT:
        pytest.skip("CIRCPEFT_DATA_DIR is not set: it names a folder with mt_bench/question.jsonl or test.jsonl in it")
    found = mt_bench.questions(Path(ROOT) / "mt_bench")
    assert len(found) == 80 and {q.category for q in found} == set(mt_bench.TEMPERATURES)
    assert [q.question_id for q in found] == list(range(81, 161))
    assert all(len(q.reference) == 2 for q in found if q.category in ("math", "reasoning"))


# Answers


@pytest.fixture(scope="module")
def tokenizer():
    """A token a byte, and like some tokenizers both ends marked, of which a prompt must not have the second."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<s>", "</s>", *letters])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")


@pytest.fixture
def model(tokenizer):
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
    )
    return LlamaForCausalLM(config)


@pytest.fixture
def scripted(model, tokenizer, monkeypatch):
    """A function that has the model write given answers; returns the list of its calls, with the prompts as text."""

    def script(*answers: str) -> list[dict]:
        calls = []

        def write(input_ids, **options):
            calls.append({"prompt": tokenizer.decode(input_ids[0]), "ids": input_ids[0].tolist(), **options})
            answer = tokenizer(answers[(len(calls) - 1) % len(answers)])["input_ids"]
            return torch.cat([input_ids, torch.tensor([answer])], dim=1)

        monkeypatch.setattr(model, "generate", write)
        return calls

    return script


def test_answers_have_fastchats_format(model, tokenizer, tmp_path):
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


def test_temperature_of_the_category(model, tokenizer, scripted, tmp_path):
    calls = scripted("yes")
    asked = [Question(i, name, ("a", "b")) for i, name in enumerate(mt_bench.TEMPERATURES)]
    mt_bench.generate(model, tokenizer, asked, "tiny", tmp_path / "a.jsonl", 9, progress=False)
    used = [(call["do_sample"], call.get("temperature")) for call in calls]
    hot, cold, mild = (True, 0.7), (False, None), (True, 0.1)
    assert used[::2] == used[1::2] == [hot, hot, cold, cold, cold, cold, mild, mild]
    assert all(call["max_new_tokens"] == 9 and call["num_beams"] == 1 for call in calls)


def test_the_second_prompt_holds_the_first_answer(model, tokenizer, scripted, tmp_path):
    calls = scripted("The sea is wide.", "Wide.\n\n### Instruction:\nMore?")
    path = mt_bench.generate(model, tokenizer, QUESTIONS[:1], "tiny", tmp_path / "a.jsonl", 9, progress=False)
    first = "<s>### Instruction:\nDescribe the sea.\n\n### Response:\n"
    assert [call["prompt"] for call in calls] == [
        first,
        first + "The sea is wide.\n\n### Instruction:\nShorten it.\n\n### Response:\n",
    ]
    # What a model writes on in the user's name is no part of its answer.
    assert read(path)[0]["choices"][0]["turns"] == ["The sea is wide.", "Wide."]


def test_the_chat_template_of_the_tokenizer(model, tokenizer, scripted, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", CHAT)
    calls = scripted("Wide.")
    mt_bench.generate(model, tokenizer, QUESTIONS[:1], "tiny", tmp_path / "a.jsonl", 9, progress=False)
    assert calls[0]["prompt"] == "<user>Describe the sea.<assistant>"
    assert calls[1]["prompt"] == "<user>Describe the sea.<assistant>Wide.<user>Shorten it.<assistant>"


@pytest.mark.parametrize("chat", [None, CHAT])
def test_a_template_that_is_given_wins(model, tokenizer, scripted, tmp_path, monkeypatch, chat):
    monkeypatch.setattr(tokenizer, "chat_template", chat)
    calls = scripted("Wide.")
    mt_bench.generate(
        model, tokenizer, QUESTIONS[:1], "tiny", tmp_path / "a.jsonl", 9, template=lambda m: repr(m), progress=False
    )
    assert calls[1]["prompt"] == "<s>[('user', 'Describe the sea.'), ('assistant', 'Wide.'), ('user', 'Shorten it.')]"


def test_a_long_prompt_is_cut_from_the_left(model, tokenizer, scripted, tmp_path):
    calls = scripted("fine")
    asked = [Question(83, "math", ("x" * 600 + "END", "b"))]
    cut = r"the prompt has \d+ tokens; its first \d+ are cut, as the model's context leaves 500 beside 12 new ones"
    with pytest.warns(match=f"question 83, turn 1: {cut}"), pytest.warns(match=f"question 83, turn 2: {cut}"):
        mt_bench.generate(model, tokenizer, asked, "tiny", tmp_path / "a.jsonl", 12, progress=False)
    assert [len(call["ids"]) for call in calls] == [500, 500]
    assert calls[0]["prompt"].endswith("xEND\n\n### Response:\n")
    # Models rely on the token that begins a text: it survives.
    assert [call["ids"][:2] for call in calls] == [[0, tokenizer.convert_tokens_to_ids("x")]] * 2


def test_an_interrupted_run_goes_on(model, tokenizer, tmp_path, monkeypatch):
    whole = mt_bench.generate(model, tokenizer, QUESTIONS, "tiny", tmp_path / "whole.jsonl", 8, progress=False)
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
    assert [r["choices"] for r in read(path)] == [r["choices"] for r in read(whole)]
    mt_bench.generate(model, tokenizer, QUESTIONS, "tiny", path, 8, progress=False)
    assert len(calls) == 8
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_seed_changes_sampled_answers_only(model, tokenizer, tmp_path):
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
        (lambda lines: [lines[0], '{"question_id": 5}\n'], r"line 2 is no answer; expected question_id, model_id"),
        (lambda lines: [lines[0].replace('"turns": [', '"turns": ["", ')], r"line 1 is no answer"),
        (lambda lines: [lines[0], lines[0]], r"line 2 answers question 81 a second time"),
        (lambda lines: [lines[0], lines[1].replace("tiny", "huge")], r"line 2 is an answer of model 'huge'"),
    ],
)
def test_a_damaged_file_of_answers(model, tokenizer, answers, damage, message):
    write_lines(answers, damage(answers.read_text().splitlines(keepends=True)))
    before = answers.read_text()
    with pytest.raises(ValueError, match=rf"tiny\.jsonl, {message}"):
        mt_bench.generate(model, tokenizer, QUESTIONS, "tiny", answers, 8, progress=False)
    assert answers.read_text() == before


def test_generate_refuses_before_any_work(model, tokenizer, answers, tmp_path):
    def generate(asked=QUESTIONS, name="tiny", path=tmp_path / "new", length=8):
        mt_bench.generate(model, tokenizer, asked, name, path, length, progress=False)

    with pytest.raises(ValueError, match="answer of model 'tiny'; expected 'other' alone"):
        generate(name="other", path=answers)
    for length in (0, 511, 1024):
        with pytest.raises(ValueError, match=rf"max_new_tokens={length} .* context of 512 tokens; try 256"):
            generate(length=length)
    with pytest.raises(ValueError, match="question_id 81 comes twice"):
        generate(asked=QUESTIONS[:1] * 2)
    with pytest.raises(ValueError, match="there are no questions"):
        generate(asked=[])
    model.config.is_encoder_decoder = True
    with pytest.raises(ValueError, match="encoder-decoder"):
        generate()
    assert not (tmp_path / "new").exists()


# Judgments


class Judge(ThreadingHTTPServer):
    """A judge that replies what it is told to, in that order and then over again; it keeps what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies, self.asked, self.lock = [], [], threading.Lock()
        self.endpoint = f"http://127.0.0.1:{self.server_port}/v1"

    def says(self, *replies) -> None:
        self.replies, self.asked = list(replies), []

    def handle_error(self, request, client_address):
        """A client that has left is a part of these tests."""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        judge = self.server
        with judge.lock:
            reply = judge.replies[len(judge.asked) % len(judge.replies)]
            judge.asked.append({"path": self.path, "key": self.headers["Authorization"], **body})
        status, content, headers = 200, reply, {}
        if reply == "timeout":
            time.sleep(3)  # in a thread of its own: the tests do not wait for it
        elif reply == "hang up":
            self.connection.close()
            return
        elif isinstance(reply, tuple):
            status, content, headers = (*reply, {})[:3]
        elif not reply.startswith("{"):
            content = json.dumps({"choices": [{"message": {"role": "assistant", "content": reply}}]})
        content = content.replace("ECHO", self.headers["Authorization"]).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Quiet."""


@pytest.fixture(scope="module")
def server():
    with Judge() as judge:
        thread = threading.Thread(target=judge.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield judge
        judge.shutdown()
        thread.join()


@pytest.fixture
def answers(tmp_path) -> Path:
    rows = [
        {
            "question_id": question.question_id,
            "answer_id": str(i),
            "model_id": "tiny",
            "choices": [{"index": 0, "turns": [f"first answer {i}", f"second answer {i}"]}],
            "tstamp": 0.0,
        }
        for i, question in enumerate(QUESTIONS)
    ]
    return write_lines(tmp_path / "tiny.jsonl", rows)


@pytest.fixture
def judge(server, answers, tmp_path, monkeypatch):
    """A function that has the answers judged by the server, which replies as told."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def run(*replies, questions=QUESTIONS[:1], path=tmp_path / "judged.jsonl", endpoint=server.endpoint, **options):
        server.says(*replies)
        options = {"timeout": 5, "retries": 1, "backoff": 0, "progress": False, **options}
        return mt_bench.judge(questions, answers, path, endpoint, **options)

    return run


def test_scores_of_every_turn(judge, server):
    path = judge("Good. Rating: [[8]]", "Rating: [[6.5]]", "[[2]]", "[[4]]", "[[10]]", "[[1]]", questions=QUESTIONS)
    rows = read(path)
    keys = ["question_id", "model", "judge", "user_prompt", "judgment", "score", "turn", "tstamp"]
    assert all(list(row) == keys for row in rows)
    assert [(r["question_id"], r["turn"], r["score"]) for r in rows] == [
        (81, 1, 8), (81, 2, 6.5), (111, 1, 2), (111, 2, 4), (141, 1, 10), (141, 2, 1),
    ]  # fmt: skip
    assert rows[0]["model"] == "tiny" and rows[0]["judge"][0] == "gpt-4"
    assert rows[0]["judgment"] == "Good. Rating: [[8]]"
    assert mt_bench.scores(path, QUESTIONS) == {
        "mean": 31.5 / 6,
        "turn_1": 20 / 3,
        "turn_2": 11.5 / 3,
        "categories": {"writing": 7.25, "math": 3, "stem": 5.5},
        "scored": 6,
        "missing": 0,
    }
    assert mt_bench.scores(path)["categories"] == {}
    for request, judged in zip(server.asked, rows, strict=True):
        assert request["path"] == "/v1/chat/completions" and request["key"] == f"Bearer {KEY}"
        assert (request["model"], request["temperature"]) == ("gpt-4", 0) and request["max_tokens"] >= 1024
        assert request["messages"] == [{"role": "user", "content": judged["user_prompt"]}]


def test_what_the_judge_is_shown():
    answers = ("It is two.", "It is five.")
    writing, math, stem = ([mt_bench.judge_prompt(q, answers, turn) for turn in (1, 2)] for q in QUESTIONS)
    for _, text in (*writing, *math, *stem):
        assert "Rating: [[5]]" in text and "1 (useless) to 10" in text and "It is two." in text
    (name, first), (name_2, second) = math
    assert "What is 1 + 1?" in first and "It is 2." in first
    assert "And doubled?" not in first and "It is 4." not in first and "It is five." not in first
    order = ["What is 1 + 1?", "It is 2.", "It is two.", "And doubled?", "It is 4.", "It is five."]
    assert [second.index(text) for text in order] == sorted(second.index(text) for text in order)
    assert "only the second answer" in second
    assert len({name, name_2, writing[0][0], writing[1][0]}) == 4
    # A reference is for math, reasoning and coding alone, and only where there is one.
    assert "A wave." not in stem[0][1] and stem[0][0] == writing[0][0]
    bare = Question(1, "coding", ("a", "b"), ("", "code"))
    assert "reference" not in mt_bench.judge_prompt(bare, answers, 1)[1]
    assert "<second_reference>\ncode" in mt_bench.judge_prompt(bare, answers, 2)[1]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Rating: [[7]]", 7),
        ("[[7.5]] ", 7.5),
        ("The answer asks for [[10]], which I do not give.\nRating: [[3]]", 3),
        ("Not [[30]]. Rating: [[4]]", 4),
        ("Rating: [7]", 7),
        ("**Rating**: [ 7 ], as sum([1]) is wrong", 7),
        ("Fine.\n[9]", 9),
        ("Fine: [9].", 9),
        ("Rating: [[1]]", 1),
        ("Rating: [[10.0]]", 10),
    ],
)
def test_ratings(text, score):
    assert mt_bench.rating(text) == score


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Seven.",
        "[[11]]",
        "[[0]]",
        "[[0.5]]",
        "[[-3]]",
        "[[7/10]]",
        "[[five]]",
        "x[3] is wrong here",
        "[11]",
        "[[5]] [[11]]",
    ],
)
def test_nonsense_is_no_rating(text):
    with pytest.raises(ValueError, match="no rating|outside of 1 to 10"):
        mt_bench.rating(text)


FAILURES = {
    "timeout": "ReadTimeout",
    "hang up": "RemoteProtocolError|ReadError",
    "I would rather not say.": "no rating in the reply: it ends with 'I would rather not say.'",
    "Rating: [[11]]": "rating 11 is outside of 1 to 10",
    "{not JSON": "not a chat completion: HTTP 200: '{not JSON'",
    '{"choices": []}': "not a chat completion",
    '{"choices": [{"message": {"content": null}}]}': "not a chat completion",
    (500, "broken"): "HTTP 500: 'broken'",
    (503, ""): "HTTP 503",
    (429, "slow down", (("Retry-After", "0"),)): "HTTP 429: 'slow down'",
}


@pytest.fixture(params=FAILURES, ids=lambda reply: str(reply)[:20])
def failure(request):
    reply = request.param
    return ((*reply[:2], dict(*reply[2:])) if isinstance(reply, tuple) else reply), FAILURES[request.param]


def test_a_failure_is_tried_again(judge, server, failure):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = judge(failure[0], "[[6]]", timeout=0.5 if failure[0] == "timeout" else 5)
    assert [r["score"] for r in read(path)] == [6, 6] and len(server.asked) == 4
    assert all("error" not in r for r in read(path))


def test_after_the_last_attempt_a_turn_is_missing(judge, server, failure):
    reply, message = failure
    with pytest.warns(UserWarning, match=r"1 of 2 turns in .* have no score, the first for: .*call judge again"):
        path = judge(reply, reply, "[[6]]", timeout=0.5 if reply == "timeout" else 5)
    first, second = read(path)
    assert first["score"] is None and re.search(message, first["error"])
    assert "(attempt 2)" in first["error"] and second["score"] == 6
    assert mt_bench.scores(path, QUESTIONS[:1]) == {
        "mean": 6, "turn_1": None, "turn_2": 6, "categories": {"writing": 6}, "scored": 1, "missing": 1,
    }  # fmt: skip


def test_no_server(judge, server):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.warns(UserWarning, match="2 of 2 turns .*ConnectError"):
        path = judge("[[6]]", endpoint=f"http://127.0.0.1:{port}/v1")
    assert server.asked == []
    with pytest.raises(ValueError, match=r"nothing was scored in .*ConnectError.*call circpeft\.mt_bench\.judge again"):
        mt_bench.scores(path, QUESTIONS)


def test_a_request_that_is_refused_is_not_repeated(judge, server):
    with pytest.warns(UserWarning, match="1 of 2 turns .*too long"):
        path = judge((400, "too long"), "[[6]]", retries=5)
    assert len(server.asked) == 2 and [r["score"] for r in read(path)] == [None, 6]


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        ((401, "wrong key ECHO"), PermissionError, "HTTP 401: .* environment variable OPENAI_API_KEY"),
        ((403, "ECHO"), PermissionError, "HTTP 403"),
        ((404, "no model for ECHO"), ValueError, "HTTP 404: 'no model for Bearer .*'gpt-4' the service's name"),
        ((307, "", {"Location": "elsewhere"}), ValueError, "HTTP 307"),
    ],
)
def test_what_no_attempt_can_mend_raises_at_once(judge, server, tmp_path, reply, error, message):
    with pytest.raises(error, match=message) as raised:
        judge("[[5]]", reply, retries=5)
    assert len(server.asked) == 2 and KEY not in str(raised.value)
    assert [r["score"] for r in read(tmp_path / "judged.jsonl")] == [5]


def test_waits_grow_and_heed_the_service(judge, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    asks_long = (429, "", {"Retry-After": "3000"})
    judge((500, ""), (500, ""), (429, "", {"Retry-After": "9"}), asks_long, "[[5]]", backoff=0.5, retries=4)
    assert [w for w in waits if w] == [0.5, 1.0, 9.0, 60.0] * 2


def test_the_key_is_written_nowhere(judge, tmp_path, caplog):
    caplog.set_level("DEBUG")
    with pytest.warns(UserWarning) as warned:
        judge((500, "ECHO"), "You sent ECHO. [[5]]", "[[7]]", "ECHO", "ECHO", (500, "ECHO"), questions=QUESTIONS[:2])
    written = "".join(path.read_text() for path in tmp_path.iterdir()) + caplog.text
    assert KEY not in written + "".join(str(w.message) for w in warned)
    assert "You sent Bearer ***. [[5]]" in written


@pytest.mark.parametrize("key", ["", "  ", None, "sk-secret\nline", "sk secret", "sk-sécret"])
def test_a_key_that_cannot_be_one(judge, server, monkeypatch, key):
    monkeypatch.delenv("OPENAI_API_KEY")
    if key is not None:
        monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ValueError, match="environment variable MY_KEY (is not set|has blanks)") as raised:
        judge("[[5]]", api_key_env="MY_KEY")
    assert server.asked == [] and "cret" not in str(raised.value)


def test_blanks_around_the_key_do_not_count(judge, server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "key\n")
    judge("[[5]]", api_key_env="MY_KEY")
    assert {request["key"] for request in server.asked} == {"Bearer key"}


def test_judging_goes_on(judge, server, tmp_path):
    with pytest.raises(PermissionError):
        judge("[[5]]", "[[6]]", (401, ""), questions=QUESTIONS)
    with pytest.warns(UserWarning, match="1 of 6 turns"):
        path = judge("no", "no", "[[7]]", "[[8]]", "[[9]]", questions=QUESTIONS)
    assert len(server.asked) == 5
    assert [r["score"] for r in read(path)] == [5, 6, None, 7, 8, 9]
    kept = read(path)
    judge("[[3]]", questions=QUESTIONS)
    assert len(server.asked) == 1 and [r["score"] for r in read(path)] == [5, 6, 3, 7, 8, 9]
    assert [r["tstamp"] for r in read(path)][3:] == [r["tstamp"] for r in kept][3:]
    assert "error" not in path.read_text()
    judge("[[1]]", questions=QUESTIONS)
    assert server.asked == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["judged.jsonl", "tiny.jsonl"]


def test_judge_refuses_before_any_request(judge, server, answers, tmp_path):
    path = judge("[[5]]")
    for options, message in [
        ({"endpoint": "localhost:8000/v1"}, "must begin with http://"),
        ({"endpoint": server.endpoint + "?key=1"}, "have no query"),
        ({"endpoint": "http://me:pass@localhost/v1"}, "must not hold a user or password"),
        ({"timeout": 0}, "timeout must be positive, got 0"),
        ({"retries": -1}, "retries must be at least 0, got -1"),
        ({"backoff": float("nan")}, "backoff must be at least 0, got nan"),
        ({"questions": [*QUESTIONS, Question(5, "math", ("a", "b"))]}, r"no answer to question 5 \(1 lack\)"),
        ({"judge_model": "other"}, "has judgments of 'tiny' by 'gpt-4'; expected 'tiny' by 'other'"),
    ]:
        with pytest.raises(ValueError, match=message) as raised:
            judge("[[5]]", **options)
        assert server.asked == [] and "pass@" not in str(raised.value)
    before = path.read_text()
    write_lines(answers, [answers.read_text().replace("second answer 0", "changed")])
    with pytest.raises(ValueError, match=r"has a score for another answer to turn 2 of question 81 than .*tiny\.jsonl"):
        judge("[[5]]")
    with pytest.raises(FileNotFoundError, match=r"'.*none\.jsonl'; circpeft\.mt_bench\.generate writes it"):
        mt_bench.judge(QUESTIONS, tmp_path / "none.jsonl", path, server.endpoint)
    assert server.asked == [] and path.read_text() == before


def test_the_endpoint_may_be_given_whole(judge, server):
    judge("[[5]]", endpoint=server.endpoint + "/chat/completions/")
    assert server.asked[0]["path"] == "/v1/chat/completions"


# Scores


def judged(**change) -> dict:
    return {"question_id": 81, "model": "m", "judge": ["gpt-4", "single"], "score": 5, "turn": 1, **change}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ('{"question_id": 8', r"line 2 is not JSON.*delete the line"),
        ({"question_id": 81, "turn": 2}, r"line 2 lacks model, judge, score"),
        (judged(), r"line 2 judges turn 1 of question 81 a second time"),
        (judged(turn=3), r"line 2 has question_id 81, turn 3"),
        (judged(turn=2, score=11), r"line 2 has score 11; expected 1 to 10, or null"),
        (judged(turn=2, score="7"), r"line 2 has score '7'"),
        (judged(turn=2, score=True), r"line 2 has score True"),
        (judged(turn=2, score=float("nan")), r"line 2 has score nan"),
        (judged(turn=2, model="n"), r"line 2 judges 'n' by 'gpt-4', lines before it 'm'"),
        (judged(turn=2, judge=["gpt-3"]), r"line 2 judges 'm' by 'gpt-3'"),
    ],
)
def test_a_damaged_file_of_judgments(tmp_path, second, message):
    path = write_lines(tmp_path / "judged.jsonl", [judged(), second])
    with pytest.raises(ValueError, match=rf"judged\.jsonl, {message}"):
        mt_bench.scores(path)


def test_turns_without_a_score_are_missing(tmp_path):
    path = write_lines(tmp_path / "judged.jsonl", [judged(), judged(turn=2, score=None), judged(question_id=111)])
    assert {name: mt_bench.scores(path)[name] for name in ("scored", "missing")} == {"scored": 2, "missing": 1}
    found = mt_bench.scores(path, QUESTIONS)  # of which three turns were not even asked for
    assert found["missing"] == 4 and found["categories"] == {"writing": 5, "math": 5, "stem": None}
    write_lines(path, [judged(), judged(turn=2, score=-1)])  # FastChat's own mark
    assert mt_bench.scores(path)["mean"] == 5 and mt_bench.scores(path)["missing"] == 1


def test_scores_that_cannot_be(tmp_path):
    path = write_lines(tmp_path / "judged.jsonl", [judged(question_id=5)])
    with pytest.raises(ValueError, match="judges question 5, which is not among the 3 questions"):
        mt_bench.scores(path, QUESTIONS)
    with pytest.raises(ValueError, match="nothing was scored in .*it holds no judgments"):
        mt_bench.scores(write_lines(path, []))
    with pytest.raises(FileNotFoundError, match=r"circpeft\.mt_bench\.judge writes it"):
        mt_bench.scores(tmp_path / "none.jsonl")
