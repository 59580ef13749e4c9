"""The networks without a plume in the native library: parity with torch, bits for all tiles, and levels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import sciml
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator, sounding_of
from sciml.convection.problem import Convection
from sciml.convection.published_bilstm import PublishedBiLSTM, PublishedShape
from sciml.coupling.export import emulator_from, emulator_weights
from sciml.coupling.fortran_emulator import FortranEmulator
from sciml.coupling.library import Library
from sciml.coupling.weights_file import read_weights, write_weights
from sciml.errors import InputError, SchemaError
from sciml.solve import solve
from tests.coupling.host import PROFILES, RATES, SURFACE, Host
from tests.paths import SAMPLE_WRFOUT

pytestmark = pytest.mark.native

TRAINED: dict[str, Any] = {"dx": [1e4, 1e4], "dt": [50.0, 50.0], "cudt": [5.0, 5.0]}


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    """A fifth of the sample: 807 columns."""
    everything: xr.Dataset = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    return everything.isel(column=slice(None, None, 5)).load()


def pure(columns: xr.Dataset) -> Emulator[ColumnBiLSTM]:
    """An emulator with random weights, which use all heads."""
    torch.manual_seed(29)
    edges = tuple(np.linspace(0.0, 0.95, 37).tolist())
    network = ColumnBiLSTM(ColumnShape(hidden=9, layers=2, width=13, pooled=7, edges=edges))
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(0.0, 0.4)
        network.scale[:] = torch.tensor([3e-5, 1e-8, 2e-9, 1e-9, 1e-9, 1e-4])
    seen = network.observe(sounding_of(columns))
    assert seen is not None
    scaling = network.scaling.of(seen.channels, seen.scalars)
    return Emulator(network.eval(), scaling, {**TRAINED, "log_error": 0.3}, "float64")


def published(columns: xr.Dataset) -> Emulator[PublishedBiLSTM]:
    torch.manual_seed(31)
    network = PublishedBiLSTM(PublishedShape(columns.sizes["level"]))
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(0.0, 0.3)
        network.size[:] = torch.tensor([3000.0, 1e-3, 1e-4, 1e-7, 1e-8, 1e-8, 1e-8, 1e-9])
    seen = network.observe(sounding_of(columns))
    scaling = network.scaling.of(seen.channels, seen.scalars)
    with torch.no_grad():  # half of the columns convect, and half of these are deep
        values, logit = network(scaling.standardise(seen.channels, seen.scalars)[0].float())
        assert network.trigger is not None and logit is not None
        network.trigger.bias.sub_(logit.median())
        on = logit > logit.median()
        network.profiles.bias[0] += 450.0 / 3000.0 - values[on, :, 0].mean(1).median()
    return Emulator(network.eval(), scaling, TRAINED, "float64")


@pytest.fixture(scope="module", params=[pure, published], ids=["bilstm", "published"])
def emulator(request: pytest.FixtureRequest, columns: xr.Dataset) -> Emulator[Any]:
    made: Emulator[Any] = request.param(columns)
    return made


@pytest.fixture
def host(library: Library, emulator: Emulator[Any], tmp_path: Path) -> Iterator[Host]:
    write_weights(tmp_path / "emulator.nc", emulator_weights(emulator))
    opened = Host(library.path, tmp_path / "emulator.nc")
    yield opened
    opened.close()


def solved(columns: xr.Dataset, algorithm: Any) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* does not predict ")
        outputs: xr.Dataset = solve(Convection(columns), algorithm).outputs
    return outputs


def test_the_library_and_torch_agree(
    host: Host, emulator: Emulator[Any], columns: xr.Dataset, isa: str
) -> None:
    truth = solved(columns, emulator)
    for kind, median, reach, share in ((np.float64, 1e-9, 1e-7, 1.0), (np.float32, 1e-5, 1e-4, 0.99)):
        mine = host.run(columns, kind).fields
        same = mine["KIND"] == truth["KIND"].values
        assert same.mean() >= share and set(np.unique(mine["KIND"])) == {0, 1, 2}
        convects = mine["KIND"].astype(int) > 0
        for name in (*PROFILES, *SURFACE):
            x, y = mine[name].astype(np.float64), truth[name].values.astype(np.float64)
            some = (y != 0) & ((convects & same) if y.ndim == 1 else (convects & same)[:, None])
            if some.any():
                assert np.median(np.abs(x - y)[some] / np.abs(y)[some]) <= median, name
            worst = np.abs(x - y).reshape(len(y), -1).max(1)
            assert np.mean(worst <= reach * (np.ptp(y) + 1e-300)) >= min(share, 0.999), name


def test_the_same_bits(host: Host, columns: xr.Dataset, isa: str) -> None:
    """Outputs do not depend on tiles, threads, and the order of columns and memory."""
    some = columns.isel(column=slice(0, 400))
    whole = host.run(some)
    assert len(np.unique(whole.fields["KIND"])) == 3
    for tile in (1, 7, 100):
        assert whole.same(host.run(some, tile=tile)), tile
    assert whole.same(host.run(some, threads=2, wrf_order=True))
    order = np.random.default_rng(3).permutation(400)
    mixed = host.run(some.isel(column=order))
    for name, values in whole.fields.items():
        assert values[order].tobytes() == np.ascontiguousarray(mixed.fields[name]).tobytes(), name


def test_rates_are_zero(host: Host, columns: xr.Dataset) -> None:
    """A network without a plume has no entrainment."""
    answer = host.run(columns.isel(column=slice(0, 60)), rates=True)
    for name in (*RATES, "TIMEC_KF"):
        assert not answer.fields[name].any(), name


def test_invalid_columns(host: Host, columns: xr.Dataset) -> None:
    some = columns.isel(column=slice(0, 100))
    well, spoilt = host.run(some), some.copy(deep=True)
    spoilt["T_PHY"].values[7, 3] = np.nan
    spoilt["HFX"].values[50] = np.inf
    answer = host.run(spoilt)
    assert answer.message.startswith("2 columns are not finite or not physical")
    assert well.same(answer, np.setdiff1d(np.arange(100), [7, 50]))
    assert (answer.fields["KIND"][[7, 50]] == -1).all()


def test_unusual_columns(host: Host, columns: xr.Dataset) -> None:
    some, rng = columns.isel(column=slice(0, 100)), np.random.default_rng(31)
    for _ in range(12):
        strange, size = some.copy(deep=True), 10.0 ** rng.uniform(-3, 0.3)
        for name in ("U_PHY", "V_PHY", "T_PHY", "QVAPOR", "W0AVG", "ZOL", "HFX", "UST", "DZ8W"):
            values = strange[name].values
            values *= np.exp(rng.normal(0, size, values.shape) * (rng.random(values.shape) < rng.random()))
        strange["T_PHY"].values[:] = strange["T_PHY"].values.clip(105, 395)
        answer = host.run(strange)
        assert all(np.isfinite(x).all() for name, x in answer.fields.items() if name != "NOVELTY")


def test_the_file_gives_the_emulator_back(
    emulator: Emulator[Any], columns: xr.Dataset, tmp_path: Path
) -> None:
    write_weights(tmp_path / "w.nc", emulator_weights(emulator))
    again = emulator_from(read_weights(tmp_path / "w.nc"))
    assert again.network.shape == emulator.network.shape
    some = columns.isel(column=slice(0, 60))
    first, second = solved(some, emulator), solved(some, again)
    for name in PROFILES:
        assert np.array_equal(first[name], second[name]), name


@pytest.mark.parametrize(("name", "value"), [("emulator", "lstm"), ("scheme", "kessler"), ("scheme", None)])
def test_another_scheme_is_one_error(
    library: Library, columns: xr.Dataset, tmp_path: Path, name: str, value: str | None
) -> None:
    weights = emulator_weights(pure(columns))
    attributes = {key: x for key, x in weights.attributes.items() if key != name}
    if value:
        attributes[name] = value
    write_weights(tmp_path / "w.nc", type(weights)(weights.arrays, attributes))
    match = f"the attribute `{name}` of the weights file is `{value or ''}`; this .* runs"
    with pytest.raises(SchemaError, match=match):
        emulator_from(read_weights(tmp_path / "w.nc"))
    with pytest.raises(SchemaError, match=match):
        solve(Convection(columns), FortranEmulator(library.path, tmp_path / "w.nc"))


def test_numbers_of_levels(library: Library, columns: xr.Dataset, tmp_path: Path) -> None:
    """The pure network takes any number from 20 on, the published one that of its training."""
    few = columns.isel(level=slice(0, 36), column=slice(0, 200))
    first = pure(columns)
    write_weights(tmp_path / "pure.nc", emulator_weights(first))
    mine = solved(few, FortranEmulator(library.path, tmp_path / "pure.nc", precision="float64"))
    truth = solved(few, first)
    assert np.array_equal(mine["KIND"], truth["KIND"])
    for name in PROFILES:
        size = float(abs(truth[name]).max()) + 1e-300
        np.testing.assert_allclose(mine[name], truth[name], atol=1e-9 * size, err_msg=name)
    write_weights(tmp_path / "published.nc", emulator_weights(published(columns)))
    with pytest.raises(InputError, match="trained on 44 levels, these columns have 36"):
        solved(few, FortranEmulator(library.path, tmp_path / "published.nc"))
    with pytest.raises(InputError, match="the columns have 19 levels, and the network needs 20 or more"):
        solved(few.isel(level=slice(0, 19)), FortranEmulator(library.path, tmp_path / "pure.nc"))
