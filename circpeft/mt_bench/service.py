"""The client of the judge's service: OpenAI's chat completions, with repeated attempts after a failure."""

from __future__ import annotations

import json
import math
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .prompts import rating

if TYPE_CHECKING:
    import httpx

MAX_TOKENS = 2048  # per judgment, as in FastChat
LONGEST_WAIT = 60.0  # seconds between two attempts
SHORTEST_SECRET = 8  # a shorter key is a placeholder that may occur inside any word
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")  # the usual name of an environment variable; keys and tokens look otherwise


@dataclass(frozen=True)
class Service:
    """A judge model at an endpoint, with its key and the rules for repeated attempts.

    The arguments are those of ``circpeft.mt_bench.judge``; the key is read from the environment.

    Raises:
        ValueError: an argument is invalid, or the key is not set.
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
        """Return an HTTP client with the key."""
        import httpx

        return httpx.Client(timeout=self.timeout, headers={"Authorization": f"Bearer {self.key}"})

    def ask(self, client: httpx.Client, prompt: str) -> tuple[float | None, str, str]:
        """Return (score, reply, problem). Without a score (None), the problem is that of the last attempt.

        Raises:
            PermissionError: HTTP 401 or 403.
            ValueError: HTTP 404 or a redirection. A repeated attempt could not succeed in these cases.
        """
        import httpx

        body = {"model": self.judge_model, "messages": [{"role": "user", "content": prompt}]}
        content = json.dumps(body | {"temperature": 0, "max_tokens": MAX_TOKENS})  # ASCII: dumps escapes the rest
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
            self._raise_if_permanent(response)
            problem = self._summary(response)
            if response.status_code < 500 and response.status_code not in (408, 409, 429):
                break  # the same request would be rejected again
            retry_after = response.headers.get("Retry-After", "")
            wait = max(wait, min(float(retry_after), LONGEST_WAIT)) if retry_after.isdecimal() else wait
        return None, text, f"{problem} (attempt {attempt + 1})"

    def _post(self, client: httpx.Client, content: str) -> httpx.Response:
        """Return the complete response, read within ``timeout`` seconds. The client's own limit holds for each part.

        Raises:
            httpx.RequestError: there is no complete response by then.
        """
        import httpx

        deadline, body = time.monotonic() + self.timeout, bytearray()
        with client.stream("POST", self.url, content=content, headers={"Content-Type": "application/json"}) as response:
            for part in response.iter_bytes():
                body += part
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"no complete reply within {self.timeout:g} seconds")
        headers = {name: value for name, value in response.headers.items() if name in ("content-type", "retry-after")}
        return httpx.Response(response.status_code, headers=headers, content=bytes(body))

    def _read(self, response: httpx.Response) -> tuple[str, float | None, str]:
        """Return (reply, score, problem); there is a problem if the score is None."""
        try:
            text = response.json()["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            text = None
        if not isinstance(text, str):
            return "", None, f"not a chat completion: {self._summary(response)}"
        text = self._without_key(text)
        try:
            return text, rating(text), ""
        except ValueError as error:
            return text, None, str(error)

    def _raise_if_permanent(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in (401, 403):  # the reply is left out, as services quote parts of the key in it
            raise PermissionError(
                f"{self.url} answered HTTP {status}: it does not accept the key in the environment variable "
                f"{self.api_key_env}, or not for {self.judge_model!r}"
            )
        if status == 404 or 300 <= status < 400:
            raise ValueError(
                f"{self._summary(response)} from {self.url}: check that the endpoint is complete (it often ends with "
                f"/v1) and that {self.judge_model!r} is the service's name of a model"
            )

    def _summary(self, response: httpx.Response) -> str:
        return f"HTTP {response.status_code}: {self._without_key(response.text)[:300]!r}"

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "***") if len(self.key) >= SHORTEST_SECRET else text


def _url(endpoint: str) -> str:
    import httpx

    if "@" in endpoint:  # the message leaves the endpoint out: it may contain a password
        raise ValueError("endpoint must not hold a user or password; the key comes only from the environment")
    shown = re.split("[?#]", endpoint)[0]  # without a query, which may contain a key
    try:
        parts = httpx.URL(endpoint)
    except httpx.InvalidURL as error:
        raise ValueError(f"endpoint {shown!r} is not an address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.host or parts.query or parts.fragment:
        raise ValueError(
            f"endpoint {shown!r} must begin with http:// or https://, name a host and have no query, such as "
            f"'http://localhost:8000/v1'"
        )
    return endpoint.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"


def _key(variable: str) -> str:
    """Return the key, checked here because an error of the HTTP client would show it."""
    key = os.environ.get(variable, "").strip()
    if not key and not VARIABLE.fullmatch(variable):
        raise ValueError(
            "expected the name of the environment variable that holds the judge's key, such as OPENAI_API_KEY; what "
            "was given is left out here, because it may be the key itself"
        )
    if not key:
        raise ValueError(
            f"the environment variable {variable} is not set; set it to the judge's key (any text for a service that "
            f"needs no key)"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(f"the key in the environment variable {variable} has blanks or characters outside ASCII")
    return key
