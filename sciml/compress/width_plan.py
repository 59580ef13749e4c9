"""Plans of networks whose tensors have different widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from sciml.compress.plan import Plan
from sciml.compress.widths import BLOCK
from sciml.errors import InputError

__all__ = ["PLAN_WIDTHS", "plan_of_widths", "plan_tensors"]

PLAN_WIDTHS: Mapping[int, tuple[str, str]] = {
    4: ("int4", "int4"),
    8: ("int8", "int8"),
    16: ("bf16", "bfloat16"),
}
"""Arithmetic and storage by width in bits."""


def plan_tensors(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the tensors that a plan stores in its width; the others are small and have 16 bits."""
    return tuple(name for name, chosen in Plan.of(model, 8).storage.items() if chosen == "int8")


def plan_of_widths(model: nn.Module, widths: Mapping[str, int], block: int = BLOCK, planes: int = 2) -> Plan:
    """Make the plan of a width for each tensor.

    Parameters
    ----------
    model
        Network.
    widths
        Width in bits (4, 8 or 16) by the name of the tensor; other tensors are as in ``Plan.of(model, 8)``.
    block, planes
        See `sciml.compress.Plan`.

    Returns
    -------
    Plan
        Matrices of LSTMs and their heads have the arithmetic of their width, all tensors its storage.

    Raises
    ------
    InputError
        A width is not 4, 8 or 16, or a tensor is not in the network.

    Examples
    --------
    >>> from sciml.nn import LSTM
    >>> lstm = LSTM(3, 4, batch_first=True)
    >>> plan = plan_of_widths(lstm, {"weight_ih_l0": 16, "weight_hh_l0": 4})
    >>> plan.kinds["weight_hh_l0"], plan.storage["weight_ih_l0"]
    ('int4', 'bfloat16')
    """
    base = Plan.of(model, 8, block, planes)
    storage, kinds = dict(base.storage), dict(base.kinds)
    check_plan_widths(list(widths.values()))
    for name, width in widths.items():
        if name not in storage:
            raise InputError(
                f"a width for {name!r}, which is not in the network: give names of {', '.join(storage)}"
            )
        kind, stored = PLAN_WIDTHS[width]
        storage[name] = stored if block == BLOCK or width == max(PLAN_WIDTHS) else f"{stored}-{block}"
        if kinds.get(name, "float32") != "float32":
            kinds[name] = kind
    return replace(base, storage=storage, kinds=kinds)


def check_plan_widths(widths: Sequence[int]) -> None:
    """Check that the kernels have widths.

    Raises
    ------
    InputError
        They do not have a width.
    """
    for width in widths:
        if width not in PLAN_WIDTHS:
            raise InputError(f"width {width!r}: the kernels have {', '.join(map(str, PLAN_WIDTHS))} bit")
