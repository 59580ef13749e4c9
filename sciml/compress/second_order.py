"""Gradients and Hessian-vector products of a loss over batches, with respect to some weights of a network."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.nn.parametrize import check_hooks, dense_copy
from sciml.progress import Update

__all__ = [
    "BatchLoss",
    "batch_list",
    "batch_rows",
    "expand_loss",
    "frozen_copy",
    "mean_loss",
    "mean_traces",
    "replaced_weights",
]

BatchLoss: TypeAlias = Callable[[Any, Any], Any]
"""A function of a network and a batch that returns the mean loss of the batch, or a mapping with the key ``loss``."""
Floats: TypeAlias = npt.NDArray[np.float64]


def batch_list(data: object, name: str = "data") -> list[Any]:
    """Return data as a list of batches.

    Parameters
    ----------
    data
        Batches: an iterable of tensors, tuples of tensors, or mappings of tensors. A single tensor or mapping is a
        batch.
    name
        Name of the data, for messages.

    Raises
    ------
    InputError
        The data are no batches, or there are none.
    """
    batches = [data] if isinstance(data, Tensor | Mapping) else []
    if not batches and isinstance(data, Iterable):
        batches = list(data)
    if not batches or not all(isinstance(batch, Tensor | Mapping | Sequence) for batch in batches):
        raise InputError(
            f"{name}={type(data).__name__} has no batches: give a list of tensors or of mappings"
        )
    return batches


def batch_rows(batch: Any) -> int:
    """Return the number of samples of a batch: the first dimension of its first tensor."""
    values = batch.values() if isinstance(batch, Mapping) else [batch] if isinstance(batch, Tensor) else batch
    first = next((value for value in values if isinstance(value, Tensor) and value.ndim), None)
    if first is None or not len(first):
        raise InputError(
            "a batch has no tensor with a sample: give tensors whose first dimension is the sample"
        )
    return len(first)


def frozen_copy(model: nn.Module) -> nn.Module:
    """Copy a network in evaluation mode, with dense weights in place of parametrised ones and without gradients."""
    check_hooks(model)
    copied = dense_copy(model).eval()
    return copied.requires_grad_(False)


@contextlib.contextmanager
def replaced_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[nn.Module]:
    """Give a network other values of some weights within a ``with`` block."""
    own = dict(model.named_parameters())
    before = {name: own[name].detach().clone() for name in weights}
    try:
        with torch.no_grad():
            for name, value in weights.items():
                own[name].copy_(value)
        yield model
    finally:
        with torch.no_grad():
            for name, value in before.items():
                own[name].copy_(value)


def mean_loss(model: nn.Module, batches: Sequence[Any], loss: BatchLoss) -> float:
    """Compute the mean loss over all samples, without gradients."""
    total, rows = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            count = batch_rows(batch)
            total += count * float(_value(loss(model, batch)))
            rows += count
    return total / rows


def expand_loss(
    model: nn.Module,
    batches: Sequence[Any],
    loss: BatchLoss,
    names: Sequence[str],
    directions: Sequence[Mapping[str, Tensor]],
    update: Update | None = None,
) -> tuple[dict[str, Tensor], Floats]:
    """Compute the gradient of the mean loss, and the curvature between directions.

    For each batch the graph of the gradient is made once, and one Hessian-vector product is computed for each
    direction by a second backward pass.

    Parameters
    ----------
    model
        Network; a copy is differentiated, so that neither its gradients nor its flags change.
    batches, loss
        Batches, and the mean loss of a batch.
    names
        Names of the weights.
    directions
        Changes of weights, by name; other weights do not change.
    update
        Progress, called with the number of products done and their total.

    Returns
    -------
    tuple
        Gradient by name, float64; and the matrix of ``d_i^T H d_j``, float64 (direction, direction).
    """
    model, weights = _differentiable(model, names)
    count = len(directions)
    gradient = {name: torch.zeros_like(weight, dtype=torch.float64) for name, weight in weights.items()}
    curvature = np.zeros((count, count))
    total = sum(batch_rows(batch) for batch in batches)
    for number, batch in enumerate(batches):
        share = batch_rows(batch) / total
        for done, (first, product) in enumerate(_products(model, batch, loss, weights, directions)):
            if done == 0:
                for name, value in first.items():
                    gradient[name] += share * value.detach().double()
                if product is None:
                    continue
            assert product is not None
            curvature[done - 1] += share * np.array([_dot(product, direction) for direction in directions])
            if update is not None:
                update(number * count + done, len(batches) * count)
    return gradient, 0.5 * (curvature + curvature.T)


def mean_traces(
    model: nn.Module,
    data: object,
    loss: BatchLoss,
    names: Sequence[str],
    *,
    probes: int | None = 32,
    seed: int = 7,
    update: Update | None = None,
) -> dict[str, float]:
    """Compute the mean of the Hessian's diagonal over the weights of each tensor, as HAWQ-V2 does.

    Parameters
    ----------
    model, data, loss, names
        See `sciml.compress.expansion.sensitivity`.
    probes
        Number of random sign vectors of Hutchinson's estimate. None computes the trace itself, with one product for
        each weight: for small networks.
    seed
        Seed of the sign vectors.
    update
        Progress, called with the number of products done and their total.

    Returns
    -------
    dict
        Trace divided by the number of weights, by name.

    References
    ----------
    Dong et al., HAWQ-V2: Hessian Aware trace-Weighted Quantization of Neural Networks, NeurIPS 2020.
    """
    batches = batch_list(data)
    model, weights = _differentiable(model, names)
    vectors = _unit_vectors(weights) if probes is None else _sign_vectors(weights, probes, seed)
    divisor = 1 if probes is None else probes
    traces = dict.fromkeys(names, 0.0)
    total = sum(batch_rows(batch) for batch in batches)
    for number, batch in enumerate(batches):
        share = batch_rows(batch) / total / divisor
        for done, (_, product) in enumerate(_products(model, batch, loss, weights, vectors)):
            if product is None:
                continue
            for name, value in vectors[done - 1].items():
                traces[name] += share * float((product[name].double() * value.double()).sum())
            if update is not None:
                update(number * len(vectors) + done, len(batches) * len(vectors))
    return {name: traces[name] / weights[name].numel() for name in names}


def _products(
    model: nn.Module,
    batch: Any,
    loss: BatchLoss,
    weights: Mapping[str, Tensor],
    directions: Sequence[Mapping[str, Tensor]],
) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor] | None]]:
    """Yield the gradient alone, then the gradient and the Hessian-vector product of each direction."""
    tensors = list(weights.values())
    # the LSTM of cuDNN cannot be differentiated twice
    with torch.backends.cudnn.flags(enabled=False), torch.enable_grad():
        value = _value(loss(model, batch))
        first = torch.autograd.grad(value, tensors, create_graph=True, allow_unused=True)
        gradient = {
            name: torch.zeros_like(weight) if part is None else part
            for (name, weight), part in zip(weights.items(), first, strict=True)
        }
        yield gradient, None
        for direction in directions:
            slope = sum((gradient[name] * vector).sum() for name, vector in direction.items())
            if (
                not isinstance(slope, Tensor) or not slope.requires_grad
            ):  # the loss is linear in these weights
                yield gradient, {name: torch.zeros_like(weight) for name, weight in weights.items()}
                continue
            second = torch.autograd.grad(slope, tensors, retain_graph=True, allow_unused=True)
            yield (
                gradient,
                {
                    name: torch.zeros_like(weight) if part is None else part
                    for (name, weight), part in zip(weights.items(), second, strict=True)
                },
            )


def _differentiable(model: nn.Module, names: Sequence[str]) -> tuple[nn.Module, dict[str, Tensor]]:
    """Copy a network, and return the copy with those of its weights that are differentiated."""
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    own = dict(copied.named_parameters())
    weights: dict[str, Tensor] = {name: own[name].requires_grad_(True) for name in names}
    return copied, weights


def _value(result: Any) -> Tensor:
    """Return the loss of a batch, a finite number."""
    value = result["loss"] if isinstance(result, Mapping) else result
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise InputError(
            f"loss returns {type(value).__name__}: return a tensor of one number, or {{'loss': tensor}}"
        )
    if not torch.isfinite(value).all():
        raise InputError(
            f"the loss of a batch is {float(value.detach())}: remove samples that are not finite"
        )
    return value.reshape(())


def _dot(product: Mapping[str, Tensor], direction: Mapping[str, Tensor]) -> float:
    return sum(float((product[name].double() * vector.double()).sum()) for name, vector in direction.items())


def _unit_vectors(weights: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    made = []
    for name, weight in weights.items():
        for number in range(weight.numel()):
            vector = torch.zeros_like(weight)
            vector.view(-1)[number] = 1.0
            made.append({name: vector})
    return made


def _sign_vectors(weights: Mapping[str, Tensor], count: int, seed: int) -> list[dict[str, Tensor]]:
    """Draw signs for all weights at once: one product serves every tensor, whose cross terms have mean zero."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            name: (2 * torch.randint(0, 2, weight.shape, generator=generator) - 1).to(weight)
            for name, weight in weights.items()
        }
        for _ in range(count)
    ]
