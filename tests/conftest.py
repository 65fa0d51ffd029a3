"""What the tests share: the tables of adapters and methods, tiny models, and a fresh Python process."""

import gc
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import settings
from PIL import Image
from torch import nn

import circpeft
from circpeft import results

# The processes of `make test` share a hash seed. A program that a test starts has a seed of its own, as a user's has.
os.environ.pop("PYTHONHASHSEED", None)

settings.register_profile("quick", max_examples=25, deadline=None, derandomize=True)
settings.load_profile("quick")


@pytest.fixture(scope="session", autouse=True)
def libraries_out_of_garbage_collection() -> Iterator[None]:
    """Exempt the imported libraries from garbage collection: looking through them takes half the time of a run."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_compiled_code() -> None:
    """Forget what earlier tests compiled: torch compiles one function only a few times, whichever tests ask for it."""
    if "torch._dynamo" in sys.modules:
        torch._dynamo.reset()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For many products of tiny tensors: on a busy machine further threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class AdapterCase:
    """An adapter with sizes that it must handle, and the parameter count that the papers' formulas give."""

    cls: type[nn.Module]
    d_in: int
    d_out: int
    parameters: int
    options: dict[str, Any] = field(default_factory=dict)

    def build(self, **options: Any) -> nn.Module:
        return self.cls(self.d_in, self.d_out, **{"init_weights": False, "alpha": 1.5, **self.options, **options})

    def __str__(self) -> str:
        return "-".join(
            [self.cls.__name__, f"{self.d_in}x{self.d_out}", *(f"{k}={v}" for k, v in self.options.items())]
        )


def _c3a(d_in: int, d_out: int, b: int, **options: Any) -> AdapterCase:
    return AdapterCase(circpeft.C3A, d_in, d_out, d_in * d_out // b, {"block_size": b, **options})


def _cdvft(d_in: int, d_out: int, b: int, factors: int = 3) -> AdapterCase:
    m, n, further = -(-d_out // b), -(-d_in // b), factors // 2
    kernels = (m * n * b if further else 0) + max(0, further - 1) * m * m * b
    return AdapterCase(
        circpeft.CDVFT, d_in, d_out, d_in + further * d_out + kernels, {"block_size": b, "num_factors": factors}
    )


ADAPTERS = [
    _c3a(6, 6, 6),
    _c3a(6, 6, 6, layout="column"),
    _c3a(12, 8, 4),
    _c3a(8, 12, 2, layout="column"),
    _c3a(5, 10, 1),
    _c3a(17, 17, 17),
    _cdvft(6, 6, 6),
    _cdvft(6, 6, 6, 1),
    _cdvft(6, 6, 4, 5),
    _cdvft(12, 8, 4),
    _cdvft(7, 5, 3),
    _cdvft(5, 9, 4, 5),
    _cdvft(10, 3, 10),
    _cdvft(4, 11, 1),
]


@pytest.fixture(params=ADAPTERS, ids=str)
def adapter_case(request) -> AdapterCase:
    return request.param


@dataclass(frozen=True)
class Method:
    """A PEFT method of ours: its config with every layer's ΔW far from zero, and its names in PEFT."""

    config: type
    name: str
    prefix: str

    def __call__(self, **options: Any) -> Any:
        return self.config(**{"init_weights": False, "alpha": 20.0 if self.name == "CIRCONV" else 1.0, **options})

    def __str__(self) -> str:
        return self.config.__name__


METHODS = [
    Method(circpeft.C3AConfig, "CIRCONV", "circonv_"),
    Method(circpeft.CDVFTConfig, "CDVFT", "cdvft_"),
]


@pytest.fixture(scope="session")
def methods() -> list[Method]:
    return METHODS


@pytest.fixture(params=METHODS, ids=str)
def method(request) -> Method:
    return request.param


@dataclass(frozen=True)
class Tiny:
    """Tiny models with fixed weights, large enough that a changed layer shows in the output."""

    ids = torch.arange(12).view(2, 6)
    sizes = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}

    def _ready(self, model: nn.Module, dtype: torch.dtype) -> nn.Module:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, p in model.named_parameters():
                if p.dim() > 1 or name.endswith("bias"):
                    p.copy_(torch.randn(p.shape, generator=generator) / p.shape[-1] ** 0.5)
        return model.to(dtype).eval()

    def bert(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        from transformers import BertConfig, BertForSequenceClassification

        return self._ready(BertForSequenceClassification(BertConfig(vocab_size=30, **self.sizes)), dtype)

    def roberta(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        from transformers import RobertaConfig, RobertaForSequenceClassification

        config = RobertaConfig(vocab_size=30, pad_token_id=29, max_position_embeddings=64, **self.sizes)
        return self._ready(RobertaForSequenceClassification(config), dtype)

    def gpt2(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        from transformers import GPT2Config, GPT2LMHeadModel

        special = {"bos_token_id": 0, "eos_token_id": 0}
        config = GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=30, n_positions=16, **special)
        return self._ready(GPT2LMHeadModel(config), dtype)

    def mlp(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        return self._ready(nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 6)), dtype)

    @torch.no_grad()
    def logits(self, model: nn.Module) -> torch.Tensor:
        return model(self.ids).logits


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return Tiny()


@pytest.fixture(scope="session")
def save_bert() -> Callable[[Path, Iterable[str]], str]:
    """Save a BERT with 2 layers of 32 features, without a head, and a tokenizer of these words; returns its folder."""

    def save(folder: Path, words: Iterable[str]) -> str:
        from transformers import BertConfig, BertModel, BertTokenizerFast

        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
        (folder / "vocab.txt").write_text("\n".join(vocabulary))
        BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 2}
        config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, initializer_range=0.1, **sizes)
        BertModel(config).save_pretrained(folder)
        return str(folder)

    return save


