"""A multigrid network that approximates the inverse of a Helmholtz operator with absorbing layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.checks import check_whole
from sciml.errors import InputError

__all__ = ["ComplexConvolution", "HelmholtzNet", "apply_helmholtz"]

Gates: TypeAlias = list[list[Tensor]]
"""Gates of each level, finest first: (medium, 2 * channels, y, x), real parts first."""
JACOBI = 0.17
"""First value of the gates of the finest level: about 1 over the diagonal."""


def apply_helmholtz(u: Tensor, squared: Tensor, absorbed: Tensor) -> Tensor:
    """Apply 4 u - (sum of the four neighbours) - (squared + i absorbed) u, zero outside of the grid.

    Parameters
    ----------
    u
        (batch, 2, y, x), real and imaginary parts.
    squared, absorbed
        (k h)^2 and its product with the absorption, (medium, y, x); medium is the batch or 1.
    """
    own, other = (4 - squared)[:, None], torch.stack([absorbed, -absorbed], 1)
    made = own * u + other * u.flip(1)
    made[:, :, 1:] -= u[:, :, :-1]
    made[:, :, :-1] -= u[:, :, 1:]
    made[..., 1:] -= u[..., :-1]
    made[..., :-1] -= u[..., 1:]
    return made


def _times(gate: Tensor, x: Tensor) -> Tensor:
    """Multiply complex fields (batch, 2 * channels, y, x), the first half of the channels real parts."""
    half = x.shape[1] // 2
    a, b, c, d = gate[:, :half], gate[:, half:], x[:, :half], x[:, half:]
    return torch.cat([a * c - b * d, a * d + b * c], 1)


class ComplexConvolution(nn.Module):
    """A convolution of 3 x 3 of complex channels, as one real convolution of twice as many.

    Parameters
    ----------
    channels, made
        Complex channels of input and output.
    stride
        2 halves an odd grid: 2 n + 1 nodes become n, or n become 2 n + 1 if ``transposed``; no bias.
    """

    def __init__(self, channels: int, made: int, stride: int = 1, transposed: bool = False) -> None:
        super().__init__()
        self.stride, self.transposed = stride, transposed
        shape = (channels, made) if transposed else (made, channels)
        deviation = (2 if transposed else 1) / math.sqrt(18 * channels)
        self.weight = nn.Parameter(deviation * torch.randn(2, *shape, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 2 * channels, y, x)."""
        real, imaginary = self.weight.unbind()
        if self.transposed:
            rows = torch.cat([real, imaginary], 1), torch.cat([-imaginary, real], 1)
            return functional.conv_transpose2d(x, torch.cat(rows), stride=self.stride)
        rows = torch.cat([real, -imaginary], 1), torch.cat([imaginary, real], 1)
        return functional.conv2d(x, torch.cat(rows), stride=self.stride, padding=int(self.stride == 1))


