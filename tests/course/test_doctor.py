"""The check of the environment names everything that is missing, with advice."""

import json
import sys
from types import SimpleNamespace

import huggingface_hub
import jupyter_client.kernelspec
import pytest

from circpeft import models
from circpeft.course import doctor, lab_extensions


def statuses(found):
    return {check.title: check.status for check in found}


def test_the_environment_of_the_tests_has_no_failure_but_data_and_model():
    for check in doctor.checks():
        assert check.status in ("OK", "WARN", "INFO") or "entailment" in check.title or "MiniLM" in check.title, check
        assert check.advice or check.status in ("OK", "INFO"), check


def test_the_report_prints_every_check_and_counts_failures(monkeypatch, capsys):
    found = [doctor.Check("OK", "fine"), doctor.Check("WARN", "so so", "do this")]
    monkeypatch.setattr(doctor, "checks", lambda hub: found)
    assert doctor.print_report()
    assert capsys.readouterr().out == "[OK]   fine\n[WARN] so so\n       -> do this\n\nReady: no check failed.\n"
    found.append(doctor.Check("FAIL", "broken", "fix it"))
    assert not doctor.print_report()
    out = capsys.readouterr().out
    assert "[FAIL] broken\n       -> fix it\n" in out and "1 of 3 checks failed" in out


def test_packages_are_compared_with_the_metadata(monkeypatch):
    wanted = [
        "numpy>=1.26",
        "torch>=99",
        "no-such-package-here>=2",
        'pandas>=2.2; extra == "train"',
        'ruff>=99; extra == "test"',
        'circpeft[train]; extra == "course"',
    ]
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: wanted)
    found = list(doctor._packages("circpeft"))
    assert [check.status for check in found] == ["OK", "FAIL", "FAIL", "OK"]
    assert found[1].title.startswith("torch ") and found[1].title.endswith("needs >=99")
    assert "no-such-package-here is not installed, needs >=2" in found[2].title
    assert all(check.advice for check in found if check.status == "FAIL")


def test_a_python_outside_the_range_fails(monkeypatch):
    monkeypatch.setattr(doctor.importlib.metadata, "metadata", lambda name: {"Requires-Python": ">=3.99"})
    assert doctor._python().status == "FAIL"


def test_missing_data_files_are_named(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text("{}")
    check = doctor._data(tmp_path)
    assert check.status == "FAIL" and "validation.jsonl" in check.title and "train" not in check.title.split(" in ")[0]
    (tmp_path / "validation.jsonl").write_text("{}")
    assert doctor._data(tmp_path).status == "OK"


def test_a_missing_model_fails_with_advice(monkeypatch):
    monkeypatch.setitem(models.INSTALLED, "minilm", ("no_such_package_here", "model"))
    check = doctor._model()
    assert check.status == "FAIL" and "no-such-package-here" in check.advice


def test_little_disk_space_or_memory_is_a_warning():
    assert doctor._disk(need=1e30).status == doctor._memory(need=1e30).status == "WARN"
    assert doctor._disk(need=0).status == doctor._memory(need=0).status == "OK"


@pytest.mark.parametrize(
    ("program", "status"), [(sys.executable, "OK"), ("python", "OK"), ("/usr/bin/another-python", "WARN")]
)
def test_the_kernel_is_compared_with_this_interpreter(tmp_path, monkeypatch, program, status):
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": [program], "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    assert doctor._kernel().status == status


def test_a_missing_kernel_fails(monkeypatch):
    def none(self, name):
        raise jupyter_client.kernelspec.NoSuchKernel(name)

    monkeypatch.setattr(jupyter_client.kernelspec.KernelSpecManager, "get_kernel_spec", none)
    assert doctor._kernel().status == "FAIL"


def test_missing_lab_extensions_are_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr(lab_extensions, "sys", SimpleNamespace(prefix=str(tmp_path)))
    (tmp_path / "share" / "jupyter" / "labextensions" / "anywidget").mkdir(parents=True)
    manager, anywidget, figures = doctor._lab_extensions()
    assert [manager.status, anywidget.status, figures.status] == ["WARN", "OK", "WARN"]
    assert "lacks @jupyter-widgets/jupyterlab-manager; without it, sliders" in manager.title and manager.advice


def test_the_hub_is_checked_only_on_request_and_never_fails(monkeypatch):
    asked = []

    def model_info(self, name, timeout):
        asked.append(name)
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    assert doctor.checks()[-1].status == "INFO" and asked == []
    check = doctor.checks(hub=True)[-1]
    assert check.status == "INFO" and "ConnectionError" in check.title and len(asked) == 1
