"""The adapted experts: a module of fused experts, and adapters for every expert of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any, TypeVar

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from ..adapters.experts import ExpertAdapters
from .caller_warnings import warn_caller
from .configs import CirculantConfig
from .expert_targets import ExpertShape, expert_shape
from .expert_weight import ExpertWeight
from .layer import BASE, C3ALinear, CDVFTLinear, CirculantLayer
from .merged_layer import warn_of_rounding
from .offload import execution_device, onloaded

Method = TypeVar("Method", bound=Callable[..., Any])
untraced: Callable[[Method], Method] = torch.compiler.disable  # torch's decorator, with the type that it has


def build_adapters(config: CirculantConfig, name: str, shapes: dict[str, ExpertShape]) -> ExpertAdapters:
    """Build the adapters of a module with this full name, for weights of these shapes.

    Raises: ValueError that names the weight, if the block size does not suit it.
    """
    with torch.device("meta"):  # only the settings are used
        single = {weight: config.build(f"{name}.{weight}", s.d_in, s.d_out) for weight, s in shapes.items()}
    return ExpertAdapters(single, {weight: s.num_experts for weight, s in shapes.items()}, config.init_weights)


class ExpertsLayer(CirculantLayer):
    """A module of fused experts, and adapters of its weights.

    Formula: during a call, the weight of every expert is ``W_e + sum over active adapters of ΔW_e``.
    """

    def __init__(self, base_layer: nn.Module, name: str) -> None:
        nn.Module.__init__(self)
        if isinstance(base_layer, BaseTunerLayer):
            raise TypeError(f"the experts {name!r} are already adapted by a {type(base_layer).__name__}")
        self.base_layer, self.name = base_layer, name
        setattr(self, self.adapter_layer_names[0], nn.ModuleDict())
        self.initial_alphas: dict[str, float] = {}
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        # In a dict, so that torch does not register the parameters with this module.
        self._weights_before_merge: dict[str, nn.Parameter] = {}
        self.shapes: dict[str, ExpertShape] = {}

    @property
    def base_dtype(self) -> torch.dtype:
        """The dtype of the base weights."""
        dtype: torch.dtype = next(self.get_base_layer().parameters(recurse=False)).dtype
        return dtype

    def add_adapter(self, adapter_name: str, config: CirculantConfig, weights: Sequence[str] = ()) -> None:
        """Build the adapters of the named weights from a config, on the device of the base weights."""
        for weight in weights:
            if weight not in self.shapes:
                self.shapes[weight] = expert_shape(self.get_base_layer(), weight, f"{self.name}.{weight}")
        self.adapters[adapter_name] = build_adapters(config, self.name, {w: self.shapes[w] for w in weights})
        self.initial_alphas[adapter_name] = self.adapters[adapter_name].alpha
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _move_adapter_to_device_of_base_layer(
        self, adapter_name: str, device: torch.device | str | int | None = None
    ) -> None:
        adapters = self.adapters[adapter_name] if adapter_name in self.adapters else None
        if adapters is not None and not any(p.is_meta for p in adapters.parameters()):
            base = self.get_base_layer()
            if device is None:  # offloaded weights lie on meta between forward passes
                device = execution_device(base)
            adapters.to(next(base.parameters(recurse=False)).device if device is None else device)

    def get_delta_weight(self, adapter: str, weight: str | None = None) -> Tensor:
        """Return ``ΔW`` of one adapter for all experts, in the shape of the base weight and the kernel's dtype.

        ``weight`` names the parameter; it may be left out if the adapter has only one.

        Raises: ValueError for an adapter or a weight that this module does not have.
        """
        if adapter not in self.adapters:
            raise ValueError(f"adapter {adapter!r} not found; these experts have: {', '.join(self.adapters) or 'none'}")
        weights = self.adapters[adapter].weights
        if weight is None and len(weights) == 1:
            weight = weights[0]
        if weight is None or weight not in weights:
            raise ValueError(f"adapter {adapter!r} has no weight {weight!r}; name one of: {', '.join(weights)}")
        delta: Tensor = self.adapters[adapter].delta_weight(weight)
        return delta.transpose(1, 2) if self.shapes[weight].transposed else delta

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """Return False: PEFT converts only linear layers."""
        return False

    def _check_base(self, stored: bool) -> None:
        for weight in self.shapes:
            if weight not in self.get_base_layer()._parameters:
                raise ValueError(f"nothing is merged: {f'{self.name}.{weight}'!r} is no longer a plain parameter")

    def _merge(self, names: list[str], safe_merge: bool) -> None:
        # Everything is computed before the first weight is replaced.
        base = self.get_base_layer()
        merged: dict[str, Tensor] = {}
        for weight in dict.fromkeys(w for name in names for w in self.adapters[name].weights):
            adapters = [self.adapters[name] for name in names if weight in self.adapters[name].weights]
            merged[weight] = self._merged(weight, adapters)
            if safe_merge and not torch.isfinite(merged[weight]).all():
                raise ValueError(
                    f"NaNs detected in the merged weights. An adapter of {', '.join(names)} seems to be broken "
                    f"(parameter {f'{self.name}.{weight}'!r})"
                )
        for weight, value in merged.items():
            original = base._parameters[weight]
            self._weights_before_merge.setdefault(weight, original)
            # A new parameter, because the old one is kept for unmerge.
            setattr(base, weight, nn.Parameter(value, requires_grad=original.requires_grad))
        self.merged_adapters.extend(names)

    def _merged(self, weight: str, adapters: Sequence[ExpertAdapters]) -> Tensor:
        """Return the merged weight, one expert after the other, so that one dense ``ΔW`` exists at a time."""
        base, transposed = self.get_base_layer()._parameters[weight], self.shapes[weight].transposed
        dtype = torch.promote_types(base.dtype, torch.float32)
        result, kept, norm = torch.empty_like(base), 0.0, 0.0
        for e in range(len(base)):
            delta = reduce(torch.add, (a.expert(weight, e).delta_weight().to(dtype) for a in adapters))
            delta, old = delta.T if transposed else delta, base[e].to(dtype)
            result[e] = old + delta
            kept += float(((result[e].to(dtype) - old) * delta).sum())
            norm += float(delta.square().sum())
        if norm > 0 and base.dtype != dtype:
            warn_of_rounding(kept / norm, base.dtype, repr(f"{self.name}.{weight}"))
        return result

    def unmerge(self) -> None:
        """Restore the base weights as they were before the merge, bit for bit."""
        if not self.merged:
            warn_caller("Already unmerged. Nothing to do.")
            return
        base = self.get_base_layer()
        with onloaded(base):
            for weight, original in self._weights_before_merge.items():
                present = base._parameters[weight]
                # The model was perhaps moved or converted meanwhile.
                original.data = original.data.to(present.device, present.dtype)
                setattr(base, weight, original)
        self._weights_before_merge.clear()
        self.merged_adapters.clear()

    def forward(self, *args: Any, adapter_names: Sequence[str] | None = None, **kwargs: Any) -> Any:
        """Return what the experts compute with the active adapters, or with the one that the whole batch names."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        names: list[str] = self.active_adapters
        if adapter_names is not None and not self.disable_adapters:
            check_one_adapter(self, adapter_names)
            if self.merged:
                raise ValueError("Cannot pass `adapter_names` when there are merged adapters; call unmerge_adapter()")
            names = list(set(adapter_names) - {BASE})
        adapters = [self.adapters[name] for name in names if name in self.adapters]
        if self.disable_adapters or self.merged or not adapters:
            return self.base_layer(*args, **kwargs)
        return self._call(adapters, args, kwargs)

    # A compiler would have to trace loops whose length depends on the data, and attributes that change during a call.
    @untraced
    def _call(self, adapters: Sequence[ExpertAdapters], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        base = self.get_base_layer()
        inner = base.__dict__.get("_old_forward")
        if inner is None:
            with self._changed_weights(adapters):
                return self.base_layer(*args, **kwargs)

        def forward(*args: Any, **kwargs: Any) -> Any:
            with self._changed_weights(adapters):
                return inner(*args, **kwargs)

        # accelerate's hook loads offloaded weights into the parameters before it calls this forward.
        base._old_forward = forward
        try:
            return self.base_layer(*args, **kwargs)
        finally:
            base._old_forward = inner

    @contextmanager
    def _changed_weights(self, adapters: Sequence[ExpertAdapters]) -> Iterator[None]:
        base = self.get_base_layer()
        weights = list(dict.fromkeys(weight for a in adapters for weight in a.weights))
        for weight in weights:
            # A name in the instance's dictionary is found before a parameter, but after a property of the class.
            if weight not in base._parameters or hasattr(type(base), weight):
                raise RuntimeError(
                    f"{f'{self.name}.{weight}'!r} is no longer a plain parameter, so its adapter cannot be applied"
                )
        try:
            for weight in weights:
                mine = [a for a in adapters if weight in a.weights]
                # Read when it is used: a hook of the module may load the weight only then.
                read = partial(base._parameters.__getitem__, weight)
                base.__dict__[weight] = ExpertWeight(read, mine, weight, self.shapes[weight].transposed)
            yield
        finally:
            for weight in weights:
                base.__dict__.pop(weight, None)

    def extra_repr(self) -> str:
        return self.name


def check_one_adapter(layer: ExpertsLayer, adapter_names: Sequence[str]) -> None:
    """Check that a batch names one adapter for all samples, if any of its adapters changes these experts.

    Raises: ValueError otherwise: experts see the tokens of all samples together.
    """
    several = sorted(set(adapter_names))
    if len(several) > 1 and any(name in layer.adapters for name in several):
        raise ValueError(
            f"a batch cannot mix {', '.join(several)}: experts get the tokens of all samples together, and the "
            f"adapters of {layer.name!r} cannot tell which are theirs; make one call for each adapter"
        )


class C3AExperts(ExpertsLayer, C3ALinear):
    """Experts with C3A adapters."""


class CDVFTExperts(ExpertsLayer, CDVFTLinear):
    """Experts with CDVFT adapters."""
