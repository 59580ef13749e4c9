"""The frozen actions of layers: normalisations, choices by maxima, the LSTM and the GRU, attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sciml.analysis.frozen_action import FrozenAction, Rule, mark, unsupported
from sciml.analysis.frozen_rules import pointwise

__all__ = ["LAYER_RULES"]


def _standardised(mode: FrozenAction, x: Tensor, dims: Sequence[int], eps: float) -> Tensor:
    """Subtract the mean of x0 over dimensions and divide by its standard deviation."""

    def statistics() -> tuple[Tensor, Tensor]:
        variance, mean = torch.var_mean(x.detach(), list(dims), correction=0, keepdim=True)
        return mean, (variance + eps).rsqrt()

    mean, factor = mode.frozen(statistics)
    return (x - mean) * factor


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None, shape: Sequence[int]) -> Tensor:
    if weight is not None:
        x = x * weight.reshape(shape)
    return mark(x if bias is None else x + bias.reshape(shape))


def layer_norm(
    mode: FrozenAction,
    function: Any,
    in_place: bool,
    /,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *rest: Any,
) -> Tensor:
    """Freeze the statistics of the last dimensions."""
    dims = range(input.ndim - len(normalized_shape), input.ndim)
    return _affine(_standardised(mode, input, dims, eps), weight, bias, tuple(normalized_shape))


def rms_norm(
    mode: FrozenAction,
    function: Any,
    in_place: bool,
    /,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Freeze the root mean square of the last dimensions."""
    dims = list(range(input.ndim - len(normalized_shape), input.ndim))
    added = torch.finfo(input.dtype).eps if eps is None else eps
    factor = mode.frozen(lambda: (input.detach().square().mean(dims, keepdim=True) + added).rsqrt())
    return _affine(input * factor, weight, None, tuple(normalized_shape))


def group_norm(
    mode: FrozenAction,
    function: Any,
    in_place: bool,
    /,
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *rest: Any,
) -> Tensor:
    """Freeze the statistics of each sample and group of channels."""
    grouped = input.reshape(len(input), num_groups, -1)
    x = _standardised(mode, grouped, (2,), eps).reshape(input.shape)
    return _affine(x, weight, bias, (-1, *[1] * (input.ndim - 2)))


