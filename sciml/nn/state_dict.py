"""The dense weights of a network by their plain names, for files and exports."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from sciml.errors import SchemaError
from sciml.nn.dense_weights import check_hooks, dense_weights

__all__ = ["load_weights", "materialise", "misfit"]


def materialise(module: nn.Module) -> dict[str, Tensor]:
    """Return the state dict that a module would have without parametrisations.

    Parameters
    ----------
    module
        Module; it is not changed.

    Returns
    -------
    dict
        All tensors of ``module.state_dict()``; those of a parametrised weight (its original tensors and the buffers of
        its parametrisations) are replaced by the dense weight under its plain name, such as ``lstm.weight_hh_l0``.

    Raises
    ------
    InputError
        A weight is computed by a hook (`torch.nn.utils.prune`), not by `torch.nn.utils.parametrize`.

    Examples
    --------
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> sorted(layer.state_dict())
    ['bias', 'parametrizations.weight.original0', 'parametrizations.weight.original1']
    >>> sorted(materialise(layer))
    ['bias', 'weight']
    """
    check_hooks(module)
    state, dense = dict(module.state_dict()), dense_weights(module)
    if not dense:
        return state
    prefixes = tuple({f"{name.rpartition('.')[0]}.parametrizations.".lstrip(".") for name in dense})
    plain = {name: tensor for name, tensor in state.items() if not name.startswith(prefixes)}
    return plain | {name: weight for name, weight in dense.items() if not name.startswith(prefixes)}


def misfit(module: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[str, str, str] | None:
    """Return the first tensor that does not fit a module.

    Parameters
    ----------
    module
        Module, with the tensors of its ``state_dict`` (original tensors of parametrised weights).
    tensors
        The state dict to compare.

    Returns
    -------
    tuple or None
        Name, shape in ``tensors`` and shape in the module; the shape of a missing tensor is "none". None if all fit.

    Examples
    --------
    >>> import torch
    >>> misfit(nn.Linear(3, 2), {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)})
    ('weight', '(2, 4)', '(2, 3)')
    """
    mine = {name: str(tuple(tensor.shape)) for name, tensor in module.state_dict().items()}
    theirs = {name: str(tuple(tensor.shape)) for name, tensor in tensors.items()}
    differing = (name for name in [*mine, *theirs] if mine.get(name) != theirs.get(name))
    return next(((name, theirs.get(name, "none"), mine.get(name, "none")) for name in differing), None)


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], source: object) -> None:
    """Load dense weights into a module.

    Parameters
    ----------
    module
        Module without parametrised weights.
    weights
        Weights by plain name, as `materialise` returns them.
    source
        File of the weights, for the message.

    Raises
    ------
    SchemaError
        Names or shapes differ from those of the module.
    """
    wrong = misfit(module, weights)
    if wrong is not None:
        name, theirs, mine = wrong
        raise SchemaError(
            f"{source} has weights {name} of shape {theirs}, the network it describes has "
            f"{mine}: train it again"
        )
    module.load_state_dict(dict(weights))
