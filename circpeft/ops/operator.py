"""An operator in two forms: a custom op for compilers, counters and tensor subclasses, and plain autograd elsewhere.

For a short batch, the dispatcher takes longer with a custom op written in Python than the product itself does.

The custom op also has what the transforms of `torch.func` and forward-mode differentiation need. An operator either has
rules for them, or is replaced by a composition of operators that have rules. Without either, torch would silently
return zero as the derivative of a custom op in forward mode.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, Protocol, TypeVar, cast, get_type_hints

import torch
from torch import Tensor
from torch._C import _functorch
from torch._C._functorch import is_functorch_wrapped_tensor, is_legacy_batchedtensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from .transforms import is_functionalized, is_transformed

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
# The function that each custom op runs, for code that has to look inside, such as a FLOP counter.
IMPLEMENTATIONS: dict[Any, Callable[..., Any]] = {}
LIBRARY = torch.library.Library("circpeft", "FRAGMENT")
PRE_DISPATCH = torch._C.DispatchKey.PreDispatch  # active under the modes that trace above autograd
# The types of operands and results, as the schema of a custom op names them.
SCHEMA_TYPES: dict[Any, str] = {
    Tensor: "Tensor",
    Tensor | None: "Tensor?",
    list[Tensor]: "Tensor[]",
    torch.dtype: "ScalarType",
    int: "SymInt",
    float: "float",
    bool: "bool",
    str: "str",
}


class Rules(NamedTuple):
    """What an operator does under forward-mode differentiation and under vmap.

    Args:
        tangent: ``tangent(ctx, saved tensors, tangents of the arguments)``; a tangent may be None.
        batch: the ``vmap`` of `torch.autograd.Function`.
    """

    tangent: Callable[..., Tensor | None]
    batch: Callable[..., tuple[Tensor, int]]


class Operator(Protocol[Result_co]):
    """A function that calls an operator in the right form, and its plain form as an attribute."""

    @property
    def plain(self) -> Callable[..., Result_co]:
        """The operator without the custom op, for callers that know that nothing has to see it (`needs_custom_op`)."""
        ...

    def __call__(self, *arguments: Any) -> Result_co:
        """Call the custom op if `needs_custom_op`, else the plain form."""
        ...


def operator(
    name: str,
    compute: Callable[..., Result],
    fake: Callable[..., Result],
    composed: Callable[..., Result],
    context: Callable[..., None] | None = None,
    gradients: Callable[..., tuple[Tensor | None, ...]] | None = None,
    rules: Rules | None = None,
) -> Operator[Result]:
    """Register ``compute`` as ``torch.ops.circpeft.<name>``, and return a function that calls it in the right form.

    Args:
        name: the name of the custom op.
        compute: the implementation; its type annotations are the op's schema.
        fake: the implementation for fake tensors, which have a shape and no values.
        composed: the same computation from functions that torch can transform, used under a transform without a rule.
        context, gradients: what autograd saves, and the backward pass, as `torch.library.register_autograd` takes them.
            None for an operator that is only called in backward passes.
        rules: None if ``composed`` consists of operators that have rules.
    """
    implementation = _without_views(compute)
    LIBRARY.define(name + _schema(compute), tags=torch.Tag.pt2_compliant_tag)
    LIBRARY.impl(name, implementation, "CompositeExplicitAutograd")
    torch.library.register_fake(f"circpeft::{name}", fake, lib=LIBRARY)
    packet = getattr(torch.ops.circpeft, name)
    IMPLEMENTATIONS[packet] = implementation

    def below_autograd(*arguments: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return packet(*arguments)

    apply: Callable[..., Result] | None = None
    plain = implementation
    if context is not None and gradients is not None:
        apply = _autograd_function(below_autograd, context, gradients, rules)
        plain = eager(compute, context, gradients)

    def transformed(*arguments: Any) -> Result:
        if apply is None or rules is None or is_functionalized():
            return composed(*arguments)
        return apply(*arguments)

    def differentiable(*arguments: Any) -> Any:
        if is_transformed():
            return transformed(*arguments)
        if apply is not None:
            return apply(*arguments)
        return composed(*arguments) if _needs_gradients(arguments) else below_autograd(*arguments)

    LIBRARY.impl(name, differentiable, "Autograd")
    LIBRARY.impl(name, transformed, "FuncTorchDynamicLayerFrontMode")  # the key of every transform of torch.func

    def call(*arguments: Any) -> Any:
        return packet(*arguments) if needs_custom_op(arguments) else plain(*arguments)

    call.__dict__["plain"] = plain
    return cast(Operator[Result], call)


def eager(
    compute: Callable[..., Result],
    context: Callable[..., None],
    gradients: Callable[..., tuple[Tensor | None, ...]],
) -> Callable[..., Result]:
    """Return an operator with its first derivatives, for plain tensors: the form with the least work on each call.

    Args:
        compute: the implementation.
        context, gradients: as for `operator`.
    """
    compute = _without_views(compute)

    class Eager(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Result:
            output = compute(*arguments)
            context(ctx, arguments, output)
            return output

        backward = staticmethod(gradients)

    # What `Function.apply` does before this concerns the transforms of torch.func, under which nothing is plain.
    recorded: Callable[..., Result] = super(torch.autograd.Function, Eager).apply

    def plain(*arguments: Any) -> Result:
        return recorded(*arguments) if torch.is_grad_enabled() else compute(*arguments)

    return plain


def layer_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Save the tensors of an adapted layer, its first six inputs, without the bias; keep the rest as ``ctx.settings``.

    The tensors are ``x, weight, bias, w, diagonal_in, diagonal_out``.
    """
    x, weight, _, *factors = inputs[:6]
    ctx.save_for_backward(x, weight, *factors)
    ctx.settings = inputs[6:]


