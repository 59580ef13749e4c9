"""The layers of a network that have a reduced form, by the names of their weights."""

from __future__ import annotations

import torch
from torch import nn

from sciml.nn.lstm import LSTM

__all__ = ["join_biases", "linear_layers", "lstm_matrices", "ordered_sums", "reducible_linears"]


def lstm_matrices(model: nn.Module) -> dict[str, str]:
    """Return the name of each matrix of an LSTM with a reduced form, and the name of its LSTM."""
    return {
        _joined(name, own): name
        for name, part in model.named_modules()
        if isinstance(part, LSTM) and part.batch_first and not part.proj_size
        for own in _matrices(part)
    }


def linear_layers(model: nn.Module) -> dict[str, str]:
    """Return the name of the weight of each linear layer, and the name of the layer."""
    return {
        _joined(name, "weight"): name for name, part in model.named_modules() if isinstance(part, nn.Linear)
    }


def reducible_linears(model: nn.Module) -> list[str]:
    """Return the names of the weights of the linear maps of the states of an LSTM.

    A network names these layers in its attribute ``lstm_heads``, because their modules do not show what they map.
    """
    return _named(model, "lstm_heads")


def ordered_sums(model: nn.Module) -> list[str]:
    """Return the names of the weights of linear maps of heads over the levels, from the attribute ``lstm_pools``."""
    return _named(model, "lstm_pools")


@torch.no_grad()
def join_biases(model: nn.Module) -> None:
    """Add the second bias of each direction of an LSTM with a reduced form to the first, and set it to zero.

    Only their sum has an effect, and a file then has one of them to store.
    """
    for part in model.modules():
        if isinstance(part, LSTM) and part.batch_first and not part.proj_size and part.bias:
            for name in _matrices(part)[1::2]:
                second = getattr(part, name.replace("weight", "bias"))
                getattr(part, name.replace("weight_hh", "bias_ih")).add_(second)
                second.zero_()


def _named(model: nn.Module, attribute: str) -> list[str]:
    return [
        _joined(name, f"{head}.weight")
        for name, part in model.named_modules()
        for head in getattr(part, attribute, ())
        if isinstance(getattr(part, head, None), nn.Linear)
    ]


def _matrices(lstm: LSTM) -> list[str]:
    suffixes = ("", "_reverse") if lstm.bidirectional else ("",)
    return [
        f"weight_{part}_l{layer}{suffix}"
        for layer in range(lstm.num_layers)
        for suffix in suffixes
        for part in ("ih", "hh")
    ]


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