@pytest.fixture(scope="session")
def load_benchmark() -> Iterator[Callable[[str], ModuleType]]:
    """A script of benchmarks/ as a module, by its name."""
    folder = results.ROOT / "benchmarks"

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"{name}_benchmark", folder / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    sys.path.append(str(folder))  # they import each other
    yield load
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def run_python() -> Callable[..., str]:
    """Run a script in a new process; returns what it printed, fails with its errors."""

    def run(script: str, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run


@pytest.fixture(scope="session")
def error() -> Callable[[torch.Tensor, torch.Tensor], float]:
    """Relative L2 distance, in float64."""

    def relative(value: torch.Tensor, truth: torch.Tensor) -> float:
        value, truth = value.detach().double(), truth.detach().double()
        assert value.shape == truth.shape
        return float((value - truth).norm() / truth.norm().clamp_min(torch.finfo(torch.float64).tiny))

    return relative


@pytest.fixture
def poisoned():
    """New memory is full of NaN: what is not written shows."""
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory and torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


WRITE_TABLE = {
    "jsonl": lambda table, path: table.to_json(path, orient="records", lines=True),
    "json": lambda table, path: table.to_json(path, orient="records"),
    "csv": lambda table, path: table.to_csv(path, index=False),
    "parquet": lambda table, path: table.to_parquet(path),
}


@pytest.fixture
def data_folder(tmp_path) -> Callable[..., Path]:
    """Write a data folder: its format, then the rows of each split."""

    def write(form: str = "jsonl", **splits: list[dict]) -> Path:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        for split, rows in splits.items():
            WRITE_TABLE[form](pd.DataFrame(rows), folder / f"{split}.{form}")
        return folder

    return write


@pytest.fixture
def image_folder(tmp_path) -> Callable[..., Path]:
    """Write SPLIT/CLASS/NUMBER.png, given how many images each class has; every image has its own shade of grey."""

    def write(suffix: str = ".png", **counts: dict[str, int]) -> Path:
        shade = 0
        for split, classes in counts.items():
            for name, count in classes.items():
                (tmp_path / "data" / split / name).mkdir(parents=True)
                for number in range(count):
                    Image.new("RGB", (4, 4), (shade,) * 3).save(tmp_path / "data" / split / name / f"{number}{suffix}")
                    shade += 1
        return tmp_path / "data"

    return write


@pytest.fixture
def peak() -> Callable[..., Any]:
    """Bound the growth of memory within a ``with`` block, on Linux, and tell the process's seconds from for ever."""

    def resident(line: str) -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.partition(f"{line}:")[2].split()[0]) // 1024

    @contextmanager
    def bounded(mebibytes: int) -> Iterator[None]:
        linux = os.access("/proc/self/clear_refs", os.W_OK)
        if linux:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
            before = resident("VmRSS")
        start = time.process_time()
        yield
        assert time.process_time() - start < 60
        assert not linux or resident("VmHWM") - before < mebibytes

    return bounded
