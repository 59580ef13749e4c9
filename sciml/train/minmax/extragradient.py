"""The extragradient method, as baseline: uncompressed, or naively compressed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from sciml.checks import check_positive, check_whole
from sciml.errors import InputError
from sciml.train.minmax.compressors import Compressor, Identity
from sciml.train.minmax.draws import Draws
from sciml.train.minmax.inequality import VariationalInequality
from sciml.train.minmax.iteration import Channel, Iterate, SaddleSolution, iterate, transport_of
from sciml.train.minmax.transport import Transport

__all__ = ["Extragradient"]


@dataclass(frozen=True, eq=False)
class Extragradient:
    """Algorithm: ``u = prox(z - g F(z))``, then ``z <- prox(z - g F(u))``.

    Parameters
    ----------
    step
        Step g; by default 1 over the mean Lipschitz constant of the devices, which bounds that of F.
    compressor
        Compressor of the devices' messages. Any but the identity is a naive method that does not converge: it is here
        for comparison.
    transport
        Transport; by default all devices are in this process.
    payload
        Type of the numbers that are sent; None sends those of z.
    max_iterations, rtol
        Largest number of iterations, and the error at which to stop (`Record`).
    draws
        Random numbers.

    Raises
    ------
    InputError
        A setting is out of range. Raised by `init`: no step is given and no Lipschitz constant is known, or the numbers
        of operators and devices differ.

    Notes
    -----
    Korpelevich (1976).

    Examples
    --------
    >>> from sciml.solve import solve
    >>> from sciml.train.minmax.games import bilinear_game
    >>> solve(bilinear_game(3), Extragradient()).result.name
    'SUCCESS'
    """

    step: float | None = None
    compressor: Compressor = Identity()  # noqa: RUF009
    transport: Transport | None = None
    payload: torch.dtype | None = None
    max_iterations: int = 10_000
    rtol: float = 1e-6
    draws: Draws = Draws()  # noqa: RUF009

    def __post_init__(self) -> None:
        check_whole("max_iterations", self.max_iterations, 1, owner="Extragradient")
        if self.step is not None:
            check_positive("step", self.step, owner="Extragradient")

    def init(self, problem: VariationalInequality) -> Iterate:
        """Return the first state."""
        transport_of(problem, self.transport)
        self._step(problem)
        return Iterate(0, problem.start.clone())

    def _step(self, problem: VariationalInequality) -> float:
        if self.step is not None:
            return self.step
        if problem.lipschitz is None:
            raise InputError("Extragradient() needs a step, or a problem with its lipschitz constants")
        return len(problem.lipschitz) / sum(problem.lipschitz)

    def run(self, problem: VariationalInequality, state: Iterate) -> SaddleSolution:
        """Iterate from a state."""
        transport, step = transport_of(problem, self.transport), self._step(problem)
        channel = Channel(transport, self.draws, self.compressor, Identity(), self.payload)

        def advance(now: Iterate) -> Iterate:
            half = problem.project(now.z - step * channel.mean(problem, now.z, now.number), step)
            z = problem.project(now.z - step * channel.mean(problem, half, now.number), step)
            return replace(now, z=z)

        return iterate(problem, transport, state, advance, self.max_iterations, self.rtol)
