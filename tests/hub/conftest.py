"""A hub on this machine: as much of the Hugging Face hub's protocol as its clients use to read data sets and models."""

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
from datasets import Dataset, Features

NAME = r"[\w.-]+/[\w.-]+"
Repositories = dict[str, dict[str, dict[str, bytes]]]  # files by path, by branch, by name; gated without a branch


class Hub(ThreadingHTTPServer):
    """Serves repositories, models as ``models/owner/name`` and data sets as ``datasets/owner/name``."""

    daemon_threads = True

    def __init__(self, repositories: Repositories) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = repositories

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        place = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(rf"/api/(\w+/{NAME})(?:/(revision|tree)/(.+))?", place):
            name, what, rest = found.groups()
            self.about(name, what or "revision", rest or "main")
        elif found := re.fullmatch(rf"/(datasets/)?({NAME})/resolve/(.+)", place):
            self.file((found[1] or "models/") + found[2], found[3])
        else:
            self.refuse("EntryNotFound")

    do_HEAD = do_GET

    def branch(self, name: str, rest: str) -> tuple[str, str, dict[str, bytes]] | None:
        """The commit, what follows it in a path, and the files; None where a refusal was sent."""
        branches = self.server.repositories.get(name)
        if branches is None:
            return self.refuse("RepoNotFound")
        if not branches:
            return self.refuse("GatedRepo")
        for branch, files in branches.items():
            commit = hashlib.sha1(f"{name}/{branch}".encode()).hexdigest()
            for known in (branch, commit):
                if rest == known or rest.startswith(f"{known}/"):
                    return commit, rest[len(known) + 1 :], files
        return self.refuse("RevisionNotFound")

    def about(self, name: str, what: str, rest: str) -> None:
        if not (found := self.branch(name, rest)):
            return
        commit, folder, files = found
        if what == "revision":
            self.send(
                {"id": name.partition("/")[2], "sha": commit, "siblings": [{"rfilename": path} for path in files]}
            )
        else:
            prefix = f"{folder}/" if folder else ""
            below = [path.removeprefix(prefix) for path in files if path.startswith(prefix)]
            if not below:
                return self.refuse("EntryNotFound")
            parts = [path.split("/") for path in below]
            inside = {"/".join(names[:depth]) for names in parts for depth in range(1, len(names) + 1)}
            if "recursive=true" not in self.path.lower():
                inside = {path for path in inside if "/" not in path}
            self.send([entry(prefix + path, files) for path in sorted(inside)])

    def file(self, name: str, rest: str) -> None:
        if not (found := self.branch(name, rest)):
            return
        commit, path, files = found
        if path not in files:
            return self.refuse("EntryNotFound")
        etag = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(files[path]).hexdigest()}"'}
        self.send(files[path], etag)

    def refuse(self, code: str) -> None:
        status = {"RepoNotFound": 401, "GatedRepo": 401}.get(code, 404)  # the hub does not tell strangers what is there
        self.send({"error": code}, {"X-Error-Code": code}, status)

    def send(self, body, headers: dict[str, str] | None = None, status: int = 200) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def log_message(self, *arguments) -> None:
        """Tests are quiet."""


def entry(path: str, files: dict[str, bytes]) -> dict:
    """A file or a folder, as the hub lists them."""
    if path in files:
        return {"type": "file", "path": path, "size": len(files[path]), "oid": hashlib.sha1(files[path]).hexdigest()}
    return {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1(path.encode()).hexdigest()}


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[[Repositories], dict[str, str]]]:
    """A function that serves repositories; returns the environment of a process that takes it for the hub."""
    hubs = []

    def start(repositories: Repositories) -> dict[str, str]:
        hubs.append(Hub(repositories))
        Thread(target=hubs[-1].serve_forever, daemon=True).start()
        own = {"HF_ENDPOINT": hubs[-1].address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        kept = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "HF_TOKEN")}
        return {**kept, **own, "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    yield start
    for hub in hubs:
        hub.shutdown()
        hub.server_close()


@pytest.fixture(scope="session")
def parquet() -> Callable[[dict, Features], bytes]:
    """A function that makes a parquet file of columns."""

    def make(columns: dict, features: Features) -> bytes:
        file = io.BytesIO()
        Dataset.from_dict(columns, features=features).to_parquet(file)
        return file.getvalue()

    return make
