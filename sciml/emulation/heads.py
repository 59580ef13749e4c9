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
    own = {name: _bounded(raw[name], heads.field(name), inputs, heads.scheme.step) for name in free}
    positive = heads.field(law.carried).nonnegative
    flux = raw[law.carried].relu() if positive else raw[law.carried]
    if law.surface:
        low, high = heads.field(law.surface).bounds
        lowest = flux[:, :1].clamp(low, high)
    else:
        lowest = torch.zeros_like(flux[:, :1])
    flux = torch.cat([lowest, flux[:, 1:]], 1)
    if positive:
        dt = inputs[heads.scheme.step][:, None]
        before = {name: inputs[heads.field(name).tendency_of].clamp_min(0.0) for name in law.terms}
        after = {name: before[name] + dt * own[name] for name in free}
        present = sum(before.values(), torch.zeros_like(mass))
        wanted = sum(after.values(), torch.zeros_like(mass))
        flux, share = _limited(flux, present, wanted, dt / mass)
        own = {
            name: torch.where(share < 1.0, (share * after[name] - before[name]) / dt, own[name])
            for name in free
        }
    above = torch.cat([flux[:, 1:], torch.zeros_like(flux[:, :1])], 1)
    made = {**own, law.carried: (above - flux) / mass - sum(own.values(), torch.zeros_like(mass))}
    if law.surface:
        made[law.surface] = flux[:, 0]
    return made, flux


def _limited(flux: Tensor, present: Tensor, wanted: Tensor, per_flux: Tensor) -> tuple[Tensor, Tensor]:
    """Limit the downward flux through the lower faces to what is there, from the top to the surface.

    Returns
    -------
    tuple of Tensor
        The flux, and the share of `wanted` that the free terms get, (column, level). `per_flux` is the change of the
        mixing ratio in the step by a flux of one.
    """
    # lists of levels: the gradient of a selected level would be a whole array of zeros, of each of them
    levels = [x.unbind(1) for x in (flux, present, wanted, torch.where(wanted > 0, wanted, 1.0), per_flux)]
    limited: list[Tensor] = []
    shares: list[Tensor] = []
    above = torch.zeros_like(flux[:, 0])
    for given, inside, needed, divisor, ratio in zip(*(reversed(x) for x in levels), strict=True):
        there = inside + above * ratio
        share = torch.where(needed > there, there / divisor, 1.0)
        above = torch.minimum(given, (there - share * needed).clamp_min(0.0) / ratio)
        limited.append(above)
        shares.append(share)
    return torch.stack(limited[::-1], 1), torch.stack(shares[::-1], 1)
