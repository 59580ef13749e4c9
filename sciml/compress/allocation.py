"""A width for each tensor of a network: the cheapest assignment that retains a share of its accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sciml.checks import check_choice, check_fraction
from sciml.compress.costs import CostTable, kernel_matrices
from sciml.compress.descent import cheaper_choices
from sciml.compress.evaluations import Apply, Evaluations
from sciml.compress.expansion import Sensitivity, measured_losses, sensitivity, weight_names
from sciml.compress.floor import Metric, loss_metric
from sciml.compress.loss_model import LossModel
from sciml.compress.pareto import Front, choose_on_front, pareto_front
from sciml.compress.plan import Plan
from sciml.compress.quantization import quantize
from sciml.compress.second_order import BatchLoss, batch_list, frozen_copy
from sciml.compress.width_plan import PLAN_WIDTHS, plan_of_widths
from sciml.compress.widths import BLOCK, WIDEST, Quantiser, check_widths, round_to_width
from sciml.errors import InputError
from sciml.progress import Update
from sciml.tables import aligned

__all__ = ["Allocation", "Cost", "allocate_bits", "byte_cost", "choose_on_front", "rounded_copy"]

Floats: TypeAlias = npt.NDArray[np.float64]
Choices: TypeAlias = npt.NDArray[np.int64]
Cost: TypeAlias = Callable[[str, tuple[int, ...], int], float]
"""A function of the name, the shape and the width of a tensor that returns bytes or microseconds."""
Method: TypeAlias = Literal["inter-layer", "diagonal", "trace", "measured", "measured pairs"]
METHODS = ("inter-layer", "diagonal", "trace", "measured", "measured pairs")
PROBES = 64
MOST_MEASURED = 64
"""Number of tensors times widths up to which pairs are measured where the expansion does not hold."""
TRIALS = 32


@dataclass(frozen=True, eq=False)
class Allocation:
    """The chosen width of each tensor, and how it was chosen; the repr is a table.

    Attributes
    ----------
    widths
        Width in bits by the name of the tensor.
    sizes
        Number of weights by the name of the tensor.
    cost, largest_cost
        Cost of the chosen and of the largest widths, in the unit of the cost function.
    keep
        Share of each score that the network had to retain.
    calibrated, confirmed
        Shares of the scores that it retains on the calibration and on the confirmation data.
    evaluations
        Number of quantised networks that were evaluated.
    method
        Model of the loss that made the front.
    plan
        Plan for `sciml.compress.quantize`, or None if the widths are not those of the kernels.
    notes
        What else to know, such as steps back because the confirmation data did not agree.
    front, terms
        The front that was searched; and the sensitivity, or None for measured losses.
    """

    widths: Mapping[str, int]
    sizes: Mapping[str, int]
    cost: float
    largest_cost: float
    keep: float
    calibrated: Mapping[str, float]
    confirmed: Mapping[str, float]
    evaluations: int
    method: str
    plan: Plan | None = None
    notes: tuple[str, ...] = ()
    front: Front | None = field(default=None, repr=False)
    terms: Sensitivity | None = field(default=None, repr=False)

    @property
    def bits(self) -> float:
        """Average width of a weight."""
        return sum(self.sizes[name] * width for name, width in self.widths.items()) / sum(self.sizes.values())

    def __repr__(self) -> str:
        rows = [(name, str(self.sizes[name]), f"{width} bit") for name, width in self.widths.items()]
        worst = min(self.confirmed, key=lambda name: self.confirmed[name])
        lines = [
            f"Allocation of {self.bits:.2f} bits a weight, cost {self.cost:.4g} of {self.largest_cost:.4g}",
            *aligned([("tensor", "weights", "width"), *rows], align="<", indent="  "),
            f"  retains {self.confirmed[worst]:.5f} of {worst} on the confirmation data, of {self.keep:g} asked",
            *(f"  {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def byte_cost(name: str, shape: tuple[int, ...], width: int, block: int = BLOCK) -> float:
    """Return the bytes of a tensor in a file: its codes, and half a byte for the shift of each block.

    Examples
    --------
    >>> byte_cost("w", (128, 64), 4), byte_cost("w", (128, 64), 16)
    (4160.0, 16384.0)
    """
    count = float(np.prod(shape))
    rows = shape[0] if len(shape) > 1 else 1
    shifts = 0.0 if width == WIDEST else 0.5 * rows * -(-count // rows // block)
    return count * width / 8 + shifts


def allocate_bits(
    model: nn.Module,
    data: object,
    loss: BatchLoss,
    widths: Sequence[int] = (4, 8, 16),
    keep: float = 0.999,
    *,
    calibration: object = None,
    confirmation: object = None,
    metric: Metric | None = None,
    cost: Cost | CostTable | Literal["bytes"] = "bytes",
    tensors: Sequence[str] | None = None,
    quantiser: Quantiser = round_to_width,
    apply: Apply | None = None,
    method: Method | LossModel = "inter-layer",
    trials: int = TRIALS,
    seed: int = 7,
    progress: Callable[[str], Update] | None = None,
) -> Allocation:
    """Choose the width of each tensor so that the network is cheapest and retains a share of its accuracy.

    The second-order model of the loss (`sciml.compress.expansion.sensitivity`) gives the front of assignments that
    no other one dominates in cost and predicted loss. Bisection along the front, with evaluations of quantised
    networks on the calibration data, gives the cheapest one that retains enough. It is confirmed on third data, which
    neither step has used; if they do not agree, more expensive assignments are tried, for which both data decide, and
    `Allocation.notes` says so.

    Parameters
    ----------
    model, data, loss, tensors, quantiser, progress
        See `sciml.compress.expansion.sensitivity`.
    widths
        Widths in bits that the kernels have.
    keep
        Share of each score that must be retained: 0.999 allows a loss of one thousandth.
    calibration, confirmation
        Batches for the bisection and for the confirmation. If both are None, ``data`` is split: half of the batches for
        the second-order terms, a quarter for each of the others.
    metric
        Function of a network and batches that returns scores by name, larger is better, such as R2 by output; by
        default the negative loss.
    cost
        ``bytes`` in a file; or a table of times of the native kernels (`sciml.coupling.matrix_costs.measure_costs`),
        in which tensors without a kernel are counted by a millionth of their kilobytes, so that of two assignments of
        equal time the smaller one is chosen; or a function of name, shape and width of a tensor.
    apply
        Function of the network and widths by name that returns the quantised network, such as one that also computes
        with quantised activations; by default only weights are rounded, by ``quantiser``.
    method
        Model of the loss: ``inter-layer``; or a baseline: ``diagonal``, ``trace`` (HAWQ-V2), ``measured`` (each tensor
        alone), ``measured pairs`` (CLADO); or a model of the same tensors and widths that was computed before. Where
        the expansion does not hold, ``inter-layer`` warns, and measures pairs, or single tensors of large networks.
    trials
        Largest number of networks that are evaluated in search of a cheaper assignment than that of the front
        (`sciml.compress.descent.cheaper_choices`); 0 leaves it out.
    seed
        Seed of the random vectors of the trace.

    Returns
    -------
    Allocation
        Widths by tensor, with cost and retained shares.

    Raises
    ------
    InputError
        No assignment retains enough, or an argument is wrong.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(3)
    >>> net = nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 1))
    >>> batches = list(torch.randn(400, 6).split(50))
    >>> def loss(model, batch):
    ...     return (model(batch) - batch.square().sum(1, keepdim=True)).square().mean()
    >>> allocate_bits(net, batches, loss, keep=0.99).bits < 16
    True
    """
    check_fraction("keep", keep, example="0.999", owner="allocate_bits")
    if not isinstance(method, LossModel):
        check_choice("method", method, METHODS, owner="allocate_bits")
    chosen = check_widths(widths)
    first, second, third = _split(data, calibration, confirmation)
    fixed = frozen_copy(model)
    names = weight_names(fixed, tensors)
    given: dict[str, Any] = {"tensors": names, "quantiser": quantiser, "progress": progress}
    predicted, terms, notes = _loss_model(fixed, first, loss, chosen, method, seed, given)
    shapes = {name: tuple(fixed.get_parameter(name).shape) for name in names}
    priced = _cost_function(cost, fixed)
    table = np.array([[float(priced(name, shapes[name], width)) for width in chosen] for name in names])
    front = pareto_front(predicted, table)
    native = set(chosen) <= set(PLAN_WIDTHS) and all(p.dtype == torch.float32 for p in fixed.parameters())
    evaluated = apply or (
        _quantised if native and quantiser is round_to_width else partial(rounded_copy, quantiser=quantiser)
    )
    search = Evaluations(fixed, names, chosen, keep, metric or loss_metric(loss), evaluated, second, third)
    made_choice, steps = _choose(predicted, table, front, search, trials)
    if made_choice is None:
        largest = front.choices[0]
        shares = search.shares(largest, "calibration")
        shares = shares if min(shares.values()) < keep else search.shares(largest, "confirmation")
        worst = min(shares, key=lambda name: shares[name])
        raise InputError(
            f"keep={keep:g}: with all tensors at {chosen[-1]} bit the network retains {shares[worst]:.6f} of {worst}; "
            "give a smaller keep, or larger widths"
        )
    if steps:
        notes.append(
            f"the confirmation data did not agree with the calibration data: {steps} steps back to more expensive "
            "assignments, so that they are no third data any more"
        )
    made = {name: chosen[w] for name, w in zip(names, made_choice, strict=True)}
    return Allocation(
        made,
        {name: fixed.get_parameter(name).numel() for name in names},
        float(table[np.arange(len(names)), made_choice].sum()),
        float(front.cost[0]),
        keep,
        search.shares(made_choice, "calibration"),
        search.shares(made_choice, "confirmation"),
        len(search),
        predicted.name,
        plan_of_widths(fixed, made) if native else None,
        tuple(notes),
        front,
        terms,
    )


def _cost_function(cost: Cost | CostTable | str, model: nn.Module) -> Cost:
    """Return the cost of a tensor by its name, shape and width."""
    if isinstance(cost, CostTable):
        if not kernel_matrices(model):
            raise InputError(
                f"cost of times for {type(model).__name__}, which has no matrix that the kernels multiply: leave it out"
            )
        time = cost.cost(model)
        return lambda name, shape, width: time(name, shape, width) + 1e-9 * byte_cost(name, shape, width)
    if isinstance(cost, str):
        check_choice("cost", cost, ("bytes",), owner="allocate_bits")
        return byte_cost
    return cost


def _choose(
    model: LossModel, cost: Floats, front: Front, search: Evaluations, trials: int
) -> tuple[Choices | None, int]:
    """Return the cheapest assignment that passes and is confirmed, and the number of those that are not confirmed.

    If one is not, both data decide in the rest of the search.
    """
    index, _ = choose_on_front(len(front), lambda number: search.passes(front.choices[number]))
    if index is None:
        return None, 0
    made = cheaper_choices(model, cost, front, index, search.excess, trials, search.known_excess())
    steps, choice = next(
        ((n, c) for n, c in enumerate(reversed(made)) if search.is_confirmed(c)), (len(made), None)
    )
    if steps == 0:
        return choice, 0
    if choice is None:
        index, further = choose_on_front(
            index + 1,
            lambda number: True,
            lambda number: (
                search.passes(front.choices[number]) and search.is_confirmed(front.choices[number])
            ),
        )
        if index is None:
            return None, 0
        choice, steps = front.choices[index], len(made) - 1 + further
    both = ("calibration", "confirmation")
    again = cheaper_choices(
        model,
        cost,
        front,
        index,
        lambda c: search.excess(c, *both),
        trials,
        search.known_excess(*both),
        choice,
    )
    return again[-1], steps


def _loss_model(
    model: nn.Module,
    batches: Sequence[Any],
    loss: BatchLoss,
    widths: Sequence[int],
    method: Method | LossModel,
    seed: int,
    given: Mapping[str, Any],
) -> tuple[LossModel, Sensitivity | None, list[str]]:
    """Return the model of the loss, the sensitivity if it was computed, and notes."""
    if isinstance(method, LossModel):
        if (method.tensors, method.widths) != (given["tensors"], tuple(widths)):
            raise InputError(
                f"method is a model of {len(method.tensors)} tensors at {method.widths} bit: give one of the "
                f"{len(given['tensors'])} tensors {', '.join(given['tensors'])} at {tuple(widths)} bit"
            )
        return method, None, []
    if method == "measured" or method == "measured pairs":  # narrows the type
        return (
            measured_losses(model, batches, loss, widths, pairs=method == "measured pairs", **given),
            None,
            [],
        )
    probes = PROBES if method == "trace" else 0
    terms = sensitivity(model, batches, loss, widths, probes=probes, seed=seed, **given)
    if method != "inter-layer":
        return terms.model(method), terms, []
    if terms.holds:
        return terms.front_model(), terms, []
    pairs = len(terms.tensors) * len(widths) <= MOST_MEASURED
    what = "pairs of tensors" if pairs else "single tensors"
    note = f"the second-order expansion does not hold at {widths[0]} bit: losses of {what} were measured"
    return measured_losses(model, batches, loss, widths, pairs=pairs, **given), terms, [note]


def _split(data: object, calibration: object, confirmation: object) -> tuple[list[Any], list[Any], list[Any]]:
    """Return batches for the second-order terms, the bisection and the confirmation."""
    batches = batch_list(data)
    if calibration is not None and confirmation is not None:
        return batches, batch_list(calibration, "calibration"), batch_list(confirmation, "confirmation")
    if calibration is not None or confirmation is not None:
        absent = "confirmation" if confirmation is None else "calibration"
        raise InputError(f"{absent} data are missing: give both, or neither to split the data")
    if len(batches) < 4:
        raise InputError(
            f"{len(batches)} batches cannot be split in three: give 4 or more, or calibration and confirmation"
        )
    return batches[::2], batches[1::4], batches[3::4]


def rounded_copy(
    model: nn.Module, widths: Mapping[str, int], quantiser: Quantiser = round_to_width
) -> nn.Module:
    """Copy a network with rounded weights, in its own arithmetic."""
    made = frozen_copy(model)
    for name, width in widths.items():
        weight: Tensor = made.get_parameter(name)
        weight.data.copy_(quantiser(name, weight.detach().clone(), width))
    return made


def _quantised(model: nn.Module, widths: Mapping[str, int]) -> nn.Module:
    return quantize(model, plan_of_widths(model, widths))
