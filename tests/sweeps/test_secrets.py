"""The judge's key and tokens of the hub are planted: they are in nothing that a command writes, prints or logs."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from circpeft import cli
from circpeft.sweeps import cluster

KEY = "sk-planted-0123456789abcdef"
TOKEN = "hf_plantedInTheEnvironment"
TOKEN_IN_FILE = "hf_plantedInTheFile0123456"
SECRETS = (KEY, TOKEN, TOKEN_IN_FILE)


class Service(ThreadingHTTPServer):
    """A judge and a hub. `seen` are the keys and tokens that arrived."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[str | None] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def answer(self, status: int, content: str = "") -> None:
        self.server.seen.append(self.headers["Authorization"])
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def do_HEAD(self) -> None:
        self.answer(401)

    do_GET = do_HEAD

    def do_POST(self) -> None:
        """Repeat the key in each answer, as some services do: first in an error, then beside a rating."""
        self.rfile.read(int(self.headers["Content-Length"]))
        text = f"You sent {self.headers['Authorization']}. Rating: [[5]]"
        reply = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})
        self.answer(*(200, reply) if self.server.seen else (500, text))

    def log_message(self, *arguments) -> None:
        """Log nothing."""


@pytest.fixture
def service(monkeypatch) -> Iterator[Service]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def planted(monkeypatch, tmp_path) -> None:
    """Plant the secrets where the libraries look for them."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "token").write_text(TOKEN_IN_FILE)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))


@pytest.fixture
def check(tmp_path, capsys, caplog):
    """Return a function that asserts that no secret was written, printed or logged since the test began."""
    caplog.set_level("DEBUG")

    def nowhere() -> str:
        out, error = capsys.readouterr()
        texts = {"what was printed": (out + error).encode(), "the log": caplog.text.encode()}
        texts |= {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        del texts[str(tmp_path / "home" / "token")]
        assert [name for name, text in texts.items() if any(secret.encode() in text for secret in SECRETS)] == []
        assert len(texts) > 2 or out + error
        return error

    return nowhere


def test_a_sweep_with_a_failed_run_and_its_reports(sweep_file, in_this_process, check, tmp_path):
    file, folder = sweep_file(["head", "c3a:block_size=7"], epochs=1), tmp_path / "out"
    assert cli.main(["sweep", str(file), "--output-dir", str(folder)]) == 1
    assert len(list(folder.glob("results/*.json"))) == len(list(folder.glob("failed/*.json"))) == 1
    for name in ("report.html", "report.json", "report.csv"):
        assert cli.main(["report", str(folder), "--output", str(tmp_path / name)]) == 0
    check()


@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_model_that_the_hub_refuses(data, service, check, monkeypatch, tmp_path, place):
    if place == "file":
        monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", service.address)
    template = f"{service.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    command = ["train", "head", "--task", "sst2", "--data-dir", f"{data}/sst2", "--output-dir", str(tmp_path / "out")]
    assert cli.main([*command, "--set", "model", "planted/model", "--set", "target_modules", "query"]) == 2
    assert "planted/model" in check()
    sent = {secret for secret in service.seen if secret}  # the first request of a process is sent without a token
    assert sent == {f"Bearer {TOKEN if place == 'environment' else TOKEN_IN_FILE}"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--judge-key", KEY], "expected the name of the environment variable that holds the judge's key"),
        (["--judge-key", TOKEN], "was given is left out here, because it may be the key itself"),
        (["--judge", f"http://127.0.0.1:1/v1?key={KEY}"], "endpoint 'http://127.0.0.1:1/v1' must begin with http"),
        (["--judge", f"http://user:{KEY}@127.0.0.1:1/v1"], "endpoint must not hold a user or password"),
    ],
)
def test_a_key_in_the_place_of_something_else(check, tmp_path, options, message):
    command = ["sweep", "cdvft-3", "--profile", "smoke", "--output-dir", str(tmp_path / "out"), "--quiet"]
    assert cli.main([*command, "--judge", "http://127.0.0.1:1/v1", *options]) == 2
    assert message in check()


def test_the_workers_of_a_cluster_get_no_secret():
    """Ray writes the variables that it passes on into its logs, and shows them on its own dashboard."""
    passed = [name for name in ("CIRCPEFT_BACKEND", "CIRCPEFT_JUDGE_KEY", "HF_TOKEN") if cluster._changes_a_run(name)]
    assert passed == ["CIRCPEFT_BACKEND"]


@pytest.mark.full
def test_a_judged_sweep_and_a_notebook(service, in_this_process, check, tmp_path):
    question = {"question_id": 111, "category": "math", "turns": ["What is 1 + 1?", "And doubled?"]}
    (tmp_path / "question.jsonl").write_text(json.dumps(question))
    folder, column = tmp_path / "out", "word_problems for MT-Bench Score"
    command = ["sweep", "cdvft-3", "--profile", "smoke", "--row", "LoRA", "--column", column, "--seeds", "1"]
    command += ["--judge", f"{service.address}/v1", "--questions", str(tmp_path / "question.jsonl")]
    assert cli.main([*command, "--output-dir", str(folder)]) == 0
    assert len(service.seen) == 3 and set(service.seen) == {f"Bearer {KEY}"}  # two turns, one of them asked twice
    assert "You sent Bearer ***" in next(folder.glob("mt_bench/*/judgments-*.jsonl")).read_text()
    parameters = {"profile": "smoke", "table": "cdvft-3", "runs_dir": str(folder)}
    given = [part for pair in parameters.items() for part in ("-p", *pair)]
    assert cli.main(["run", "12", *given, "--output-dir", str(tmp_path / "course")]) == 0
    assert list((tmp_path / "course").rglob("12_results.ipynb"))
    check()
