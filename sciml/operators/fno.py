"""The Fourier neural operator, for comparison with the multigrid operators."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.checks import check_int
from sciml.errors import InputError
from sciml.nn.convolution import CONVOLUTIONS
from sciml.nn.norm_activation import check_norm, norm_activation
from sciml.operators.input_fields import check_input_fields
from sciml.tables import network_table

__all__ = ["FNO", "SpectralConvolution"]

UNCHANGED: Mapping[str, Any] = {"norm": None, "axes": 2}
"""Settings that a configuration does not contain if they have these values."""


class SpectralConvolution(nn.Module):
    """Multiply the lowest Fourier modes of a field by matrices over its channels.

    Parameters
    ----------
    channels, out_channels
        Numbers of input and output channels.
    modes
        Number of modes along each axis, counting both signs: wavenumbers 0 ... modes/2 along x, and -modes/2 ...
        modes/2 - 1 along the others. A grid with fewer modes uses all of them.
    dft
        Whether to compute the transforms as products with real matrices of sines and cosines, for exports without
        complex numbers; the result is the same.
    axes
        Number of axes in space, 1 to 3.

    Notes
    -----
    Li et al., "Fourier Neural Operator for Parametric Partial Differential Equations", ICLR 2021, equation 4.
    The weights are real, (channels, out_channels, modes, modes / 2 + 1, 2) in the plane, with the real and imaginary
    parts last.
    Transforms are scaled by the number of points, so that the operator does not depend on the grid.
    """

    def __init__(
        self, channels: int, out_channels: int, modes: int, *, dft: bool = False, axes: int = 2
    ) -> None:
        super().__init__()
        self.modes, self.dft = modes, dft
        spread = 1 / math.sqrt(
            channels + out_channels
        )  # of each part, so that layers preserve the size of a field
        shape = (*[modes] * (axes - 1), modes // 2 + 1, 2)
        self.weight = nn.Parameter(spread * torch.randn(channels, out_channels, *shape))

    def forward(self, x: Tensor) -> Tensor:
        """Map (sample, channel, y, x) to (sample, out channel, y, x)."""
        *others, nx = x.shape[2:]
        half = self.modes // 2
        weight: Tensor = self.weight
        waves = []
        for axis, n in enumerate(others):
            most = (n - 1) // 2  # the highest wavenumber of an even number of points has no sign
            here = [k for k in range(-half, self.modes - half) if abs(k) <= most]
            weight = weight.narrow(2 + axis, here[0] + half, len(here))
            waves.append(here)
        weight = weight.narrow(1 + len(x.shape[2:]), 0, min(half, nx // 2) + 1)
        if self.dft:
            return _by_matrices(x, weight, [torch.tensor(here) for here in waves])
        places = [
            torch.tensor([k % n for k in here], device=x.device)
            for here, n in zip(waves, others, strict=True)
        ]
        return _by_fft(x, weight, places)


def _by_fft(x: Tensor, weight: Tensor, rows: Sequence[Tensor]) -> Tensor:
    shape = x.shape[2:]
    kx, dims = weight.shape[-2], tuple(range(2, x.ndim))
    kind = torch.promote_types(x.dtype, torch.float32)  # some devices have no FFT in half precision
    field = torch.fft.rfftn(x.to(kind), dim=dims, norm="forward")
    pairs = torch.view_as_complex(weight.to(kind).contiguous())
    # The low waves along each axis; with one index tensor for each axis, which broadcast to a block.
    index = [row.view(-1, *[1] * (len(rows) - 1 - axis)) for axis, row in enumerate(rows)]
    low = (slice(None), slice(None), *index, slice(0, kx))
    mixed = _mixed(field[low], pairs)
    out = field.new_zeros(x.shape[0], weight.shape[1], *shape[:-1], shape[-1] // 2 + 1)
    out[low] = mixed
    back: Tensor = torch.fft.irfftn(out, s=shape, dim=dims, norm="forward")
    return back.to(x.dtype)


def _mixed(field: Tensor, matrices: Tensor) -> Tensor:
    """Multiply the channels of each wave by its matrix."""
    waves = "xyz"[: field.ndim - 2]
    return torch.einsum(f"bi{waves},io{waves}->bo{waves}", field, matrices)


def _by_matrices(x: Tensor, weight: Tensor, waves: Sequence[Tensor]) -> Tensor:
    *others, nx = x.shape[2:]
    kx = weight.shape[-2]
    along = [_waves(here, n, x) for here, n in zip(waves, others, strict=True)]
    cx, sx = _waves(torch.arange(kx), nx, x)
    # (c - i s)(a + i b) = (c a + s b) + i (c b - s a)
    real, imaginary = x @ cx.T / nx, -(x @ sx.T) / nx
    for axis, ((c, s), n) in reversed([*enumerate(zip(along, others, strict=True))]):
        real, imaginary = (
            (_at(axis, c, real) + _at(axis, s, imaginary)) / n,
            (_at(axis, c, imaginary) - _at(axis, s, real)) / n,
        )
    wr, wi = weight[..., 0].to(x), weight[..., 1].to(x)
    real, imaginary = (
        _mixed(real, wr) - _mixed(imaginary, wi),
        _mixed(real, wi) + _mixed(imaginary, wr),
    )
    for axis, (c, s) in enumerate(along):
        real, imaginary = (
            _at(axis, c.T, real) - _at(axis, s.T, imaginary),
            _at(axis, c.T, imaginary) + _at(axis, s.T, real),
        )
    # Waves along x of a real field count twice, for both signs, except the constant and the shortest wave.
    times = [1.0 if k == 0 or 2 * k == nx else 2.0 for k in range(kx)]
    twice = torch.tensor(times, dtype=x.dtype, device=x.device)
    return (real * twice) @ cx - (imaginary * twice) @ sx


def _at(axis: int, matrix: Tensor, field: Tensor) -> Tensor:
    """Multiply by a matrix along an axis in space other than the last."""
    place = 2 + axis
    if place == field.ndim - 2:
        return matrix @ field
    return (matrix @ field.movedim(place, -2)).movedim(-2, place)


def _waves(numbers: Tensor, points: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosines and sines (wavenumber, point)."""
    angles = torch.outer(numbers.double(), torch.arange(points).double()) * (2 * math.pi / points)
    return angles.cos().to(like), angles.sin().to(like)


