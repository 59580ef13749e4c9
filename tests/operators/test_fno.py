"""The Fourier neural operator, against numpy's transforms; and networks by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import InputError
from sciml.operators.fno import FNO, SpectralConvolution
from sciml.operators.published.benchmarks import PublishedArchitecture
from sciml.operators.published.network import PublishedMgNO, published
from sciml.operators.registry import build, class_of


def test_as_many_parameters_as_the_benchmark() -> None:
    # 701,281 with the library that the measured baseline came from
    assert abs(sum(p.numel() for p in FNO().parameters()) / 701_281 - 1) < 0.01


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 14), st.integers(3, 14), st.integers(2, 9))
def test_spectral_convolution_by_numpy(ny: int, nx: int, modes: int) -> None:
    torch.manual_seed(100 * ny + 10 * nx + modes)
    layer = SpectralConvolution(2, 3, modes).double()
    x = torch.randn(2, 2, ny, nx, dtype=torch.float64)
    weight = layer.weight.detach().numpy()
    matrices = weight[..., 0] + 1j * weight[..., 1]
    field, half = np.fft.fft2(x.numpy()), modes // 2
    wanted = np.zeros((2, 3, ny, nx))
    y, across = np.meshgrid(np.arange(ny) / ny, np.arange(nx) / nx, indexing="ij")
    for row in range(modes):
        ky = row - half
        for kx in range(half + 1):
            if 2 * abs(ky) >= ny or 2 * kx > nx:
                continue
            mode = np.einsum("bi,io->bo", field[:, :, ky, kx], matrices[:, :, row, kx]) / (ny * nx)
            times = 1 if kx == 0 or 2 * kx == nx else 2
            wave = np.exp(2j * np.pi * (ky * y + kx * across))
            wanted += times * (mode[..., None, None] * wave).real
    with torch.no_grad():
        np.testing.assert_allclose(layer(x).numpy(), wanted, atol=1e-12)
        layer.dft = True
        np.testing.assert_allclose(layer(x).numpy(), wanted, atol=1e-12)


def test_one_wave_on_every_grid() -> None:
    torch.manual_seed(7)
    layer = SpectralConvolution(1, 1, 6).double()
    answers = []
    for points in (16, 32, 48):
        t = torch.arange(points, dtype=torch.float64) * (2 * torch.pi / points)
        wave = torch.sin(t)[:, None] * torch.cos(2 * t)[None]
        answers.append(layer(wave[None, None])[0, 0, :: points // 16, :: points // 16])
    torch.testing.assert_close(answers[1], answers[0])
    torch.testing.assert_close(answers[2], answers[0])


@pytest.mark.parametrize("padding", [0.0, 0.25])
def test_gradients(padding: float) -> None:
    torch.manual_seed(7)
    network = FNO(2, 1, modes=4, width=3, layers=2, projection=4, padding=padding).double()
    x = torch.randn(2, 2, 7, 6, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(network, (x,), atol=1e-6)


def test_real_transforms_are_the_same() -> None:
    torch.manual_seed(7)
    network = FNO(modes=8, width=6, layers=3, padding=0.1)
    x = torch.randn(2, 1, 33, 20)
    with torch.no_grad():
        torch.testing.assert_close(network(x), network.real()(x), rtol=1e-4, atol=1e-5)


def test_half_precision() -> None:
    torch.manual_seed(7)
    network = FNO(modes=6, width=6, layers=2)
    x = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        wanted = network(x)
        result = network.to(torch.bfloat16)(x.to(torch.bfloat16))
    assert result.dtype == torch.bfloat16
    assert torch.linalg.norm(result.float() - wanted) < 0.05 * torch.linalg.norm(wanted)


@pytest.mark.parametrize(
    "network",
    [
        FNO(2, 3, modes=4, width=5, layers=1),
        PublishedMgNO(PublishedArchitecture(layers=1, channels=2)),
        published("helmholtz"),
    ],
    ids=["fno", "published", "helmholtz"],
)
def test_a_network_from_its_config(network: FNO | PublishedMgNO) -> None:
    again = build(json.loads(json.dumps(network.config())))
    assert type(again) is type(network)
    again.load_state_dict(network.state_dict())


def test_weights_are_real(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    network = FNO(modes=4, width=3, layers=1)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    network.load_state_dict(load_file(tmp_path / "w.safetensors"))


def test_refusals() -> None:
    with pytest.raises(InputError, match="'UNet': this version builds MgNO, HierarchyNet, FNO"):
        build({"class": "UNet"})
    with pytest.raises(InputError, match="None: this version"):
        build({})
    with pytest.raises(InputError, match="FNO has no depth: it takes in_channels"):
        build({"class": "FNO", "depth": 3})
    with pytest.raises(InputError, match="modes=0"):
        FNO(modes=0)
    with pytest.raises(InputError, match=r"padding=-0\.1"):
        FNO(padding=-0.1)
    with pytest.raises(InputError, match=r"\(sample, 1 channel, .*\(3, 2, 8, 8\)"):
        FNO(modes=2, width=2)(torch.zeros(3, 2, 8, 8))
    assert class_of("FNO") is FNO
