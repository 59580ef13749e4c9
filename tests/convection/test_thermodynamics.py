"""The thermodynamics against exact inversions, tabulated values and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from sciml.convection import thermodynamics as td


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_saturation_at_freezing_and_boiling() -> None:
    assert td.saturation(double(1e5), double(273.15)).item() == pytest.approx(0.622 * 611.2 / (1e5 - 611.2))
    # Bolton's formula is made for -35..35 degrees: 42.43 hPa at 30 degrees in the Smithsonian tables
    q = td.saturation(double(1e5), double(303.15)).item()
    assert q * 1e5 / (0.622 + q) == pytest.approx(4243.0, rel=2e-3)


@settings(deadline=None)
@given(p=st.floats(15000.0, 105000.0), theta=st.floats(320.0, 370.0))
def test_the_wet_adiabat_inverts_the_equivalent_temperature(p: float, theta: float) -> None:
    def excess(t: float) -> float:
        q = td.saturation(double(p), double(t))
        return (td.equivalent_temperature(double(p), double(t), q, double(t)) - theta).item()

    exact = brentq(excess, 160.0, 330.0, xtol=1e-10)
    t, q = td.wet_adiabat(double(p), double(theta))
    # the error of bilinear interpolation in steps of 479 Pa and 1 K
    assert t.item() == pytest.approx(exact, abs=0.02)
    assert q.item() == pytest.approx(td.saturation(double(p), double(exact)).item(), rel=3e-3)


@settings(deadline=None)
@given(p=st.floats(3e4, 1e5), q=st.floats(2e-3, 2e-2))
def test_the_tabulated_logarithm_lies_below_the_true_one(p: float, q: float) -> None:
    ratio = q * p / (0.622 + q) / 611.2
    interpolated = td.log_vapour(double(p), double(q)).item()
    error = math.log(ratio) - interpolated
    left = max(ratio - td.LOG_STEP, td.LOG_START)
    assert -1e-12 <= error <= td.LOG_STEP**2 / 8 / left**2 + 1e-12


def test_the_lcl_of_saturated_air_is_its_level() -> None:
    p, t = double(95000.0), double(295.0)
    ratio = td.LOG_START + 35 * td.LOG_STEP  # a node of the table, where it is exact
    e = ratio * 611.2
    q = 0.622 * e / (p - e)
    dew = brentq(lambda x: (td.saturation(p, double(x)) - q).item(), 250.0, 310.0)
    assert td.lifted(p, double(dew), q).item() == pytest.approx(dew, abs=1e-6)
    assert td.lifted(p, t, q).item() < dew


@pytest.mark.parametrize("name", ["saturation", "equivalent_temperature", "wet_adiabat", "lifted"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    p = double(91234.0, 71234.0, 35123.0)
    t = double(296.3, 281.7, 245.9)
    q = double(0.0141, 0.0052, 0.0004)
    theta = double(347.3, 341.6, 352.7)
    calls = {
        "saturation": lambda p, t: td.saturation(p, t),
        "equivalent_temperature": lambda p, t: td.equivalent_temperature(p, t, q),
        "wet_adiabat": lambda p, theta: td.wet_adiabat(p, theta)[0],
        "lifted": lambda p, t: td.lifted(p, t, q),
    }
    second = theta if name == "wet_adiabat" else t
    inputs = (p.requires_grad_(), second.requires_grad_())
    assert torch.autograd.gradcheck(calls[name], inputs, eps=1e-3, atol=1e-6, rtol=1e-5)


def test_tables_are_built_to_convergence() -> None:
    t, q, start = td._wet_tables(torch.device("cpu"), torch.float64)
    p = td.TABLE_TOP + td.TABLE_DP * torch.arange(td.TABLE_P, dtype=torch.float64)
    theta = td.equivalent_temperature(p, t, td.saturation(p, t), t)
    asked = start + torch.arange(td.TABLE_TH, dtype=torch.float64)[:, None]
    # float32 resolves 1.5e-5 K, an error that the steep cold end of the table amplifies
    np.testing.assert_allclose(theta.numpy(), asked.numpy(), atol=5e-3)
    assert bool((q > 0).all())
