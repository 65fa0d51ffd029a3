"""The contract of a backend: every listed module has every member, and importing stays lazy."""

import importlib
import inspect

import pytest
import torch

from circpeft import available_backends
from circpeft.ops.backends import BACKENDS, Backend, FusedBackend, get_backend, get_fused_backend
from circpeft.ops.backends.protocol import check_backend, members

every_backend = pytest.mark.parametrize("name", BACKENDS)


@every_backend
def test_every_backend_has_every_member_with_the_arguments_of_the_protocol(name):
    backend = get_backend(name)
    protocol = FusedBackend if backend.FUSED else Backend
    assert get_fused_backend(name) is (backend if backend.FUSED else None)
    for member in members(protocol):
        if member.isupper():
            assert isinstance(getattr(backend, member), bool)
            continue
        asked = list(inspect.signature(getattr(protocol, member)).parameters.values())[1:]  # without self
        given = inspect.signature(getattr(backend, member)).parameters.values()
        assert [(p.name, p.default) for p in given] == [(p.name, p.default) for p in asked], f"{name}.{member}"


@every_backend
def test_availability_is_the_backends_own_declaration(name, monkeypatch):
    for device in ("cpu", "cuda", "meta"):
        answer = get_backend(name).is_available(torch.device(device))
        assert isinstance(answer, bool) and (name in available_backends(device)) == answer
    monkeypatch.setattr(get_backend(name), "is_available", lambda device: device.type == "meta")
    assert name in available_backends("meta") and name not in available_backends("cpu")


@pytest.mark.parametrize("member", members(FusedBackend))
def test_a_backend_that_lacks_a_member_fails_with_its_name(member, tmp_path, monkeypatch):
    name = f"lacks_{member}"
    (tmp_path / f"{name}.py").write_text(f"from circpeft.ops.backends.rfft import *\n\ndel {member}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(BACKENDS, "incomplete", name)
    importlib.invalidate_caches()
    with pytest.raises(TypeError, match=f"'{name}' lacks {member}; it must define FUSED, BUILDS_MATRIX, "):
        get_backend("incomplete")


def test_only_a_fused_backend_needs_the_product_with_diagonals(monkeypatch):
    reference = get_backend("reference")
    check_backend(reference)
    monkeypatch.setattr(reference, "FUSED", True)
    with pytest.raises(TypeError, match="lacks diagonal_matmul, diagonal_matmul_backward, diagonal_backward_flops; "):
        check_backend(reference)


def test_backends_are_imported_on_first_use_and_triton_is_not_imported_to_list_them(run_python):
    code = """
import sys
from circpeft import available_backends
from circpeft.ops.backends import BACKENDS
print([name for name in BACKENDS.values() if name in sys.modules])
print("leaf" in available_backends("cuda"), "circpeft.ops.backends.leaf_kernels" in sys.modules)
"""
    assert run_python(code).splitlines() == ["[]", "True False"]
