"""One owner at a time: the other is named by host and process, and a dead one is noticed."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from circpeft.run_files import ownership
from circpeft.run_files.ownership import BusyError, forget_dead, owned, owner_path, read_owner, this_process

HOLD = """
import sys
from pathlib import Path
from circpeft.run_files.ownership import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "locks" / "run.lock"


@pytest.fixture
def holder(lock):
    """Another process that owns the lock."""
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_other_process_is_named(lock, holder):
    with pytest.raises(BusyError, match=rf"^host .+, process {holder.pid}, since 20"):
        with owned(lock):
            pass
    holder.communicate()  # it ends
    with owned(lock):
        assert read_owner(lock).pid == os.getpid()
    assert not owner_path(lock).exists()


def test_an_owner_that_was_killed_is_noticed_at_once(lock, holder):
    holder.kill()
    holder.wait()
    assert read_owner(lock).pid == holder.pid
    with owned(lock):
        assert read_owner(lock).pid == os.getpid()


def test_the_file_of_an_owner_that_was_killed_can_be_removed(lock, holder):
    forget_dead(lock)
    assert read_owner(lock).pid == holder.pid, "a living owner stays"
    holder.kill()
    holder.wait()
    forget_dead(lock)
    assert not owner_path(lock).exists()
    with owned(lock):
        forget_dead(lock)
        assert read_owner(lock).pid == os.getpid()


def write(lock, owner, age=0.0):
    lock.parent.mkdir(exist_ok=True)
    path = owner_path(lock)
    path.write_text(json.dumps(asdict(owner)))
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))


def test_an_owner_on_another_host_lives_as_long_as_it_gives_signs_of_life(lock):
    other = replace(this_process(), host="gpu7", place="gpu7 another boot", pid=4711)
    write(lock, other, age=ownership.STALE - 20)
    with pytest.raises(BusyError, match="host gpu7, process 4711"), owned(lock):
        pass
    write(lock, other, age=ownership.STALE + 20)
    with owned(lock):
        assert read_owner(lock).host != "gpu7"


@pytest.mark.parametrize(("change", "alive"), [({}, True), ({"began": 1.0}, False), ({"pid": 2**22 + 5}, False)])
def test_where_the_file_system_has_no_locks_the_process_decides(lock, holder, change, alive):
    """A process of this host that lives is an owner; one with its number that began at another time is not."""
    owner = read_owner(lock)
    write(lock.with_name("b.lock"), replace(owner, **change))
    if alive:
        with pytest.raises(BusyError, match=str(holder.pid)), owned(lock.with_name("b.lock")):
            pass
    else:
        with owned(lock.with_name("b.lock")):
            pass


def test_signs_of_life(lock, monkeypatch):
    monkeypatch.setattr(ownership, "BEAT", 0.01)
    with owned(lock):
        os.utime(owner_path(lock), (0, 0))
        for _ in range(1000):
            if owner_path(lock).stat().st_mtime:
                break
            ownership.threading.Event().wait(0.01)
        assert owner_path(lock).stat().st_mtime > 0


def test_an_owner_on_another_host_that_ends_while_it_is_looked_at_is_dead(lock):
    lock.parent.mkdir()
    other = replace(this_process(), place="another host")
    assert not ownership.is_alive(other, owner_path(lock))
    assert not ownership.is_alive(other, owner_path(lock.parent / "gone" / "run.lock"))


def test_a_damaged_file_of_an_owner_is_replaced(lock):
    lock.parent.mkdir()
    owner_path(lock).write_text("[" * 100_000)
    with owned(lock):
        assert read_owner(lock) is not None
