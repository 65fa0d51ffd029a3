"""A folder with a saved adapter: what it was trained on, and loading it onto its base model."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from peft import PeftConfig, PeftModel, get_peft_model_state_dict

from .. import models
from ..hf_peft.adapter_file import find_files, read_header
from ..hf_peft.config_file import check_config
from ..hf_peft.config_json import read_config
from ..hf_peft.file_regexes import check_regexes
from ..hf_peft.other_methods import only_adapter_weights
from ..suggest import nearest

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# PEFT's task types, and the class of transformers that loads the base model of each.
CLASSES = {
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    "FEATURE_EXTRACTION": "AutoModel",
}
# Last layers of classifiers, whose number of rows is the number of classes.
HEADS = ("classifier.weight", "score.weight", "classifier.out_proj.weight")


@dataclass(frozen=True)
class AdapterFolder:
    """A saved adapter of any method of PEFT.

    Attributes:
        path: the folder.
        config: the content of its adapter_config.json.
        base: name, hub id or folder of the base model, as `models.resolve` takes it.
    """

    path: Path
    config: dict[str, Any]
    base: str

    @classmethod
    def open(cls, folder: str | Path, base: str = "") -> AdapterFolder:
        """Read a folder's config.

        Args:
            folder: a folder that ``save_pretrained`` of PEFT wrote.
            base: name, hub id or folder of the base model; "" takes the one that the config names.

        Raises: FileNotFoundError for a folder without a config or weights, with the adapters below it; ValueError for
        weights in a pickle, a config that is not a JSON object or has wrong values, or one that names no base model if
        ``base`` is "".
        """
        path = Path(folder)
        if (path / CONFIG).is_file():
            find_files(str(path))  # refuses a pickle
        for name in (CONFIG, WEIGHTS):
            if not (path / name).is_file():
                below = sorted(str(found.parent) for found in path.glob(f"**/{CONFIG}")) if path.is_dir() else []
                advice = f"; {nearest(folder, below)}" if below else ""
                raise FileNotFoundError(f"{str(folder)!r} is not a saved adapter: it has no {name}{advice}")
        config = read_config(path / CONFIG)
        check_config(path / CONFIG, config)
        try:
            check_regexes(str(path / CONFIG), config)
            PeftConfig.from_pretrained(str(path))
        except (ValueError, TypeError, AttributeError, KeyError) as error:  # PEFT does not check the types of values
            if isinstance(error, ValueError) and str(path) in str(error):
                raise
            raise ValueError(f"{path / CONFIG}: {error}") from error
        base = base or config.get("base_model_name_or_path") or ""
        if not isinstance(base, str) or not base:
            raise ValueError(f"{path / CONFIG} names no base model; name it (base)")
        return cls(path, config, base)

    @property
    def base_folder(self) -> str:
        """What ``from_pretrained`` takes for the base model: a local folder, or a hub id.

        Raises: what `models.resolve` raises.
        """
        return models.resolve(self.base)

    @property
    def model_class(self) -> Any:
        """The class of transformers that loads the base model.

        Raises: ValueError if the config has neither a task type nor a class of transformers.
        """
        if (task := self.config.get("task_type")) in CLASSES:
            return getattr(transformers, CLASSES[task])
        given = self.config.get("auto_mapping")
        mapping = given if isinstance(given, dict) else {}
        library, name = str(mapping.get("parent_library", "")), str(mapping.get("base_model_class", ""))
        if library.split(".")[0] == "transformers":  # any other module would run code that the adapter chooses
            try:
                found = getattr(importlib.import_module(library), name, None)
            except ImportError:  # no such part of transformers
                found = None
            if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
                return found
        raise ValueError(
            f"{self.path / CONFIG} has the task type {task!r} and the class {name!r} of {library!r}, so the class of "
            f"the base model is not known; expected one of {', '.join(CLASSES)}, or a class of transformers"
        )

    @property
    def classes(self) -> int | None:
        """Number of rows of the saved classifier; None if the adapter has none."""
        header = read_header(str(self.path / WEIGHTS))
        sizes = [entry.shape[0] for key, entry in header.items() if key.endswith(HEADS) and entry.shape]
        return sizes[0] if sizes else None

    def load_base(self, dtype: Any = "auto") -> transformers.PreTrainedModel:
        """Load the base model, with as many classes as the saved classifier has.

        Args:
            dtype: of its weights; "auto" keeps that of its files.

        Raises: what `models.resolve` and `models.hub_errors` raise for a model that is not there; ValueError for one of
        another kind, and for damaged files.
        """
        head = {} if self.classes is None else {"num_labels": self.classes, "ignore_mismatched_sizes": True}
        folder = self.base_folder
        with models.hub_errors(self.base):
            with models.readable(self.base, "config"):
                config = transformers.AutoConfig.from_pretrained(folder)
            fitting = getattr(self.model_class, "_model_mapping", {type(config): None})
            if type(config) not in fitting:
                loader = self.model_class.__name__
                raise ValueError(
                    f"base model {self.base!r} ({config.model_type}) is not one that {loader} loads, as this adapter "
                    f"needs; name the model that it was trained on"
                )
            with models.readable(self.base, "weights"):
                return self.model_class.from_pretrained(folder, dtype=dtype, **head)

    def load(self, dtype: Any = "auto") -> PeftModel:
        """Load the base model with the adapter beside its weights, ready to predict.

        Raises: what `load_base` raises; ValueError for an adapter that does not fit the base model, and for a file that
        holds more than the adapter's weights.
        """
        base = self.load_base(dtype)
        try:
            with warnings.catch_warnings(), only_adapter_weights():
                warnings.filterwarnings(
                    "error", message="Found missing adapter keys"
                )  # layers would stay at their start
                model = PeftModel.from_pretrained(base, self.path).eval()
        # torch raises RuntimeError for other shapes; PEFT checks the types of some values only by using them
        except (ValueError, RuntimeError, UserWarning, TypeError, AttributeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"adapter {str(self.path)!r} does not fit base model {self.base!r}: {reason}") from error
        self._check_complete(model)
        return model

    def _check_complete(self, model: PeftModel) -> None:
        """Raise ValueError if the file has more parameters of the adapter than the model: PEFT would ignore them."""
        prefix = getattr(model.base_model, "prefix", None)
        if not prefix:  # prompts have no layers
            return
        saved = sum(prefix in key for key in read_header(str(self.path / WEIGHTS)))
        state = get_peft_model_state_dict(model, save_embedding_layers=False)
        loaded = sum(prefix in key for key in state)
        if saved > loaded:
            raise ValueError(
                f"adapter {str(self.path)!r} does not fit base model {self.base!r}: it has {saved} tensors for its "
                f"layers, and this model takes {loaded}; name the model that it was trained on"
            )

    def preprocessor(self) -> Any:
        """Return the tokenizer or image processor: the adapter's own, or else the base model's; None without one.

        One that cannot be read is named in a warning.
        """
        for place in (str(self.path), self.base_folder):
            try:
                with models.readable(place, "tokenizer or image processor"):
                    return transformers.AutoProcessor.from_pretrained(place)
            except (OSError, ValueError):  # what transformers raises for a folder without such files, too
                if damaged := _preprocessor_files(place):
                    warnings.warn(
                        f"the tokenizer or image processor in {place!r} cannot be read and is left out; save or "
                        f"download {' and '.join(damaged)} again",
                        stacklevel=2,
                    )
        return None


def _preprocessor_files(folder: str) -> list[str]:
    """Return the files of a tokenizer or image processor that a local folder has; none for a hub ID."""
    from ..training.kinds.images import PROCESSOR_FILES  # here, because it takes seconds to load
    from ..training.tokens import VOCABULARIES

    return [name for name in (*VOCABULARIES, *PROCESSOR_FILES) if (Path(folder) / name).is_file()]
