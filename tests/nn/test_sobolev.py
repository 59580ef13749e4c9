"""Waves and Sobolev norms against numpy's Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciml.nn.sobolev import scale_waves, sobolev_norm


@pytest.mark.parametrize("shape", [(1, 7), (8, 8), (9, 12)])
@pytest.mark.parametrize("order", [0.5, 1.0, 2.0])
def test_waves_and_norms_agree_with_fourier_transforms(shape: tuple[int, int], order: float) -> None:
    x = torch.randn((2, *shape), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    k = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij"))
    scaled = np.fft.fft2(x.numpy()) * np.maximum(k, 1) ** -order
    np.testing.assert_allclose(scale_waves(x, -order).numpy(), np.fft.ifft2(scaled).real, atol=1e-13)
    norms = np.linalg.norm(scaled.reshape(2, -1), axis=1) / np.sqrt(np.prod(shape))
    np.testing.assert_allclose(sobolev_norm(x, order).numpy(), norms, rtol=1e-13)
    torch.testing.assert_close(scale_waves(scale_waves(x, -order), order), x, rtol=0, atol=1e-12)


def test_power_zero_returns_the_field() -> None:
    x = torch.ones(3, 4)
    assert scale_waves(x, 0.0) is x
