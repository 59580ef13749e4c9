"""Invalid inputs, settings and checkpoints, each with an error of one line; and unusual but valid ones."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import sciml as sm
from sciml.convection import training
from sciml.convection.emulator import Emulator, sounding_of
from sciml.convection.problem import Convection
from sciml.errors import InputError, SchemaError
from sciml.train import checkpoint
from sciml.train.progress import Quiet
from tests.paths import SHARED

FAST = {"epochs": 1, "batch_size": 64, "seed": 17, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def path(pairs: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("refusals") / "small.sciml"
    training.train(pairs, target, fit=FAST, network={"hidden": 6, "pooled": 8}, progress=Quiet())
    return target


@pytest.mark.parametrize(
    ("name", "value"),
    [("DX", np.nan), ("DX", "ten"), ("DX", 0), ("DT", 0.0), ("DT", -5.0), ("CUDT", np.inf), ("CUDT", -1)],
)
def test_an_impossible_setting(pairs: xr.Dataset, name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"the attribute {name} is .*columns\.attrs\['{name}'\]"):
        Convection(pairs.assign_attrs({name: value}))


def test_cumulus_at_every_step_is_valid(pairs: xr.Dataset) -> None:
    assert Convection(pairs.assign_attrs(CUDT=0)).settings["CUDT"] == (0.0, 0.0)


@pytest.mark.parametrize("columns", ["x.nc", None, np.zeros(3)])
def test_an_argument_that_is_not_a_dataset(columns: Any) -> None:
    with pytest.raises(InputError, match="no dataset: open files with"):
        Convection(columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.assign(P_HYD=c["P_HYD"] / 100), r"P_HYD is 9\d\d.* at level 0 where.*give P_HYD in Pa"),
        (lambda c: c.assign(T_PHY=c["T_PHY"] - 273.15), "T_PHY reaches -.*outside 130 to 360 K"),
        (lambda c: c.isel(level=slice(None, None, -1)), "P_HYD does not fall with height in 60 columns"),
        (lambda c: c.assign(QVAPOR=c["QVAPOR"] * 1000), r"QVAPOR reaches .*outside -0\.001 to 0\.1 kg kg-1"),
        (lambda c: c.assign(RHO=c["RHO"] * 0), "RHO reaches 0"),
        (lambda c: c.assign(DZ8W=c["DZ8W"] / 1000), "DZ8W reaches"),
    ],
)
def test_other_units_and_levels_upside_down(
    pairs: xr.Dataset, path: Path, change: Callable[[xr.Dataset], xr.Dataset], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        sm.solve(Convection(change(pairs.isel(column=slice(0, 60)))), Emulator.load(path))


def test_slightly_negative_vapour_is_valid(pairs: xr.Dataset, path: Path) -> None:
    some = pairs.isel(column=slice(0, 60)).copy(deep=True)
    some["QVAPOR"].values[:, 30] = -1e-9
    assert sm.solve(Convection(some), Emulator.load(path)).result.ok


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "sample/wrfout_d01_terrain3km_full.nc",
        "sample/wrfout_d01_convrad_full.nc",
        "train/mskf_io_convrad_train3.nc",
    ],
)
def test_values_of_wrf_are_valid(name: str) -> None:
    columns = sm.open_columns(SHARED / "wrf" / name, keep="all").load()
    assert len(sounding_of(columns)) == columns.sizes["column"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": 0}, "block=0"),
        ({"block": 2.5}, r"block=2\.5"),
        ({"precision": "bfloat16"}, "precision='bfloat16'"),
        ({"device": "meta"}, "device 'meta'"),
        ({"device": "abacus"}, "device 'abacus'"),
    ],
)
def test_an_emulator_that_cannot_run(path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(Emulator.load(path), **change)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu(path: Path) -> None:
    with pytest.raises(InputError, match="device 'cuda' cannot be used"):
        Emulator.load(path, device="cuda")


def test_the_automatic_device(pairs: xr.Dataset, path: Path) -> None:
    some = Convection(pairs.isel(column=slice(0, 60)))
    assert sm.solve(some, Emulator.load(path, device="auto")).result.ok


def rewritten(path: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The checkpoint with another config, and checksums that fit."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    bare = {name: value for name, value in config.items() if name != "sha256"}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    config["sha256"]["config.json"] = hashlib.sha256(text.encode()).hexdigest()
    with zipfile.ZipFile(target, "w") as archive:
        for name, part in {**parts, "config.json": json.dumps(config).encode()}.items():
            archive.writestr(name, part)
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("network"), "network None"),
        (lambda c: c.pop("about"), "about None"),
        (lambda c: c.update(about=[3]), r"about \[3\]"),
        (lambda c: c["about"].pop("dx"), "about.dx None"),
        (lambda c: c["about"].update(cudt=5.0), r"about.cudt 5\.0, not two numbers"),
        (lambda c: c["about"].pop("log_error"), "about.log_error None"),
        (lambda c: c["about"].update(enthalpy=[1]), r"about.enthalpy \[1\]"),
        (lambda c: c["network"].update(hidden=7), "shape .*, the network it describes has"),
        (lambda c: c["network"].update(cloud=19), r"normalised for \(24, 14\) layers and channels"),
        (lambda c: c["network"].update(levels=40), "unexpected keyword argument 'levels'.*; train it again"),
    ],
)
def test_a_checkpoint_with_an_invalid_config(
    path: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    odd = rewritten(path, tmp_path / "odd.sciml", change)
    with pytest.raises(SchemaError, match=message) as caught:
        Emulator.load(odd)
    assert "\n" not in str(caught.value)
    assert "odd.sciml" in str(caught.value)


def test_a_checkpoint_without_a_tensor(path: Path, tmp_path: Path) -> None:
    whole = checkpoint.load(path)
    less = {name: x for name, x in whole.tensors.items() if name != "normalisation.mean"}
    checkpoint.save(tmp_path / "less.sciml", whole.config, less)
    with pytest.raises(SchemaError, match=r"has no normalisation\.mean: train it again"):
        Emulator.load(tmp_path / "less.sciml")


def test_the_published_network_with_an_invalid_config(pairs: xr.Dataset, tmp_path: Path) -> None:
    target, some = tmp_path / "p.sciml", pairs.isel(column=slice(0, 40))
    training.train(some, target, network={"kind": "published"}, fit=FAST, progress=Quiet())
    for change, message in (
        (lambda c: c.pop("about"), "about None"),
        (lambda c: c["network"].update(levels=3), "shape"),
        (lambda c: c["network"].update(levels=0), "levels=0"),
        (lambda c: c["network"].pop("levels"), "it has levels"),
    ):
        with pytest.raises(SchemaError, match=message):
            Emulator.load(rewritten(target, tmp_path / "odd.sciml", change))
