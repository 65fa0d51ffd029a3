"""Signals: one line about what stays, the exit code of a shell, and no orphans; a second signal ends at once."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

# A command that starts a child, says so, and takes its time to clean up.
PROGRAM = """
import subprocess, sys, time
from circpeft import cli

def execute(options):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.DEVNULL)
    try:
        print(child.pid, flush=True)
        time.sleep(600)
    finally:
        if options.quiet:
            print("cleaning", flush=True)
            time.sleep(600)
        child.kill()
        child.wait()

sys.argv = ["circpeft", "report", *sys.argv[1:]]
real = cli.build_parser
def build():
    built = real()
    built.commands["report"].set_defaults(execute=execute)
    built.commands["report"].add_argument("--quiet", action="store_true")
    return built
cli.build_parser = build
sys.exit(cli.main())
"""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def restore():
    """Undo what children inherit: a shell starts background processes with SIGINT ignored, and nohup ignores SIGHUP."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def start():
    started = []

    def run(*arguments, setup=restore):
        command = [sys.executable, "-c", PROGRAM, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, text=True, preexec_fn=setup, start_new_session=True, **pipes)
        started.append(process)
        return process, int(process.stdout.readline())

    yield run
    for process in started:
        with suppress(ProcessLookupError):  # the group has its child, which would keep the pipes open
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ended(pid):
    for _ in range(100):
        if not os.path.exists(f"/proc/{pid}") or "\nState:\tZ" in open(f"/proc/{pid}/status").read():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("number", CODES)
def test_one_line_and_the_exit_code_of_a_shell(start, number):
    process, child = start("--json")
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert process.returncode == CODES[number] and out == ""
    word = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert error.split("\n") == ["", f"circpeft report: {word}: no file was changed; repeat the command", ""]
    assert ended(child)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once_without_a_traceback(start, second):
    process, child = start("--quiet")
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(second)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (CODES[second], "")
    assert ended(child)


def test_ignored_signals_stay_ignored(start):
    process, _ = start(setup=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))  # as nohup does
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_every_command_that_works_for_long_has_its_line():
    from circpeft.cli import build_parser, interruption

    commands = set(build_parser().commands)
    assert interruption.STAYS.keys() <= commands
    assert commands - interruption.STAYS.keys() == {"doctor", "list", "exec", "completion", "lab"}
