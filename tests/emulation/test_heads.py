"""Bounds and closures hold for any values of the heads, and the truth is among what the heads can express."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

from sciml.emulation.heads import Heads, decode, fluxes
from sciml.emulation.training import residuals
from sciml.schemes import ColumnClosure, ColumnScheme, Field


def tensors(dataset: xr.Dataset) -> dict[str, Tensor]:
    return {str(name): torch.from_numpy(value.values) for name, value in dataset.items()}


def made_dataset(inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> xr.Dataset:
    whole = {**inputs, **outputs}
    return xr.Dataset({n: (("column", "level")[: v.dim()], v.numpy()) for n, v in whole.items()})


@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 1e3])
def test_any_heads_close_and_stay_positive(kessler: ColumnScheme, rainy: xr.Dataset, size: float) -> None:
    heads, inputs = Heads(kessler), tensors(rainy[list(kessler.input_names)])
    raw = size * torch.randn(160, 20, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    scale = torch.tensor([1e-5, 1e-5, 1e-3], dtype=torch.float64)
    made, _ = decode(heads, raw, scale, inputs)
    assert tuple(made) == kessler.output_names
    for residual, terms in residuals(kessler, made_dataset(inputs, made)).values():
        assert (np.abs(residual) <= 1e-14 * terms).all()
    for name in ("qv", "qc", "qr"):
        after = inputs[name] + inputs["dt"][:, None] * made[f"{name}_tendency"]
        assert (after >= -1e-15).all()
    assert (made["rain"] >= 0).all() and (made["rain"] <= 1).all()


def test_the_heads_of_the_truth_give_the_truth(kessler: ColumnScheme, rainy: xr.Dataset) -> None:
    heads, values = Heads(kessler), tensors(rainy)
    assert heads.names == ("qv_tendency", "qc_tendency", "qr_tendency")
    through = fluxes(heads, values)["qr_tendency"]
    raw = torch.stack([values["qv_tendency"], values["qc_tendency"], through], -1)
    made, lower = decode(heads, raw, torch.ones(3, dtype=torch.float64), values)
    for name in kessler.output_names:
        np.testing.assert_allclose(made[name], values[name], atol=1e-12 * float(values[name].abs().max()))
    np.testing.assert_allclose(lower["qr_tendency"], through, atol=1e-15)


def test_a_budget_without_a_surface_flux_only_moves(rainy: xr.Dataset) -> None:
    declare = Field.declare
    scheme = ColumnScheme(
        name="mixing",
        inputs=(declare("u", "m s-1"), declare("mass", "kg m-2", bounds=(1.0, 1e4))),
        outputs=(declare("du", "m s-2", bounds=(-1.0, 1.0), tendency_of="u"),),
        laws=(ColumnClosure("momentum", ("du",), "du", "mass"),),
    )
    inputs = {"u": torch.ones(4, 9).double(), "mass": torch.linspace(50, 300, 9).double().expand(4, 9)}
    raw = torch.randn(4, 9, 1, generator=torch.Generator().manual_seed(9)).double()
    made, _ = decode(Heads(scheme), raw, torch.tensor([1.0]), inputs)
    assert made["du"].abs().max() > 1e-3
    np.testing.assert_allclose((made["du"] * inputs["mass"]).sum(1), 0.0, atol=1e-13)


def test_outputs_without_a_closure_are_within_bounds() -> None:
    declare = Field.declare
    scheme = ColumnScheme(
        name="cover",
        inputs=(declare("q", "kg kg-1", bounds=(0.0, 0.1)), declare("dt", "s", is_profile=False)),
        outputs=(
            declare("cover", "1", bounds=(0.0, 1.0)),
            declare("dq", "kg kg-1 s-1", tendency_of="q", nonnegative=True),
            declare("cape", "J kg-1", is_profile=False, bounds=(0.0, 5.0)),
        ),
        step="dt",
    )
    inputs = {"q": torch.full((3, 2), 0.01).double(), "dt": torch.tensor([1.0, 10.0, 100.0]).double()}
    raw = torch.tensor([[3.0, -1.0, 4.0], [-3.0, -1e-9, 2.0]]).double().expand(3, 2, 3)
    made, _ = decode(Heads(scheme), raw, torch.ones(3), inputs)
    assert made["cover"][0].tolist() == [1.0, 0.0]
    np.testing.assert_allclose(made["dq"][:, 0], [-0.01, -0.001, -0.0001])
    assert made["cape"].tolist() == [3.0] * 3  # the mean over the levels
