"""The methods that the papers compare with, from PEFT."""

from __future__ import annotations

import warnings

import peft
from torch import nn

from ..hf_peft import targeted_parameters
from ..ops.block_size import dividing_block_size
from .model import Parameters, Targets, adapted, checked_targets, target_sizes


def ia3(model: nn.Module, target_modules: Targets = None) -> nn.Module:
    """Apply (IA)³ (Liu et al. 2022) through PEFT: a learnt vector scales the output of each target.

    A target with more inputs than outputs (the second layer of a feed-forward block) has its input scaled instead. That
    is the paper's third vector.
    """
    config = peft.IA3Config(target_modules=checked_targets(model, target_modules), feedforward_modules=[])
    if config.target_modules is not None:
        sizes = target_sizes(model, config)
        # Full names, because PEFT's suffix "output.dense" also matches the output layer of the attention.
        config.target_modules = set(sizes)
        config.feedforward_modules = {name for name, (d_in, d_out) in sizes.items() if d_in > d_out}
    else:
        config.feedforward_modules = None  # PEFT's default for this architecture
    return adapted(model, config)


def lora(
    model: nn.Module,
    target_modules: Targets = None,
    target_parameters: Parameters = None,
    r: int = 8,
    alpha: float | None = None,
    dropout: float = 0.0,
) -> nn.Module:
    """Apply LoRA (Hu et al. 2021) through PEFT: ``ΔW = (alpha / r) B A``.

    Without ``alpha`` it is ``r``, so that the factor is 1 at every rank. PEFT's own default is 8 at every rank, which
    makes the update of a LoRA of rank 32 four times as small.

    Raises: ValueError for dropout together with target_parameters, where PEFT's LoRA has no input of its own to drop.
    """
    targets = checked_targets(model, target_modules)
    if target_parameters and dropout:
        raise ValueError(f"lora: dropout must be 0.0 with target_parameters, got {dropout}; PEFT does not support both")
    alpha = r if alpha is None else alpha
    config = peft.LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets)
    config.target_parameters = list(target_parameters) if target_parameters else None
    targeted_parameters(config, model)  # raises for a name that matches nothing; PEFT only warns
    return adapted(model, config)


def dora(
    model: nn.Module, target_modules: Targets = None, r: int = 8, alpha: float | None = None, dropout: float = 0.0
) -> nn.Module:
    """Apply DoRA (Liu et al. 2024) through PEFT: LoRA on the direction of each weight row, and a learnt length.

    Without ``alpha`` it is ``r``, as in `lora`.
    """
    targets = checked_targets(model, target_modules)
    fields = {"r": r, "lora_alpha": r if alpha is None else alpha, "lora_dropout": dropout, "use_dora": True}
    return adapted(model, peft.LoraConfig(target_modules=targets, **fields))


def vera(
    model: nn.Module,
    target_modules: Targets = None,
    r: int = 256,
    d_initial: float = 0.1,
    dropout: float = 0.0,
    projection_prng_key: int = 0,
) -> nn.Module:
    """Apply VeRA (Kopiczko et al. 2024) through PEFT.

    All layers share frozen random projections. Each layer has two learnt vectors.
    """
    targets = checked_targets(model, target_modules)
    fields = {"r": r, "d_initial": d_initial, "vera_dropout": dropout, "projection_prng_key": projection_prng_key}
    return adapted(model, peft.VeraConfig(target_modules=targets, **fields))


def boft(
    model: nn.Module,
    target_modules: Targets = None,
    block_size: int = 4,
    n_butterfly_factor: int = 1,
    dropout: float = 0.0,
) -> nn.Module:
    """Apply BOFT (Liu et al. 2024) through PEFT: an orthogonal butterfly product multiplies the weight.

    Raises: ValueError if PEFT silently uses one factor instead of several, as it does without its compiled CUDA
    extension.
    """
    targets = checked_targets(model, target_modules)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Failed to load the CUDA extension|Setting boft_n_butterfly_factor")
        config = peft.BOFTConfig(
            target_modules=targets,
            boft_block_size=block_size,
            boft_n_butterfly_factor=n_butterfly_factor,
            boft_dropout=dropout,
        )
        model = adapted(model, config)
    factors = {len(value) for name, value in model.named_parameters() if ".boft_R." in name}
    if factors - {n_butterfly_factor}:
        raise ValueError(
            f"boft: n_butterfly_factor={n_butterfly_factor} needs PEFT's compiled CUDA extension, which is not "
            f"installed: PEFT made {max(factors)} factor instead; nearest: {max(factors)}"
        )
    return model


def fourierft(
    model: nn.Module,
    target_modules: Targets = None,
    n_frequency: int = 1000,
    scaling: float = 150.0,
    random_loc_seed: int = 777,
) -> nn.Module:
    """Apply FourierFT (Gao et al. 2024) through PEFT: ``ΔW`` has ``n_frequency`` learnt entries in its 2-D spectrum."""
    targets = checked_targets(model, target_modules)
    # PEFT's default is a random start, which changes the model before the first step. The other methods start at zero.
    fields = {"scaling": scaling, "random_loc_seed": random_loc_seed, "init_weights": True}
    return adapted(model, peft.FourierFTConfig(n_frequency=n_frequency, target_modules=targets, **fields))


def c3a_peft(
    model: nn.Module,
    target_modules: Targets = None,
    block_size: int | str = "auto",
    init_weights: bool | str = True,
) -> nn.Module:
    """Apply PEFT's own C3A, for comparison with `c3a`. Its gradient for the input is wrong.

    It starts at ``ΔW = 0`` like `c3a`, unlike PEFT's default.

    Raises: ValueError without targets, because the block size has to divide the dimensions of each target.
    """
    if not target_modules:
        raise ValueError("c3a-peft needs target_modules, such as ['query', 'value'] or 'all-linear'")
    config = peft.C3AConfig(target_modules=checked_targets(model, target_modules), init_weights=init_weights)
    sizes = {name: dividing_block_size(block_size, *size) for name, size in target_sizes(model, config).items()}
    # The longest names come first, because a key of PEFT's pattern also matches the end of a longer name.
    config.block_size_pattern = {name: sizes[name] for name in sorted(sizes, key=len, reverse=True)}
    return adapted(model, config)
