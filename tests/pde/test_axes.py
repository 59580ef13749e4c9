"""The axes of arrays that do not name them: from shapes, coordinates and given dims, and the errors."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import xarray as xr

from sciml.errors import InputError
from sciml.operators.samples import Samples
from sciml.pde import Boundary, Grid, generate, grid_of_dataset, open_dataset
from sciml.pde.axes import given_dims

NAMED: dict[str, Any] = {"inputs": "k", "target": "p"}


def random(*shape: int, seed: int = 23) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 2, shape)


def written(folder: Path, suffix: str = ".npz", **arrays: np.ndarray) -> Path:
    path = folder / f"d{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        scipy.io.savemat(path, arrays)
    return path


def options(message: str) -> list[str]:
    return [value.strip() for value in re.findall(r"--dims [^;(]*", message)]


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_square_fields_after_the_sample_axis_give_no_warning(tmp_path: Path, suffix: str) -> None:
    k, p = random(40, 9, 9), random(40, 9, 9, seed=24)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = open_dataset(written(tmp_path, suffix, k=k, p=p), **NAMED)
    np.testing.assert_array_equal(ds.k, k)


@pytest.mark.parametrize("shape", [(9, 9, 40), (9, 9, 9), (9, 12, 40)])
@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_a_possible_last_sample_axis_is_an_error(tmp_path: Path, shape: tuple[int, ...], suffix: str) -> None:
    k, p = random(*shape), random(*shape, seed=24)
    path = written(tmp_path, suffix, k=k, p=p)
    with pytest.raises(InputError, match=r"k \(.*in d\.(npz|mat) can be read in 4 ways") as caught:
        open_dataset(path, **NAMED)
    assert {"--dims sample,y,x", "--dims y,x,sample"} <= set(options(str(caught.value)))
    last = open_dataset(path, **NAMED, dims="y,x,sample")
    assert last.k.dims == ("sample", "y", "x")
    np.testing.assert_array_equal(last.k, np.moveaxis(k, 2, 0))
    np.testing.assert_array_equal(last.p[3, 2, 5], p[2, 5, 3])
    np.testing.assert_array_equal(open_dataset(path, **NAMED, dims=("sample", "y", "x")).k, k)
    swapped = open_dataset(path, **NAMED, dims=["x,y,sample"])
    np.testing.assert_array_equal(swapped.k[1], k[..., 1].T)


def test_a_published_layout_needs_square_fields(tmp_path: Path) -> None:
    coeff, sol = random(9, 9, 40), random(9, 9, 40, seed=24)
    path = written(tmp_path, ".mat", coeff=coeff, sol=sol)
    with pytest.raises(InputError, match=r"40 samples of 9 x 9 \(y, x\): --dims y,x,sample"):
        open_dataset(path)
    ds = open_dataset(path, dims="y,x,sample")
    np.testing.assert_array_equal(ds.coefficient, np.moveaxis(coeff, 2, 0))
    assert ds.attrs["layout"] == "fno-darcy"
    assert grid_of_dataset(ds) == Grid((9, 9), "cell")


def test_a_rectangle_gives_a_warning(tmp_path: Path) -> None:
    path = written(tmp_path, k=random(8, 32, 48), p=random(8, 32, 48))
    with pytest.warns(UserWarning, match=r"8 samples of 32 x 48 \(y, x\): confirm it with --dims sample,y,x"):
        assert open_dataset(path, **NAMED).sizes == {"sample": 8, "y": 32, "x": 48}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_dataset(path, **NAMED, grid=Grid((32, 48), "cell")).sizes["sample"] == 8
        assert open_dataset(path, **NAMED, dims="sample,time,x").sizes == {"sample": 8, "time": 32, "x": 48}


def test_coordinates_in_the_file_determine_the_axes(tmp_path: Path) -> None:
    k = random(9, 12, 40)
    path = written(tmp_path, ".mat", k=k, p=k, x=np.linspace(0, 1, 12), y=np.linspace(0, 1, 9))
    np.testing.assert_array_equal(open_dataset(path, **NAMED).k, np.moveaxis(k, 2, 0))
    series = random(9, 12, 40)
    path = written(tmp_path, k=series, p=series, x=np.arange(40.0), t=np.arange(12.0))
    assert open_dataset(path, **NAMED).k.dims == ("sample", "time", "x")
    line = random(7, 25)
    path = written(tmp_path, k=line, p=line, x=np.arange(25.0))
    assert open_dataset(path, **NAMED).k.dims == ("sample", "x")


@pytest.mark.parametrize("shape", [(3, 8, 8, 8), (5, 6, 8, 8), (5, 8, 8, 3)])
def test_an_ambiguous_fourth_axis_is_an_error(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = written(tmp_path, k=random(*shape), p=random(*shape))
    with pytest.raises(InputError, match="can be read in") as caught:
        open_dataset(path, **NAMED)
    assert any("time" in item for item in options(str(caught.value)))
    assert open_dataset(path, **NAMED, dims="sample,z,y,x").k.dims == ("sample", "z", "y", "x")
    if shape == (3, 8, 8, 8):
        assert "--dims sample,z,y,x" in options(str(caught.value))
        assert "8 x 8 x 8 (z, y, x)" in str(caught.value)


def test_an_additional_axis_of_one_array(tmp_path: Path) -> None:
    """One array has an additional axis, which is time if the file or the input shows it."""
    k, p = random(5, 8, 8), random(5, 3, 8, 8)
    with pytest.raises(InputError, match="can be read in 2 ways") as caught:
        open_dataset(written(tmp_path, k=k, p=p), **NAMED)
    assert options(str(caught.value)) == [
        "--dims k=sample,y,x --dims p=sample,time,y,x",
        "--dims k=sample,y,x --dims p=sample,channel,y,x",
    ]
    timed = open_dataset(written(tmp_path, k=k, p=p, t=np.arange(3.0)), **NAMED)
    assert timed.p.dims == ("sample", "time", "y", "x")
    maps: dict[str, Any] = {"inputs": {"vorticity": "k"}, "target": {"u": "p"}}
    flow = open_dataset(written(tmp_path, k=k, p=np.moveaxis(p, 1, 3)), **maps)
    np.testing.assert_array_equal(flow.u, p)
    line, series = random(5, 7), random(5, 3, 7)
    with pytest.warns(UserWarning, match=r"5 samples of 3 x 7 \(time, x\)"):
        assert open_dataset(written(tmp_path, k=line, p=series), **NAMED).p.dims == ("sample", "time", "x")
    both = open_dataset(written(tmp_path, k=k, p=p), **NAMED, dims="sample,time,y,x")
    assert (both.k.dims, both.p.dims) == (("sample", "y", "x"), ("sample", "time", "y", "x"))


def test_channels_become_inputs(tmp_path: Path) -> None:
    k, p = random(5, 3, 8, 8), random(5, 8, 8)
    dims = {"k": "sample,channel,y,x", "p": "sample,y,x"}
    ds = open_dataset(written(tmp_path, k=k, p=p), **NAMED, dims=dims)
    assert ds.attrs["inputs"] == "k_0,k_1,k_2"
    xr.testing.assert_equal(open_dataset(tmp_path / "d.npz", **NAMED), ds)  # no time, which p has not
    np.testing.assert_array_equal(ds.k_2, k[:, 2])
    place: dict[str, Any] = {"boundary": "dirichlet", "centring": "cell"}
    taken = Samples.of(tmp_path / "d.npz", inputs=["k"], target="p", dims=dims, **place)
    assert taken.inputs == ("k_0", "k_1", "k_2")
    named = xr.Dataset({"k": (("sample", "channel", "y", "x"), k), "p": (("sample", "y", "x"), p)})
    xr.testing.assert_equal(open_dataset(named, **NAMED), ds.compute())
    with pytest.raises(InputError, match="target p has 3 channels"):
        open_dataset(written(tmp_path, k=p, p=k), **NAMED, dims=["k=sample,y,x", "p=sample,channel,y,x"])


def test_lines_and_flattened_fields(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"30 x 30 \(y, x\): --dims 'sample,y\*x'"):
        open_dataset(written(tmp_path, k=random(7, 900), p=random(7, 900)), **NAMED)
    k = random(7, 30, 30)
    flat = written(tmp_path, k=k.reshape(7, 900), p=k.reshape(7, 900))
    np.testing.assert_array_equal(open_dataset(flat, **NAMED, dims="sample,y*x").k, k)
    assert open_dataset(flat, **NAMED, dims="sample,x").k.dims == ("sample", "x")
    np.testing.assert_array_equal(
        open_dataset(flat, **NAMED, dims="sample,y:20*x:45").k, k.reshape(7, 20, 45)
    )
    with pytest.raises(InputError, match="900 points are no 7 x 45"):
        open_dataset(flat, **NAMED, dims="sample,y:7*x:45")
    rectangle = random(7, 20, 45)
    mixed = written(tmp_path, k=rectangle, p=rectangle.reshape(7, 900))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(open_dataset(mixed, **NAMED).p, rectangle)
    with pytest.warns(UserWarning, match=r"7 samples of 60 \(x\)"):
        assert open_dataset(written(tmp_path, k=random(7, 60), p=random(7, 60)), **NAMED).sizes["x"] == 60
    snapshots = written(tmp_path, ".mat", k=random(60, 7), p=random(60, 7))
    with pytest.raises(InputError, match="--dims x,sample"):
        open_dataset(snapshots, **NAMED)
    assert open_dataset(snapshots, **NAMED, dims="x,sample").sizes == {"sample": 7, "x": 60}
    value = written(tmp_path, k=random(12, 12), p=random(12, 12))
    with pytest.raises(InputError, match=r"1 sample of 12 x 12 \(y, x\): --dims y,x"):
        open_dataset(value, **NAMED)
    assert open_dataset(value, **NAMED, dims="y,x").sizes == {"sample": 1, "y": 12, "x": 12}


def test_dims_with_other_names(tmp_path: Path) -> None:
    ds = generate("poisson", 3, 7, seed=13).compute().drop_attrs()
    strange = ds.rename(sample="case", y="lat", x="lon").drop_vars(["lat", "lon", "case"])
    with pytest.raises(InputError, match=r"--dims sample,y,x"):
        open_dataset(strange, inputs="source", target="u")
    again = open_dataset(strange, inputs="source", target="u", dims="sample,y,x")
    np.testing.assert_array_equal(again.u, ds.u)
    strange.to_netcdf(tmp_path / "d.nc")
    xr.testing.assert_equal(
        open_dataset(tmp_path / "d.nc", inputs="source", target="u", dims="sample,y,x"), again
    )
    deep = ds.expand_dims(z=4, axis=1)
    assert open_dataset(deep, inputs="source", target="u").u.dims == ("sample", "z", "y", "x")
    with pytest.raises(InputError, match="take one depth"):
        open_dataset(strange.expand_dims(depth=4, axis=1), inputs="source", target="u")
    samples = Samples.of(deep, inputs="source", boundary="dirichlet", centring="vertex")
    assert samples.grid == Grid((4, 7, 7))
    with pytest.raises(InputError, match=r"if member is time or a channel, name the axes"):
        open_dataset(ds.expand_dims(member=4, axis=1), inputs="source", target="u")


@pytest.mark.parametrize(
    ("dims", "why"),
    [
        ("y,x,smaple", "'smaple' is unknown"),
        ("y,x,x", "x is given twice"),
        ("sample,y", "no x"),
        ("sample,time,y,x,channel", r"name 5: name each axis, such as k=sample,y,x"),
        ("q=sample,y,x", r"dims of q: d\.npz is read for k, p"),
        ("sample,1,x", "axis of size one"),
    ],
)
def test_invalid_dims(tmp_path: Path, dims: str, why: str) -> None:
    path = written(tmp_path, k=random(5, 9, 9), p=random(5, 9, 9))
    with pytest.raises(InputError, match=why):
        open_dataset(path, **NAMED, dims=dims)


def test_dims_by_name() -> None:
    assert given_dims({"k": ["sample", "y", "x"]}) == {"k": ("sample", "y", "x")}
    assert given_dims(None) == {}


def test_variables_with_the_names_of_dims(tmp_path: Path) -> None:
    """The names in files of neuraloperator are names of coordinates here."""
    x, y = random(5, 9, 9), random(5, 9, 9, seed=24)
    path = written(tmp_path, x=x, y=y)
    ds = open_dataset(path, inputs="x", target="y", grid=Grid((9, 9), "cell", Boundary.all("neumann")))
    np.testing.assert_array_equal(ds.x_values, x)
    np.testing.assert_array_equal(ds.y_values, y)
    assert (ds.attrs["inputs"], ds.attrs["target"]) == ("x_values", "y_values")
    place: dict[str, Any] = {"boundary": "neumann", "centring": "cell"}
    taken = Samples.of(path, inputs="x", target="y", **place)
    assert (taken.inputs, taken.target) == (("x_values",), "y_values")
    again = Samples.of(path, inputs=["x_values"], target="y_values", **place)  # as a trained operator asks
    np.testing.assert_array_equal(again.fields.truth, y)
    mapped = open_dataset(path, inputs={"coefficient": "x"}, target={"u": "y"})
    np.testing.assert_array_equal(mapped.u, y)
    named = xr.Dataset({"time": (("sample", "y", "x"), x), "u": (("sample", "y", "x"), y)})
    np.testing.assert_array_equal(open_dataset(named, inputs="time", target="u").time_values, x)
