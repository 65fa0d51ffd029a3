"""Questions, a tiny model with a tokenizer, and a judge: a real HTTP server on this machine."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from circpeft import mt_bench
from circpeft.mt_bench import Question

KEY = "sk-secret-0123456789"
QUESTIONS = [
    Question(81, "writing", ("Describe the sea.", "Shorten it.")),
    Question(111, "math", ("What is 1 + 1?", "And doubled?"), ("It is 2.", "It is 4.")),
    Question(141, "stem", ("What is light?", "How fast is it?"), ("A wave.", "Very.")),
]


@pytest.fixture(name="QUESTIONS")
def shared_questions() -> list[Question]:
    """Return the questions that the file ``answers`` answers."""
    return list(QUESTIONS)


@pytest.fixture(name="KEY")
def shared_key() -> str:
    """Return the key that ``judge`` sends."""
    return KEY


@pytest.fixture
def write_lines() -> Callable[[Path, list], Path]:
    """Return a function that writes rows to a file; a row is an object or the text of a line."""

    def write(path: Path, rows: list) -> Path:
        path.write_text(
            "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
        return path

    return write


@pytest.fixture
def read() -> Callable[[Path], list[dict]]:
    """Return a function that reads the objects in the lines of a file."""
    return lambda path: [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def tokenizer():
    """Return a byte tokenizer that adds a start and an end token; a prompt must not keep the end token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<s>", "</s>", *letters])}
    byte_tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    byte_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_tokenizer.decoder = decoders.ByteLevel()
    byte_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer, bos_token="<s>", eos_token="</s>")


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


class Judge(ThreadingHTTPServer):
    """A judge that cycles through given replies and records the requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies, self.asked, self.lock = [], [], threading.Lock()
        self.endpoint = f"http://127.0.0.1:{self.server_port}/v1"

    def says(self, *replies) -> None:
        self.replies, self.asked = list(replies), []

    def handle_error(self, request, client_address):
        """Ignore the error: some tests close the connection early."""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        judge = self.server
        with judge.lock:
            reply = judge.replies[len(judge.asked) % len(judge.replies)]
            judge.asked.append({"path": self.path, "key": self.headers["Authorization"], **body})
        status, content, headers = 200, reply, {}
        if reply == "timeout":
            time.sleep(3)  # in its own thread: the tests do not wait for it
        elif reply == "hang up":
            self.connection.close()
            return
        elif isinstance(reply, tuple):
            status, content, headers = (*reply, {})[:3]
        elif not reply.startswith("{"):
            content = json.dumps({"choices": [{"message": {"role": "assistant", "content": reply}}]})
        content = content.replace("ECHO", self.headers["Authorization"]).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content) + 30 * (reply == "trickle")), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for part in [b" "] * 30 if reply == "trickle" else []:  # bytes keep coming, but the reply is never complete
            self.wfile.write(part)
            time.sleep(0.1)
        self.wfile.write(content)

    def log_message(self, *arguments):
        """Log nothing."""


@pytest.fixture(scope="module")
def server():
    with Judge() as judge:
        thread = threading.Thread(target=judge.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield judge
        judge.shutdown()
        thread.join()


@pytest.fixture
def answers(write_lines, tmp_path) -> Path:
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
    """Return a function that lets the server judge the answers with given replies."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def run(*replies, questions=QUESTIONS[:1], path=tmp_path / "judged.jsonl", endpoint=server.endpoint, **options):
        server.says(*replies)
        options = {"timeout": 5, "retries": 1, "backoff": 0, "progress": False, **options}
        return mt_bench.judge(questions, answers, path, endpoint, **options)

    return run
