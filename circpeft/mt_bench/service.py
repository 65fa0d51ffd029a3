"""The service behind which a judge answers: OpenAI's chat completions, with further attempts where one fails."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .prompts import rating

if TYPE_CHECKING:
    import httpx

MAX_TOKENS = 2048  # of a judgment, as in FastChat
LONGEST_WAIT = 60.0  # seconds between two attempts
SHORTEST_SECRET = 8  # a shorter key is a placeholder, and may be a part of any word


@dataclass(frozen=True)
class Service:
    """A judge: where it is, how it is called, and how patiently.

    The arguments are those of ``circpeft.mt_bench.judge``; the key is read from the environment.

    Raises: ValueError for an argument that is not legal, or a key that is not set.
    """

    endpoint: str
    judge_model: str
    api_key_env: str
    timeout: float
    retries: int
    backoff: float
    url: str = field(init=False)
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("timeout", "retries", "backoff"):
            value = getattr(self, name)
            if not (math.isfinite(value) and (value > 0 if name == "timeout" else value >= 0)):
                raise ValueError(f"{name} must be {'positive' if name == 'timeout' else 'at least 0'}, got {value!r}")
        object.__setattr__(self, "url", _url(self.endpoint))
        object.__setattr__(self, "key", _key(self.api_key_env))

    def client(self) -> httpx.Client:
        """A connection to the service."""
        import httpx

        return httpx.Client(timeout=self.timeout, headers={"Authorization": f"Bearer {self.key}"})

    def ask(self, client: httpx.Client, prompt: str) -> tuple[float | None, str, str]:
        """Score, reply and, where no attempt gave a score (None), what was wrong with the last one.

        Raises: PermissionError for HTTP 401 and 403, ValueError for 404 and redirections: no attempt can do better.
        """
        import httpx

        body = {"model": self.judge_model, "messages": [{"role": "user", "content": prompt}]}
        content = json.dumps(body | {"temperature": 0, "max_tokens": MAX_TOKENS})  # ASCII, whatever the answer holds
        text, problem, wait = "", "", 0.0
        for attempt in range(self.retries + 1):
            time.sleep(wait)
            wait = min(self.backoff * 2**attempt, LONGEST_WAIT)
            try:
                response = self._post(client, content)
            except httpx.RequestError as error:
                problem = self._without_key(f"{type(error).__name__}: {error}")
                continue
            if response.status_code == 200:
                text, score, problem = self._read(response)
                if score is not None:
                    return score, text, ""
                continue
            self._raise_if_hopeless(response)
            problem = self._shown(response)
            if response.status_code < 500 and response.status_code not in (408, 409, 429):
                break  # this request is refused, and would be again
            asked = response.headers.get("Retry-After", "")
            wait = max(wait, min(float(asked), LONGEST_WAIT)) if asked.isdecimal() else wait
        return None, text, f"{problem} (attempt {attempt + 1})"

    def _post(self, client: httpx.Client, content: str) -> httpx.Response:
        """The whole response, read within ``timeout`` seconds: the client's own limit is one for each part of it.

        Raises: httpx.RequestError where there is none by then.
        """
        import httpx

        until, body = time.monotonic() + self.timeout, bytearray()
        with client.stream("POST", self.url, content=content, headers={"Content-Type": "application/json"}) as found:
            for part in found.iter_bytes():
                body += part
                if time.monotonic() > until:
                    raise httpx.ReadTimeout(f"no whole reply within {self.timeout:g} seconds")
        kept = {name: value for name, value in found.headers.items() if name in ("content-type", "retry-after")}
        return httpx.Response(found.status_code, headers=kept, content=bytes(body))

    def _read(self, response: httpx.Response) -> tuple[str, float | None, str]:
        """Reply and score, or what is wrong with the response."""
        try:
            text = response.json()["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            text = None
        if not isinstance(text, str):
            return "", None, f"not a chat completion: {self._shown(response)}"
        text = self._without_key(text)
        try:
            return text, rating(text), ""
        except ValueError as error:
            return text, None, str(error)

    def _raise_if_hopeless(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in (401, 403):  # without the reply, in which services quote parts of the key
            raise PermissionError(
                f"{self.url} answered HTTP {status}: it does not accept the key in the environment variable "
                f"{self.api_key_env}, or not for {self.judge_model!r}"
            )
        if status == 404 or 300 <= status < 400:
            raise ValueError(
                f"{self._shown(response)} from {self.url}: is the endpoint complete (often it ends with /v1), and "
                f"{self.judge_model!r} the service's name of a model?"
            )

    def _shown(self, response: httpx.Response) -> str:
        return f"HTTP {response.status_code}: {self._without_key(response.text)[:300]!r}"

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "***") if len(self.key) >= SHORTEST_SECRET else text


def _url(endpoint: str) -> str:
    import httpx

    if "@" in endpoint:  # not shown: what is before it may be a password
        raise ValueError("endpoint must not hold a user or password; the key comes from the environment alone")
    try:
        parts = httpx.URL(endpoint)
    except httpx.InvalidURL as error:
        raise ValueError(f"endpoint {endpoint!r} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.host or parts.query or parts.fragment:
        raise ValueError(
            f"endpoint {endpoint!r} must begin with http:// or https://, name a host and have no query, such as "
            f"'http://localhost:8000/v1'"
        )
    return endpoint.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"


def _key(variable: str) -> str:
    """The key, checked here: an error of the HTTP client about it would show it."""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ValueError(
            f"the environment variable {variable} is not set; it holds the judge's key (any text for a service that "
            f"needs none)"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(f"the key in the environment variable {variable} has blanks or characters outside of ASCII")
    return key
