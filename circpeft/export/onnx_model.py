"""Export a merged model as ONNX, and compare what onnxruntime computes from the file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .adapter_folder import AdapterFolder
from .merged_model import merged, model_bytes
from .new_folder import check_new, new_folder

FILE = "model.onnx"
TOLERANCE = 1e-3  # the largest difference of an output, unless another one is given
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# Outputs of the models of transformers, in the order in which the file has them.
OUTPUTS = ("logits", "start_logits", "end_logits", "last_hidden_state")
SHAPES = ((2, 6), (1, 9), (3, 4))  # rows and tokens: of the export, then of the comparison


@dataclass(frozen=True)
class OnnxExport:
    """A written ONNX model.

    Attributes:
        folder: its folder, with the tokenizer or image processor.
        inputs: names of its inputs.
        outputs: names of its outputs.
        difference: the largest difference from the outputs of the merged model in torch.
        largest: the largest output, to compare the difference with.
    """

    folder: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float
    largest: float


class Positional(nn.Module):
    """A model of transformers as a function from positional inputs to a tuple of tensors, as exporters need it."""

    def __init__(self, model: nn.Module, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs
        self.options = {"use_cache": False} if getattr(model.config, "use_cache", False) else {}

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of `OUTPUTS` that the model has."""
        result = self.model(**dict(zip(self.inputs, values, strict=True)), **self.options)
        return tuple(result[name] for name in OUTPUTS if result.get(name) is not None)


def export_onnx(adapter: str | Path, out: str | Path, base: str = "", tolerance: float = TOLERANCE) -> OnnxExport:
    """Merge an adapter into its base model in float32, and write it as ONNX with any batch and length.

    The file takes token IDs with their mask, or pixels, and returns logits or, for a model without a head, the last
    hidden state. onnxruntime computes the outputs of random inputs of other shapes, which are compared with torch's.

    Args:
        adapter: folder of a saved adapter.
        out: folder of the ONNX model; it must not exist, or be empty.
        base: hub id or folder of the base model; "" takes the one that the adapter names.
        tolerance: the largest difference of an output, compared with the largest output if that is above 1.

    Raises: ModuleNotFoundError without onnx, onnxscript and onnxruntime; ValueError for a model with other inputs, one
    that torch cannot export, and for outputs that differ; what `check_new`, `AdapterFolder.open` and
    `AdapterFolder.load` raise. Nothing is written then.
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be a difference between 0 and 1, such as {TOLERANCE:g}, got {tolerance!r}")
    for package in PACKAGES:
        import_module(package)
    target, opened = check_new(out), AdapterFolder.open(adapter, base)
    plain, _ = merged(opened, "float32")
    processor = opened.preprocessor()
    inputs = _inputs(plain, processor)
    program = Positional(plain.eval(), tuple(inputs(SHAPES[0]))).eval()
    with torch.no_grad():
        names = [name for name in OUTPUTS if plain(**inputs(SHAPES[0])).get(name) is not None]
    if not names:
        raise ValueError(f"{type(plain).__name__} has no output that is exported; expected one of {', '.join(OUTPUTS)}")
    with new_folder(target, model_bytes(plain)) as folder:
        _write(program, inputs(SHAPES[0]), names, folder / FILE)
        difference, largest = _compared(program, folder / FILE, [inputs(shape) for shape in SHAPES])
        if not difference <= tolerance * max(1.0, largest):  # also for NaN
            raise ValueError(
                f"onnxruntime's outputs differ by {difference:.2g} from torch's, more than {tolerance:g}; "
                f"the largest output is {largest:.2g}"
            )
        config: Any = plain.config
        config.save_pretrained(folder)
        if processor is not None:
            processor.save_pretrained(folder)
    return OnnxExport(target, program.inputs, tuple(names), difference, largest)


def _inputs(plain: Any, processor: Any) -> Any:
    """Return a function from a number of rows and of tokens to random inputs of a model by name.

    Raises: ValueError for an encoder-decoder, and for a model that takes neither texts nor images.
    """
    config, taken = plain.config, getattr(processor, "model_input_names", [plain.main_input_name])
    if config.is_encoder_decoder:
        raise ValueError(f"an encoder-decoder ({config.model_type}) is not exported as ONNX; merge the adapter instead")
    generator = torch.Generator().manual_seed(0)
    if plain.main_input_name == "pixel_values":
        side = config.image_size if isinstance(config.image_size, (list, tuple)) else [config.image_size] * 2

        def pixels(shape: tuple[int, int]) -> dict[str, Tensor]:
            return {"pixel_values": torch.randn(shape[0], config.num_channels, *side, generator=generator)}

        return pixels
    if plain.main_input_name != "input_ids":
        raise ValueError(f"{type(plain).__name__} takes {plain.main_input_name}, expected input_ids or pixel_values")
    pad = config.pad_token_id if config.pad_token_id is not None else getattr(processor, "pad_token_id", None)
    config.pad_token_id = pad  # a classifier of a language model needs it for batches

    def tokens(shape: tuple[int, int]) -> dict[str, Tensor]:
        ids = torch.randint(0, config.vocab_size - 1, shape, generator=generator)
        ids = ids if pad is None else ids + (ids >= pad)  # any token but the padding
        mask = torch.ones(shape, dtype=torch.long)
        if shape[0] > 1 and pad is not None:
            mask[-1, -2:], ids[-1, -2:] = 0, pad
        types = {"token_type_ids": torch.zeros_like(ids)} if "token_type_ids" in taken else {}
        return {"input_ids": ids, "attention_mask": mask, **types}

    return tokens


def _write(program: Positional, inputs: dict[str, Tensor], outputs: list[str], path: Path) -> None:
    auto = torch.export.Dim.AUTO
    dynamic = {0: auto} if "pixel_values" in inputs else {0: auto, 1: auto}
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                program,
                tuple(inputs.values()),
                str(path),
                dynamo=True,
                verbose=False,
                input_names=list(inputs),
                output_names=outputs,
                dynamic_shapes=(tuple(dict(dynamic) for _ in inputs),),
            )
    except OSError:
        raise
    except Exception as error:  # the exporter raises errors of its own, whose texts have many lines
        reason = next(iter(str(error.__cause__ or error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"torch cannot export {type(program.model).__name__} as ONNX: {reason}") from error


@torch.no_grad()
def _compared(program: Positional, path: Path, batches: list[dict[str, Tensor]]) -> tuple[float, float]:
    """Return the largest difference of an output from torch's, and the largest output. Padding is not compared."""
    session = import_module("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    difference, largest = 0.0, 0.0
    for batch in batches:
        expected = program(*batch.values())
        computed = session.run(None, {name: value.numpy() for name, value in batch.items()})
        for ours, theirs in zip(expected, map(torch.from_numpy, computed), strict=True):
            mask = batch.get("attention_mask")
            if mask is not None and ours.shape[:2] == mask.shape:
                ours, theirs = ours[mask.bool()], theirs[mask.bool()]
            difference = float(torch.maximum(torch.tensor(difference), (ours - theirs).abs().max()))  # keeps NaN
            largest = max(largest, float(ours.abs().max()))
    return difference, largest


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the exporter prints and warns of."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