def instance_norm(
    mode: FrozenAction,
    function: Any,
    in_place: bool,
    /,
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Freeze the statistics of each sample and channel; running statistics are constants, and are not updated."""
    dims = range(2, input.ndim)
    return _channels(mode, input, (running_mean, running_var), (weight, bias), use_input_stats, dims, eps)


def batch_norm(
    mode: FrozenAction,
    function: Any,
    in_place: bool,
    /,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Use running statistics, or freeze those of the batch if there are none."""
    if training and running_mean is not None:
        raise unsupported("batch_norm in training mode (call eval() first)")
    dims = (0, *range(2, input.ndim))
    return _channels(mode, input, (running_mean, running_var), (weight, bias), training, dims, eps)


def _channels(
    mode: FrozenAction,
    x: Tensor,
    running: tuple[Tensor | None, Tensor | None],
    affine: tuple[Tensor | None, Tensor | None],
    own: bool,
    dims: Sequence[int],
    eps: float,
) -> Tensor:
    shape = (-1, *[1] * (x.ndim - 2))
    mean, variance = running
    if own or mean is None or variance is None:
        return _affine(_standardised(mode, x, dims, eps), *affine, shape)
    factor = (variance + eps).rsqrt().reshape(shape)
    return _affine((x - mean.reshape(shape)) * factor, *affine, shape)


def normalize(
    mode: FrozenAction,
    function: Any,
    in_place: bool,
    /,
    input: Tensor,
    p: float = 2.0,
    dim: int = 1,
    eps: float = 1e-12,
    out: Tensor | None = None,
) -> Tensor:
    """Divide by the norm at x0."""
    size: Tensor = mode.frozen(lambda: torch.linalg.vector_norm(input.detach(), p, dim, True).clamp_min(eps))
    return mark(input / size)


def extreme(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Any:
    """Choose the places of the largest or smallest numbers of x0: amax, amin, max, min, maximum, minimum."""
    name = mode.current
    if name in ("maximum", "minimum", "fmax", "fmin") or (len(args) > 1 and isinstance(args[1], Tensor)):
        first, second = args[:2]
        choose = torch.ge if "max" in name else torch.le
        chosen = mode.frozen(lambda: choose(first.detach(), second.detach()))
        return mark(torch.where(chosen, first, second))
    x = args[0]
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    keep = bool(kwargs.get("keepdim", args[2] if len(args) > 2 else False))
    dims = (
        tuple(range(x.ndim)) if dim is None or dim == () else (dim,) if isinstance(dim, int) else tuple(dim)
    )

    def shares() -> Tensor:
        x0 = x.detach()
        top = x0.amax(dims, keepdim=True) if "max" in name else x0.amin(dims, keepdim=True)
        equal = (x0 == top).to(x0.dtype)
        divided: Tensor = equal / equal.sum(dims, keepdim=True)
        return divided

    weights = mode.frozen(shares)
    value = mark((x * weights).sum(dims, keepdim=keep))
    if name in ("amax", "amin") or dim is None:
        return value
    place = mode.frozen(
        lambda: (x.detach().argmax if "max" in name else x.detach().argmin)(dim, keepdim=keep)
    )
    return getattr(torch.return_types, name)((value, place))


def ordered(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Any:
    """Gather the places that a sort, a k-th or the k largest chose at x0."""
    x = args[0]
    dim = kwargs.get("dim", args[{"sort": 1, "msort": 1, "topk": 2}[mode.current]] if len(args) > 2 else -1)
    if mode.current == "sort":
        dim = kwargs.get("dim", args[1] if len(args) > 1 else -1)
    index = mode.frozen(lambda: function(x.detach(), *args[1:], **kwargs)[1])
    return getattr(torch.return_types, mode.current)((mark(torch.gather(x, dim, index)), index))


def max_pool(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any, **kwargs: Any) -> Tensor:
    """Gather the maxima of x0; for pooling in one, two and three dimensions, adaptive or not."""
    x = args[0] if args else kwargs.pop("input")
    rest = args[1:]
    name = mode.current.removesuffix("_with_indices")
    kwargs.pop("return_indices", None)
    axes = int(name[-2])
    call = getattr(F, f"{name}_with_indices")
    if len(rest) > 2 and name.startswith("adaptive"):
        rest = rest[:1]
    index = mode.frozen(lambda: call(x.detach(), *rest[:5], **kwargs)[1])
    flat = x.flatten(x.ndim - axes)
    return mark(torch.gather(flat, -1, index.flatten(x.ndim - axes)).reshape(index.shape))


def attention(
    mode: FrozenAction,
    function: Any,
    in_place: bool,
    /,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    **kwargs: Any,
) -> Tensor:
    """Freeze the weights of a scaled dot-product attention."""
    if dropout_p:
        raise unsupported("scaled_dot_product_attention with dropout (call eval() first)")
    if kwargs.get("enable_gqa"):
        raise unsupported("scaled_dot_product_attention with enable_gqa")

    def weights() -> Tensor:
        tokens = key.shape[-2]
        eye = torch.eye(tokens, dtype=value.dtype, device=value.device).expand(
            *key.shape[:-2], tokens, tokens
        )
        result: Tensor = function(query.detach(), key.detach(), eye, attn_mask, 0.0, **kwargs)
        return result

    return mark(mode.frozen(weights) @ value)


def multi_head_attention(
    mode: FrozenAction,
    function: Any,
    in_place: bool,
    /,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Freeze the weights of `torch.nn.MultiheadAttention`."""
    if bias_k is not None or bias_v is not None or add_zero_attn or kwargs.get("static_v") is not None:
        raise unsupported("MultiheadAttention with appended keys or values")
    if dropout_p and kwargs.get("training", True):
        raise unsupported("MultiheadAttention with dropout (call eval() first)")
    needs = kwargs.get("need_weights", True)
    words = {**kwargs, "need_weights": True, "average_attn_weights": False}

    def weights() -> Tensor:
        settings = (embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, None, None, False, 0.0)
        with torch.no_grad():
            inputs = (query.detach(), key.detach(), value.detach())
            result: Tensor = function(*inputs, *settings, out_proj_weight, out_proj_bias, **words)[1]
        return result

    frozen = mode.frozen(weights)  # (sample, head, query, key), without sample for one sample
    own = in_proj_weight[2 * embed_dim_to_check :] if in_proj_weight is not None else kwargs["v_proj_weight"]
    bias = None if in_proj_bias is None else in_proj_bias[2 * embed_dim_to_check :]
    values = F.linear(value, own, bias)
    batched = value.ndim == 3
    values = values.transpose(0, 1) if batched else values.unsqueeze(0)
    heads = values.reshape(*values.shape[:2], num_heads, -1).transpose(1, 2)
    joined = (frozen.reshape(len(heads), num_heads, *frozen.shape[-2:]) @ heads).transpose(1, 2).flatten(2)
    result = F.linear(joined, out_proj_weight, out_proj_bias)
    result = mark(result.transpose(0, 1) if batched else result.squeeze(0))
    if not needs:
        return result, None
    return result, frozen.mean(-3) if kwargs.get("average_attn_weights", True) else frozen


def lstm(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Freeze the gates of an LSTM; both hyperbolic tangents act as pointwise functions."""
    if isinstance(args[3], list | tuple):
        raise unsupported("lstm of a packed sequence")

    def step(gates: Tensor, hidden: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        i, f, g, o = gates.chunk(4, -1)
        opened = mode.frozen(lambda: tuple(torch.sigmoid(x.detach()) for x in (i, f, o)))
        cell = opened[1] * states[1] + opened[0] * _tanh(mode, g)
        return opened[2] * _tanh(mode, cell), cell

    weights, count = args[2], 2
    if any(len(matrix) != 2 for matrix in ([w.shape for w in weights if w.ndim == 2])):
        raise unsupported("lstm with these weights")
    output, last = _recurrent(mode, args, args[1], count, lambda w, b, x, s: step(_both(w, b, x, s), s[0], s))
    return mark(output), mark(last[0]), mark(last[1])


def gru(mode: FrozenAction, function: Any, in_place: bool, /, *args: Any) -> tuple[Tensor, Tensor]:
    """Freeze the gates of a GRU; its hyperbolic tangent acts as a pointwise function."""
    if isinstance(args[3], list | tuple):
        raise unsupported("gru of a packed sequence")

    def step(w: Sequence[Tensor], b: Sequence[Tensor | None], x: Tensor, s: tuple[Tensor, ...]) -> Any:
        ours, theirs = F.linear(x, w[0], b[0]).chunk(3, -1), F.linear(s[0], w[1], b[1]).chunk(3, -1)
        reset, keep = mode.frozen(
            lambda: tuple(torch.sigmoid((ours[i] + theirs[i]).detach()) for i in (0, 1))
        )
        fresh = _tanh(mode, ours[2] + reset * theirs[2])
        return ((1 - keep) * fresh + keep * s[0],)

    output, last = _recurrent(mode, args, (args[1],), 1, step)
    return mark(output), mark(last[0])


def _both(w: Sequence[Tensor], b: Sequence[Tensor | None], x: Tensor, s: Sequence[Tensor]) -> Tensor:
    return F.linear(x, w[0], b[0]) + F.linear(s[0], w[1], b[1])


def _tanh(mode: FrozenAction, x: Tensor) -> Tensor:
    return pointwise(mode, torch.tanh, False, mark(x))


def _recurrent(
    mode: FrozenAction, args: Sequence[Any], start: Sequence[Tensor], count: int, step: Any
) -> tuple[Tensor, list[Tensor]]:
    """Run the layers and directions of a recurrent network, whose ``step`` returns the new states."""
    x, _, weights, biases, layers, dropout, train, bidirectional, batch_first = args
    if dropout and train and layers > 1:
        raise unsupported(f"{mode.current} with dropout in training mode (call eval() first)")
    directions = 2 if bidirectional else 1
    each = len(weights) // (layers * directions)
    if each != (4 if biases else 2):
        raise unsupported(f"{mode.current} with a projection of its states")
    x = x.transpose(0, 1) if batch_first else x
    ends: list[list[Tensor]] = [[] for _ in range(count)]
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            number = layer * directions + direction
            own = list(weights[number * each : (number + 1) * each])
            w, b = own[:2], own[2:] or [None, None]
            states = tuple(part[number] for part in start)
            steps = range(len(x)) if direction == 0 else reversed(range(len(x)))
            made: list[Tensor] = []
            for t in steps:
                states = step(w, b, x[t], states)
                made.append(states[0])
            outputs.append(torch.stack(made if direction == 0 else made[::-1]))
            for end, state in zip(ends, states, strict=True):
                end.append(state)
        x = torch.cat(outputs, -1) if directions > 1 else outputs[0]
    return (x.transpose(0, 1) if batch_first else x), [torch.stack(end) for end in ends]


LAYER_RULES: dict[Any, Rule] = {
    F.layer_norm: layer_norm,
    torch.layer_norm: layer_norm,
    F.rms_norm: rms_norm,
    F.group_norm: group_norm,
    torch.group_norm: group_norm,
    F.instance_norm: instance_norm,
    F.batch_norm: batch_norm,
    F.normalize: normalize,
    F.scaled_dot_product_attention: attention,
    F.multi_head_attention_forward: multi_head_attention,
    **dict.fromkeys(("amax", "amin", "max", "min", "maximum", "minimum", "fmax", "fmin"), extreme),
    **dict.fromkeys(("topk", "sort"), ordered),
    **dict.fromkeys(
        [
            f"{kind}max_pool{n}d{end}"
            for kind in ("", "adaptive_")
            for n in (1, 2, 3)
            for end in ("", "_with_indices")
        ],
        max_pool,
    ),
    torch.lstm: lstm,
    torch.gru: gru,
}
"""Rules of layers, by the function where its name has several meanings."""
