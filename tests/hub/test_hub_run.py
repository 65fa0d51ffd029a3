"""A run of the `paper` profile whose model and data a hub serves, by the command that a user would give."""

import json
import subprocess
import sys
from pathlib import Path

from datasets import ClassLabel, Features, Value

SST2 = Features(
    {"sentence": Value("string"), "label": ClassLabel(names=["negative", "positive"]), "idx": Value("int32")}
)
GOOD, BAD = ("good", "fine", "warm"), ("bad", "dull", "cold")


def test_model_and_data_come_from_the_hub(serve, parquet, save_bert, tmp_path):
    folder = tmp_path / "bert"
    folder.mkdir()
    save_bert(folder, ["a", "film", *GOOD, *BAD])

    def sentences(rows: int, hidden: bool = False) -> bytes:
        labels = [row % 2 for row in range(rows)]
        texts = [f"a {(BAD, GOOD)[label][row % 3]} film" for row, label in enumerate(labels)]
        return parquet({"sentence": texts, "label": [-1] * rows if hidden else labels, "idx": range(rows)}, SST2)

    splits = {"train": sentences(64), "validation": sentences(16), "test": sentences(8, hidden=True)}
    parts = "".join(f"\n  - split: {split}\n    path: sst2/{split}-*" for split in splits)
    card = f"---\nconfigs:\n- config_name: sst2\n  data_files:{parts}\n---\n"
    files = {f"sst2/{split}-00000-of-00001.parquet": file for split, file in splits.items()}
    environment = serve(
        {
            "datasets/nyu-mll/glue": {"main": {"README.md": card.encode(), **files}},
            "models/acme/tiny-bert": {"main": {path.name: path.read_bytes() for path in folder.iterdir()}},
            "models/acme/closed": {},
        }
    )

    def train(model: str, **more: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "circpeft", "train", "c3a", "--task", "sst2", "--profile", "paper", "--json"]
        command += ["--quiet", "--set", "model", model, "--set", "epochs", "1", "--output-dir", str(tmp_path / "out")]
        return subprocess.run(command, capture_output=True, text=True, env={**environment, **more}, timeout=600)

    done = train("acme/tiny-bert")
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    record = json.loads(Path(told["record"]).read_text())
    settings = record["settings"]
    assert settings["model"] == "acme/tiny-bert" and settings["target_modules"] == ["query", "value"]
    assert record["rows"] == {"train": 64, "validation": 8, "test": 8}
    assert record["split"].endswith("the published test split has no labels")
    adapter = json.loads((Path(told["weights"]) / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == "acme/tiny-bert"

    # What was read once lies in the cache; the run is on record.
    again = train("acme/tiny-bert", HF_HUB_OFFLINE="1")
    assert again.returncode == 0 and json.loads(again.stdout)["record"] == told["record"], again.stderr[-3000:]

    closed = train("acme/closed")
    assert closed.returncode == 2 and "model 'acme/closed' is gated: accept its licence" in closed.stderr
