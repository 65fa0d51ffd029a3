"""JupyterLab on an empty folder, and a page of headless Chromium, of which a picture is kept if the test fails."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from circpeft.cli.lab import CONFIG
from circpeft.places import clone

CHROMIUM = shutil.which("chromium")
PICTURES = clone() / "build" / "screenshots"
FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items):
    if CHROMIUM is None and not os.environ.get("CIRCPEFT_REQUIRE_BROWSER"):
        absent = pytest.mark.skip(reason="no chromium on the PATH; on Debian: apt-get install chromium")
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(absent)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def lab(tmp_path: Path):
    """Start JupyterLab on an empty folder; yield the folder and a function that returns a notebook's address."""
    folder = tmp_path / "lab"
    folder.mkdir()
    port, token = free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += [f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}", "--ServerApp.port_retries=0"]
    command.append("--LabApp.expose_app_in_browser=True")  # for tests that read the state of a notebook
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path / ".jupyter"), "HOME": str(tmp_path)}
    environment["JUPYTER_CONFIG_PATH"] = str(CONFIG)  # as `circpeft lab` does: without it, a question covers a part
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        for _ in range(600):
            if re.search(r"is running at", (tmp_path / "lab.log").read_text()):
                break
            assert server.poll() is None, (tmp_path / "lab.log").read_text()
            time.sleep(0.1)
        yield folder, lambda name: f"http://127.0.0.1:{port}/lab/tree/{name}?token={token}"
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture(scope="module")  # not for the session: two of them cannot be open at once
def chromium():
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "CIRCPEFT_REQUIRE_BROWSER is set and there is no chromium on the PATH"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, request):
    """Yield a page that accepts JupyterLab's dialogs. If the test fails, a picture of it goes to build/screenshots."""
    page = chromium.new_page(viewport={"width": 1300, "height": 1000})
    # Accept any dialog, such as the choice of a kernel. While the page starts, a click can be lost, so do not wait
    # for the dialog to close: the handler then runs again.
    page.add_locator_handler(
        page.locator(".jp-Dialog").first,
        lambda dialog: dialog.locator("button.jp-mod-accept").first.click(),
        no_wait_after=True,
    )
    yield page
    if request.node.stash.get(FAILED, False):
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{re.sub(r'[^A-Za-z0-9]+', '-', request.node.name).strip('-')}.png"
        page.screenshot(path=path)
        print(f"The page as it was: {path}")
    page.close()
