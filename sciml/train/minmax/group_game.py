"""The training for the worst group as a variational inequality, for extragradient and MASHA."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sciml.checks import check_positive
from sciml.errors import InputError
from sciml.train.adaptive import Objective
from sciml.train.batches import Batch
from sciml.train.minmax.inequality import VariationalInequality
from sciml.train.minmax.proximal import simplex

__all__ = ["GroupOperator", "group_game"]

BLOCK = 4096


class GroupOperator:
    """The operator of one group: ``F_m(theta, p) = (M p_m grad L_m, -pace M L_m e_m)``.

    The mean over the M groups is ``(sum_m p_m grad L_m, -pace (L_1, ..., L_M))``, the operator of
    ``min_theta max_p sum_m p_m L_m(theta)``. The positive factor of the second part does not change the solution.

    Parameters
    ----------
    model
        Model, whose parameters are set to those of the point at each evaluation.
    objective
        Function ``objective(model, batch)`` with the loss of samples.
    batch
        Samples of the group.
    number, count
        Number of the group, and of groups.
    pace
        Speed of the shares relative to that of the parameters.
    scale
        Number by which the loss is divided.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        batch: Batch,
        number: int,
        count: int,
        pace: float = 1.0,
        scale: float = 1.0,
    ) -> None:
        self.model, self.objective, self.batch = model, objective, batch
        self.number, self.count, self.pace, self.scale = number, count, pace, scale

    @property
    def terms(self) -> int:
        """Number of samples."""
        return len(next(iter(self.batch.values())))

    def __call__(self, z: Tensor) -> Tensor:
        """Return the operator at z (parameter and group,), of all samples."""
        return self._mean(z, torch.arange(self.terms))

    def sample(self, z: Tensor, chosen: Tensor) -> Tensor:
        """Return the operator of chosen samples."""
        return self._mean(z, chosen)

    def _mean(self, z: Tensor, rows: Tensor) -> Tensor:
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        set_parameters(parameters, z[: -self.count])
        loss, gradient = 0.0, torch.zeros_like(z[: -self.count])
        for part in torch.split(rows, BLOCK):
            device = next(iter(self.batch.values())).device
            batch = {name: tensor[part.to(device)] for name, tensor in self.batch.items()}
            value = self.objective(self.model, batch)["loss"]
            grads = torch.autograd.grad(value, parameters)
            weight = len(part) / len(rows) / self.scale
            loss += float(value.detach()) * weight
            gradient = gradient + weight * torch.cat([grad.flatten() for grad in grads])
        share = self.count * float(z[self.number - self.count])
        ascent = torch.zeros_like(z[-self.count :])
        ascent[self.number] = -self.pace * self.count * loss
        return torch.cat([share * gradient, ascent])


def group_game(
    model: nn.Module,
    objective: Objective,
    groups: Sequence[Batch],
    *,
    pace: float = 1.0,
    scales: Sequence[float] | None = None,
    numbers: Sequence[int] | None = None,
    count: int | None = None,
) -> VariationalInequality:
    """Make the variational inequality of a training for the worst group.

    Parameters
    ----------
    model
        Model; its parameters are the start, with equal shares. `set_parameters` sets those of a solution.
    objective
        Function ``objective(model, batch)`` that returns the named losses of a batch, with its mean as ``loss``.
    groups
        Samples of each group of this process.
    pace
        Speed of the shares relative to that of the parameters.
    scales
        Number by which the loss of each group of this process is divided; by default 1.
    numbers, count
        Numbers of the groups of this process, and number of all groups; by default all are in this process.

    Returns
    -------
    VariationalInequality
        Problem of ``(theta, p)`` joined, with the projection of p to the simplex.

    Raises
    ------
    InputError
        There are fewer than two groups, or the numbers do not fit.

    Notes
    -----
    For a network the problem is neither convex nor monotone, and no theorem covers it.

    Examples
    --------
    >>> from sciml.solve import solve
    >>> from sciml.train.minmax.extragradient import Extragradient
    >>> point = nn.Linear(1, 1, bias=False)
    >>> def squares(model, batch):
    ...     return {"loss": (model.weight - batch["x"]).square().mean()}
    >>> groups = [{"x": torch.zeros(1, 1)}, {"x": torch.full((1, 1), 2.0)}]
    >>> answer = solve(group_game(point, squares, groups), Extragradient(step=0.1, rtol=1e-5))
    >>> [round(value, 3) for value in answer.z.tolist()]
    [1.0, 0.5, 0.5]
    """
    count = len(groups) if count is None else count
    numbers = range(len(groups)) if numbers is None else numbers
    if count < 2 or len(numbers) != len(groups) or not all(0 <= number < count for number in numbers):
        raise InputError(
            f"{len(groups)} groups with the numbers {list(numbers)} of {count}: give at least two, each with a number"
        )
    scales = [1.0] * len(groups) if scales is None else scales
    for scale in scales:
        check_positive("scale", scale, owner="group_game")
    check_positive("pace", pace, owner="group_game")
    operators = [
        GroupOperator(model, objective, batch, number, count, pace, scale)
        for batch, number, scale in zip(groups, numbers, scales, strict=True)
    ]
    parameters = [parameter.detach().flatten() for parameter in model.parameters() if parameter.requires_grad]
    start = torch.cat([*parameters, parameters[0].new_full((count,), 1 / count)])
    return VariationalInequality(operators, start, simplex(count))


@torch.no_grad()
def set_parameters(parameters: Sequence[nn.Parameter], values: Tensor) -> None:
    """Copy values (parameter,) to the parameters."""
    pieces = torch.split(values, [parameter.numel() for parameter in parameters])
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.copy_(piece.view_as(parameter))
