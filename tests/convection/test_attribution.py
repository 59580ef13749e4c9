"""Attribution of column networks: contributions add up to the head; refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from sciml.cli import app
from sciml.convection.attribution import attribution, looked_at
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.network import Closure
from sciml.convection.physics import sounding_of
from sciml.convection.published_bilstm import PublishedBiLSTM
from sciml.errors import InputError
from tests.paths import SAMPLE_WRFOUT


@pytest.fixture(scope="module")
def emulator(pairs: xr.Dataset) -> Emulator[ColumnBiLSTM]:
    torch.manual_seed(23)
    shape = ColumnShape(6, 1, 8, 8, tuple(np.linspace(0.0, 0.9, 8)))
    network = ColumnBiLSTM(shape).eval()
    seen = network.observe(sounding_of(pairs))
    assert seen is not None
    return Emulator(network, FeatureScaling.of(seen.channels, seen.scalars), {"log_error": 0.0})


def test_contributions_add_up_to_the_head(emulator: Emulator[ColumnBiLSTM], pairs: xr.Dataset) -> None:
    convecting = pairs.isel(column=np.flatnonzero(pairs["KIND"] > 0)[:3])
    made = attribution(emulator, convecting, "RQVCUTEN")
    total = made["CONTRIBUTION"].sum(("layer", "channel")) + made["SCALAR_CONTRIBUTION"].sum("scalar")
    np.testing.assert_allclose(total + made["RESIDUAL"], made["HEAD"], rtol=0, atol=1e-13)
    assert made.sizes["output_layer"] == made.sizes["layer"] == 7
    assert made.attrs["head"] == "RQVCUTEN"
    seen = emulator.network.observe(sounding_of(convecting))
    assert seen is not None
    x, y = emulator.normalisation.standardise(seen.channels, seen.scalars)
    level, _, beside = emulator.network(x.float(), y.float())
    deep = (beside[:, 2] > beside[:, 1]).long()
    exact = level[torch.arange(len(level)), :, deep, 1]
    np.testing.assert_allclose(made["HEAD"], exact.detach(), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(made["column"], seen.index)


def test_the_push_of_the_packaged_emulator(pairs: xr.Dataset) -> None:
    rising = pairs.isel(column=np.flatnonzero(pairs["KIND"] > 0)[:1])
    made = attribution(Emulator.load("mskf-convrad"), rising)
    total = made["CONTRIBUTION"].sum(("layer", "channel")) + made["SCALAR_CONTRIBUTION"].sum("scalar")
    np.testing.assert_allclose(total + made["RESIDUAL"], made["HEAD"], rtol=0, atol=1e-10)
    assert made.attrs == {"head": "push", "network": "plume-closure"}


def test_the_columns_that_the_network_looks_at(emulator: Emulator[ColumnBiLSTM], pairs: xr.Dataset) -> None:
    chosen = looked_at(emulator, pairs, 4)
    seen = emulator.network.observe(sounding_of(pairs))
    assert seen is not None
    assert chosen.sizes["column"] == 4
    assert set(chosen["column"].values) <= set(seen.index.tolist())
    made = attribution(emulator, chosen.isel(column=[1, 3]))
    assert made["column"].values.tolist() == chosen["column"].values[[1, 3]].tolist()


def test_the_command(emulator: Emulator[ColumnBiLSTM], tmp_path: Path) -> None:
    about = Emulator.load("mskf-convrad").about
    Emulator(emulator.network, emulator.normalisation, dict(about)).save(tmp_path / "small.sciml")
    words = ["convection", "attribute", str(tmp_path / "small.sciml"), str(SAMPLE_WRFOUT), "--columns", "2"]
    files = {
        name: tmp_path / f"a.{end}" for name, end in (("-o", "nc"), ("--figure", "png"), ("--json", "json"))
    }
    shown = CliRunner().invoke(app, [*words, *(str(x) for pair in files.items() for x in pair)])
    assert shown.exit_code == 0, shown.output
    assert "RTHCUTEN of 2 columns (bilstm), attributed by the frozen action" in shown.output
    content = json.loads(files["--json"].read_text())
    assert sum(content["shares"].values()) == pytest.approx(1.0)
    with xr.open_dataset(files["-o"]) as written:
        assert written.sizes["column"] == 2
        means = written["CONTRIBUTION"].sum("channel").mean("column")
        np.testing.assert_allclose(content["layers"], means)
        size = np.abs(written["RESIDUAL"]).sum() / sum(
            np.abs(written[name]).sum() for name in ("CONTRIBUTION", "SCALAR_CONTRIBUTION", "RESIDUAL")
        )
    assert content["shares"]["biases"] == pytest.approx(float(size))
    assert files["--figure"].read_bytes().startswith(b"\x89PNG")
    wrong = CliRunner().invoke(app, [*words, "--head", "HEAT"])
    assert "head='HEAT': give one of RTHCUTEN" in wrong.output + str(wrong.exception)


def test_refusals(emulator: Emulator[ColumnBiLSTM], pairs: xr.Dataset) -> None:
    with pytest.raises(InputError, match=r"head='RTHCUTE': give one of RTHCUTEN"):
        attribution(emulator, pairs.isel(column=slice(0, 2)), "RTHCUTE")
    with pytest.raises(InputError, match="807 columns: give 1 to 64"):
        attribution(emulator, pairs)
    other = Emulator(PublishedBiLSTM(), emulator.normalisation, {})
    with pytest.raises(InputError, match="a network of class published"):
        attribution(other, pairs.isel(column=slice(0, 2)))
    dry = pairs.isel(column=slice(0, 1)).copy()
    dry["QVAPOR"] = dry["QVAPOR"] * 1e-3
    with pytest.raises(InputError, match="no parcel rises in these 1 columns"):
        attribution(emulator, dry)
    assert isinstance(Emulator.load("mskf-convrad").network, Closure)
