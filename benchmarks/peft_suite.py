"""Run PEFT's own tests on circpeft's two methods, without changing PEFT's files.

    make test-full    # make test, and then this; or, step by step (quantised layers need bitsandbytes and torchao):
    .venv/bin/pip download --no-deps --no-binary peft peft==VERSION; tar xf peft-VERSION.tar.gz
    .venv/bin/python benchmarks/peft_suite.py PEFT_SOURCE_FOLDER [--method c3a|cdvft|peft-c3a ...] [pytest args]

VERSION is that of the installed PEFT. The cases that PEFT's tests list for its own C3A run with circpeft's C3A and
CDVFT (or with PEFT's C3A, for comparison: --method peft-c3a). Circpeft's methods also run further cases: transformers'
Conv1D, several adapters on one layer, mixed batches, quantised layers, and what PEFT lists for VeRA. Some of PEFT's
tests admit only PEFT's methods to Conv1D and mixed batches; this script lifts these restrictions.

The small models that the tests take from the hub are replaced by models of the same architectures with random weights.
Each test begins with seed 0, because some allow no rounding. (With 26 of 500 seeds, circpeft's C3A fails the mixed
batch with partly overlapping layers, and with 15 its CDVFT. The test compares log probabilities near 0 to 1e-8, and a
product over a part of the rows may round in another way than one over all of them.)

Without pytest args, the counts, failures and skips of the methods go into benchmarks/results/peft_suite.json.
"""

import argparse
import json
import os
import platform
import re
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

import peft
import pytest
import torch
import transformers

import circpeft
from circpeft import files

RECORD = Path(__file__).resolve().parent / "results" / "peft_suite.json"
METHODS = {"c3a": circpeft.C3AConfig, "cdvft": circpeft.CDVFTConfig, "peft-c3a": peft.C3AConfig}
OUTCOMES = ("passed", "failed", "skipped")
FILES = ("custom_models", "config", "decoder_models", "encoder_decoder_models", "feature_extraction_models")
FILES += ("seq_classifier", "token_classification_qa", "quantization")
# The first always uses LoRA. The second asks for the object in which PEFT's methods keep the quantisation of a layer.
# The others write and read pickles, which circpeft's methods refuse.
EXCLUDED_TESTS = ("test_add_weighted_adapter_cat_with_rank_pattern", "test_quantization_backend_is_set_and_repr")
EXCLUDED_TESTS += ("test_save_pretrained_pickle", "test_save_pretrained_selected_adapters_pickle")
# Further cases, in addition to those of PEFT's C3A, by the parameter names of the test.
BOTH = {"target_modules": ["lin0", "lin1"]}
LIN0, LIN1 = ({"target_modules": [name], "init_weights": False} for name in ("lin0", "lin1"))
CASES = ("test_name", "model_id", "config_cls", "config_kwargs")
PAIRS = ("test_name", "tuner_method", "config_cls", "config_kwargs_1", "config_kwargs_2")
EXTRA = {
    CASES: [
        ("two layers", "MLP", None, BOTH),
        ("all layers", "MLP", None, {"target_modules": "all-linear", "dropout": 0.1, "alpha": 3.0}),
        ("pattern", "MLP", None, {**BOTH, "alpha_pattern": {"lin0": 2.0}, "modules_to_save": ["lin1"]}),
        ("Conv1D", "EmbConv1D", None, {"target_modules": ["conv1d", "lin0"], "modules_to_save": ["emb"]}),
    ],
    PAIRS: [("Same", "", None, LIN0, LIN0), ("Overlapping", "", None, {**LIN0, **BOTH}, {**LIN1, "block_size": 2})],
}
ONLY_CDVFT = [("blocks", "MLP", None, {**BOTH, "block_size": 7}), ("factors", "MLP", None, {**BOTH, "num_factors": 5})]
BERT = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 3, "num_attention_heads": 4}
LLAMA = {**BERT, "num_key_value_heads": 2, "intermediate_size": 64, "head_dim": 8}
OPT = {"hidden_size": 64, "word_embed_proj_dim": 64, "ffn_dim": 64, "num_attention_heads": 4}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 3, "num_heads": 4, "decoder_start_token_id": 0}
BART = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 4, "decoder_ffn_dim": 4}
BERTS = ("BertModel", "RobertaModel", "DebertaModel", "DebertaV2Model")
BERTS += ("BertForSequenceClassification", "RobertaForSequenceClassification")
# Hub names (in peft-internal-testing/ unless they begin with ../) and settings; the name contains the architecture.
MODELS = {f"tiny-random-{name}": BERT for name in BERTS} | {
    "opt-125m": {**OPT, "num_hidden_layers": 12, "architectures": ["OPTForCausalLM"]},
    "tiny-dummy-qwen2": {**LLAMA, "architectures": ["Qwen2ForCausalLM"]},
    "tiny-random-OPTForCausalLM": {**OPT, "num_hidden_layers": 3},
    "tiny-random-GPT2LMHeadModel": {"n_embd": 32, "n_layer": 3, "n_head": 4},
    "tiny-random-GPTJForCausalLM": {"n_embd": 32, "n_layer": 3, "n_head": 4, "rotary_dim": 4},
    "tiny-random-T5ForConditionalGeneration-calibrated": T5,
    "tiny-random-BartForConditionalGeneration": BART,
    "../hf-internal-testing/tiny-random-Gemma3ForCausalLM": LLAMA,
    "../trl-internal-testing/tiny-random-LlamaForCausalLM": LLAMA,
    "../trl-internal-testing/tiny-LlamaForSequenceClassification-3.2": LLAMA,
}


