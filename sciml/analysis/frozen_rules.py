"""How each function of torch acts on a second input, frozen at the first (x0): the definitions of mode ``frozen``.

- A linear function acts as it is; constants that it adds belong to the residual.
- A pointwise function f multiplies by ``(f(x0) - f(0)) / x0``, and by f'(0) where x0 is 0 (0 for ReLU); f(0) belongs to
  the residual. Where f(0) is not finite, as for a logarithm, it counts as 0.
- A maximum, a sort and a pooling by maxima choose the places that they chose at x0.
- A normalisation subtracts the mean and divides by the standard deviation of x0. A division divides by the value at x0.
- Softmax, variances, norms, comparisons and detached values are constants.
- A product of two fields that depend on the input freezes the factor that is a gate (the result of a sigmoid);
  otherwise it is half of each factor times the other at x0.

The LSTM and attention follow (`sciml.analysis.frozen_layers`): gates and association weights are frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from sciml.analysis.frozen_action import (
    FrozenAction,
    Rule,
    depends,
    mark,
    mark_written,
    tensors_in,
    unsupported,
)

__all__ = ["RULES", "pointwise", "product"]

SHAPES = (
    "shape size dim ndim numel nelement dtype device layout is_cuda is_cpu is_floating_point is_complex is_contiguous "
    "is_sparse is_quantized is_meta is_mps is_nested is_leaf requires_grad grad_fn stride storage_offset len hash "
    "element_size itemsize nbytes get_device new_zeros new_ones new_empty new_full new_tensor zeros_like ones_like "
    "empty_like full_like repr format version is_same_size names result_type is_inference output_nr is_conj is_neg"
)
LINEAR = (
    "add radd sub rsub subtract neg negative positive pos sum mean cumsum trace clone contiguous to type type_as float "
    "double half bfloat16 cpu cuda reshape reshape_as view view_as flatten unflatten ravel squeeze unsqueeze permute "
    "transpose swapaxes swapdims movedim moveaxis t T mT H mH adjoint expand expand_as repeat repeat_interleave tile "
    "broadcast_to broadcast_tensors cat concat concatenate stack hstack vstack dstack column_stack split "
    "split_with_sizes chunk tensor_split hsplit vsplit unbind iter getitem select narrow index_select gather take "
    "take_along_dim masked_fill masked_select masked_scatter where roll flip fliplr flipud rot90 diag diagonal "
    "diag_embed tril triu unfold fold pad constant_pad_nd diff rfft irfft rfft2 irfft2 rfftn irfftn fft ifft fft2 "
    "ifft2 fftn ifftn hfft ihfft fftshift ifftshift real imag conj conj_physical resolve_conj resolve_neg view_as_real "
    "view_as_complex complex interpolate upsample upsample_nearest upsample_bilinear pixel_shuffle pixel_unshuffle "
    "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d grid_sample "
    "index_add scatter scatter_add index_copy index_fill lerp zero fill copy setitem index_put slice_scatter "
    "select_scatter channel_shuffle alias as_strided"
)
PRODUCTS = (
    "mul multiply rmul matmul rmatmul mm bmm mv dot vdot inner outer ger einsum tensordot kron linear conv1d conv2d "
    "conv3d conv_transpose1d conv_transpose2d conv_transpose3d addmm addmv addbmm baddbmm"
)
GATES = "sigmoid hardsigmoid"
POINTWISE = (
    "relu relu6 gelu silu mish elu selu celu leaky_relu prelu softplus softsign softshrink hardshrink tanhshrink "
    "threshold hardtanh hardswish logsigmoid logit tanh sin cos tan asin acos atan arcsin arccos arctan sinh "
    "cosh asinh acosh atanh exp exp2 expm1 log log1p log2 log10 sqrt rsqrt square pow abs absolute sign sgn floor ceil "
    "round trunc frac erf erfc erfinv expit clamp clamp_min clamp_max clip reciprocal nan_to_num sinc"
)
CONSTANT = (
    "softmax log_softmax softmin gumbel_softmax logsumexp var std var_mean std_mean norm vector_norm matrix_norm "
    "gt lt ge le eq ne greater less greater_equal less_equal isnan "
    "isfinite isinf isclose allclose equal any all argmax argmin argsort nonzero count_nonzero bool int long item "
    "tolist numpy detach data bucketize searchsorted histc median nanmedian quantile signbit logical_not logical_and "
    "logical_or logical_xor invert contains index inv pinv"
)
WRITES = ("zero", "fill", "copy", "setitem", "index_put", "masked_fill", "masked_scatter")
LIKE = frozenset("to type_as expand_as view_as reshape_as".split())
"""Functions that take the type or the shape of a second tensor, and no values of it."""
STRUCTURAL = frozenset(
    "rsub sub neg chunk split unbind getitem iter unsqueeze squeeze reshape view expand clone contiguous transpose "
    "permute to flatten unflatten narrow select".split()
)


def _shape(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def linear(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Any:
    """Call a linear function; conversions to whole numbers are constants."""
    if function is torch.where or getattr(function, "__name__", "") == "where":
        args = (mode.frozen(lambda: args[0].detach()) if depends(args[0]) else args[0], *args[1:])
    result = function(*args, **kwargs)
    if mode.current in LIKE and not depends(args[0]):
        return result
    if in_place:
        mark_written(args[0])
    outputs = list(tensors_in((result,)))
    if outputs and not any(x.is_floating_point() or x.is_complex() for x in outputs):
        return mode.frozen(lambda: result)
    mark(result)
    given = [x for x in tensors_in(args) if depends(x)]
    if mode.current in STRUCTURAL and len(given) == 1 and is_gate(given[0]):
        mark_gate(result)
    return result


def is_gate(x: Any) -> bool:
    """Whether a tensor is the result of a sigmoid, or one minus it."""
    return bool(getattr(x, "_is_gate", False))


def mark_gate(result: Any) -> Any:
    """Mark tensors as gates."""
    for x in tensors_in((result,)):
        x._is_gate = True  # type: ignore[attr-defined]
    return result


def constant(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Any:
    """Return the value at x0, which does not depend on the second input."""

    def compute() -> Any:
        with torch.no_grad():
            result = function(*args, **kwargs)
        return _detached(result)

    return mode.frozen(compute)


def _detached(result: Any) -> Any:
    if isinstance(result, Tensor):
        return result.detach().clone()
    if isinstance(result, tuple | list):
        values = [_detached(value) for value in result]
        return type(result)(values) if type(result) in (tuple, list) else tuple(values)
    return result


def product(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Tensor:
    """Call a function that is linear in each of its factors."""
    if mode.current in ("addmm", "addmv", "addbmm", "baddbmm"):
        added = 0  # the position of the argument that is no factor
    else:
        added = 2 if mode.current.startswith(("linear", "conv")) else -1
    slots = [i for i, value in enumerate(args) if depends(value) and i != added]
    if mode.current == "einsum" and len(args) == 2 and isinstance(args[1], list | tuple):
        args = (args[0], *args[1])
        slots = [i for i, value in enumerate(args) if depends(value)]
    if (
        any(depends(value) for name, value in kwargs.items() if name not in ("bias", "input"))
        or len(slots) > 2
    ):
        raise unsupported(f"{mode.current} of more than two fields that depend on the input")
    if len(slots) < 2:
        if in_place:
            mark_written(args[0])
        result = mark(function(*args, **kwargs))
        if mode.current in ("mul", "rmul") and slots and is_gate(args[slots[0]]):
            mark_gate(result)
        return result  # type: ignore[no-any-return]
    first, second = slots

    def with_frozen(slot: int) -> Tensor:
        value = mode.frozen(lambda: args[slot].detach().clone())
        out = _not_in_place(function, in_place)
        result: Tensor = out(*args[:slot], value, *args[slot + 1 :], **kwargs)
        return result

    gates = [is_gate(args[slot]) for slot in slots]
    if gates[0] != gates[1]:
        result = with_frozen(first if gates[0] else second)
    else:
        result = (with_frozen(first) + with_frozen(second)) / 2
    return _written(mark(result), args, in_place)


def added_product(
    mode: FrozenAction,
    function: Any,
    in_place: bool,
    /,
    input: Tensor,
    first: Tensor,
    second: Tensor,
    *,
    value: float = 1.0,
) -> Tensor:
    """Add a product, or a quotient, of two fields."""
    if mode.current == "addcdiv":
        made = (
            quotient(mode, torch.div, False, first, second)
            if depends(first) or depends(second)
            else first / second
        )
    elif depends(first) or depends(second):
        made = product(mode, torch.mul, False, first, second)
    else:
        made = first * second
    return _written(mark(input + value * made), (input,), in_place)


def quotient(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Any:
    """Divide by the divisor at x0."""
    over = 0 if mode.current in ("rtruediv", "rdiv") else 1  # the position of the divisor
    if not depends(args[over]):
        if in_place:
            mark_written(args[0])
        return mark(function(*args, **kwargs))
    divisor = mode.frozen(lambda: args[over].detach().clone())
    dividend = args[1 - over]
    result = dividend / divisor
    if not depends(dividend):
        return mode.frozen(lambda: result)
    return _written(mark(result), args, in_place)


def _not_in_place(function: Any, in_place: bool) -> Any:
    if not in_place:
        return function
    name = str(function.__name__).strip("_")
    name = name[1:] if name.startswith("i") and hasattr(torch.Tensor, name[1:]) and name != "index" else name
    return getattr(torch.Tensor, {"truediv": "div"}.get(name, name), function)


def _written(result: Tensor, args: Any, in_place: bool) -> Tensor:
    """Copy a result into the first argument of a function that changes it."""
    if not in_place:
        return result
    args[0].copy_(result)
    mark_written(args[0])
    written: Tensor = args[0]
    return written


def pointwise(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Tensor:
    """Multiply by the mask of a pointwise function, and add its value at 0."""
    if not args and "input" in kwargs:
        args = (kwargs.pop("input"),)
    x, rest = args[0], args[1:]
    if not depends(x) or any(depends(value) for value in (*rest, *kwargs.values())):
        raise unsupported(f"{mode.current} whose parameters depend on the input")
    kwargs.pop("inplace", None)
    apply = _not_in_place(function, str(getattr(function, "__name__", "")).endswith("_"))
    slope, offset = mode.frozen(lambda: mask(lambda value: apply(value, *rest, **kwargs), x.detach()))
    result = x * slope if offset is None else x * slope + offset
    return _written(mark(result), args, in_place)


def mask(function: Callable[[Tensor], Tensor], x0: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the factor ``(f(x0) - f(0)) / x0`` of a pointwise function, and f(0), or None where it is 0."""
    with torch.no_grad():
        value, start = function(x0), function(torch.zeros_like(x0))
        start = torch.where(torch.isfinite(start), start, torch.zeros_like(start))
        zero = x0 == 0
        quotient = (value - start) / torch.where(zero, torch.ones_like(x0), x0)
    with torch.enable_grad():
        middle = (x0 / 2).detach().requires_grad_()
        answer = function(middle)
        slope = torch.zeros_like(x0)
        if answer.requires_grad:
            (slope,) = torch.autograd.grad(answer.sum(), middle)
    small = x0.abs() <= torch.finfo(x0.dtype).eps ** (1 / 3)
    # near 0 the derivative is more accurate than the quotient, unless the function has a step there
    exact = (slope * x0 + start - value).abs() <= 4 * torch.finfo(x0.dtype).eps * (value.abs() + start.abs())
    factor = torch.where(zero | (small & exact), slope, quotient).detach()
    return factor, start if bool(start.any()) else None


