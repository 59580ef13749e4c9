"""From the heads of a network to the outputs of a scheme, whose bounds and closures hold by construction.

The native library has the same formulas in ``column/heads.c``; this is its reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.schemes.closures import ColumnClosure, LevelClosure
from sciml.schemes.field import Field
from sciml.schemes.scheme import ColumnScheme

__all__ = ["Heads", "decode", "fluxes"]


@dataclass(frozen=True)
class Heads:
    """The outputs of a scheme that a network predicts: one channel each, in the order of the declaration.

    The others follow from the closures. The channel of the term that a flux carries is the flux through the lower face
    of the layer.
    """

    scheme: ColumnScheme

    @property
    def names(self) -> tuple[str, ...]:
        """Outputs with a channel."""
        surfaces = {law.surface for law in self.budgets}
        balanced = {law.balanced for law in self.balances}
        return tuple(name for name in self.scheme.output_names if name not in surfaces | balanced)

    @property
    def budgets(self) -> tuple[ColumnClosure, ...]:
        """Closures of the column."""
        return tuple(law for law in self.scheme.laws if isinstance(law, ColumnClosure))

    @property
    def balances(self) -> tuple[LevelClosure, ...]:
        """Closures of the levels."""
        return tuple(law for law in self.scheme.laws if isinstance(law, LevelClosure))

    @property
    def carried(self) -> tuple[str, ...]:
        """Outputs whose channel is a flux."""
        return tuple(law.carried for law in self.budgets)

    def field(self, name: str) -> Field:
        """Return the field of an output."""
        return next(field for field in self.scheme.outputs if field.name == name)


def fluxes(heads: Heads, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Compute the downward flux through the lower face of each layer, by the output that it carries.

    Parameters
    ----------
    heads
        Heads of the scheme.
    values
        Inputs and outputs by name, (column, level) with the lowest level first.
    """
    made = {}
    for law in heads.budgets:
        gained = values[law.mass] * sum((values[name] for name in law.terms), torch.zeros(()))
        made[law.carried] = -gained.flip(1).cumsum(1).flip(1)
    return made


def decode(
    heads: Heads, channels: Tensor, scale: Tensor, inputs: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Compute the outputs of a scheme.

    Parameters
    ----------
    heads
        Heads of the scheme.
    channels
        Values of the network (column, level, channel).
    scale
        Scale of each channel (channel,), in the units of the output or the flux.
    inputs
        Inputs by name, (column, level) and (column,).

    Returns
    -------
    tuple of dict
        Outputs by name, (column, level) or (column,), and fluxes as by `fluxes`.
    """
    raw = {name: scale[n] * channels[..., n] for n, name in enumerate(heads.names)}
    made: dict[str, Tensor] = {}
    through: dict[str, Tensor] = {}
    in_budget = {name for law in heads.budgets for name in law.terms}
    for name in heads.names:
        field = heads.field(name)
        if name in in_budget:
            continue
        value = raw[name] if field.is_profile else raw[name].mean(1)
        made[name] = _bounded(value, field, inputs, heads.scheme.step)
    for law in heads.budgets:
        terms, flux = _budget(heads, law, raw, inputs)
        made |= terms
        through[law.carried] = flux
    for balance in heads.balances:
        sums, own = torch.zeros(()), None
        for term in balance.terms:
            by = inputs[term.by] if term.by else torch.ones(())
            if term.output == balance.balanced:
                own = term.factor * by
            else:
                sums = sums + term.factor * by * made[term.output]
        assert own is not None
        made[balance.balanced] = -sums / own
    return {name: made[name] for name in heads.scheme.output_names}, through


def _bounded(value: Tensor, field: Field, inputs: Mapping[str, Tensor], step: str) -> Tensor:
    low, high = field.bounds
    value = value.clamp(low, high)
    if not field.nonnegative:
        return value
    dt = inputs[step].reshape(-1, *[1] * (value.dim() - 1))
    return torch.maximum(value, -inputs[field.tendency_of].clamp_min(0.0) / dt)


def _budget(
    heads: Heads, law: ColumnClosure, raw: Mapping[str, Tensor], inputs: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """Compute the terms of a closure of the column, from its top to the surface.

    In each layer the free terms take what they need of the quantity that is there, at most all of it; the flux takes at
    most the rest. The carried term is what remains, so that the budget closes and nothing becomes negative.
    """
    free = [name for name in law.terms if name != law.carried]
    mass = inputs[law.mass]
    levels = mass.shape[1]
    positive = heads.field(law.carried).nonnegative
    tendency = {name: _bounded(raw[name], heads.field(name), inputs, heads.scheme.step) for name in free}
    if law.surface:
        low, high = heads.field(law.surface).bounds
    flux = raw[law.carried].relu() if positive else raw[law.carried]
    terms: dict[str, list[Tensor]] = {name: [] for name in law.terms}
    lower: list[Tensor] = []
    above = torch.zeros_like(mass[:, 0])
    for k in reversed(range(levels)):
        m, own = mass[:, k], {name: tendency[name][:, k] for name in free}
        below = flux[:, k]
        if k == 0:
            below = below.clamp(low, high) if law.surface else torch.zeros_like(below)
        if positive:
            dt = inputs[heads.scheme.step]
            before = {name: inputs[heads.field(name).tendency_of][:, k].clamp_min(0.0) for name in law.terms}
            there = sum(before.values(), above * dt / m)
            after = {name: before[name] + dt * own[name] for name in free}
            wanted = sum(after.values(), torch.zeros_like(m))
            share = torch.where(wanted > there, there / torch.where(wanted > 0, wanted, 1.0), 1.0)
            own = {
                name: torch.where(share < 1.0, (share * after[name] - before[name]) / dt, own[name])
                for name in free
            }
            below = torch.minimum(below, (there - share * wanted).clamp_min(0.0) * m / dt)
        for name in free:
            terms[name].append(own[name])
        terms[law.carried].append((above - below) / m - sum(own.values(), torch.zeros_like(m)))
        lower.append(below)
        above = below
    made = {name: torch.stack(parts[::-1], 1) for name, parts in terms.items()}
    if law.surface:
        made[law.surface] = above
    return made, torch.stack(lower[::-1], 1)
