"""Damaged adapters: whatever a config or a header holds, loading raises ValueError or loads only the adapter.

`make test-full` runs it with many more examples (CIRCPEFT_FUZZ). It prints how many were loaded and refused.
"""

import json
import os
import re
import struct
from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import PeftModel, get_peft_model
from torch import nn

import circpeft

EXAMPLES = int(os.environ.get("CIRCPEFT_FUZZ", "60"))
BOUNDS = {
    "max_examples": EXAMPLES,
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}

TARGETS = ["q", "v"]
FIELDS = sorted({*circpeft.CDVFTConfig().to_dict(), *circpeft.C3AConfig().to_dict(), "peft_version", "r", "new_field"})
WORDS = st.sampled_from(
    [
        "",
        "q",
        "v",
        "head",
        "q|v",
        "(q",
        "(q+)+",
        ".*",
        "auto",
        "lora",
        "paper",
        "zero",
        "all",
        "none",
        "CIRCONV",
        "CDVFT",
    ]
    + ["LORA", "C3A", "SEQ_CLS", "all-linear", "row", "column", "cdvft_only", "circonv_only", "../x", "\0", "\ud800"]
)
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 8, -1, 99, 101, 10**9 + 1, 2**31, 2**63, 2**70, 10**400, 0.5, 1e308, 1e-320])
SCALARS = st.none() | st.booleans() | NUMBERS | WORDS | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=5
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.v, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.q(x) + self.v(x))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A saved adapter of each method, and what its files hold."""
    found = {}
    for kind in (circpeft.C3AConfig, circpeft.CDVFTConfig):
        place = tmp_path_factory.mktemp(kind.__name__)
        get_peft_model(Net(), kind(target_modules=TARGETS, modules_to_save=["head"])).save_pretrained(place)
        data = (place / "adapter_model.safetensors").read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        found[kind.__name__] = {
            "folder": place,
            "config": json.loads((place / "adapter_config.json").read_text()),
            "header": json.loads(data[8 : 8 + length]),
            "data": data[8 + length :],
        }
    return found


def write(good, config, header, data):
    (good["folder"] / "adapter_config.json").write_bytes(config)
    (good["folder"] / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)


def as_json(value):
    return json.dumps(value).encode()


def outcome(folder):
    """Load an adapter; return "loaded" or "refused", and fail for any other error or for a changed base model."""
    base = Net()
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    try:
        model = PeftModel.from_pretrained(base, folder)
    except ValueError as error:
        assert len(str(error)) < 5000
        assert all(torch.equal(tensor, before[name]) for name, tensor in base.state_dict().items())
        return "refused"
    biases = model.peft_config["default"].bias != "none"
    for name, tensor in model.get_base_model().state_dict().items():
        plain = re.sub(r"\.(base_layer|original_module)\.", ".", name)
        if plain in before and not (biases and plain.endswith(".bias")):
            assert torch.equal(tensor, before[plain]), name
    return "loaded"


def report(kind, counts):
    print(f"\n{kind}: {sum(counts.values())} examples, {dict(counts)}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["C3AConfig", "CDVFTConfig"])
def test_configs(folders, name):
    good, counts = folders[name], Counter()
    header = as_json(good["header"])

    @settings(**BOUNDS)
    @given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3), st.sets(st.sampled_from(FIELDS), max_size=2))
    def check(changes, removed):
        config = {k: v for k, v in {**good["config"], **changes}.items() if k not in removed}
        write(good, as_json(config), header, good["data"])
        counts[outcome(good["folder"])] += 1

    check()
    report(f"configs of {name}", counts)
    assert counts["refused"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["C3AConfig", "CDVFTConfig"])
def test_headers(folders, name):
    good, counts = folders[name], Counter()
    config = as_json(good["config"])
    keys = sorted(good["header"])
    parts = st.sampled_from(["q", "v", "head", "base_layer", "original_module", "modules_to_save", "default", "weight"])
    new_key = st.sampled_from(keys) | st.lists(parts, max_size=4).map(lambda p: ".".join(["base_model.model", *p]))
    entry = st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(
                ["F32", "F64", "F16", "BF16", "I32", "BOOL", "C64", "F8_E4M3", "U8", "F4", "x", 3]
            ),
            "shape": st.lists(st.sampled_from([0, 1, 2, 4, 8, -1, 2**40, 2**63, 2.5]), max_size=4) | SCALARS,
            "data_offsets": st.lists(st.sampled_from([0, 4, 32, 256, 2**40, -4]), min_size=2, max_size=2) | SCALARS,
        }
    )

    @settings(**BOUNDS)
    @given(
        st.dictionaries(new_key, entry, max_size=2),
        st.dictionaries(st.sampled_from(keys), new_key, max_size=2),
        st.integers(0, 64),
    )
    def check(changes, renamed, cut):
        header = {renamed.get(key, key): value for key, value in {**good["header"], **changes}.items()}
        write(good, config, as_json(header), good["data"][: len(good["data"]) - cut * (cut % 5 == 0)])
        counts[outcome(good["folder"])] += 1

    check()
    report(f"headers of {name}", counts)
    assert counts["refused"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["C3AConfig", "CDVFTConfig"])
def test_renamed_tensors_of_fitting_shapes(folders, name):
    """Keys that the model has, with values of the right shape: only the adapter's own are loaded."""
    good, counts = folders[name], Counter()
    config = as_json(good["config"])
    places = ["q.weight", "q.base_layer.weight", "q.bias", "head.weight", "head.original_module.weight"]
    places += ["head.modules_to_save.default.weight", "head.modules_to_save.other.weight", "_orig_mod.q.weight"]
    places += ["module.q.base_layer.weight", "base_layer.q.weight", "q.original_module.weight"]
    shapes = {"weight": [8, 8], "bias": [8]}

    @settings(**BOUNDS)
    @given(st.lists(st.sampled_from(places), min_size=1, max_size=3, unique=True), st.booleans())
    def check(keys, replaces):
        header, data = dict(good["header"]), good["data"]
        if replaces:
            header = {key: value for key, value in header.items() if not key.endswith("head.weight")} or header
        for key in keys:
            shape = [2, 8] if key.startswith("head") else shapes[key.rpartition(".")[2]]
            size = 4 * torch.Size(shape).numel()
            full = f"base_model.model.{key}"
            if full not in header:
                header[full] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + size]}
                data += bytes(size)
        write(good, config, as_json(header), data)
        counts[outcome(good["folder"])] += 1

    check()
    report(f"renamed tensors of {name}", counts)
    assert counts["refused"]


@pytest.mark.filterwarnings("ignore")
def test_bytes(folders):
    good, counts = folders["C3AConfig"], Counter()
    config, header = as_json(good["config"]), as_json(good["header"])

    @settings(**BOUNDS)
    @given(st.binary(max_size=40), st.integers(0, len(config)), st.integers(0, len(header)), st.booleans())
    def check(junk, in_config, in_header, of_config):
        changed = config[:in_config] + junk + config[in_config + len(junk) :] if of_config else config
        other = header if of_config else header[:in_header] + junk + header[in_header + len(junk) :]
        write(good, changed, other, good["data"])
        counts[outcome(good["folder"])] += 1

    check()
    report("changed bytes", counts)