@dataclass(frozen=True)
class _Shape:
    in_channels: int = 1
    out_channels: int = 1
    modes: int = 12
    width: int = 32
    layers: int = 4
    projection: int = 128
    coordinates: bool = True
    padding: float = 0.0
    norm: str | None = None
    axes: int = 2

    def __post_init__(self) -> None:
        for name in ("in_channels", "out_channels", "modes", "width", "layers", "projection"):
            check_int(name, getattr(self, name), 1, owner="FNO")
        if not 0 <= self.padding <= 1:
            raise InputError(f"FNO(padding={self.padding!r}): give a fraction of the grid, from 0 to 1")
        check_norm(self.norm, "FNO")
        if self.axes not in CONVOLUTIONS:
            raise InputError(f"FNO(axes={self.axes!r}): give 1, 2 or 3")


class FNO(nn.Module):
    """The Fourier neural operator: lift, then u <- GELU(spectral u + W u) for each layer, then project.

    Parameters
    ----------
    in_channels, out_channels
        Numbers of channels of the input and output fields.
    modes, width, layers
        Number of Fourier modes along each axis (both signs counted), of hidden channels, and of layers; the last layer
        has no GELU.
    projection
        Hidden channels of the two last 1x1 convolutions.
    coordinates
        Whether the coordinates, from 0 to 1, are one more input channel for each axis.
    padding
        Zeros after the end of each axis, as a fraction of the points, for fields that are not periodic.
    norm
        Name of a normalisation with activation (`sciml.nn.norm_activation.NORMS`), or None for GELU. A layer is then
        ``z = spectral u + W u; u <- z + norm(z)``, so that the amplitude of a field is on the path beside it.
    axes
        Number of axes in space: fields (sample, channel, x), (..., y, x) or (..., z, y, x).

    Raises
    ------
    InputError
        An argument is out of range. Raised by ``forward``: the fields have another shape or type.

    Notes
    -----
    Li et al., ICLR 2021, with the architecture of the authors for Darcy flow.

    Examples
    --------
    >>> network = FNO(modes=5, width=8, layers=2)
    >>> network(torch.zeros(3, 1, 17, 20)).shape
    torch.Size([3, 1, 17, 20])
    """

    command: ClassVar[str] = "fno"
    takes: ClassVar[Literal["fields"]] = "fields"
    learning_rate: ClassVar[float] = 1e-3
    channels_last: ClassVar[bool] = False
    any_resolution: ClassVar[bool] = True

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        *,
        modes: int = 12,
        width: int = 32,
        layers: int = 4,
        projection: int = 128,
        coordinates: bool = True,
        padding: float = 0.0,
        norm: str | None = None,
        axes: int = 2,
    ) -> None:
        super().__init__()
        self.shape = _Shape(
            in_channels,
            out_channels,
            modes,
            width,
            layers,
            projection,
            coordinates,
            float(padding),
            norm,
            axes,
        )
        convolution = CONVOLUTIONS[axes]
        self.lifting = convolution(in_channels + axes * coordinates, width, 1)
        self.spectral = nn.ModuleList(
            SpectralConvolution(width, width, modes, axes=axes) for _ in range(layers)
        )
        self.skips = nn.ModuleList(convolution(width, width, 1) for _ in range(layers))
        self.norms = nn.ModuleList(norm_activation(norm, width, axes) for _ in range(layers - 1) if norm)
        self.project = nn.Sequential(
            convolution(width, projection, 1), nn.GELU(), convolution(projection, out_channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (sample, channel, y, x) to (sample, out channel, y, x) on any grid."""
        shape = self.shape
        check_input_fields("FNO", x, shape.in_channels, shape.axes)
        points = x.shape[2:]
        if shape.coordinates:
            x = torch.cat([x, _coordinates(x)], 1)
        u = self.lifting(x)
        if shape.padding:
            u = F.pad(u, [n for k in reversed(points) for n in (0, math.ceil(shape.padding * k))])
        last = len(self.skips) - 1
        for number, (spectral, skip) in enumerate(zip(self.spectral, self.skips, strict=True)):
            u = spectral(u) + skip(u)
            if number < last:
                u = u + self.norms[number](u) if shape.norm else F.gelu(u)
        out: Tensor = self.project(u[(..., *(slice(0, n) for n in points))])
        return out

    _repr_html_ = network_table

    def config(self) -> dict[str, Any]:
        """Configuration of this network for `sciml.operators.registry.build`, as JSON stores it."""
        settings = asdict(self.shape)
        return {
            "class": "FNO",
            **{name: x for name, x in settings.items() if x != UNCHANGED.get(name, ...)},
        }

    def real(self, *, on: bool = True) -> FNO:
        """Compute the transforms as products with real matrices (``on=True``) or by FFT; returns this network."""
        for layer in self.spectral:
            layer.dft = on  # type: ignore[assignment]
        return self


def _coordinates(x: Tensor) -> Tensor:
    """Return the coordinates x, y and z from 0 to 1, (sample, axes, *points)."""
    points = x.shape[2:]
    along = [torch.linspace(0, 1, n, dtype=x.dtype, device=x.device) for n in points]
    mesh = reversed(torch.meshgrid(*along, indexing="ij"))
    return torch.stack(list(mesh)).expand(x.shape[0], -1, *points)
