"""Files from elsewhere: none runs code, and none makes its reader read other files."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import torch
import xarray as xr

from sciml.columns.open import open_columns
from sciml.convection.emulator import Emulator
from sciml.errors import InputError, SciMLError
from sciml.pde.reading import open_dataset
from sciml.train import StoreSource, checkpoint
from sciml.wrf.opening import open_wrfout
from tests.paths import DATA, SAMPLE_WRFOUT


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def fields(path: Path) -> None:
    open_dataset(path, inputs="source", target="u").load()


def v2_store(store: Path, payload: bytes, **array: Any) -> Path:
    """Write a zarr store of format 2 whose chunks are a payload."""
    store.mkdir()
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    described = {
        "zarr_format": 2,
        "shape": [1, 3, 3],
        "chunks": [1, 3, 3],
        "dtype": "<f4",
        "compressor": None,
    }
    described |= {"fill_value": 0, "order": "C", "filters": None, **array}
    for name in ("u", "source"):
        (store / name).mkdir()
        (store / name / ".zarray").write_text(json.dumps(described))
        (store / name / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["sample", "y", "x"]}')
        (store / name / "0.0.0").write_bytes(payload)
    return store


@pytest.mark.parametrize(
    "array",
    [
        {"compressor": {"id": "pickle"}},
        {"filters": [{"id": "pickle"}]},
        {"filters": [{"id": "shuffle"}, {"id": "pickle"}]},
        {"dtype": "|O", "filters": [{"id": "pickle"}]},
        {"dtype": "|O", "filters": [{"id": "json2"}]},
        {"compressor": {"id": "some_plugin"}},
    ],
    ids=str,
)
def test_codecs_of_zarr_that_could_run_code(tmp_path: Path, array: dict[str, Any]) -> None:
    mark = tmp_path / "mark"
    store = v2_store(tmp_path / "d.zarr", pickle.dumps(Attack(mark)), **array)
    with pytest.raises(InputError, match="codec"):
        fields(store)
    assert not mark.exists()


def test_the_same_store_without_an_attack_is_read(tmp_path: Path) -> None:
    values = np.arange(9, dtype="<f4")
    fields(v2_store(tmp_path / "d.zarr", values.tobytes()))


@pytest.mark.parametrize("name", ["numcodecs.pickle", "pickle"])
def test_codecs_of_zarr_3(tmp_path: Path, name: str) -> None:
    store = tmp_path / "d.zarr"
    xr.Dataset({"u": (("sample", "y", "x"), np.zeros((1, 3, 3)))}).to_zarr(store, consolidated=False)
    path = store / "u" / "zarr.json"
    content = json.loads(path.read_text())
    content["codecs"].append({"name": name, "configuration": {}})
    path.write_text(json.dumps(content))
    for read in (fields, open_columns, lambda path: StoreSource(path, ["u"], dim="sample")):
        with pytest.raises(InputError, match="codec"):
            read(store)


def test_pickles_in_place_of_arrays(tmp_path: Path) -> None:
    mark, payload = tmp_path / "mark", pickle.dumps(Attack(tmp_path / "mark"))
    objects = np.array([Attack(mark)], dtype=object)
    np.save(tmp_path / "u.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "d.npz", u=objects, source=objects)
    torch.save({"u": Attack(mark), "source": torch.zeros(1, 3, 3)}, tmp_path / "d.pt")
    (tmp_path / "d.nc").write_bytes(payload)
    (tmp_path / "d.mat").write_bytes(payload)
    for name in ("u.npy", "d.npz", "d.pt", "d.nc", "d.mat"):
        with pytest.raises(SciMLError):
            fields(tmp_path / name)
        with pytest.raises(SciMLError):
            checkpoint.load(tmp_path / name)
    assert not mark.exists()


def test_pickles_in_a_checkpoint(tmp_path: Path) -> None:
    """Also with right checksums, as a part of a known name, and as further parts."""
    mark, payload = tmp_path / "mark", pickle.dumps(Attack(tmp_path / "mark"))
    path = tmp_path / "m.sciml"
    for victim in ("config.json", "weights.safetensors", "history.json", "data.pkl", "../../m/data.pkl"):
        with zipfile.ZipFile(DATA / "mskf-convrad.sciml") as old, zipfile.ZipFile(path, "w") as new:
            for name in {*old.namelist(), victim}:
                new.writestr(name, payload if name == victim else old.read(name))
        if victim.endswith(".pkl"):
            Emulator.load(path)
            continue
        with pytest.raises(SciMLError):
            Emulator.load(path)
    path.write_bytes(payload)
    with pytest.raises(InputError, match="no checkpoint"):
        checkpoint.load(path)
    assert not mark.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["m.sciml"]


def _external_storage(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("u", (1, 3, 3), "f4", external=[(str(secret), 0, 36)])


def _external_link(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("group")["u"] = h5py.ExternalLink(str(secret), "/x")


def _virtual(path: Path, secret: Path) -> None:
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "x", (4,))
        file.create_virtual_dataset("u", layout)


@pytest.mark.parametrize("write", [_external_storage, _external_link, _virtual])
def test_hdf5_that_reads_other_files(tmp_path: Path, write: Callable[[Path, Path], None]) -> None:
    secret = tmp_path / "secret"
    with h5py.File(secret, "w") as file:
        file["x"] = np.ones(4)
    write(tmp_path / "wrfout_d01_x", secret)
    os.link(tmp_path / "wrfout_d01_x", tmp_path / "d.h5")
    os.link(tmp_path / "wrfout_d01_x", tmp_path / "d.nc")
    with netCDF4.Dataset(tmp_path / "d.nc") as file:
        assert file.variables or file.groups  # the library itself would read it
    reads: list[tuple[Callable[[Path], Any], str]] = [
        (lambda path: open_wrfout(str(path)), "wrfout_d01_x"),
        (open_columns, "wrfout_d01_x"),
        (fields, "d.h5"),
        (fields, "d.nc"),
        (lambda path: StoreSource(path, ["u"], dim="sample"), "d.nc"),
    ]
    for read, name in reads:
        with pytest.raises(InputError, match="other files are not read"):
            read(tmp_path / name)


@pytest.mark.parametrize("kind", ["link", "virtual"])
def test_one_of_many_wrfouts_that_reads_other_files(tmp_path: Path, kind: str) -> None:
    """Their headers are read without xarray; a file that was checked is checked again after it is written."""
    dims = ("Time", "bottom_top", "south_north", "west_east")
    with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as whole:
        files = [tmp_path / f"wrfout_d01_2007-06-10_11:{minute}:00" for minute in (30, 35)]
        for frame, path in enumerate(files):
            whole.isel(Time=[frame]).to_netcdf(path)
    assert open_wrfout(files).sizes["Time"] == 2
    with h5py.File(files[1], "a") as file:
        shape = file["T"].shape
        with h5py.File(tmp_path / "secret", "w") as secret:
            secret["x"] = np.full(shape, 7, "f4")
        attributes = {name: value for name, value in file["T"].attrs.items() if name != "DIMENSION_LIST"}
        del file["T"]
        if kind == "link":
            file["T"] = h5py.ExternalLink(str(tmp_path / "secret"), "/x")
        else:
            layout = h5py.VirtualLayout(shape, "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret"), "x", shape)
            file.create_virtual_dataset("T", layout).attrs.update(attributes)
            for axis, dim in enumerate(dims):
                file["T"].dims[axis].attach_scale(file[dim])
    with pytest.raises(InputError, match=r"11:35:00: /T is a .*other files are not read"):
        open_wrfout(files)


def test_symbolic_links_that_lead_out_of_a_store(tmp_path: Path) -> None:
    values, secret = np.arange(9, dtype="<f4"), tmp_path / "secret"
    secret.write_bytes(values.tobytes())
    store = v2_store(tmp_path / "d.zarr", values.tobytes())
    (store / "u" / "0.0.0").unlink()
    (store / "u" / "0.0.0").symlink_to("../source/0.0.0")
    fields(store)
    (tmp_path / "link.zarr").symlink_to(store)
    fields(tmp_path / "link.zarr")
    (store / "u" / "0.0.0").unlink()
    (store / "u" / "0.0.0").symlink_to(secret)
    with pytest.raises(InputError, match="outside the store"):
        fields(store)


def test_names_in_a_checkpoint_are_not_paths(tmp_path: Path) -> None:
    """The parts of a checkpoint have fixed names; a tensor may be called anything."""
    tensors = {"../../etc/passwd": np.zeros(3), "/abs": np.ones(2)}
    checkpoint.save(tmp_path / "m.sciml", {"kind": "line"}, tensors)
    checkpoint.save(tmp_path / "m", {"kind": "line"}, tensors)
    assert {path.name for path in tmp_path.iterdir()} == {"m", "m.sciml"}
    assert set(checkpoint.load(tmp_path / "m").tensors) == set(tensors)
