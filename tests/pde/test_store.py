"""Writing datasets of other origin: lazy variables, orders of dims, and data that files cannot store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError, SciMLError
from sciml.pde import generate, open_dataset, write_dataset

DIMS = ("sample", "y", "x")


def own() -> xr.Dataset:
    random = np.random.default_rng(29)
    return xr.Dataset({name: (DIMS, random.uniform(1, 2, (6, 5, 7))) for name in ("coefficient", "u")})


def written(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    assert write_dataset(dataset, path)
    return (xr.open_dataset(path) if path.suffix == ".nc" else xr.open_zarr(path)).load()


@pytest.mark.parametrize("name", ["d.zarr", "d.nc"])
@pytest.mark.parametrize(
    "dataset",
    [
        own().transpose("y", "x", "sample"),
        own().transpose("y", "x", "sample").chunk(sample=4, x=3),
        own().assign(mask=(("y", "x"), np.eye(5, 7))).chunk(sample=4),
        own().assign_coords(contrast=("sample", da.arange(6, chunks=2) + 5)),
        own().assign_coords(place=(("y", "x"), da.ones((5, 7), chunks=5))),
        xr.Dataset(
            {"coefficient": own().coefficient.chunk(sample=4, x=3), "u": own().u.chunk(sample=(1, 5))}
        ),
    ],
    ids=["sample last", "sample last, lazy", "lazy mask", "lazy coordinate", "lazy places", "unlike chunks"],
)
def test_all_variables_of_a_dataset_are_written(tmp_path: Path, name: str, dataset: xr.Dataset) -> None:
    whole = dataset.compute()
    read = written(dataset, tmp_path / name)
    xr.testing.assert_equal(read, whole.transpose(*DIMS))
    assert not write_dataset(dataset, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_seeds_survive_being_written_again(tmp_path: Path) -> None:
    ds = generate("poisson", 5, 7, seed=11)
    write_dataset(ds, tmp_path / "d.zarr")
    again = written(open_dataset(tmp_path / "d.zarr"), tmp_path / "again.zarr")
    np.testing.assert_array_equal(again.sample_seed, ds.sample_seed)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (own().assign(u=own().u + 1j), "complex"),
        (own().assign_attrs(options={"rtol": 1e-6}), "options"),
        (own().assign_attrs(checked=True), "checked"),
    ],
)
def test_data_that_netcdf_cannot_store_fail_before_the_computation(
    tmp_path: Path, dataset: xr.Dataset, message: str
) -> None:
    with pytest.raises(InputError, match=rf"d\.nc: netCDF cannot hold .*{message}"):
        write_dataset(dataset, tmp_path / "d.nc", progress=_never)
    assert not list(tmp_path.iterdir())
    assert write_dataset(dataset, tmp_path / "d.zarr")


def _never(done: int, total: int) -> None:
    raise AssertionError("work was begun")


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (own().rename(u="a/b"), r"a/b: a variable's name"),
        (own().assign_attrs(made_by=object()), "zarr cannot hold"),
        (xr.Dataset(coords={"sample": np.arange(3)}), "no variables along sample"),
        (own().isel(sample=[]), "no samples"),
        (own().u, "DataArray: give an xarray Dataset"),
    ],
)
def test_data_that_no_file_can_store(tmp_path: Path, dataset: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_dataset(dataset, tmp_path / "d.zarr")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [0, 1.5, True, "2"])
def test_workers_are_a_whole_number(tmp_path: Path, workers: Any) -> None:
    with pytest.raises(InputError, match=r"workers=.*: give a whole number of 1 or more, or leave it out"):
        write_dataset(own(), tmp_path / "d.zarr", workers=workers)
    assert not list(tmp_path.iterdir())


def test_a_block_larger_than_memory_writes_nothing(tmp_path: Path) -> None:
    def _unheld(block: np.ndarray) -> np.ndarray:
        raise MemoryError("37 GiB")

    ds = own().assign(
        u=(DIMS, own().u.chunk(sample=2).data.map_blocks(_unheld, dtype=float, meta=np.empty((0, 0, 0))))
    )
    with pytest.raises(SciMLError, match=r"2 samples of .* do not fit in memory \(37 GiB\): .*--chunk"):
        write_dataset(ds, tmp_path / "d.nc")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote = xr.Dataset.to_netcdf

    def full(dataset: xr.Dataset, path: Path, **options: Any) -> Any:
        wrote(dataset, path, **options)
        if dataset.sizes["sample"] > 1:
            raise RuntimeError("NetCDF: HDF error")  # as netCDF4 does at close

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(SciMLError, match=r"d\.nc: NetCDF: HDF error, as on a full disk: free space"):
        write_dataset(own(), tmp_path / "d.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["d.nc.partial"]
    monkeypatch.undo()
    assert write_dataset(own(), tmp_path / "d.nc", progress=_nothing_left)
    assert [path.name for path in tmp_path.iterdir()] == ["d.nc"]


def _nothing_left(done: int, total: int) -> None:
    assert done == total