def make_models(folder: Path) -> None:
    """Save small random models in ``folder``; a test that runs there finds them by their names on the hub."""
    transformers.utils.logging.disable_progress_bar()
    for name, settings in MODELS.items():
        torch.manual_seed(0)
        cls = getattr(transformers, settings.get("architectures", re.findall(r"[A-Z]\w+", name))[0])
        config = cls.config_class(vocab_size=1000, pad_token_id=0, bos_token_id=3, eos_token_id=2, **settings)
        config.initializer_range = config.init_std = 0.2  # large enough for adapters to change the outputs visibly
        cls(config).save_pretrained(os.path.normpath(folder / "peft-internal-testing" / name))
    peft.LoraConfig().save_pretrained(folder / "peft-internal-testing/tiny-opt-lora-revision")


class Suite:
    """Pytest plugin that replaces the cases of PEFT's tests by those of the methods, and keeps the outcomes."""

    def __init__(self, methods: list[str]) -> None:
        self.methods, self.method_of, self.reports = methods, {}, []

    def cases(self, method: str, names: tuple[str, ...], rows: list[tuple]) -> list[tuple]:
        """Return the cases of a method that replace the rows of one parametrisation."""
        chosen = [row for row in rows if peft.C3AConfig in row]
        if method == "peft-c3a":
            return chosen
        # Lists without C3A: cases of VeRA and SHiRA hold for any method, and cases of RoAd are about mixed batches.
        chosen = chosen or [row for row in rows if row[0] is peft.VeraConfig or row == (peft.ShiraConfig,)]
        chosen = chosen or [row for row in rows if peft.RoadConfig in map(type, row) and "factor" not in names]
        chosen += EXTRA.get(names, []) + ONLY_CDVFT * ((method, names) == ("cdvft", CASES)) if chosen else []
        return [tuple(self.value(METHODS[method], *pair) for pair in zip(names, row, strict=True)) for row in chosen]

    def value(self, cls: type, name: str, value: object) -> object:
        """Return a value of a case, with the config of another method replaced by the method's own."""
        if isinstance(value, peft.PeftConfig):
            layers = {"target_modules": value.target_modules, "modules_to_save": value.modules_to_save}
            # The tests allow no rounding; LoRA passes them only with a suitable seed, too.
            return cls(**layers, alpha=0.03, init_weights=False)
        if isinstance(value, dict):  # no VeRA rank; PEFT sets block size 1 only because it has no "auto"
            return {k: v for k, v in value.items() if k != "r" and (k, v) != ("block_size", 1)}
        return cls if name in ("config_cls", "config_class") else value

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc) -> None:
        marks = metafunc.definition.own_markers
        for i, mark in enumerate(marks):
            if mark.name != "parametrize" or "config" not in str(mark.args[0]):
                continue
            names = tuple(re.findall(r"\w+", str(mark.args[0])))
            rows = [row if len(names) > 1 else (row,) for row in mark.args[1]]
            cases = [(method, row) for method in self.methods for row in self.cases(method, names, rows)]
            cases = [pytest.param(*row, marks=pytest.mark.of_method(method), id=method) for method, row in cases]
            marks[i] = pytest.mark.parametrize(names, cases).mark

    def pytest_collection_modifyitems(self, items) -> None:
        marked = {
            item: item.get_closest_marker("of_method") for item in items if item.originalname not in EXCLUDED_TESTS
        }
        self.method_of = {item.nodeid: mark.args[0] for item, mark in marked.items() if mark}
        items[:] = [item for item in items if item.nodeid in self.method_of]

    @pytest.fixture(autouse=True)
    def seed(self) -> None:
        """Set a seed: most of PEFT's tests set none, so their draws and rounding would depend on earlier tests."""
        torch.manual_seed(0)

    @pytest.fixture(autouse=True)
    def open_guards(self, request, monkeypatch) -> None:
        """Admit circpeft's methods where PEFT's tests admit only methods of PEFT."""
        method, common = self.method_of[request.node.nodeid], sys.modules["tests.testing_common"]
        if method != "peft-c3a":
            monkeypatch.setattr(common, "LoHaConfig", METHODS[method])  # a method that adapts Conv1D layers
            if "mixed_adapter_batches" in request.node.name:
                monkeypatch.setattr(common, "LoraConfig", METHODS[method])
                monkeypatch.setattr(request.module, "LoraConfig", METHODS[method])
            elif "parameters_after_loading" in request.node.name:
                monkeypatch.setattr(
                    request.module, "RandLoraConfig", METHODS[method]
                )  # a method that diverges at rate 0.5

    def pytest_runtest_logreport(self, report) -> None:
        if report.when == "call" or not report.passed:
            self.reports.append(report)

    def record(self, method: str, folders: str) -> dict:
        """Return the counts, failures and skips of a method; text that matches ``folders`` is removed from messages."""
        reports = [report for report in self.reports if self.method_of[report.nodeid] == method]
        counts = Counter((report.nodeid.partition("::")[0], report.outcome) for report in reports)
        by_file = {Path(name).name: {o: counts[name, o] for o in OUTCOMES} for name in sorted({n for n, _ in counts})}
        messages = {r.nodeid.partition("::")[2]: r.longreprtext.rpartition("\nE  ")[2] for r in reports if r.failed}
        versions = {module.__name__: module.__version__ for module in (torch, peft, transformers)}
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "versions": versions | {"python": platform.python_version()},
            **{outcome: sum(counts[outcome] for counts in by_file.values()) for outcome in OUTCOMES},
            "left_out": list(EXCLUDED_TESTS),
            "files": by_file,
            "failures": {
                name: re.sub(folders, "", text.split("\n")[0].strip())[:300] for name, text in messages.items()
            },
            "skips": dict(Counter(report.longrepr[2] for report in reports if report.skipped).most_common()),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description="Run PEFT's own tests on circpeft's methods.")
    parser.add_argument("source", type=Path, help="folder with the unpacked source distribution of PEFT")
    parser.add_argument(
        "--method", choices=METHODS, action="append", help="a method to test; may be given several times"
    )
    args, rest = parser.parse_known_args()
    source, methods, version = args.source.resolve(), args.method or ["c3a", "cdvft"], peft.__version__
    if f"\nVersion: {version}\n" not in (source / "PKG-INFO").read_text():
        parser.error(
            f"{source} is not the source of peft {version}; get it with pip download --no-deps --no-binary peft "
            f"peft=={version}"
        )
    sys.path.insert(0, str(source))
    suite = Suite(methods)
    with tempfile.TemporaryDirectory() as folder:
        make_models(Path(folder))
        os.chdir(folder)
        # Without PEFT's warning filter, which turns deprecations of newer transformers into errors.
        options = ["-q", "-oaddopts=", "-ofilterwarnings=", "-oconsider_namespace_packages=true", "-pno:cacheprovider"]
        options += ["--import-mode=importlib", f"-c{source / 'pyproject.toml'}", f"--rootdir={source}"]
        options += ["--disable-warnings", *(str(source / "tests" / f"test_{name}.py") for name in FILES)]
        pytest.main(options + rest, plugins=[suite])
    folders = "|".join([*map(re.escape, (folder, str(source))), rf"{re.escape(tempfile.gettempdir())}/\w+/?"])
    records = {method: suite.record(method, folders) for method in methods}
    for method, record in records.items():
        print(f"{method}:", ", ".join(f"{record[outcome]} {outcome}" for outcome in OUTCOMES))
    if not rest and suite.reports:
        recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        files.write_atomically(RECORD, json.dumps(recorded | records, indent=1) + "\n")
    return int(not suite.reports or any(record["failed"] for record in records.values()))


if __name__ == "__main__":
    sys.exit(main())
