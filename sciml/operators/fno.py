"""The Fourier neural operator, for comparison with the multigrid operators."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciml.checks import check_int
from sciml.errors import InputError
from sciml.nn.norm_activation import check_norm, norm_activation
from sciml.operators.input_fields import check_input_fields
from sciml.tables import network_table

__all__ = ["FNO", "SpectralConvolution"]


class SpectralConvolution(nn.Module):
    """Multiply the lowest Fourier modes of a field by matrices over its channels.

    Parameters
    ----------
    channels, out_channels
        Numbers of input and output channels.
    modes
        Number of modes along each axis, counting both signs: wavenumbers -modes/2 ... modes/2 - 1 along y and
        0 ... modes/2 along x. A grid with fewer modes uses all of them.
    dft
        Whether to compute the transforms as products with real matrices of sines and cosines, for exports without
        complex numbers; the result is the same.

    Notes
    -----
    Li et al., "Fourier Neural Operator for Parametric Partial Differential Equations", ICLR 2021, equation 4.
    The weights are real, (channels, out_channels, modes, modes / 2 + 1, 2), with the real and imaginary parts last.
    Transforms are scaled by the number of points, so that the operator does not depend on the grid.
    """

    def __init__(self, channels: int, out_channels: int, modes: int, *, dft: bool = False) -> None:
        super().__init__()
        self.modes, self.dft = modes, dft
        spread = 1 / math.sqrt(
            channels + out_channels
        )  # of each part, so that layers preserve the size of a field
        self.weight = nn.Parameter(spread * torch.randn(channels, out_channels, modes, modes // 2 + 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (sample, channel, y, x) to (sample, out channel, y, x)."""
        ny, nx = x.shape[-2:]
        half, most = self.modes // 2, (ny - 1) // 2  # the highest wavenumber of an even ny has no sign
        waves = [k for k in range(-half, self.modes - half) if abs(k) <= most]
        columns = min(half, nx // 2) + 1
        weight = self.weight[:, :, waves[0] + half : waves[-1] + half + 1, :columns]
        if self.dft:
            return _by_matrices(x, weight, torch.tensor(waves))
        return _by_fft(x, weight, torch.tensor([k % ny for k in waves], device=x.device))


def _by_fft(x: Tensor, weight: Tensor, rows: Tensor) -> Tensor:
    ny, nx = x.shape[-2:]
    kx = weight.shape[3]
    kind = torch.promote_types(x.dtype, torch.float32)  # some devices have no FFT in half precision
    field = torch.fft.rfft2(x.to(kind), norm="forward")
    pairs = torch.view_as_complex(weight.to(kind).contiguous())
    mixed = torch.einsum("bixy,ioxy->boxy", field[:, :, rows, :kx], pairs)
    out = field.new_zeros(x.shape[0], weight.shape[1], ny, nx // 2 + 1)
    out[:, :, rows, :kx] = mixed
    back: Tensor = torch.fft.irfft2(out, s=(ny, nx), norm="forward")
    return back.to(x.dtype)


def _by_matrices(x: Tensor, weight: Tensor, waves: Tensor) -> Tensor:
    ny, nx = x.shape[-2:]
    kx = weight.shape[3]
    (cy, sy), (cx, sx) = _waves(waves, ny, x), _waves(torch.arange(kx), nx, x)
    # (c - i s)(a + i b) = (c a + s b) + i (c b - s a)
    real, imaginary = x @ cx.T / nx, -(x @ sx.T) / nx
    real, imaginary = (cy @ real + sy @ imaginary) / ny, (cy @ imaginary - sy @ real) / ny
    wr, wi = weight[..., 0].to(x), weight[..., 1].to(x)

    def mix(field: Tensor, matrices: Tensor) -> Tensor:
        return torch.einsum("bixy,ioxy->boxy", field, matrices)

    real, imaginary = mix(real, wr) - mix(imaginary, wi), mix(real, wi) + mix(imaginary, wr)
    real, imaginary = cy.T @ real - sy.T @ imaginary, cy.T @ imaginary + sy.T @ real
    # Waves along x of a real field count twice, for both signs, except the constant and the shortest wave.
    times = [1.0 if k == 0 or 2 * k == nx else 2.0 for k in range(kx)]
    twice = torch.tensor(times, dtype=x.dtype, device=x.device)
    return (real * twice) @ cx - (imaginary * twice) @ sx


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

    def __post_init__(self) -> None:
        for name in ("in_channels", "out_channels", "modes", "width", "layers", "projection"):
            check_int(name, getattr(self, name), 1, owner="FNO")
        if not 0 <= self.padding <= 1:
            raise InputError(f"FNO(padding={self.padding!r}): give a fraction of the grid, from 0 to 1")
        check_norm(self.norm, "FNO")


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
        Whether the coordinates x and y, from 0 to 1, are two more input channels.
    padding
        Zeros after the end of both axes, as a fraction of the points, for fields that are not periodic.
    norm
        Name of a normalisation with activation (`sciml.nn.norm_activation.NORMS`), or None for GELU. A layer is then
        ``z = spectral u + W u; u <- z + norm(z)``, so that the amplitude of a field is on the path beside it.

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
    ) -> None:
        super().__init__()
        self.shape = _Shape(
            in_channels, out_channels, modes, width, layers, projection, coordinates, float(padding), norm
        )
        self.lifting = nn.Conv2d(in_channels + 2 * coordinates, width, 1)
        self.spectral = nn.ModuleList(SpectralConvolution(width, width, modes) for _ in range(layers))
        self.skips = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(layers))
        self.norms = nn.ModuleList(norm_activation(norm, width, 2) for _ in range(layers - 1) if norm)
        self.project = nn.Sequential(
            nn.Conv2d(width, projection, 1), nn.GELU(), nn.Conv2d(projection, out_channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (sample, channel, y, x) to (sample, out channel, y, x) on any grid."""
        shape = self.shape
        check_input_fields("FNO", x, shape.in_channels)
        ny, nx = x.shape[2:]
        if shape.coordinates:
            x = torch.cat([x, _coordinates(x)], 1)
        u = self.lifting(x)
        if shape.padding:
            u = F.pad(u, (0, math.ceil(shape.padding * nx), 0, math.ceil(shape.padding * ny)))
        last = len(self.skips) - 1
        for number, (spectral, skip) in enumerate(zip(self.spectral, self.skips, strict=True)):
            u = spectral(u) + skip(u)
            if number < last:
                u = u + self.norms[number](u) if shape.norm else F.gelu(u)
        out: Tensor = self.project(u[..., :ny, :nx])
        return out

    _repr_html_ = network_table

    def config(self) -> dict[str, Any]:
        """Configuration of this network for `sciml.operators.registry.build`, as JSON stores it."""
        settings = asdict(self.shape)
        return {
            "class": "FNO",
            **{name: x for name, x in settings.items() if name != "norm" or x is not None},
        }

    def real(self, *, on: bool = True) -> FNO:
        """Compute the transforms as products with real matrices (``on=True``) or by FFT; returns this network."""
        for layer in self.spectral:
            layer.dft = on  # type: ignore[assignment]
        return self


def _coordinates(x: Tensor) -> Tensor:
    """Return the coordinates from 0 to 1 (sample, 2, y, x)."""
    ny, nx = x.shape[2:]
    across = torch.linspace(0, 1, nx, dtype=x.dtype, device=x.device).view(1, 1, 1, nx)
    up = torch.linspace(0, 1, ny, dtype=x.dtype, device=x.device).view(1, 1, ny, 1)
    plane = torch.cat([across.expand(1, 1, ny, nx), up.expand(1, 1, ny, nx)], 1)
    return plane.expand(x.shape[0], 2, ny, nx)