def _autograd_function(
    forward: Callable[..., Any],
    context: Callable[..., None],
    gradients: Callable[..., tuple[Tensor | None, ...]],
    rules: Rules | None,
) -> Callable[..., Any]:
    """Return an operator with its derivatives, in the form that torch can transform. It is slower than ``Eager``."""

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        context(ctx, inputs, output)
        ctx.save_for_forward(*ctx.to_save)
        ctx.set_materialize_grads(False)  # no product with a tangent of zeros

    def backward(ctx: Any, g: Tensor | None) -> tuple[Tensor | None, ...]:
        return (None,) * len(ctx.needs_input_grad) if g is None else gradients(ctx, g)

    methods: dict[str, Callable[..., Any]] = {"forward": forward, "setup_context": setup_context, "backward": backward}
    if rules is not None:
        tangent = rules.tangent

        def jvp(ctx: Any, *tangents: Any) -> Tensor | None:
            # torch switches forward mode off here, and with it the tangents of an outer jvp. The tangents of this level
            # are removed instead.
            with forward_ad._set_fwd_grad_enabled(True):
                saved = [forward_ad.unpack_dual(tensor).primal for tensor in ctx.saved_tensors]
                return tangent(ctx, saved, tangents)

        methods |= {"jvp": jvp, "vmap": rules.batch}
    function: Any = type("CustomOp", (torch.autograd.Function,), {k: staticmethod(f) for k, f in methods.items()})
    apply: Callable[..., Any] = function.apply
    return apply


def _schema(compute: Callable[..., Any]) -> str:
    """Return the schema that the annotations of a function describe. `torch.library.infer_schema` needs torch 2.5."""
    hints = get_type_hints(compute)
    result = SCHEMA_TYPES[hints.pop("return")]
    return f"({', '.join(f'{SCHEMA_TYPES[kind]} {name}' for name, kind in hints.items())}) -> {result}"


def _without_views(compute: Callable[..., Result]) -> Callable[..., Result]:
    """Wrap ``compute`` so that it never returns a view: autograd forbids changing one in place."""

    @wraps(compute)
    def computed(*arguments: Any) -> Any:
        output = compute(*arguments)
        if isinstance(output, Tensor) and output._is_view():
            return torch.ops.aten._unsafe_view(output, output.shape)
        return output

    return computed


def _needs_gradients(arguments: tuple[Any, ...]) -> bool:
    return torch.is_grad_enabled() and any(t.requires_grad for t in arguments if isinstance(t, Tensor))


def needs_custom_op(arguments: tuple[Any, ...]) -> bool:
    """Return whether an operator must be visible: to a compiler, tracer, transform, dispatch mode or subclass.

    A tensor of a transform counts even after the transform has ended.
    """
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state():
        return True
    if _functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0:
        return True
    if torch._C._dispatch_tls_is_dispatch_key_included(PRE_DISPATCH):
        return True
    for t in arguments:
        kind = type(t)
        if kind is Tensor or kind is Parameter:
            if t.is_meta or is_functorch_wrapped_tensor(t) or is_legacy_batchedtensor(t):
                return True
        elif isinstance(t, Tensor):
            return True
    return False
