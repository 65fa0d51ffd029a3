"""PEFT's own tests, run on circpeft's two methods; PEFT's files stay as they are.

    .venv/bin/pip install diffusers    # PEFT's tests import it; bitsandbytes and torchao for those of quantised layers
    .venv/bin/pip download --no-deps --no-binary peft peft==VERSION; tar xf peft-VERSION.tar.gz
    .venv/bin/python benchmarks/peft_suite.py PEFT_SOURCE_FOLDER [--method c3a|cdvft|peft-c3a ...] [pytest args]

VERSION is that of the installed PEFT. Wherever PEFT's tests list its own C3A, the same cases run with circpeft's C3A
and CDVFT (--method peft-c3a: with PEFT's, to compare). Circpeft's two run some more: transformers' Conv1D, several
adapters on one layer, mixed batches, quantised layers, and what PEFT lists for VeRA; guards in PEFT's tests that let
only its own methods through to Conv1D and mixed batches are opened. The small models that the tests take from the hub
are made here, of the same architectures, with random weights, and each test begins with seed 0: some allow no rounding.
(The mixed batch with partly overlapping layers fails for circpeft's C3A with 34 of 3,000 other seeds: it compares log
probabilities near 0 to 1e-8, and a layer folds for the whole batch, but not for a part of a mixed one.)

Without pytest args, benchmarks/results/peft_suite.json gets the counts, failures and skips of the methods that ran.
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

RECORD = Path(__file__).resolve().parent / "results" / "peft_suite.json"
METHODS = {"c3a": circpeft.C3AConfig, "cdvft": circpeft.CDVFTConfig, "peft-c3a": peft.C3AConfig}
OUTCOMES = ("passed", "failed", "skipped")
FILES = ("custom_models", "config", "decoder_models", "encoder_decoder_models", "feature_extraction_models")
FILES += ("seq_classifier", "token_classification_qa", "quantization")
# One uses LoRA whatever its config; one asks for the object in which PEFT's own methods keep what quantised a layer.
LEFT_OUT = ("test_add_weighted_adapter_cat_with_rank_pattern", "test_quantization_backend_is_set_and_repr")
# Cases beside those that mirror PEFT's of its C3A, by the names of the test's parameters.
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
# Names on the hub (peft-internal-testing/..., unless they say another), with settings; the architecture is in the name.
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
    """Small random models in ``folder``: a test that runs there finds them under their names on the hub."""
    transformers.utils.logging.disable_progress_bar()
    for name, settings in MODELS.items():
        torch.manual_seed(0)
        cls = getattr(transformers, settings.get("architectures", re.findall(r"[A-Z]\w+", name))[0])
        config = cls.config_class(vocab_size=1000, pad_token_id=0, bos_token_id=3, eos_token_id=2, **settings)
        config.initializer_range = config.init_std = 0.2  # so that adapters change the outputs visibly
        cls(config).save_pretrained(os.path.normpath(folder / "peft-internal-testing" / name))
    peft.LoraConfig().save_pretrained(folder / "peft-internal-testing/tiny-opt-lora-revision")


class Suite:
    """Pytest plugin: puts the methods' cases in the place of those that tests list, and keeps the outcomes."""

    def __init__(self, methods: list[str]) -> None:
        self.methods, self.method_of, self.reports = methods, {}, []

    def cases(self, method: str, names: tuple[str, ...], rows: list[tuple]) -> list[tuple]:
        """The cases of a method in the place of the rows that one parametrisation lists."""
        found = [row for row in rows if peft.C3AConfig in row]
        if method == "peft-c3a":
            return found
        # Lists without it: what is there for VeRA or SHiRA holds for any method, what is for RoAd is of mixed batches.
        found = found or [row for row in rows if row[0] is peft.VeraConfig or row == (peft.ShiraConfig,)]
        found = found or [row for row in rows if peft.RoadConfig in map(type, row) and "factor" not in names]
        found += EXTRA.get(names, []) + ONLY_CDVFT * ((method, names) == ("cdvft", CASES)) if found else []
        return [tuple(self.value(METHODS[method], *of) for of in zip(names, row, strict=True)) for row in found]

    def value(self, cls: type, name: str, value: object) -> object:
        """A value of a case, with the method's own in the place of that of another method."""
        if isinstance(value, peft.PeftConfig):
            of = {"target_modules": value.target_modules, "modules_to_save": value.modules_to_save}
            return cls(**of, alpha=0.03, init_weights=False)  # the tests allow no rounding: LoRA too passes by its seed
        if isinstance(value, dict):  # without VeRA's rank; block size 1 is there only because PEFT has no "auto"
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
        marked = {item: item.get_closest_marker("of_method") for item in items if item.originalname not in LEFT_OUT}
        self.method_of = {item.nodeid: mark.args[0] for item, mark in marked.items() if mark}
        items[:] = [item for item in items if item.nodeid in self.method_of]

    @pytest.fixture(autouse=True)
    def seed(self) -> None:
        """Most of PEFT's tests set none: what they draw, and whether rounding passes, would hang on what ran before."""
        torch.manual_seed(0)

    @pytest.fixture(autouse=True)
    def open_guards(self, request, monkeypatch) -> None:
        """Lets circpeft's methods through where PEFT's tests let only methods of PEFT."""
        method, common = self.method_of[request.node.nodeid], sys.modules["tests.testing_common"]
        if method != "peft-c3a":
            monkeypatch.setattr(common, "LoHaConfig", METHODS[method])  # of the methods that adapt Conv1D layers
            if "mixed_adapter_batches" in request.node.name:
                monkeypatch.setattr(common, "LoraConfig", METHODS[method])
                monkeypatch.setattr(request.module, "LoraConfig", METHODS[method])
            elif "parameters_after_loading" in request.node.name:
                monkeypatch.setattr(request.module, "RandLoraConfig", METHODS[method])  # of those that lr 0.5 blows up

    def pytest_runtest_logreport(self, report) -> None:
        if report.when == "call" or not report.passed:
            self.reports.append(report)

    def record(self, method: str, folders: str) -> dict:
        """The counts, failures and skips of a method; what matches the regex ``folders`` is taken out of messages."""
        mine = [report for report in self.reports if self.method_of[report.nodeid] == method]
        counts = Counter((report.nodeid.partition("::")[0], report.outcome) for report in mine)
        files = {Path(name).name: {of: counts[name, of] for of in OUTCOMES} for name in sorted({n for n, _ in counts})}
        said = {r.nodeid.partition("::")[2]: r.longreprtext.rpartition("\nE  ")[2] for r in mine if r.failed}
        versions = {module.__name__: module.__version__ for module in (torch, peft, transformers)}
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "versions": versions | {"python": platform.python_version()},
            **{outcome: sum(file[outcome] for file in files.values()) for outcome in OUTCOMES},
            "left_out": list(LEFT_OUT),
            "files": files,
            "failures": {name: re.sub(folders, "", text.split("\n")[0].strip())[:300] for name, text in said.items()},
            "skips": dict(Counter(report.longrepr[2] for report in mine if report.skipped).most_common()),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description="Run PEFT's own tests on circpeft's methods.")
    parser.add_argument("source", type=Path, help="folder of PEFT's unpacked source distribution")
    parser.add_argument("--method", choices=METHODS, action="append", help="may be given more than once")
    args, rest = parser.parse_known_args()
    source, methods, version = args.source.resolve(), args.method or ["c3a", "cdvft"], peft.__version__
    if f"\nVersion: {version}\n" not in (source / "PKG-INFO").read_text():
        parser.error(f"{source} is not of peft {version}: pip download --no-deps --no-binary peft peft=={version}")
    sys.path.insert(0, str(source))
    suite = Suite(methods)
    with tempfile.TemporaryDirectory() as folder:
        make_models(Path(folder))
        os.chdir(folder)
        # Without PEFT's own filter, which makes errors of deprecations that its release meets in newer transformers.
        options = ["-q", "-oaddopts=", "-ofilterwarnings=", "-oconsider_namespace_packages=true", "-pno:cacheprovider"]
        options += ["--import-mode=importlib", f"-c{source / 'pyproject.toml'}", f"--rootdir={source}"]
        options += ["--disable-warnings", *(str(source / "tests" / f"test_{name}.py") for name in FILES)]
        pytest.main(options + rest, plugins=[suite])
    folders = "|".join([*map(re.escape, (folder, str(source))), rf"{re.escape(tempfile.gettempdir())}/\w+/?"])
    records = {method: suite.record(method, folders) for method in methods}
    for method, record in records.items():
        print(f"{method}:", ", ".join(f"{record[outcome]} {outcome}" for outcome in OUTCOMES))
    if not rest and suite.reports:
        before = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        new = RECORD.with_suffix(".new")
        new.write_text(json.dumps(before | records, indent=1) + "\n")
        new.replace(RECORD)
    return int(not suite.reports or any(record["failed"] for record in records.values()))


if __name__ == "__main__":
    sys.exit(main())
