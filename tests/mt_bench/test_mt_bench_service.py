"""The judge's service: repeated attempts, permanent errors, waits between attempts, and the key."""

import re
import socket
import warnings

import pytest

from circpeft import mt_bench

FAILURES = {
    "timeout": "ReadTimeout",
    "trickle": "ReadTimeout: no complete reply within 0.5 seconds",
    "hang up": "RemoteProtocolError|ReadError",
    "I would rather not say.": "no rating in the reply, which ends with 'I would rather not say.'",
    "Rating: [[11]]": "rating 11 is outside 1 to 10",
    "{not JSON": "not a chat completion: HTTP 200: '{not JSON'",
    '{"choices": []}': "not a chat completion",
    '{"choices": [{"message": {"content": null}}]}': "not a chat completion",
    (500, "broken"): "HTTP 500: 'broken'",
    (503, ""): "HTTP 503",
    (429, "slow down", (("Retry-After", "0"),)): "HTTP 429: 'slow down'",
}
SLOW = ("timeout", "trickle")


@pytest.fixture(params=FAILURES, ids=lambda reply: str(reply)[:20])
def failure(request):
    reply = request.param
    return ((*reply[:2], dict(*reply[2:])) if isinstance(reply, tuple) else reply), FAILURES[request.param]


def test_a_failed_request_is_repeated(judge, server, failure, read):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = judge(failure[0], "[[6]]", timeout=0.5 if failure[0] in SLOW else 5)
    assert [r["score"] for r in read(path)] == [6, 6] and len(server.asked) == 4
    assert all("error" not in r for r in read(path))


def test_after_the_last_attempt_a_turn_is_missing(judge, server, failure, QUESTIONS, read):
    reply, message = failure
    with pytest.warns(UserWarning, match=r"1 of 2 turns in .* have no score; reason of the first: .*call judge again"):
        path = judge(reply, reply, "[[6]]", timeout=0.5 if reply in SLOW else 5)
    first, second = read(path)
    assert first["score"] is None and re.search(message, first["error"])
    assert "(attempt 2)" in first["error"] and second["score"] == 6
    assert mt_bench.scores(path, QUESTIONS[:1]) == {
        "mean": 6, "turn_1": None, "turn_2": 6, "categories": {"writing": 6}, "scored": 1, "missing": 1,
    }  # fmt: skip


def test_no_server(judge, server, QUESTIONS):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.warns(UserWarning, match="2 of 2 turns .*ConnectError"):
        path = judge("[[6]]", endpoint=f"http://127.0.0.1:{port}/v1")
    assert server.asked == []
    with pytest.raises(ValueError, match=r"nothing was scored in .*ConnectError.*call circpeft\.mt_bench\.judge again"):
        mt_bench.scores(path, QUESTIONS)


def test_a_rejected_request_is_not_repeated(judge, server, read):
    with pytest.warns(UserWarning, match="1 of 2 turns .*too long"):
        path = judge((400, "too long"), "[[6]]", retries=5)
    assert len(server.asked) == 2 and [r["score"] for r in read(path)] == [None, 6]


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        ((401, "wrong key ECHO"), PermissionError, "HTTP 401: .* environment variable OPENAI_API_KEY"),
        ((403, "ECHO"), PermissionError, "HTTP 403"),
        ((404, "no model for ECHO"), ValueError, "HTTP 404: 'no model for Bearer .*'gpt-4' is the service's name"),
        ((307, "", {"Location": "elsewhere"}), ValueError, "HTTP 307"),
    ],
)
def test_permanent_errors_raise_at_once(judge, server, tmp_path, reply, error, message, KEY, read):
    with pytest.raises(error, match=message) as raised:
        judge("[[5]]", reply, retries=5)
    assert len(server.asked) == 2 and KEY not in str(raised.value)
    assert [r["score"] for r in read(tmp_path / "judged.jsonl")] == [5]


def test_waits_grow_and_follow_retry_after(judge, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    asks_long = (429, "", {"Retry-After": "3000"})
    judge((500, ""), (500, ""), (429, "", {"Retry-After": "9"}), asks_long, "[[5]]", backoff=0.5, retries=4)
    assert [w for w in waits if w] == [0.5, 1.0, 9.0, 60.0] * 2


def test_the_key_is_written_nowhere(judge, tmp_path, caplog, QUESTIONS, KEY):
    caplog.set_level("DEBUG")
    with pytest.warns(UserWarning) as warned:
        judge((500, "ECHO"), "You sent ECHO. [[5]]", "[[7]]", "ECHO", "ECHO", (500, "ECHO"), questions=QUESTIONS[:2])
    written = "".join(path.read_text() for path in tmp_path.iterdir()) + caplog.text
    assert KEY not in written + "".join(str(w.message) for w in warned)
    assert "You sent Bearer ***. [[5]]" in written


@pytest.mark.parametrize("key", ["", "  ", None, "sk-secret\nline", "sk secret", "sk-sécret"])
def test_an_invalid_key_raises(judge, server, monkeypatch, key):
    monkeypatch.delenv("OPENAI_API_KEY")
    if key is not None:
        monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ValueError, match="environment variable MY_KEY (is not set|has blanks)") as raised:
        judge("[[5]]", api_key_env="MY_KEY")
    assert server.asked == [] and "cret" not in str(raised.value)


def test_blanks_around_the_key_are_ignored(judge, server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "key\n")
    judge("[[5]]", api_key_env="MY_KEY")
    assert {request["key"] for request in server.asked} == {"Bearer key"}


def test_the_endpoint_may_be_the_full_address(judge, server):
    judge("[[5]]", endpoint=server.endpoint + "/chat/completions/")
    assert server.asked[0]["path"] == "/v1/chat/completions"
