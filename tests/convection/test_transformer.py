"""The column transformer: it trains, saves, resumes and answers as the other pure networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import sciml as sm
from sciml.convection import training
from sciml.convection.emulator import Emulator
from sciml.convection.problem import Convection
from sciml.convection.transformer import ColumnTransformer, sinusoids
from sciml.convection.transformer_shape import TransformerShape
from sciml.coupling.export import emulator_weights
from sciml.errors import InputError
from sciml.train.progress import Quiet

FAST = {"epochs": 2, "batch_size": 64, "seed": 17, "threads": 1, "device": "cpu"}
SMALL = {"kind": "transformer", "hidden": 8, "layers": 1, "width": 8, "pooled": 8, "heads": 2}


@pytest.mark.parametrize("attention", ["real", "binary"])
def test_a_training_is_saved_and_restored(pairs: xr.Dataset, tmp_path: Path, attention: str) -> None:
    path = tmp_path / "t.sciml"
    settings = {**SMALL, "attention": attention, "rank": 2, "position": "learned"}
    made = training.train(pairs, path, fit=FAST, network=settings, progress=Quiet())
    loaded = Emulator.load(path)
    assert isinstance(loaded.network, ColumnTransformer)
    assert loaded.network.shape == made.network.shape
    assert f"{attention}" in repr(loaded)
    first, second = (sm.solve(Convection(pairs), emulator).outputs for emulator in (made, loaded))
    assert set(np.unique(first["KIND"])) > {0}
    xr.testing.assert_equal(first, second)
    with pytest.raises(InputError, match=r"class transformer has no kernel.*bilstm"):
        emulator_weights(loaded)


def test_the_order_of_the_layers_counts() -> None:
    torch.manual_seed(31)
    network = ColumnTransformer(
        TransformerShape(hidden=8, heads=2, layers=1, edges=tuple(np.linspace(0, 0.9, 8)))
    )
    x = torch.randn(2, 7, network.embed.in_features)
    assert (network.states(x.flip(1)).flip(1) - network.states(x)).abs().max() > 1e-2
    network.place.zero_()
    torch.testing.assert_close(network.states(x.flip(1)).flip(1), network.states(x))
    assert sinusoids(5, 4)[3, :].tolist() == pytest.approx(
        [np.sin(3), np.sin(0.03), np.cos(3), np.cos(0.03)], rel=1e-5
    )


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"hidden": 10, "heads": 4}, "hidden=10, heads=4.*that heads divides"),
        ({"attention": "ternary"}, "attention='ternary'.*give real or binary"),
        ({"position": "none"}, "position='none'.*give sinusoidal or learned"),
        ({"rank": -1}, "rank"),
    ],
)
def test_settings_out_of_range(setting: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        ColumnTransformer.shape_of(setting)
