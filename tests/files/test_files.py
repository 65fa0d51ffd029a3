"""Files written whole, and the lock that one process holds."""

import os

import pytest

from circpeft.files import locked, write_atomically


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "a.txt", "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_text_and_bytes_arrive_unchanged(tmp_path):
    assert write_atomically(tmp_path / "t", "Größe\r\n").read_bytes() == "Größe\r\n".encode()
    path = write_atomically(tmp_path / "b", b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"


def test_another_process_cannot_take_a_lock_and_the_end_of_its_holder_frees_it(tmp_path, run_python):
    script = (
        "import sys\nfrom circpeft.files import locked\n"
        "try:\n    with locked(sys.argv[1]): print('taken')\nexcept BlockingIOError as error: print(error)"
    )
    lock = tmp_path / ".lock"
    with locked(lock):
        assert "is locked by another run" in run_python(script, str(lock))
    dies = "import os, sys\nfrom circpeft.files import locked\nlocked(sys.argv[1]).__enter__()\nos._exit(0)"
    run_python(dies, str(lock))
    assert run_python(script, str(lock)).strip() == "taken"
