"""Functions of tensors that modes of torch functions can see, although they contain a `torch.autograd.Function`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

__all__ = ["Action", "overridable"]

Action = Literal["pointwise", "linear", "product"]
"""How a function acts: on each number of its first argument, linearly on that, or linearly on each of its tensors."""


def overridable(action: Action) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Make a function visible to modes such as that of `sciml.analysis.linearize`, which replace functions of tensors.

    A `torch.autograd.Function` is invisible to a mode of torch functions. The decorator follows the protocol of
    functions outside of torch (https://docs.pytorch.org/docs/stable/notes/extending.html), and states how the function
    acts.

    Parameters
    ----------
    action
        ``pointwise``: on each number of the first argument; ``linear``: linearly on it; ``product``: linearly on each
        tensor, like a convolution on its field and its weight.

    Returns
    -------
    callable
        Decorator of a function.

    Examples
    --------
    >>> @overridable("pointwise")
    ... def double(x):
    ...     return 2 * x
    >>> double.action
    'pointwise'
    """

    def decorate(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @functools.wraps(function)
        def visible(*args: Any, **kwargs: Any) -> Tensor:
            tensors = tuple(value for value in args if isinstance(value, Tensor))
            if not torch.compiler.is_compiling() and has_torch_function(tensors):
                result: Tensor = handle_torch_function(visible, tensors, *args, **kwargs)
                return result
            return function(*args, **kwargs)

        visible.action = action  # type: ignore[attr-defined]
        return visible

    return decorate
