"""Runs the scripts of the pieces, in node or in headless Chromium, and returns what their functions compute."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from circpeft.course.pieces import bundle


def calls(script: str, function: str, cases: Iterable[Sequence[Any]]) -> list[Any]:
    """Return what a function of a piece's script returns for each list of arguments; both are what JSON can hold."""
    return evaluate(script, f"{json.dumps(list(cases))}.map((arguments_) => {function}(...arguments_))")


def evaluate(script: str, expression: str) -> Any:
    """Return the value of an expression that uses the functions of a script."""
    code = bundle.code(script)
    if shutil.which("node"):
        program = f"{code}\nconsole.log(JSON.stringify({expression}));"
        command = ["node", "--input-type=module", "-"]
        done = subprocess.run(command, input=program, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)
    chromium = shutil.which("chromium")
    if chromium is None and not os.environ.get("CIRCPEFT_REQUIRE_BROWSER"):
        pytest.skip("neither node nor chromium on the PATH; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    text = base64.b64encode(f"{code}\nexport const result = {expression};".encode()).decode()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        address = f"data:text/javascript;charset=utf-8;base64,{text}"
        result = browser.new_page().evaluate("async (address) => (await import(address)).result", address)
        browser.close()
    return result