class _Smoothing(nn.Module):
    """u + gate S (f - A u), with convolutions A and S; gate S f if u is None."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.matrix = ComplexConvolution(channels, channels)
        self.smoother = ComplexConvolution(channels, channels)

    def forward(self, u: Tensor | None, f: Tensor, gate: Tensor) -> Tensor:
        if u is None:
            return _times(gate, self.smoother(f))
        return u + _times(gate, self.smoother(f - self.matrix(u)))


class HelmholtzNet(nn.Module):
    """A V-cycle of complex channels, linear in the residual, with gates that a small network makes from the medium.

    The finest level smooths with the matrix of the problem. On coarser levels the matrices, smoothers and transfers
    are learned convolutions of several channels, each of which can hold waves of another direction, and gates multiply
    the channels at each node by functions of (k h)^2 and of the absorption there. No size or level is bound to the
    domain: larger domains use the same weights. After McMg (Jia, Liu, Wang and Xu 2026, arXiv 2606.30495).

    Parameters
    ----------
    channels
        Complex channels of each level below the finest, finest first.
    hidden
        Channels of the network of the medium.
    fine, after, coarsest
        Smoothing steps after the coarse correction on the finest and on other levels, and on the coarsest level.

    Raises
    ------
    InputError
        A number is not a positive whole number.

    Examples
    --------
    >>> network = HelmholtzNet(channels=(2, 3), hidden=4)
    >>> squared, absorbed = torch.full((1, 15, 15), 0.3), torch.zeros(1, 15, 15)
    >>> gates = network.prepare(squared, absorbed)
    >>> network(torch.ones(2, 2, 15, 15), squared, absorbed, gates).shape
    torch.Size([2, 2, 15, 15])
    """

    def __init__(
        self,
        channels: Sequence[int] = (6, 12, 24),
        hidden: int = 24,
        fine: int = 2,
        after: int = 2,
        coarsest: int = 4,
    ) -> None:
        super().__init__()
        widths = tuple(channels)
        for width in widths:
            check_whole("channels", width, 1)
        named = {"hidden": hidden, "fine": fine, "after": after, "coarsest": coarsest}
        for name, value in named.items():
            check_whole(name, value, 1)
        if not widths:
            raise InputError("channels=(): give those of one coarse level at least, such as (6, 12, 24)")
        self._config = {"channels": list(widths), **named}
        self.channels, self.fine = (1, *widths), fine
        between = self.channels[1:-1]
        pairs = list(zip(self.channels[:-1], self.channels[1:], strict=True))
        self.restrictions = nn.ModuleList([ComplexConvolution(a, b, 2) for a, b in pairs])
        self.prolongations = nn.ModuleList([ComplexConvolution(b, a, 2, transposed=True) for a, b in pairs])
        self.before = nn.ModuleList([_Smoothing(c) for c in between])
        self.matrices = nn.ModuleList([ComplexConvolution(c, c) for c in between])
        self.after = nn.ModuleList([nn.ModuleList([_Smoothing(c) for _ in range(after)]) for c in between])
        self.coarsest = nn.ModuleList([_Smoothing(self.channels[-1]) for _ in range(coarsest)])
        with torch.no_grad():
            next(self.prolongations[0].parameters()).mul_(0.1)  # starts as a smoother with a small correction
        gates = [1 + fine, *[2 + after] * len(between), coarsest]
        self.media = nn.ModuleList(
            [self._medium(level, hidden, gates[level]) for level in range(len(self.channels))]
        )

    def _medium(self, level: int, hidden: int, gates: int) -> nn.Sequential:
        """Make the part of the network of the medium that makes the gates of one level."""
        first = nn.Conv2d(3, hidden, 3, padding=1) if level == 0 else nn.Conv2d(hidden + 3, hidden, 3, 2)
        channels = self.channels[level]
        last = nn.Conv2d(hidden, gates * 2 * channels, 1)
        nn.init.normal_(last.weight, std=0.05)
        start = torch.tensor([JACOBI if level == 0 else 1.0, 0.0])
        assert last.bias is not None
        with torch.no_grad():
            last.bias.copy_(start[:, None].expand(gates, 2, channels).reshape(-1))
        return nn.Sequential(first, nn.GELU(), nn.Conv2d(hidden, hidden, 3, padding=1), nn.GELU(), last)

    def config(self) -> dict[str, Any]:
        """Return the class and its settings."""
        return {"class": type(self).__name__, **self._config}

    @property
    def multiple(self) -> int:
        """Number that divides nodes + 1 along each axis of the grids that the network accepts."""
        return int(2 ** (len(self.channels) - 1))

    def prepare(self, squared: Tensor, absorbed: Tensor) -> Gates:
        """Compute the gates of media from (k h)^2 and its product with the absorption, both (medium, y, x)."""
        raw = torch.stack([4 * squared - 0.8, 4 * absorbed, 4 * (squared + 1e-3).sqrt() - 1.6], 1)
        gates: Gates = []
        hidden: Tensor | None = None
        for level, part in enumerate(self.media):
            layers = list(part.children())
            hidden = raw if hidden is None else torch.cat([hidden, raw], 1)
            for layer in layers[:-1]:
                hidden = layer(hidden)
            made: Tensor = layers[-1](hidden)
            gates.append(list(torch.split(made, 2 * self.channels[level], 1)))
            if level > 0:
                raw = functional.avg_pool2d(raw, 3, 2)
        return gates

    def forward(self, r: Tensor, squared: Tensor, absorbed: Tensor, gates: Gates) -> Tensor:
        """Approximate the solution e (batch, 2, y, x) of A e = r; linear in r.

        Parameters
        ----------
        r
            Residuals (batch, 2, y, x), real and imaginary parts; y + 1 and x + 1 are multiples of ``multiple``.
        squared, absorbed, gates
            Of `prepare`; one medium, or one for each residual.
        """
        u: Tensor = _times(gates[0][0], r)
        f: Tensor = self.restrictions[0](r - apply_helmholtz(u, squared, absorbed))
        f = f.contiguous(memory_format=torch.channels_last)  # convolutions are twice as fast
        u = u + self.prolongations[0](self._coarse(1, f, gates)).contiguous()
        for gate in gates[0][1:]:
            u = u + _times(gate, r - apply_helmholtz(u, squared, absorbed))
        return u

    def _coarse(self, level: int, f: Tensor, gates: Gates) -> Tensor:
        gate = gates[level]
        if level == len(self.channels) - 1:
            v: Tensor | None = None
            for step, smoothing in enumerate(self.coarsest):
                v = smoothing(v, f, gate[step])
            assert v is not None
            return v
        u: Tensor = self.before[level - 1](None, f, gate[0])
        left = _times(gate[1], f - self.matrices[level - 1](u))
        u = u + self.prolongations[level](self._coarse(level + 1, self.restrictions[level](left), gates))
        for step, smoothing in enumerate(self.after[level - 1]):  # type: ignore[arg-type]
            u = smoothing(u, f, gate[2 + step])
        return u
