"""The GLUE protocol on real data, where a folder with it is given."""

import os
from pathlib import Path

import pytest

from circpeft import data_folders, tasks

ROOT = os.environ.get("CIRCPEFT_DATA_DIR", "")
# Rows of train, validation and test after splitting. The published numbers: RTE 2490/277/hidden, MRPC 3668/408/1725,
# SST-2 67349/872/hidden.
EXPECTED = {
    "rte": (2490, 138, 139, "halves"),
    "mrpc": (3668, 408, 1725, "as published"),
    "sst2": (66349, 1000, 872, "held out of train"),
}
MAJORITY = {"rte": 0.5271, "mrpc": 0.6838, "sst2": 0.5092}  # of the published validation set


@pytest.fixture(params=EXPECTED)
def name(request):
    if not ROOT:
        pytest.skip("CIRCPEFT_DATA_DIR is not set: it names a folder with rte, mrpc and sst2 in GLUE's schema")
    if not (Path(ROOT) / request.param).is_dir():
        pytest.skip(f"CIRCPEFT_DATA_DIR has no folder {request.param}")
    return request.param


def test_real_data_follows_the_protocol(name):
    data, how = tasks.load(name, Path(ROOT) / name)
    assert tuple(len(data[part]) for part in ("train", "validation", "test")) == EXPECTED[name][:3]
    assert EXPECTED[name][3] in how
    other = "train" if "held out" in how else "test"
    if "published" not in how or other == "train":  # the two parts come from one file, in which idx is unique
        assert not set(data["validation"]["idx"]) & set(data[other]["idx"])


def test_the_label_order_is_the_published_one(name):
    raw = data_folders.read_folder(Path(ROOT) / name)["validation"]["label"]
    assert max(raw.count(0), raw.count(1)) / len(raw) == pytest.approx(MAJORITY[name], abs=1e-4)
