"""The pure network: its constraints hold for any weights, it learns, and the number of levels does not matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import sciml as sm
from sciml.constants import GRAVITY
from sciml.convection import training
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.layer_targets import fitted_edges
from sciml.convection.level_outputs import on_levels
from sciml.convection.physics import sounding_of
from sciml.convection.prepared_profiles import CHANNELS, SCALARS, profiles
from sciml.convection.problem import Convection
from sciml.convection.response import PROFILES
from sciml.convection.response import SCALARS as COLUMN_OUTPUTS
from sciml.convection.source_layer import parcel_test
from sciml.errors import InputError
from sciml.train.progress import Quiet

FAST = {"epochs": 2, "batch_size": 64, "seed": 17, "threads": 1, "device": "cpu"}
SMALL = {"kind": "bilstm", "hidden": 6, "layers": 1, "width": 8, "pooled": 8}
WATER = ("RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN")


@pytest.fixture(scope="module")
def wild(pairs: xr.Dataset) -> Emulator[ColumnBiLSTM]:
    """An emulator with large random weights."""
    torch.manual_seed(29)
    network = ColumnBiLSTM(ColumnShape(hidden=6, layers=1, width=8, pooled=8, edges=fitted_edges(pairs)))
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(0.0, 0.6)
        network.scale.fill_(3e-5)
        network.scale[:, 5] = 1e-3
    seen = profiles(sounding_of(pairs), network.shape.edges)
    assert seen is not None
    about = {"dx": [1e4, 1e4], "dt": [50.0, 50.0], "cudt": [5.0, 5.0], "log_error": 0.0}
    return Emulator(network.eval(), FeatureScaling.of(seen.channels, seen.scalars), about, "float64")


@pytest.fixture(scope="module")
def trained(pairs: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bilstm") / "pure.sciml"
    training.train(pairs, path, fit=FAST, network=SMALL, progress=Quiet())
    return path


def solved(columns: xr.Dataset, emulator: Emulator[Any]) -> xr.Dataset:
    return sm.solve(Convection(columns), emulator).outputs


def test_the_constraints_hold_for_any_weights(pairs: xr.Dataset, wild: Emulator[ColumnBiLSTM]) -> None:
    out = solved(pairs, wild)
    kind = out["KIND"].values
    assert {1, 2} <= set(np.unique(kind))
    passes = parcel_test(sounding_of(pairs)).numpy()
    assert not kind[~passes].any()
    for name in (*PROFILES, "PRATEC"):
        assert not out[name].values[kind == 0].any(), name
    mass = pairs["RHO"].values.astype(float) * pairs["DZ8W"].values
    water = {name: mass * out[name].values for name in WATER}
    gain = sum(amount.sum(1) for amount in water.values())
    size = sum(np.abs(amount).sum(1) for amount in water.values()) + 1e-300
    assert (np.abs(gain + out["PRATEC"].values) / size).max() < 1e-12
    assert (out["PRATEC"].values >= 0).all() and not out["PRATEC"].values[kind == 1].any()
    for name in ("RUCUTEN", "RVCUTEN"):
        total = mass * out[name].values
        assert (np.abs(total.sum(1)) / (np.abs(total).sum(1) + 1e-300)).max() < 1e-12, name
    after = pairs["QVAPOR"].values + pairs.attrs["DT"] * out["RQVCUTEN"].values
    assert (after >= np.minimum(pairs["QVAPOR"].values, 0.0) - 1e-15).all()
    assert (out["CUBOT"].values <= out["CUTOP"].values)[kind > 0].all()
    for name, most in (("CLDFRA_DP", 0.6), ("CLDFRA_SH", 0.2)):
        assert out[name].values.min() >= 0 and out[name].values.max() <= most
    held = out["NCA"].values[kind == 2]
    assert (held % pairs.attrs["DT"] == 0).all() and (held > 0).all()
    assert (out["NCA"].values[kind == 1] == 60 * pairs.attrs["CUDT"]).all()


def test_a_level_of_almost_no_vapour_does_not_weaken_the_column(
    pairs: xr.Dataset, wild: Emulator[ColumnBiLSTM]
) -> None:
    level, some = len(wild.network.shape.edges) - 3, pairs.isel(column=slice(0, 300))
    dry, almost = some.copy(deep=True), some.copy(deep=True)
    dry["QVAPOR"][:, level], almost["QVAPOR"][:, level] = 0.0, 1e-35
    first, second = solved(dry, wild), solved(almost, wild)
    assert np.abs(first["RQVCUTEN"].values[:, level - 1]).max() > 0
    for name in ("RTHCUTEN", "RQVCUTEN", "RUCUTEN"):
        size = np.abs(first[name].values).max(1, keepdims=True) + 1e-30
        assert (np.abs(second[name].values - first[name].values) / size).max() < 1e-6, name


def test_the_wind_has_no_preferred_direction(pairs: xr.Dataset, wild: Emulator[ColumnBiLSTM]) -> None:
    some = pairs.isel(column=slice(0, 200))
    cos, sin = np.cos(1.9), np.sin(1.9)
    u, v = some["U_PHY"].astype("f8"), some["V_PHY"].astype("f8")
    turned = some.assign(U_PHY=cos * u - sin * v, V_PHY=sin * u + cos * v)
    first, second = solved(some, wild), solved(turned, wild)
    for name in ("RTHCUTEN", "RQVCUTEN", "PRATEC", "CLDFRA_DP"):
        size = float(abs(first[name]).max())
        np.testing.assert_allclose(second[name], first[name], atol=1e-6 * size, err_msg=name)
    size = float(abs(first["RUCUTEN"]).max())
    np.testing.assert_allclose(
        second["RUCUTEN"], cos * first["RUCUTEN"] - sin * first["RVCUTEN"], atol=1e-5 * size
    )


def test_training_reduces_the_error(pairs: xr.Dataset, trained: Path) -> None:
    emulator = Emulator.load(trained)
    assert isinstance(emulator.network, ColumnBiLSTM) and "Bi-LSTM 1 x 6" in repr(emulator)
    out = solved(pairs, emulator)
    for name in (*PROFILES, *COLUMN_OUTPUTS, "NOVELTY", "P_TRIGGER", "KIND"):
        assert np.isfinite(out[name].values).all(), name
    assert (out["KIND"].values == pairs["KIND"].values).mean() > 0.9
    assert ((out["KIND"].values > 0) == (pairs["KIND"].values > 0)).mean() > 0.97


def test_the_layers_are_the_levels_of_the_training(pairs: xr.Dataset) -> None:
    edges = fitted_edges(pairs)
    assert edges[0] == 0.0 and len(edges) == int(pairs["CUTOP"].max()) + 3
    pressure = pairs["P_HYD"].values.astype(float)
    depth = (pairs["RHO"] * pairs["DZ8W"]).values[:, 0] * GRAVITY
    assert edges[1] == pytest.approx((depth / (pressure[:, 0] + 0.5 * depth)).mean(), abs=1e-6)
    seen = profiles(sounding_of(pairs), edges)
    assert seen is not None and seen.channels.shape[:2] == (len(edges) - 1, len(CHANNELS))
    assert seen.scalars.shape[0] == len(SCALARS)
    level = sounding_of(pairs).take(seen.index).t[: len(edges) - 1]
    assert float((seen.channels[:, 0] - level).abs().max()) < 0.5


def test_levels_above_the_layers_do_not_matter(pairs: xr.Dataset, trained: Path) -> None:
    some, emulator = pairs.isel(column=slice(0, 300)), Emulator.load(trained)
    whole = solved(some, emulator)
    fewer = solved(some.isel(level=slice(0, 42)), emulator)
    for name in PROFILES:
        size = float(abs(whole[name]).max()) + 1e-30
        np.testing.assert_allclose(
            fewer[name], whole[name].isel(level=slice(0, 42)), atol=1e-5 * size, err_msg=name
        )


def on_other_levels(columns: xr.Dataset, levels: int) -> xr.Dataset:
    """The columns interpolated linearly in pressure to another number of levels between the same faces."""
    depth = columns["RHO"].values.astype(float) * columns["DZ8W"].values * GRAVITY
    faces = np.concatenate([np.zeros((len(depth), 1)), depth.cumsum(1)], 1)
    place = np.linspace(0, depth.shape[1], levels + 1)
    new = np.stack([np.interp(place, np.arange(depth.shape[1] + 1), own) for own in faces])
    surface = columns["P_HYD"].values[:, :1] + 0.5 * depth[:, :1]
    p = surface - 0.5 * (new[:, 1:] + new[:, :-1])
    old = surface - 0.5 * (faces[:, 1:] + faces[:, :-1])
    out = columns.isel(level=np.zeros(levels, int)).drop_vars(
        [name for name in columns.data_vars if name.endswith("CUTEN")]
    )
    for name in ("U_PHY", "V_PHY", "T_PHY", "QVAPOR", "RHO", "PI_PHY", "W0AVG"):
        values = columns[name].values
        rows = [np.interp(-p[i], -old[i], values[i]) for i in range(len(p))]
        out[name] = (("column", "level"), np.stack(rows))
    out["P_HYD"] = (("column", "level"), p)
    out["DZ8W"] = (("column", "level"), np.diff(new, axis=1) / (GRAVITY * out["RHO"].values))
    return out


@pytest.mark.parametrize("levels", [32, 66])
def test_other_numbers_of_levels(pairs: xr.Dataset, wild: Emulator[ColumnBiLSTM], levels: int) -> None:
    """The network sees nearly the same profiles, and the integrals of what it predicts are the same on the levels."""
    edges = wild.network.shape.edges
    other = on_other_levels(pairs, levels)
    first, second = profiles(sounding_of(pairs), edges), profiles(sounding_of(other), edges)
    assert first is not None and second is not None and second.sounding.levels == levels
    both = np.intersect1d(first.index, second.index)
    assert len(both) > 0.9 * len(first.index)
    here, there = (np.searchsorted(seen.index, both) for seen in (first, second))
    spread = first.channels.std((0, 2), keepdim=True)
    error = ((second.channels[..., there] - first.channels[..., here]) / spread).square().mean((0, 2)).sqrt()
    for name, size in zip(CHANNELS, error.tolist(), strict=True):
        assert size < (0.5 if name in ("stability", "gradient", "margin") else 0.2), name
    values = torch.randn(len(second.index), len(edges) - 1, 2, dtype=torch.float64)
    mapped = on_levels(values, second)
    depth = second.coordinate.edges[:, 1:] - second.coordinate.edges[:, :-1]
    wanted = (values * depth.unsqueeze(-1)).sum(1)
    torch.testing.assert_close((mapped * second.sounding.dp.T.unsqueeze(-1)).sum(1), wanted)
    out = solved(other, wild)
    assert np.isfinite(out["RTHCUTEN"].values).all() and out["CUTOP"].values.max() <= levels


def test_invalid_settings(pairs: xr.Dataset, tmp_path: Path) -> None:
    for network, message in (
        ({**SMALL, "kind": "lstm"}, "network 'lstm': give plume-closure, bilstm, published"),
        ({**SMALL, "cloud": 3}, r"\[network\] cloud: that of bilstm has kind, hidden"),
        ({**SMALL, "hidden": 0}, r"ColumnShape\(hidden=0\)"),
        ({"kind": "published", "hidden": 3}, r"\[network\] hidden: that of published has kind"),
    ):
        with pytest.raises(InputError, match=message):
            training.train(pairs, tmp_path / "m.sciml", network=network, progress=Quiet())
    with pytest.raises(InputError, match="edges that ascend from 0"):
        ColumnShape(edges=(0.0, 0.5, 0.4))
    assert not list(tmp_path.iterdir())


def test_a_training_is_resumed_only_with_the_same_class(pairs: xr.Dataset, tmp_path: Path) -> None:
    some, path = pairs.isel(column=slice(0, 400)), tmp_path / "m.sciml"
    training.train(some, path, network=SMALL, fit={**FAST, "time_limit_s": 1e-6}, progress=Quiet())
    with pytest.raises(InputError, match="the network's class bilstm, now it is plume-closure"):
        training.train(some, path, fit={**FAST, "learning_rate": 0.003}, progress=Quiet())
    training.train(some, path, network=SMALL, fit=FAST, progress=Quiet())
    assert Emulator.load(path).network.command == "bilstm"


def test_the_published_network(pairs: xr.Dataset, tmp_path: Path) -> None:
    some = pairs.isel(column=slice(0, 100))
    fit = {**FAST, "epochs": 1}
    training.train(some, tmp_path / "p.sciml", network={"kind": "published"}, fit=fit, progress=Quiet())
    emulator = Emulator.load(tmp_path / "p.sciml")
    assert sum(p.numel() for p in emulator.network.parameters()) == 66_422
    with pytest.warns(UserWarning, match="p does not predict RUCUTEN, RVCUTEN, CLDFRA_DP.*: they are zero"):
        out = solved(some, emulator)
    assert set(np.unique(out["KIND"])) <= {0, 1, 2} and not out["RUCUTEN"].values.any()
    with (
        pytest.warns(UserWarning, match="zero"),
        pytest.raises(InputError, match="trained on 44 levels, these columns have 43"),
    ):
        solved(some.isel(level=slice(0, 43)), emulator)
