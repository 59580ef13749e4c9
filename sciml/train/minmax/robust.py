"""Training for the worst group: minimised over the weights of a network, maximised over those of the groups.

``min_theta max_p sum_m p_m L_m(theta) - strength KL(p | prior)`` over the shares p of the groups, which are not
negative and have the sum 1. Sagawa, Koh, Hashimoto and Liang (2020), Distributionally robust neural networks, have no
divergence and a plain exponentiated gradient; the divergence, the optimistic step and relative losses are our form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from sciml.checks import check_choice, check_positive, is_number
from sciml.errors import InputError
from sciml.train.adaptive import LossesOf, Objective
from sciml.train.batches import Batch
from sciml.train.grouped import of_group
from sciml.train.losses import scalars
from sciml.train.minmax.compressors import Compressor, Identity, NaturalRounding, TopK, pack, unpack
from sciml.train.minmax.draws import Draws
from sciml.train.minmax.iteration import Channel
from sciml.train.minmax.transport import Local, Processes, Transport

__all__ = ["By", "Robust", "RobustObjective", "ascended"]

By = Literal["run", "dx", "season"]
Messaging = Literal["float32", "topk", "natural"]


@dataclass(frozen=True)
class Robust:
    """Settings of a training for the worst group.

    Parameters
    ----------
    step
        Step of the ascent of the shares; with 0 they stay at the prior, which is plain reweighting.
    strength
        Strength of the divergence from the prior, in units of the group losses. Large values give the prior, and 0
        leaves all weight to the worst group in the end.
    relative
        Whether the loss of a group is divided by that of the untrained network, so that groups whose outputs vary more
        do not count as worse.
    prior
        Weights by the name of the group, scaled to the sum 1; by default equal.
    messages
        Form of the gradients that processes exchange: ``float32``, ``topk`` (the largest components, with error
        feedback) or ``natural`` (rounding to powers of two).
    share
        Share of the components in a message of ``topk``.
    both_ways
        Whether the answer of the first process is compressed too.

    Raises
    ------
    InputError
        A setting is out of range.

    Examples
    --------
    >>> Robust(step=0.1, strength=0.05).messages
    'float32'
    """

    step: float = 0.05
    strength: float = 0.1
    relative: bool = True
    prior: Mapping[str, float] | None = None
    messages: Messaging = "float32"
    share: float = 0.05
    both_ways: bool = False

    def __post_init__(self) -> None:
        for name in ("step", "strength"):
            if not (is_number(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"[robust] {name}={getattr(self, name)!r}: give a number of 0 or more")
        for name in ("relative", "both_ways"):
            if getattr(self, name) not in (True, False):
                raise InputError(f"[robust] {name}={getattr(self, name)!r}: give true or false")
        check_choice("messages", self.messages, ("float32", "topk", "natural"))
        TopK(self.share)
        if self.prior is not None:
            for name, value in self.prior.items():
                check_positive(f"prior of {name}", value, owner="[robust]")

    def prior_of(self, names: Sequence[str]) -> Tensor:
        """Return the prior shares of groups, float64 (group,).

        Raises
        ------
        InputError
            The prior does not have these groups.
        """
        given = dict.fromkeys(names, 1.0) if self.prior is None else self.prior
        if set(given) != set(names):
            raise InputError(
                f"[robust] prior of {', '.join(given)}: the groups are {', '.join(names)}; give a weight for each"
            )
        weights = torch.tensor([given[name] for name in names], dtype=torch.float64)
        return weights / weights.sum()

    @property
    def compressor(self) -> Compressor:
        """Compressor of the messages."""
        made: dict[str, Compressor] = {
            "float32": Identity(),
            "topk": TopK(self.share),
            "natural": NaturalRounding(),
        }
        return made[self.messages]


def ascended(
    shares: Tensor, losses: Tensor, before: Tensor, prior: Tensor, step: float, strength: float
) -> Tensor:
    """Return the shares of groups after a step of the ascent.

    Parameters
    ----------
    shares, losses, before, prior
        Shares, losses, losses of the step before, and prior shares, (group,).
    step, strength
        As in `Robust`.

    Returns
    -------
    Tensor
        ``argmax_p <p, g> - strength KL(p | prior) - KL(p | shares) / step`` with ``g = 2 losses - before``: optimistic
        mirror ascent, an extragradient step that uses the gradient of the step before.

    Examples
    --------
    >>> even = torch.tensor([0.5, 0.5], dtype=torch.float64)
    >>> losses = torch.tensor([2.0, 1.0], dtype=torch.float64)
    >>> ascended(even, losses, losses, even, 1.0, 0.0)
    tensor([0.7311, 0.2689], dtype=torch.float64)
    """
    logs = shares.log() + step * (2 * losses - before) + step * strength * prior.log()
    return torch.softmax(logs / (1 + step * strength), 0)


class RobustObjective:
    """Objective of `sciml.train.fit` that trains for the worst group; see `sciml.train.adaptive.Adaptive`.

    A batch has samples of all groups (`sciml.train.grouped.GroupedSource`). The gradient of each group is a message of
    its own: with as many processes as groups, each process computes that of its group, and the first adds them up. One
    process computes the same bits. Losses and validation are those of the objective, without shares.

    Parameters
    ----------
    objective
        Function ``objective(model, batch)`` that returns the named losses of samples of one group.
    names
        Name of each group.
    settings
        Settings.
    scales
        Number by which the loss of each group is divided; by default 1.
    seed
        Seed of the random numbers of compressors and networks.

    Raises
    ------
    InputError
        There are fewer than two groups, or not one scale above 0 for each.
    """

    def __init__(
        self,
        objective: Objective,
        names: Sequence[str],
        settings: Robust | None = None,
        *,
        scales: Sequence[float] | None = None,
        seed: int = 7,
    ) -> None:
        self.objective, self.names, self.settings = objective, tuple(names), settings or Robust()
        if len(self.names) < 2:
            raise InputError(
                f"groups {', '.join(self.names) or 'none'}: give at least two to train for the worst"
            )
        self.scales = [1.0] * len(self.names) if scales is None else [float(scale) for scale in scales]
        if len(self.scales) != len(self.names) or not all(0 < scale < float("inf") for scale in self.scales):
            raise InputError(
                f"scales {self.scales} of {len(self.names)} groups: give a number above 0 for each"
            )
        self.seed = seed
        self.prior = self.settings.prior_of(self.names)
        self.shares = self.prior.clone()
        self.before: Tensor | None = None
        self.number = self.bytes_up = self.bytes_down = 0
        self.errors: dict[int, Tensor] = {}
        self.server_error: Tensor | None = None
        self.transport: Transport = Local(len(self.names))
        self.parameters: list[nn.Parameter] = []

    def __call__(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Return the losses of the objective."""
        return self.objective(model, batch)

    def join(self, size: int, model: nn.Module) -> None:
        """Choose the transport: one process has all groups, or each has one.

        Raises
        ------
        InputError
            There is another number of processes, or the model has running statistics and each process sees one group.
        """
        if size not in (1, len(self.names)):
            raise InputError(
                f"{size} processes for {len(self.names)} groups ({', '.join(self.names)}): start 1 process, "
                f"or {len(self.names)}"
            )
        running = [name for name, _ in model.named_buffers() if "running" in name]
        if size > 1 and running:
            raise InputError(
                f"{running[0]} of the model is a statistic of all groups, and each of {size} processes sees one: start "
                "one process, or take a network without a batch normalisation"
            )
        self.transport = Local(len(self.names)) if size == 1 else Processes()
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def backward(
        self, losses_of: LossesOf, batch: Batch, parts: int, device: torch.device
    ) -> dict[str, float]:
        """Set the gradient of the weighted loss; see `sciml.train.adaptive.Exchanging`."""
        count = len(self.names)
        vectors: dict[int, Tensor] = {}
        named: dict[int, dict[str, float]] = {}
        for group in self.transport.numbers:
            vector, named[group] = self._gradient(losses_of, of_group(batch, group), parts, group)
            factor = count * float(self.shares[group]) / self.scales[group]
            vectors[group] = vector * factor + self.errors.get(group, 0.0)
        like = next(iter(vectors.values()))
        answer = self.settings.compressor if self.settings.both_ways else Identity()
        channel = Channel(self.transport, Draws(self.seed), self.settings.compressor, answer)
        before = self.transport.traffic
        mean, arrived = channel.collect(vectors, range(count), self.number, like)
        if mean is not None and self.server_error is not None:
            mean = mean + self.server_error
        total = channel.distribute(mean, self.number, like)
        if self.settings.messages == "topk":
            self.errors = {group: vectors[group] - arrived[group] for group in vectors}
            if mean is not None and self.settings.both_ways:
                self.server_error = mean - total
        self._set_gradient(total)
        rows = self._share(named, device)
        sent = self.transport.traffic - before
        self.bytes_up += sent.up // count  # the messages of all groups are equally long
        self.bytes_down += sent.down
        return self._named(rows, list(next(iter(named.values()))))

    def _gradient(
        self, losses_of: LossesOf, batch: Batch, parts: int, group: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Return gradient (parameter,) and losses of the samples of a group."""
        self._seed(group)
        total = len(next(iter(batch.values())))
        parts = min(parts, total)
        vector: Tensor | None = None
        named: dict[str, float] = {}
        for part in range(parts):
            rows = {name: tensor[part::parts] for name, tensor in batch.items()} if parts > 1 else batch
            weight = len(next(iter(rows.values()))) / total
            losses = losses_of(rows, self.objective)
            grads = torch.autograd.grad(losses["loss"], self.parameters, allow_unused=True)
            flat = torch.cat(
                [
                    _real(torch.zeros_like(p) if g is None else g)
                    for p, g in zip(self.parameters, grads, strict=True)
                ]
            )
            flat = flat if parts == 1 else flat * weight
            vector = flat if vector is None else vector + flat
            for name, value in scalars(losses).items():
                named[name] = named.get(name, 0.0) + value * weight
        assert vector is not None
        return vector, named

    def _seed(self, group: int) -> None:
        """Seed the generators for a step and a group, so that any process draws the same."""
        state = np.random.SeedSequence([self.seed, self.number, group]).generate_state(1, np.uint64)[0]
        torch.default_generator.manual_seed(int(state) >> 1)  # torch.manual_seed takes a millisecond
        if self.parameters[0].device.type == "cuda":
            torch.cuda.manual_seed(int(state) >> 1)

    def _set_gradient(self, vector: Tensor) -> None:
        pieces = torch.split(vector, [len(_real(parameter)) for parameter in self.parameters])
        for parameter, piece in zip(self.parameters, pieces, strict=True):
            if parameter.is_complex():
                parameter.grad = torch.view_as_complex(
                    piece.view(*parameter.shape, 2).to(parameter.real.dtype)
                )
            else:
                parameter.grad = piece.view_as(parameter).to(parameter.dtype, copy=True)

    def _share(self, named: Mapping[int, Mapping[str, float]], device: torch.device) -> list[list[float]]:
        """Return the losses of all groups, (group, loss)."""
        rows = {
            group: torch.tensor(list(losses.values()), dtype=torch.float64, device=device)
            for group, losses in named.items()
        }
        size, count = len(next(iter(rows.values()))), len(self.names)
        buffers = {group: pack((row,)) for group, row in rows.items()}
        gathered = self.transport.gather(buffers, range(count), 8 * size)
        joined = torch.cat(gathered) if self.transport.is_server else None
        space = torch.empty(8 * size * count, dtype=torch.uint8, device=device)
        (values,) = unpack(self.transport.broadcast(joined, space), ((size * count, torch.float64),))
        shared: list[list[float]] = values.reshape(count, size).tolist()
        return shared

    def _named(self, rows: list[list[float]], names: list[str]) -> dict[str, float]:
        """Return the weighted loss, the means of the other losses, and loss and share of each group."""
        at = names.index("loss")
        losses = [row[at] for row in rows]
        shares = self.shares.tolist()
        weighted = sum(
            share * loss / scale for share, loss, scale in zip(shares, losses, self.scales, strict=True)
        )
        means = {
            name: sum(row[place] for row in rows) / len(rows)
            for place, name in enumerate(names)
            if name != "loss"
        }
        groups = dict(zip(self.names, losses, strict=True))
        weights = {f"share of {name}": share for name, share in zip(self.names, shares, strict=True)}
        return {"loss": weighted, **means, **groups, **weights}

    def update(self, losses: Mapping[str, float]) -> None:
        """Do a step of the ascent with the losses of the groups."""
        self.number += 1
        values = [losses[name] / scale for name, scale in zip(self.names, self.scales, strict=True)]
        now = torch.tensor(values, dtype=torch.float64)
        settings = self.settings
        if settings.step:
            before = now if self.before is None else self.before
            self.shares = ascended(self.shares, now, before, self.prior, settings.step, settings.strength)
        self.before = now

    def tensors(self) -> dict[str, Tensor]:
        """Return shares, last losses, counters, and what each group has not sent yet."""
        made = {"shares": self.shares, "counts": torch.tensor([self.number, self.bytes_up, self.bytes_down])}
        if self.before is not None:
            made["before"] = self.before
        if self.server_error is not None:
            made["server_error"] = self.server_error
        errors = self.errors
        if errors and isinstance(self.transport, Processes):
            own = next(iter(errors.values()))
            gathered = [torch.empty_like(own) for _ in self.names]
            dist.all_gather(gathered, own.contiguous(), self.transport.group)
            errors = dict(enumerate(gathered))
        return made | {f"error/{group}": error for group, error in errors.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set what `tensors` returned."""
        self.shares, self.before = tensors["shares"].cpu(), tensors.get("before")
        self.number, self.bytes_up, self.bytes_down = (int(count) for count in tensors["counts"])
        device = self.parameters[0].device if self.parameters else torch.device("cpu")
        if self.transport.is_server and "server_error" in tensors:
            self.server_error = tensors["server_error"].to(device)
        self.errors = {
            group: tensors[f"error/{group}"].to(device)
            for group in self.transport.numbers
            if f"error/{group}" in tensors
        }

    def summary(self) -> dict[str, Any]:
        """Return groups, shares, last losses and bytes, as values that JSON can store."""
        last = None if self.before is None else self.before.tolist()
        return {
            "groups": list(self.names),
            "shares": self.shares.tolist(),
            "relative_losses": last,
            "scales": self.scales,
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
        }


def _real(tensor: Tensor) -> Tensor:
    """Return all numbers of a tensor, real and imaginary parts of complex ones."""
    values = tensor.detach()
    return (torch.view_as_real(values) if values.is_complex() else values).flatten()