def gate(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Tensor:
    """Apply a sigmoid, whose result is a gate of products."""
    result: Tensor = mark_gate(pointwise(mode, function, in_place, *args, **kwargs))
    return result


def _solve(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Any:
    if depends(args[0]):
        raise unsupported("solve with a matrix that depends on the input")
    return linear(mode, function, in_place, *args, **kwargs)


def dropout(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Any:
    """Return the input; in training mode there is no linear action."""
    training = kwargs.get("training", kwargs.get("train", args[2] if len(args) > 2 else True))
    probability = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    if training and probability:
        raise unsupported(f"{mode.current} in training mode (call eval() first)")
    return args[0] if args else kwargs["input"]


def _table(names: str | Iterable[str], rule: Rule) -> dict[Any, Rule]:
    return dict.fromkeys(names.split() if isinstance(names, str) else names, rule)


RULES: dict[Any, Rule] = {
    **_table(SHAPES, _shape),
    **_table(LINEAR, linear),
    **_table(PRODUCTS, product),
    **_table(POINTWISE, pointwise),
    **_table(GATES, gate),
    **_table(CONSTANT, constant),
    **_table("addcmul addcdiv", added_product),
    **_table("solve", _solve),
    **_table("div divide truediv rtruediv rdiv true_divide", quotient),
    **_table("dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout", dropout),
    "action:pointwise": pointwise,
    "action:linear": linear,
    "action:product": product,
}
"""Rules by the name of a function, without underscores; those of layers are added in `sciml.analysis.linearize`."""
