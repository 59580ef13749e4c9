"""Residuals of the column budgets of water and energy, for networks that do not close them by construction.

A residual is a mean over the convecting columns of the absolute imbalance, over the mean size of the true exchange, so
that 0.1 is an imbalance of a tenth of what convection moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sciml.checks import is_number
from sciml.convection import thermodynamics as td
from sciml.errors import InputError
from sciml.train import Batch, BatchSource, History
from sciml.train.adaptive import Objective
from sciml.train.multipliers import Ascent, MultiplierObjective

if TYPE_CHECKING:
    from sciml.convection.sounding import Sounding

__all__ = [
    "Balances",
    "Budgets",
    "budget_coefficients",
    "energy_imbalance",
    "multiplier_settings",
    "water_imbalance",
]

ALLOWANCE = 0.01
"""A limit is the residual of the scheme itself plus this."""
BLOCK = 4096


def budget_coefficients(s: Sounding) -> Tensor:
    """Return mass (kg/m2), enthalpy of a change of theta (J/kg/K) and latent heat (J/kg), (level, 3, column)."""
    return torch.stack([s.dp / td.GRAVITY, td.CP * s.pi, td.latent_heat(s.t)], 1)


def water_imbalance(mass: Tensor, moistening: Tensor, rain: Tensor) -> Tensor:
    """Return gain of water in all phases and rain, together (kg/m2/s), (column,).

    Parameters
    ----------
    mass, moistening
        Mass (kg/m2) and tendency of all water (1/s), (column, level).
    rain
        Rain at the ground (kg/m2/s), (column,).
    """
    return (mass * moistening).sum(1) + rain


def energy_imbalance(
    mass: Tensor, enthalpy: Tensor, latent: Tensor, heating: Tensor, drying: Tensor
) -> Tensor:
    """Return the gain of ``cp pi RTHCUTEN + Lv RQVCUTEN`` of a column (W/m2), (column,).

    Parameters
    ----------
    mass, enthalpy, latent
        Mass, and enthalpy and latent heat as in `budget_coefficients`, (column, level).
    heating, drying
        RTHCUTEN (K/s) and RQVCUTEN (1/s), (column, level).
    """
    return (mass * (enthalpy * heating + latent * drying)).sum(1)


@dataclass(frozen=True)
class Budgets:
    """Imbalances of some columns.

    Parameters
    ----------
    imbalance, exchange
        Imbalance of each budget, and size of what is exchanged (the absolute heating in W/m2, or the absolute
        moistening in kg/m2/s), (column,), by name.
    weight
        1 for the columns that count, (column,).
    """

    imbalance: Mapping[str, Tensor]
    exchange: Mapping[str, Tensor]
    weight: Tensor


def multiplier_settings(
    given: Sequence[str] | Mapping[str, Any], network: Any
) -> tuple[dict[str, float | None], Ascent] | None:
    """Return the limit of each budget, None for that of the scheme, and the settings; None without budgets.

    Parameters
    ----------
    given
        Names of budgets; or a table with them as ``budgets``, their limits as ``limits``, and fields of `Ascent`.
    network
        Class of the network.

    Raises
    ------
    InputError
        The network closes the budget by construction, or a name or setting is unknown.
    """
    table: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {"budgets": list(given)}
    names = list(dict.fromkeys(table.pop("budgets", ())))
    if not names and not table:
        return None
    limits = dict(table.pop("limits", {}))
    known: tuple[str, ...] = getattr(network, "budgets", ())
    unknown = [name for name in names if name not in known] or ([] if names else ["none"])
    if unknown:
        remedy = f"give {', '.join(known)}" if known else "train without multipliers"
        raise InputError(
            f"multipliers of {', '.join(unknown)}: {network.command} has {', '.join(known) or 'none'} to train, other "
            f"budgets close by construction; {remedy}"
        )
    if strange := sorted((set(table) - set(Ascent.__dataclass_fields__)) | (set(limits) - set(names))):
        fields = ", ".join(("budgets", "limits", *Ascent.__dataclass_fields__))
        raise InputError(
            f"[multipliers] {', '.join(strange)}: it may have {fields}; limits are those of the budgets"
        )
    for name, limit in limits.items():
        if not is_number(limit) or limit < 0:
            raise InputError(
                f"[multipliers] limit {name}={limit!r}: give a number of 0 or more, such as 0.01"
            )
    return {name: limits.get(name) for name in names}, Ascent(**table)


class Balances:
    """Objective of a training with multipliers of budgets.

    Parameters
    ----------
    given
        Result of `multiplier_settings`.
    network
        Network, whose ``losses_and_budgets`` gives the losses and the `Budgets` of a batch, and ``true_budgets`` those
        of the scheme.
    source
        Training columns.
    """

    def __init__(
        self, given: tuple[dict[str, float | None], Ascent], network: Any, source: BatchSource
    ) -> None:
        limits, settings = given
        sums = {name: torch.zeros(2, dtype=torch.float64) for name in limits}
        count = 0.0
        for batch in source.batches(BLOCK):
            true = network.true_budgets(batch)
            count += float(true.weight.sum())
            for name in limits:
                both = torch.stack([true.imbalance[name].abs(), true.exchange[name]])
                sums[name] += (both * true.weight).sum(1).double()
        if not count:
            raise InputError("no column convects: there is no budget to train; leave out the multipliers")
        self.exchange = {name: float(total[1]) / count for name, total in sums.items()}
        self.scheme = {name: float(total[0] / total[1]) for name, total in sums.items()}
        self.limits = {
            name: self.scheme[name] + ALLOWANCE if limit is None else float(limit)
            for name, limit in limits.items()
        }
        self.rate = count / len(source)
        self.objective = MultiplierObjective(self.losses, self.limits, settings)

    def losses(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of the network and the residual of each budget."""
        losses, budgets = network.losses_and_budgets(batch)
        return {**losses, **self._residuals(budgets)}

    def _residuals(self, budgets: Budgets) -> dict[str, Tensor]:
        return {
            name: (budgets.imbalance[name].abs() * budgets.weight).mean() / (self.rate * exchange)
            for name, exchange in self.exchange.items()
        }

    def wrapped(self, objective: Objective) -> MultiplierObjective:
        """Return the objective with multipliers, around one that adds terms to `losses`."""
        self.objective.objective = objective
        return self.objective

    @property
    def identity(self) -> dict[str, str]:
        """What a resumed training must share."""
        limits = ", ".join(f"{name} {limit:.4g}" for name, limit in self.limits.items())
        return {"the multipliers": f"{limits}; {self.objective.settings}"}

    def about(self, network: nn.Module, source: BatchSource, history: History) -> dict[str, Any]:
        """Describe the trained network: residuals of the first epoch, of the end and of the scheme."""
        first = history.epochs[0].training if history.epochs else {}
        residuals = self.measured(network, source)
        multipliers = dict(zip(self.limits, self.objective.multipliers.tolist(), strict=True))
        made = {
            name: {
                "first": first.get(name),
                "residual": residuals[name],
                "limit": self.limits[name],
                "scheme": self.scheme[name],
                "multiplier": multipliers[name],
            }
            for name in self.limits
        }
        return {"multipliers": made}

    def measured(self, network: Any, source: BatchSource) -> dict[str, float]:
        """Return the residuals of columns."""
        totals = dict.fromkeys(self.limits, 0.0)
        device = next(network.parameters()).device
        network.eval()
        with torch.no_grad():
            for batch in source.batches(BLOCK):
                moved = {name: tensor.to(device) for name, tensor in batch.items()}
                _, budgets = network.losses_and_budgets(moved)
                for name, value in self._residuals(budgets).items():
                    totals[name] += float(value) * len(budgets.weight)
        return {name: total / len(source) for name, total in totals.items()}

    @staticmethod
    def rows(about: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the lines of a table about a trained model; empty without multipliers.

        Examples
        --------
        >>> made = {"first": 0.4, "residual": 0.02, "limit": 0.03, "scheme": 0.01, "multiplier": 1.5}
        >>> Balances.rows({"multipliers": {"water": made}})
        [('water', 'residual 0.4 in the first epoch, 0.02 at the end (limit 0.03), multiplier 1.5')]
        """
        made = about.get("multipliers")
        if not isinstance(made, Mapping):
            return []
        rows = []
        for name, budget in made.items():
            if not {"first", "residual", "limit", "multiplier"} <= set(budget):
                continue
            first = "" if budget["first"] is None else f"{budget['first']:.3g} in the first epoch, "
            end = f"{budget['residual']:.3g} at the end (limit {budget['limit']:.3g})"
            rows.append((name, f"residual {first}{end}, multiplier {budget['multiplier']:.3g}"))
        return rows
