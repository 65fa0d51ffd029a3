"""The sentences that explain a suggested learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..learning_rates import SCALED
from ..method_specs import MethodSpec

SCALE = {
    ("c3a", "lora"): "ΔW = C(w) / sqrt(k), with k blocks along the layer's shorter side",
    ("c3a", "paper"): "ΔW = C(w) / d_in",
    ("cdvft", "lora"): "ΔW = A3 C A1 / sqrt(k), with k blocks along the layer's shorter side",
    ("cdvft", "paper"): "ΔW = A3 C A1",
}


def reasons_for(
    spec: MethodSpec,
    alpha: float | str | None,
    rate: float,
    source: str,
    default: float,
    lora_rate: float,
    layers: Sequence[Any],
) -> list[str]:
    """Return the reasons for a rate, as sentences.

    Args:
        spec: the method.
        alpha: the scale of ΔW; None for methods without one.
        rate: the suggested rate.
        source: where the rate comes from, as the end of a sentence.
        default: the rate of a recipe that names none.
        lora_rate: LoRA's rate for the model.
        layers: the steps by shape of layer, see `circpeft.rates.LayerStep`.
    """
    sentences = [f"The rate {rate:g} is {source}."]
    if default != rate:
        sentences.append(
            f"`circpeft train` takes {default:g} unless you give a rate, because its default is the same for all "
            f"shapes of layers. Give --set learning_rate {rate:g}."
        )
    if spec.name in SCALED and layers:
        sentences += _scale_sentences(spec.name, alpha, layers)
    for layer in layers:
        block = f", b = {layer.block_size}" if layer.block_size else ""
        sentences.append(
            f"{layer.count} layers {layer.d_in} -> {layer.d_out}{block}: ΔW has the factor {layer.scale:.3g}. One step "
            f"of Adam at {rate:g} moves its entries by {layer.step.entry:.2g} and its spectral norm by about "
            f"{layer.step.norm:.2g} with random signs, at most {layer.step.coherent_norm:.2g}. LoRA with r = 8 at "
            f"{lora_rate:g}: entries {layer.lora.entry:.2g}, norm {layer.lora.norm:.2g}, of one input "
            f"{layer.lora.coherent_norm:.2g}."
        )
    if not layers:
        trained = {"all": "all weights", "head": "only the head", "part": "some of the model's own weights"}
        of_adapter = "one diagonal" if spec.name in SCALED else "parameters that are not entries of ΔW"
        what = trained.get(spec.trains, of_adapter)
        sentences.append(f"The method {spec.name} trains {what}, so there is no formula for its rate.")
    sentences.append(
        "The best rate also depends on the data, the batch and the number of steps: compare short trials with "
        "`circpeft rates --search`."
    )
    return sentences


def _scale_sentences(method: str, alpha: float | str | None, layers: Sequence[Any]) -> list[str]:
    kind = "cdvft" if method == "cdvft" else "c3a"
    number = f"ΔW = {alpha} A3 C A1" if kind == "cdvft" else f"ΔW = {alpha} C(w) / d_in"
    sentences = [f"The scale is {SCALE.get((kind, str(alpha)), number)}."]
    if alpha == "lora":
        paper = _span([layer.rates["paper"] for layer in layers])
        sentences[0] = f"{sentences[0][:-1]}: at this scale LoRA's rates work for all widths and block sizes."
        if kind == "c3a" or any(layer.scale != 1 for layer in layers):
            sentences.append(f'With alpha="paper" the rate that moves ΔW as fast is {paper}.')
        return sentences
    sentences.append(f'With alpha="lora" the rate that moves ΔW as fast is {layers[0].rates["lora"]:g}, LoRA\'s own.')
    by_size = sorted({(layer.rates["given"], layer.d_in, layer.d_out) for layer in layers})
    if len({f"{asked:.3g}" for asked, *_ in by_size}) > 1:
        asked = "; ".join(f"{d_in} -> {d_out} asks for {rate:.2g}" for rate, d_in, d_out in by_size)
        sentences.append(
            f'With alpha={alpha!r} no single rate suits layers of different widths: {asked}. Choose alpha="lora".'
        )
    return sentences


def _span(rates: list[float]) -> str:
    low, high = f"{min(rates):.2g}", f"{max(rates):.2g}"
    return low if low == high else f"{low} to {high}, depending on the layer"
