"""Data sets of a hub, read by the hub's own client from a server that speaks its protocol."""

import json
import subprocess
import sys

import pytest
from datasets import ClassLabel, Features, Value

READ = """
import json, sys
from circpeft.tasks.hub import load_published
found = {}
for name in json.loads(sys.argv[1]):
    try:
        data = load_published(*name)
        found["/".join(name)] = {
            split: [rows.num_rows, [getattr(f, "names", None) for f in rows.features.values()]]
            for split, rows in data.items()
        }
    except FileNotFoundError as error:
        found["/".join(name)] = str(error)
print(json.dumps(found))
"""
TEXTS = Features({"question": Value("string"), "answer": Value("string")})
LABELLED = Features({"text": Value("string"), "variant": ClassLabel(names=["b", "a"])})
CARD = """---
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: main/test-*
---
"""
ASKED = (("acme/plain", "main"), ("acme/script",), ("acme/scripts", "variant"), ("acme/old",))


@pytest.fixture
def read(serve, parquet):
    """What a new process reads of each data set, or what it says of it."""

    def texts(count: int) -> bytes:
        return parquet({"question": ["q"] * count, "answer": ["a"] * count}, TEXTS)

    script = {"README.md": b"A card.", "script.py": b"", "scripts.py": b"", "old.py": b""}
    families = {
        f"{family}/{split}/0000.parquet": parquet({"text": ["t"] * rows, "variant": [1] * rows}, LABELLED)
        for family, more in (("family", 100), ("variant", 0))
        for split, rows in (("train", 5 + more), ("validation", 3 + more), ("test", 2 + more))
    }
    converted = {"default/train/0000.parquet": texts(4), "default/train/0001.parquet": texts(5)}
    environment = serve(
        {
            "datasets/acme/plain": {
                "main": {
                    "README.md": CARD.encode(),
                    "main/train-00000-of-00001.parquet": texts(9),
                    "main/test-00000-of-00001.parquet": texts(4),
                    "socratic/train-00000-of-00001.parquet": texts(7),
                }
            },
            "datasets/acme/script": {"main": script, "refs/convert/parquet": converted},
            "datasets/acme/scripts": {"main": script, "refs/convert/parquet": families},
            "datasets/acme/old": {"main": script},
            "datasets/acme/closed": {},
        }
    )
    asked = json.dumps([*ASKED, ("acme/closed",), ("acme/none",)])
    command = [sys.executable, "-c", READ, asked]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_data_sets_are_read_as_they_are_published(read):
    nothing = [None, None]
    assert read["acme/plain/main"] == {"train": [9, nothing], "test": [4, nothing]}
    # Published as a script: from the branch that the hub made of it, of one configuration alone.
    assert read["acme/script"] == {"train": [9, nothing]}
    names = [None, ["b", "a"]]
    assert read["acme/scripts/variant"] == {"train": [5, names], "validation": [3, names], "test": [2, names]}
    assert read["acme/old"].startswith("data set 'acme/old' is published as a script, and scripts are no longer run")
    assert read["acme/closed"].startswith("data set 'acme/closed' is gated: accept its licence on its page")
    assert read["acme/none"].startswith("data set 'acme/none' is not on the hub, or is private")
