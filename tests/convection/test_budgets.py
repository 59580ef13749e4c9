"""Budgets of water and energy by multipliers, for networks that do not close them by construction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.constants import GRAVITY
from sciml.convection import training
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.budgets import multiplier_settings
from sciml.convection.column_shape import ColumnShape
from sciml.convection.network import Closure
from sciml.convection.physics import sounding_of
from sciml.convection.published_bilstm import PublishedBiLSTM, PublishedShape
from sciml.convection.response import enthalpy_imbalance
from sciml.errors import InputError
from sciml.train.progress import Quiet

FAST = {"epochs": 4, "batch_size": 64, "seed": 17, "threads": 1, "device": "cpu"}


def test_the_imbalances_of_the_scheme_are_those_of_its_columns(pairs: xr.Dataset) -> None:
    columns = pairs.isel(column=slice(0, 300))
    batch = PublishedBiLSTM.prepare(columns, PublishedShape(44), 44)
    assert batch is not None
    made = PublishedBiLSTM(PublishedShape(44)).true_budgets(batch)
    s = sounding_of(columns)
    mass = s.dp.numpy().T / GRAVITY
    gained = sum(columns[name].values for name in ("RQVCUTEN", "RQCCUTEN", "RQICUTEN", "RQRCUTEN"))
    expected = (mass * gained).sum(1) + columns["PRATEC"].values
    np.testing.assert_allclose(made.imbalance["water"], expected, atol=2e-8)
    assert np.abs(expected).max() < 1e-3 * made.exchange["water"].max()  # the scheme conserves water
    heat, vapour = (torch.from_numpy(columns[x].values.T.astype(float)) for x in ("RTHCUTEN", "RQVCUTEN"))
    share = made.imbalance["energy"] / made.exchange["energy"].clamp_min(1e-30)
    true = enthalpy_imbalance(s, heat, vapour)
    on = columns["KIND"].values > 0
    np.testing.assert_allclose(share.numpy()[on], true.numpy()[on], atol=1e-4)


def test_layers_have_the_energy_of_the_levels(pairs: xr.Dataset) -> None:
    columns = pairs.isel(column=slice(0, 300))
    shape = ColumnBiLSTM.fitted(ColumnShape(), columns)
    batch = ColumnBiLSTM.prepare(columns, shape, 44)
    assert batch is not None
    made = ColumnBiLSTM(shape).true_budgets(batch)
    rows = batch["row"].numpy()
    some = columns.isel(column=rows)
    heat, vapour = (torch.from_numpy(some[x].values.T.astype(float)) for x in ("RTHCUTEN", "RQVCUTEN"))
    true = enthalpy_imbalance(sounding_of(some), heat, vapour)
    on = (some["KIND"].values > 0) & (made.exchange["energy"].numpy() > 1)
    share = made.imbalance["energy"] / made.exchange["energy"].clamp_min(1e-30)
    np.testing.assert_allclose(share.numpy()[on], true.numpy()[on], atol=0.02)


def test_multipliers_reduce_the_residuals_of_the_published_network(pairs: xr.Dataset, tmp_path: Path) -> None:
    def train(**options: Any) -> Any:
        own = {"fit": FAST, "network": {"kind": "published"}, "progress": Quiet()}
        return training.train(pairs, tmp_path / "m.sciml", **own, **options)

    idle = train(multipliers={"budgets": ["water", "energy"], "step": 0.0, "damping": 0.0})
    trained = train(multipliers=["water", "energy"])
    for name in ("water", "energy"):
        before, after = (made.about["multipliers"][name] for made in (idle, trained))
        assert before["multiplier"] == 0.0 and after["multiplier"] > 0.0
        assert after["residual"] < 0.5 * before["residual"]
        assert after["limit"] == pytest.approx(after["scheme"] + 0.01)
    assert f"water     residual {after_first(trained)} in the first epoch" in repr(trained)


def after_first(made: Any) -> str:
    """Return the text of the residual of water in the first epoch."""
    return f"{made.about['multipliers']['water']['first']:.3g}"


@pytest.mark.parametrize(
    ("given", "network", "message"),
    [
        (
            ["energy"],
            Closure,
            "energy: plume-closure has none to train, .* by construction; train without",
        ),
        (["water"], ColumnBiLSTM, "water: bilstm has energy to train, .*; give energy"),
        (["momentum"], PublishedBiLSTM, "momentum: published has water, energy"),
        ({"step": 0.1}, PublishedBiLSTM, "multipliers of none"),
        (
            {"budgets": ["water"], "speed": 1},
            PublishedBiLSTM,
            r"\[multipliers\] speed: it may have budgets, limits",
        ),
        (
            {"budgets": ["water"], "limits": {"energy": 0.1}},
            PublishedBiLSTM,
            "limits are those of the budgets",
        ),
        ({"budgets": ["water"], "limits": {"water": -0.1}}, PublishedBiLSTM, "limit water=-0.1"),
    ],
)
def test_unknown_budgets_are_one_clear_error(given: Any, network: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        multiplier_settings(given, network)
    assert "\n" not in str(caught.value)


def test_without_names_there_are_no_multipliers() -> None:
    assert multiplier_settings((), Closure) is None and multiplier_settings({}, Closure) is None
