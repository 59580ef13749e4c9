"""MASHA: min-max methods that compress differences from a reference point.

Beznosikov, Richtarik, Diskin, Ryabinin and Gasnikov, "Distributed methods with compressed communication for solving
variational inequalities, with theoretical guarantees", NeurIPS 2022. The algorithms here are our own implementation,
and the condition of the step is derived for this form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sciml.checks import check_choice, check_positive, check_whole, is_number
from sciml.errors import InputError
from sciml.train.minmax.compressors import Compressor, Identity, RandK, TopK
from sciml.train.minmax.draws import Draws
from sciml.train.minmax.inequality import FiniteSum, VariationalInequality
from sciml.train.minmax.iteration import Channel, Iterate, SaddleSolution, iterate, transport_of
from sciml.train.minmax.transport import Transport

__all__ = ["MASHA1", "MASHA2"]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Masha:
    """Settings that both methods have."""

    transport: Transport | None = None
    step: float | None = None
    tau: float | None = None
    participants: int | None = None
    batch: int | None = None
    payload: torch.dtype | None = None
    max_iterations: int = 100_000
    rtol: float = 1e-6
    draws: Draws = Draws()  # noqa: RUF009

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check_whole("max_iterations", self.max_iterations, 1, owner=owner)
        for name, count in (("participants", self.participants), ("batch", self.batch)):
            if count is not None:
                check_whole(name, count, 1, owner=owner)
        if self.step is not None:
            check_positive("step", self.step, owner=owner)
        if self.tau is not None and not (is_number(self.tau) and 0 <= self.tau < 1):
            raise InputError(f"{owner}(tau={self.tau!r}): give a number from 0 to below 1")

    def _compressors(self) -> tuple[Compressor, Compressor]:
        raise NotImplementedError

    def _channels(self, problem: VariationalInequality) -> tuple[Channel, Channel]:
        """Return the compressed channel and the one for the mean at the reference point."""
        transport = transport_of(problem, self.transport)
        if self.participants is not None and self.participants > transport.devices:
            raise InputError(
                f"participants={self.participants} of {transport.devices} devices: give at most that number"
            )
        if self.batch is not None:
            terms = [getattr(operator, "terms", 0) for operator in problem.operators]
            if not all(isinstance(operator, FiniteSum) for operator in problem.operators):
                raise InputError(
                    f"batch={self.batch}: the operators are no sums of terms; give a FiniteSum, or no batch"
                )
            if self.batch > min(terms):
                raise InputError(
                    f"batch={self.batch}: an operator has {min(terms)} terms; give at most that number"
                )
        up, down = self._compressors()
        whole = Channel(transport, self.draws, Identity(), Identity(), self.payload)
        return Channel(transport, self.draws, up, down, self.payload), whole

    def refresh(self, size: int) -> float:
        """Return 1 - tau, the probability with which the reference point is renewed, for vectors of a size.

        Parameters
        ----------
        size
            Number of components of z.

        Returns
        -------
        float
            By default the share of the bytes of a vector in float32 that a message has, so that both kinds of messages
            send equally many.
        """
        if self.tau is not None:
            return 1 - self.tau
        layout = self._compressors()[0].layout(size, torch.float32)
        return min(1.0, sum(count * kind.itemsize for count, kind in layout) / (4 * size))

    def init(self, problem: VariationalInequality) -> Iterate:
        """Compute the mean of the operators at the start, which is the first reference point."""
        channel, whole = self._channels(problem)
        self._step(problem, channel)
        z = problem.start.clone()
        before = whole.transport.traffic
        mean = whole.mean(problem, z, 0)
        zeros = {device: torch.zeros_like(z) for device in whole.transport.numbers}
        return Iterate(0, z, z, mean, zeros, torch.zeros_like(z), whole.transport.traffic - before)

    def _step(self, problem: VariationalInequality, channel: Channel) -> float:
        raise NotImplementedError

    def _senders(self, channel: Channel, number: int) -> list[int]:
        devices = channel.transport.devices
        if self.participants is None:
            return list(range(devices))
        return self.draws.devices(number, devices, self.participants)

    def _differences(
        self, problem: VariationalInequality, channel: Channel, now: Iterate, half: Tensor, senders: list[int]
    ) -> dict[int, Tensor]:
        """Return F_m at the half step minus F_m at the reference point, of the same terms."""
        assert now.reference is not None
        values = {}
        for place, device in enumerate(channel.transport.numbers):
            if device not in senders:
                continue
            chosen = None
            if self.batch is not None:
                terms = problem.operators[place].terms  # type: ignore[attr-defined]
                chosen = self.draws.terms(now.number, device, terms, self.batch)
            values[device] = problem.evaluate(place, half, chosen) - problem.evaluate(
                place, now.reference, chosen
            )
        return values


@dataclass(frozen=True, eq=False)
class MASHA1(_Masha):
    """Algorithm with unbiased compressors and a proximal operator.

    An iteration starts from z and the reference point w, with ``c = tau z + (1 - tau) w``, and takes a half step
    ``u = prox(c - g F(w))``. Each device sends ``Q(F_m(u) - F_m(w))``, the server sends the mean of these, compressed
    too, and ``z <- prox(c - g (mean + F(w)))``. With probability 1 - tau, by one coin for all, w becomes z and F(w) is
    sent without compression.

    Parameters
    ----------
    compressor
        Unbiased compressor of the devices, such as `RandK` or `NaturalRounding`.
    server
        Unbiased compressor of the server; by default its messages are not compressed.
    reference
        Whether w becomes the ``new`` z of an iteration, or the ``old`` one as probably in the paper. The new one is
        about twice as accurate after equally many iterations.
    transport
        Transport; by default all devices are in this process.
    step
        Step g; by default sqrt(1 - tau) / C with ``C^2 = (q_s / M^2) sum_m (q_m + M - 1) L_m^2`` for M devices with
        Lipschitz constants L_m and compressors of variance q. The paper's is half of it.
    tau
        1 - tau is the probability of a new reference point; by default the share of the bytes that are sent.
    participants
        Number of devices that send in an iteration, drawn at random; by default all.
    batch
        Number of terms of each device's operator in an iteration, drawn at random; by default all. The Lipschitz
        constants are then those of single terms.
    payload
        Type of the numbers that are sent; None sends those of z.
    max_iterations, rtol
        Largest number of iterations, and the error at which to stop (`Record`).
    draws
        Random numbers.

    Raises
    ------
    InputError
        A setting is out of range or a compressor is biased. Raised by `init`: no step is given and no Lipschitz
        constant is known, or the numbers of operators and devices differ.

    Examples
    --------
    >>> from sciml.solve import solve
    >>> from sciml.train.minmax.games import bilinear_game
    >>> solution = solve(bilinear_game(3, size=10, strength=0.5), MASHA1(RandK(0.25)))
    >>> solution.result.name, solution.stats["error"] <= 1e-6
    ('SUCCESS', True)
    """

    compressor: Compressor = RandK(0.05)  # noqa: RUF009
    server: Compressor = Identity()  # noqa: RUF009
    reference: Literal["new", "old"] = "new"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("reference", self.reference, ("new", "old"))
        for compressor in (self.compressor, self.server):
            if not compressor.unbiased:
                raise InputError(
                    f"MASHA1 with {compressor!r}, which is biased: give RandK or NaturalRounding, or use MASHA2"
                )

    def _compressors(self) -> tuple[Compressor, Compressor]:
        return self.compressor, self.server

    def _step(self, problem: VariationalInequality, channel: Channel) -> float:
        if self.step is not None:
            return self.step
        devices = channel.transport.devices
        if problem.lipschitz is None or len(problem.lipschitz) != devices:
            known = 0 if problem.lipschitz is None else len(problem.lipschitz)
            raise InputError(
                f"MASHA1() with {known} Lipschitz constants for {devices} devices: give step, or one for each"
            )
        taking = 1.0 if self.participants is None else devices / self.participants
        variance = self.compressor.variance(problem.size) * taking
        total = sum((variance + devices - 1) * constant**2 for constant in problem.lipschitz)
        square = self.server.variance(problem.size) * total / devices**2
        return math.sqrt(self.refresh(problem.size) / square)

    def run(self, problem: VariationalInequality, state: Iterate) -> SaddleSolution:
        """Iterate from a state."""
        channel, whole = self._channels(problem)
        step, renew = self._step(problem, channel), self.refresh(problem.size)

        def advance(now: Iterate) -> Iterate:
            assert now.reference is not None and now.mean is not None
            centre = (1 - renew) * now.z + renew * now.reference
            half = problem.project(centre - step * now.mean, step)
            senders = self._senders(channel, now.number)
            values = self._differences(problem, channel, now, half, senders)
            mean, _ = channel.collect(values, senders, now.number, now.z)
            answer = channel.distribute(mean, now.number, now.z)
            z = problem.project(centre - step * (answer + now.mean), step)
            after = replace(now, z=z)
            if self.draws.coin(now.number) >= renew:
                return after
            return _renewed(problem, whole, after, z if self.reference == "new" else now.z)

        return iterate(problem, channel.transport, state, advance, self.max_iterations, self.rtol)


@dataclass(frozen=True, eq=False)
class MASHA2(_Masha):
    """Algorithm with contractive compressors and error feedback at both ends; without a proximal operator.

    As `MASHA1`, but each device adds what it has not sent yet to g times its difference, sends the compressed sum, and
    retains the rest; so does the server; ``z <- u - that``.

    Parameters
    ----------
    compressor, server
        Compressors of the devices and of the server, such as `TopK`.
    transport
        Transport; by default all devices are in this process.
    step
        Step g, which has to be given: its theorem could not be verified.
    tau
        1 - tau is the probability of a new reference point; by default the share of the bytes that are sent.
    participants, batch, payload, max_iterations, rtol, draws
        As in `MASHA1`. A device that does not take part retains its rest.

    Raises
    ------
    InputError
        A setting is out of range. Raised by `init`: no step is given, the problem has a proximal operator, or the
        numbers of operators and devices differ.

    Examples
    --------
    >>> from sciml.solve import solve
    >>> from sciml.train.minmax.games import bilinear_game
    >>> solve(bilinear_game(3, size=10, strength=0.5), MASHA2(step=0.2)).result.name
    'SUCCESS'
    """

    compressor: Compressor = TopK(0.3)  # noqa: RUF009
    server: Compressor = TopK(0.3)  # noqa: RUF009

    def _compressors(self) -> tuple[Compressor, Compressor]:
        return self.compressor, self.server

    def _step(self, problem: VariationalInequality, channel: Channel) -> float:
        if problem.proximal is not None:
            raise InputError("MASHA2 has no proximal operator: use MASHA1")
        if self.step is None:
            raise InputError("MASHA2() needs a step, such as MASHA2(step=0.1)")
        return self.step

    def run(self, problem: VariationalInequality, state: Iterate) -> SaddleSolution:
        """Iterate from a state."""
        channel, whole = self._channels(problem)
        step, renew = self._step(problem, channel), self.refresh(problem.size)

        def advance(now: Iterate) -> Iterate:
            assert now.reference is not None and now.mean is not None and now.server_error is not None
            half = (1 - renew) * now.z + renew * now.reference - step * now.mean
            senders = self._senders(channel, now.number)
            values = self._differences(problem, channel, now, half, senders)
            owed = {device: step * value + now.errors[device] for device, value in values.items()}
            mean, arrived = channel.collect(owed, senders, now.number, now.z)
            errors = {**now.errors, **{device: owed[device] - arrived[device] for device in owed}}
            total = None if mean is None else mean + now.server_error
            answer = channel.distribute(total, now.number, now.z)
            z = half - answer
            server_error = now.server_error if total is None else total - answer
            after = replace(now, z=z, errors=errors, server_error=server_error)
            return after if self.draws.coin(now.number) >= renew else _renewed(problem, whole, after, z)

        return iterate(problem, channel.transport, state, advance, self.max_iterations, self.rtol)


def _renewed(problem: VariationalInequality, channel: Channel, now: Iterate, reference: Tensor) -> Iterate:
    """Return the state with another reference point."""
    return replace(now, reference=reference, mean=channel.mean(problem, reference, now.number))
