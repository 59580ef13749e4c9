"""The benchmarks of rollouts and of orthogonal layers: the Burgers equation, growth, tables, a peer."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from sciml.nn.dense_weights import dense_copy
from sciml.nn.orthogonality import spectrum
from tests.paths import REPO


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    sys.path.insert(0, str(REPO / "bench"))
    try:
        return importlib.import_module("rollout_stability")
    finally:
        sys.path.remove(str(REPO / "bench"))


def test_the_burgers_equation_in_the_plane(bench: ModuleType) -> None:
    n = 32
    y, x = np.meshgrid(np.arange(n) / n, np.arange(n) / n, indexing="ij")
    first = 0.3 * np.sin(2 * np.pi * (x + y))  # constant across (1, 1)
    frames = bench.solved("burgers", n, first[None])[0]
    np.testing.assert_allclose(frames, np.roll(frames, (1, -1), (1, 2)), atol=1e-12)
    # Along x this is u_t + 2 u u_x = 2 nu u_xx. Cole-Hopf: u = -2 nu phi_x / phi, with phi_t = 2 nu phi_xx.
    time, nu = 1.0, bench.PlaneBurgers(n).viscosity
    z = np.arange(4096) / 4096
    phi = np.exp(0.3 / (4 * np.pi * nu) * (np.cos(2 * np.pi * z) - 1))
    waves = np.fft.fftfreq(4096, 1 / 4096)
    spectrum_of = np.fft.fft(phi) * np.exp(-2 * nu * (2 * np.pi * waves) ** 2 * time)
    smooth, slope = np.fft.ifft(spectrum_of).real, np.fft.ifft(2j * np.pi * waves * spectrum_of).real
    expected = (-2 * nu * slope / smooth)[:: 4096 // n]
    np.testing.assert_allclose(frames[-1, 0], expected, rtol=0, atol=2e-3)


class Scaled:
    """Stands in for an operator that multiplies a field by a factor."""

    def __init__(self, factor: float) -> None:
        self.factor, self.grid, self.network = factor, None, nn.Identity()
        self.about: dict[str, float] = {}

    def to(self, device: str, kind: torch.dtype) -> Scaled:
        return self

    def ask(self, fields: dict[str, torch.Tensor], grid: object) -> torch.Tensor:
        return self.factor * fields["u"]


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_growth_of_a_known_factor(bench: ModuleType, factor: float) -> None:
    held = xr.Dataset({"u": (("sample", "time", "y", "x"), np.ones((2, 3, 8, 8), np.float32))})
    row = bench.growth(Scaled(factor), held, 30, 5)
    assert row["largest growth in a step"] == pytest.approx(factor, rel=1e-3)
    assert row["difference at the end"] == pytest.approx(factor**30, rel=1e-2)
    assert row["finite steps"] == 30
    lost = bench.growth(Scaled(30.0), held, 30, 5)
    assert lost["finite steps"] < 30 and lost["largest growth in a step"] == float("inf")


def test_the_table(bench: ModuleType) -> None:
    row: dict[str, Any] = {"equation": "e", "error of 10": 0.5, "largest growth in a step": 1.0}
    row |= {"difference at the end": 0.1, "largest Euclidean difference": 0.2, "norm at the end": 0.3}
    rows = [{"equation": "e", "network": "flow", **dict.fromkeys(bench.FLOW, 0.25)}]
    rows += [
        {**row, "network": "residual", "error of a step": error, "certificate": None} for error in (0.1, 0.3)
    ]
    rows += [{**row, "network": "NonExpansive", "error of a step": 0.5, "certificate": 0.999}]
    text = bench.report(rows)
    assert text.splitlines()[-1].split()[2:4] == ["0.5", "2.5"]  # over the mean of the residual networks
    assert text.splitlines()[-1].endswith("0.999") and text.splitlines()[-2].endswith("none")
    assert "flow in H^-1" in text


def test_the_layers_that_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPO / "bench"))
    peers = importlib.import_module("orthogonal_peers")
    torch.manual_seed(7)
    for case in peers.CASES:
        low, high = peers.extremes(dense_copy(peers.ours(*case)))
        assert max(abs(low - 1), abs(high - 1)) < 1e-6
    plain = nn.Conv2d(3, 2, 3, stride=2, bias=False)
    values = spectrum(plain, peers.POINTS)
    assert peers.extremes(plain) == (float(values[-1]), float(values[0]))
    monkeypatch.setattr(peers, "PACKAGE", "no_such_package")
    monkeypatch.setattr(sys, "argv", ["orthogonal_peers.py"])
    with pytest.raises(SystemExit, match=r"^no_such_package is not installed: pip install"):
        peers.main()
