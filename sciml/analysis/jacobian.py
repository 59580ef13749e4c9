"""Jacobians of a function at given points: by automatic differentiation, and by finite differences.

The two differ for a function with steps, whose derivative is zero almost everywhere, while its finite difference is the
mean slope. For a function without steps they agree, so that each checks the other.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sciml.checks import check_whole
from sciml.errors import InputError

__all__ = ["Function", "differences", "jacobians"]

Function = Callable[[Tensor], Tensor]
"""A function of (copy, ..., input) to (copy, ..., output), independent for each point and each copy of the points."""


def jacobians(function: Function, points: Tensor, *, block: int = 32) -> Tensor:
    """Compute the Jacobian at each point by reverse-mode automatic differentiation.

    Parameters
    ----------
    function
        From (copy, ..., input) to (copy, ..., output), differentiable. It is called with several copies of all points
        at once, one for each row of the Jacobian, and may not mix copies or points.
    points
        (..., input).
    block
        Number of outputs at a time.

    Returns
    -------
    Tensor
        (..., output, input), in units of output over input.

    Raises
    ------
    InputError
        Points or derivatives are not finite, or the function returns another shape.

    References
    ----------
    Brenowitz, N. D., T. Beucler, M. Pritchard and C. S. Bretherton (2020), Interpreting and stabilizing
    machine-learning parametrizations of convection, J. Atmos. Sci. 77, 4357, use it on learned convection.

    Examples
    --------
    >>> import torch
    >>> jacobians(lambda x: x**2, torch.tensor([1.0, 3.0]))
    tensor([[2., 0.],
            [0., 6.]])
    """
    _check(points, block)
    with torch.no_grad():
        outputs = _answer(function, points.detach().unsqueeze(0)).shape[-1]
    rows = []
    for first in range(0, outputs, block):
        wanted = torch.arange(first, min(first + block, outputs), device=points.device)
        copies = points.detach().expand(len(wanted), *points.shape).clone().requires_grad_()
        answer = _answer(function, copies)
        if not answer.requires_grad:  # the result does not depend on the points
            rows.append(torch.zeros_like(copies))
            continue
        # copy c gives the row of output c, so that one backward pass gives a block of rows
        chosen = answer[torch.arange(len(wanted)), ..., wanted].sum()
        (gradient,) = torch.autograd.grad(chosen, copies, allow_unused=True)
        rows.append(torch.zeros_like(copies) if gradient is None else gradient)
    return _finite(torch.cat(rows).movedim(0, -2))


@torch.no_grad()
def differences(function: Function, points: Tensor, steps: Tensor, *, block: int = 32) -> Tensor:
    """Compute the Jacobian at each point by central differences.

    Parameters
    ----------
    function
        As in `jacobians`; it need not be differentiable.
    points
        (..., input).
    steps
        (input,), above 0: change of each input in both directions.
    block
        Number of inputs at a time.

    Returns
    -------
    Tensor
        (..., output, input). Of a smooth function the error decreases with the square of the step; the rounding error
        increases with its inverse.

    Raises
    ------
    InputError
        Points or differences are not finite, a step is not above 0, or the function returns another shape.

    Examples
    --------
    >>> import torch
    >>> differences(torch.abs, torch.tensor([0.5, 3.0]), torch.tensor([1.0, 1.0]))
    tensor([[0.5000, 0.0000],
            [0.0000, 1.0000]])
    """
    _check(points, block)
    if steps.shape != points.shape[-1:] or not bool((torch.isfinite(steps) & (steps > 0)).all()):
        raise InputError(
            f"steps of shape {tuple(steps.shape)}, the least {float(steps.min()):g}: give one above 0 for each "
            f"of the {points.shape[-1]} inputs"
        )
    columns = []
    for first in range(0, len(steps), block):
        moved = torch.diag(steps)[first : first + block]
        moved = moved.reshape(len(moved), *[1] * (points.ndim - 1), len(steps))
        up, down = _answer(function, torch.cat([points + moved, points - moved])).chunk(2)
        change = up - down
        columns.append(change / (2.0 * steps[first : first + block].reshape(-1, *[1] * points.ndim)))
    return _finite(torch.cat(columns).movedim(0, -1))


def _check(points: Tensor, block: int) -> None:
    check_whole("block", block, 1)
    if points.ndim == 0 or not points.numel():
        raise InputError(f"points of shape {tuple(points.shape)}: give some, the inputs last")
    bad = int((~torch.isfinite(points)).sum())
    if bad:
        raise InputError(f"{bad} of {points.numel()} inputs are not finite: drop those points")


def _answer(function: Function, copies: Tensor) -> Tensor:
    answer = function(copies)
    if answer.shape[:-1] != copies.shape[:-1]:
        raise InputError(
            f"the function answers {tuple(copies.shape)} by {tuple(answer.shape)}: only the last dimension may change"
        )
    return answer


def _finite(matrix: Tensor) -> Tensor:
    bad = int((~torch.isfinite(matrix)).sum())
    if bad:
        raise InputError(
            f"{bad} of {matrix.numel()} derivatives are not finite: the function has none there, or overflows"
        )
    return matrix
