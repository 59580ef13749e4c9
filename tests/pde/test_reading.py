"""Synthetic files of every format and published layout, written by h5py and scipy."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr

from sciml.errors import InputError, MissingVariable
from sciml.pde import (
    Boundary,
    Darcy,
    Direct,
    Grid,
    generate,
    grid_of_dataset,
    open_dataset,
    problem_of,
    write_dataset,
)
from sciml.pde.array_files import Hdf5Array, read_arrays
from sciml.pde.published_formats import LAYOUTS, layout_named
from sciml.solve import solve

Arrays = dict[str, np.ndarray]


def matlab73(path: Path, arrays: Arrays) -> None:
    """Write as MATLAB does: a block of 512 bytes before the HDF5, and the axes in reverse."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values.T)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" "))


def matlab5(path: Path, arrays: Arrays) -> None:
    scipy.io.savemat(path, arrays)


def hdf5(path: Path, arrays: Arrays, **attrs: float) -> None:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, chunks=True)
        file.attrs.update(attrs)


def npz(path: Path, arrays: Arrays) -> None:
    np.savez(path, **arrays)


def fields(shape: tuple[int, ...] = (5, 9, 9), seed: int = 31) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 2, shape)


def darcy(n: int, centring: str = "vertex", padded: bool = False) -> Arrays:
    """Coefficients and solutions; ``padded`` adds the nodes on the sides, where u is zero."""
    ds = generate("darcy-smooth", 4, n, seed=13, centring=centring, dtype="float64").compute()
    coefficient, u = ds.coefficient.values, ds.u.values
    if padded:
        coefficient = np.pad(coefficient, ((0, 0), (1, 1), (1, 1)), mode="edge")
        u = np.pad(u, ((0, 0), (1, 1), (1, 1)))
    return {"coeff": coefficient, "sol": u}


def check_solved(ds: xr.Dataset, index: int = 2) -> None:
    """Check that the problem of a sample has the solution of the sample."""
    np.testing.assert_allclose(solve(problem_of(ds, index), Direct()).u, ds.u[index], atol=1e-9)


@pytest.mark.parametrize("write", [matlab5, matlab73])
def test_fno_darcy_with_the_nodes_on_the_sides(tmp_path: Path, write: object) -> None:
    path = tmp_path / "piececonst_r17_N4_smooth1.mat"
    write(path, darcy(15, padded=True))  # type: ignore[operator]
    ds = open_dataset(path)
    assert (ds.attrs["layout"], ds.attrs["sides"]) == ("fno-darcy", "dropped")
    assert grid_of_dataset(ds) == Grid((15, 15))
    check_solved(ds)
    with_sides = open_dataset(path, sides="keep")
    assert with_sides.sizes["x"] == 17
    assert (float(with_sides.x[0]), float(with_sides.x[-1])) == (0.0, 1.0)
    assert not with_sides.u[:, 0].any()
    check_solved(open_dataset(path))
    assert repr(problem_of(with_sides, 1)) == repr(problem_of(ds, 1))


@pytest.mark.parametrize("write", [matlab5, matlab73])
def test_fno_darcy_at_the_centres_of_cells(tmp_path: Path, write: object) -> None:
    write(tmp_path / "darcy_alpha2_tau5_512_train.mat", darcy(16, "cell"))  # type: ignore[operator]
    ds = open_dataset(tmp_path / "darcy_alpha2_tau5_512_train.mat")
    assert grid_of_dataset(ds) == Grid((16, 16), "cell")
    assert "sides" not in ds.attrs
    check_solved(ds)


def test_mgno_multiscale_is_recognised_by_its_name(tmp_path: Path) -> None:
    matlab73(tmp_path / "mul_tri_train.mat", darcy(15))
    ds = open_dataset(tmp_path / "mul_tri_train.mat")
    assert grid_of_dataset(ds) == Grid((15, 15))
    check_solved(ds)
    matlab73(tmp_path / "train.mat", darcy(15))
    check_solved(open_dataset(tmp_path / "train.mat", layout="mgno-multiscale"))


def test_fno_navier_stokes_is_transposed(tmp_path: Path) -> None:
    a, u = fields((3, 8, 8)), fields((3, 8, 8, 5))
    matlab5(tmp_path / "NavierStokes_V1e-5.mat", {"a": a, "u": u, "t": np.arange(1.0, 6)})
    ds = open_dataset(tmp_path / "NavierStokes_V1e-5.mat")
    assert ds.u.dims == ("sample", "time", "y", "x")
    assert float(ds.u[1, 4, 2, 7]) == u[1, 7, 2, 4]
    assert float(ds.vorticity[1, 2, 7]) == a[1, 7, 2]
    np.testing.assert_array_equal(ds.time, np.arange(1, 6))
    assert grid_of_dataset(ds).boundary == Boundary.all("periodic")
    assert problem_of(ds, 1).viscosity == 1e-5
    assert (problem_of(ds, 1).final_time, problem_of(ds, 1).frames) == (5.0, 5)
    matlab5(tmp_path / "ns_V1e-3_N3_T5.mat", {"a": a, "u": u, "t": np.array([1.0, 2, 4, 5, 6])})
    other = problem_of(open_dataset(tmp_path / "ns_V1e-3_N3_T5.mat"), 1)
    assert (other.viscosity, other.final_time, other.frames) == (1e-3, 20.0, 20)


def test_fno_burgers(tmp_path: Path) -> None:
    a, u = fields((3, 16)), fields((3, 16), seed=32)
    matlab5(tmp_path / "burgers_data_R10.mat", {"a": a, "u": u, "a_x": a})
    ds = open_dataset(tmp_path / "burgers_data_R10.mat")
    assert ds.u.dims == ("sample", "time", "x")
    np.testing.assert_array_equal(ds.u[:, 0], u)
    np.testing.assert_array_equal(ds.initial, a)
    assert problem_of(ds, 0).viscosity == 0.1
    np.testing.assert_array_equal(
        open_dataset(tmp_path / "burgers_data_R10.mat", stride=4).x, np.arange(4) / 4
    )


@pytest.mark.parametrize("stated_in", ["attribute", "name"])
def test_pdebench_darcy(tmp_path: Path, stated_in: str) -> None:
    arrays, beta = darcy(16, "cell"), 0.1
    centres = (np.arange(16) + 0.5) / 16
    path = tmp_path / ("2D_DarcyFlow_beta0.1_Train.hdf5" if stated_in == "name" else "train.hdf5")
    content = {"nu": arrays["coeff"], "tensor": beta * arrays["sol"][:, None]}
    hdf5(
        path,
        {**content, "x-coordinate": centres, "y-coordinate": centres},
        **({"beta": beta} if stated_in == "attribute" else {}),
    )
    ds = open_dataset(path)
    assert ds.attrs["layout"] == "pdebench-darcy"
    assert grid_of_dataset(ds) == Grid((16, 16), "cell")
    assert problem_of(ds, 0).source == beta
    check_solved(ds)


def test_pdebench_burgers_is_recognised_by_its_name(tmp_path: Path) -> None:
    tensor, x = fields((3, 5, 16)), (np.arange(16) + 0.5) / 16
    arrays = {"tensor": tensor, "x-coordinate": x, "t-coordinate": np.arange(6) / 5}
    hdf5(tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5", arrays)
    ds = open_dataset(tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5")
    np.testing.assert_array_equal(ds.initial, tensor[:, 0])
    np.testing.assert_array_equal(ds.u, tensor[:, 1:])
    np.testing.assert_allclose(ds.time, [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(ds.x, x)
    hdf5(tmp_path / "1D_Advection_beta0.1.hdf5", arrays)
    with pytest.raises(MissingVariable, match="tensor 3 x 5 x 16"):
        open_dataset(tmp_path / "1D_Advection_beta0.1.hdf5")


def test_the_pair_of_helmholtz_files(tmp_path: Path) -> None:
    speed, u = fields((9, 9, 4)), fields((9, 9, 4), seed=32)
    np.save(tmp_path / "Helmholtz_inputs.npy", speed)
    with pytest.raises(InputError, match=r"Helmholtz_outputs\.npy is not there"):
        open_dataset(tmp_path / "Helmholtz_inputs.npy")
    np.save(tmp_path / "Helmholtz_outputs.npy", u)
    for name in ("Helmholtz_inputs.npy", "Helmholtz_outputs.npy"):
        ds = open_dataset(tmp_path / name)
        assert float(ds.wave_speed[3, 2, 7]) == speed[7, 2, 3]
        assert float(ds.u[3, 2, 7]) == u[7, 2, 3]
        assert grid_of_dataset(ds) == Grid((9, 9), "vertex", Boundary.all("neumann"))


@pytest.mark.parametrize(
    ("write", "name"),
    [(matlab5, "d.mat"), (matlab73, "d.mat"), (hdf5, "d.h5"), (npz, "d.npz"), (hdf5, "no_suffix")],
)
def test_own_files_of_any_form(tmp_path: Path, write: object, name: str) -> None:
    k, p = fields(), fields(seed=32)
    write(tmp_path / name, {"coefficient": k, "u": p, "id": np.arange(5)})  # type: ignore[operator]
    ds = open_dataset(tmp_path / name, grid=Grid((9, 9), "cell"))
    assert ds.u.dims == ("sample", "y", "x")
    assert ds.u.chunks is not None
    np.testing.assert_array_equal(ds.coefficient, k)
    np.testing.assert_array_equal(ds.u[[3, 1], ::2, 4], p[[3, 1], ::2, 4])
    np.testing.assert_array_equal(ds.u[2, 3], p[2, 3])
    assert isinstance(problem_of(ds, 1), Darcy)


def test_own_names_and_channels(tmp_path: Path) -> None:
    k, p = fields((5, 1, 9, 9)), fields((5, 9, 9, 1), seed=32)
    hdf5(tmp_path / "d.h5", {"train/k": k, "train/p": p})
    maps = {"inputs": {"coefficient": "train/k"}, "target": {"u": "train/p"}}
    ds = open_dataset(tmp_path / "d.h5", **maps)  # type: ignore[arg-type]
    np.testing.assert_array_equal(ds.coefficient, k[:, 0])
    np.testing.assert_array_equal(ds.u, p[..., 0])
    with pytest.raises(
        MissingVariable, match=r"train/k 5 x 1 x 9 x 9, train/p.*inputs=\{\"coefficient\": \"NAME\"\}"
    ):
        open_dataset(tmp_path / "d.h5")
    np.save(tmp_path / "k.npy", k[:, 0])
    np.save(tmp_path / "p.npy", p[..., 0])
    pair = open_dataset({"coefficient": tmp_path / "k.npy", "u": tmp_path / "p.npy"})
    xr.testing.assert_equal(pair.compute(), ds.compute())


@pytest.mark.parametrize("name", ["d.zarr", "d.nc"])
def test_stores_and_netcdf_of_other_origin(tmp_path: Path, name: str) -> None:
    ds = generate("darcy-rough", 5, 15, seed=13)
    write_dataset(ds, tmp_path / name)
    again = open_dataset(tmp_path / name)
    assert again.u.chunks is not None
    xr.testing.assert_equal(again.compute(), ds.compute())
    # Written again after subsampling; the attributes remain.
    assert write_dataset(open_dataset(tmp_path / name, stride=4), tmp_path / "thin.nc")
    assert not write_dataset(open_dataset(tmp_path / name, stride=4), tmp_path / "thin.nc")
    thin = open_dataset(tmp_path / "thin.nc")
    np.testing.assert_allclose(thin.x, [0.25, 0.5, 0.75])
    assert grid_of_dataset(thin) == Grid((3, 3))


def test_lazy_arrays_are_pickled_with_their_file(tmp_path: Path) -> None:
    matlab73(tmp_path / "d.mat", {"coefficient": fields(), "u": fields(seed=32)})
    for _ in range(2):
        write_dataset(open_dataset(tmp_path / "d.mat"), tmp_path / "d.zarr")
    value = open_dataset(tmp_path / "d.mat")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(value.u.data)).compute(), fields(seed=32))
    assert value.u.data.name == open_dataset(tmp_path / "d.mat").u.data.name
    array = read_arrays(tmp_path / "d.mat", "hdf5").arrays["u"]
    assert isinstance(array, Hdf5Array)
    np.testing.assert_array_equal(array[2, ..., 1:3], fields(seed=32).T[2, ..., 1:3])
    np.testing.assert_array_equal(array[-1], fields(seed=32).T[-1])


@pytest.mark.parametrize(
    ("grid", "stride", "x"),
    [
        (Grid((15, 15)), 2, np.arange(1, 8) / 8),
        (Grid((17, 17), "vertex", Boundary.all("neumann")), 4, np.arange(5) / 4),
        (Grid((16, 16), "vertex", Boundary.all("periodic")), 4, np.arange(4) / 4),
        (Grid((15, 15), "cell"), 3, (np.arange(5) + 0.5) / 5),
        (Grid((16, 16), "vertex", Boundary(west="neumann", north="neumann")), 2, np.arange(8) / 8),
    ],
)
def test_a_stride_gives_a_grid(grid: Grid, stride: int, x: np.ndarray) -> None:
    at_x, at_y = grid.mesh()
    values = np.stack([at_x + 10 * at_y] * 2)
    ds = xr.Dataset(dict.fromkeys(("coefficient", "u"), (("sample", "y", "x"), values)))
    thin = open_dataset(ds, grid=grid, stride=stride)
    coarse = grid_of_dataset(thin)
    np.testing.assert_allclose(thin.x, x, atol=1e-12)
    in_x, in_y = coarse.mesh()
    np.testing.assert_allclose(thin.u[1], in_x + 10 * in_y, atol=1e-12)


def test_even_strides_of_cells_give_a_warning() -> None:
    values = np.ones((2, 16, 16))
    ds = xr.Dataset(dict.fromkeys(("coefficient", "u"), (("sample", "y", "x"), values)))
    thin = open_dataset(ds, grid=Grid((16, 16), "cell"), stride=2)
    assert "0.25 of a cell" in thin.attrs["comment"]
    np.testing.assert_allclose(thin.x, (np.arange(8) + 0.25) / 8)


@pytest.mark.parametrize(
    ("stride", "message"), [(3, r"must divide 16 \(one of 1, 2, 4, 8\)"), (8, "no grid"), (0, "stride=0")]
)
def test_strides_that_leave_no_grid(stride: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_dataset(generate("poisson", 2, 15, seed=13), stride=stride)


def test_invalid_files(tmp_path: Path) -> None:
    (tmp_path / "empty.mat").touch()
    (tmp_path / "text.mat").write_text("not a matrix, but long enough to be one")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "text.npz", title=np.array(["u"]))
    hdf5(tmp_path / "whole.h5", {"coefficient": fields(), "u": fields()})
    (tmp_path / "half.h5").write_bytes((tmp_path / "whole.h5").read_bytes()[:1500])
    npz(tmp_path / "whole.npz", {"coefficient": fields(), "u": fields()})
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:1500])
    with zipfile.ZipFile(tmp_path / "tensors.pt", "w") as archive:
        archive.writestr("tensors/data.pkl", b"")
    matlab5(tmp_path / "none.mat", {"coeff": fields((0, 9, 9)), "sol": fields((0, 9, 9))})
    hdf5(tmp_path / "unequal.h5", {"coefficient": fields(), "u": fields((4, 9, 9))})
    hdf5(tmp_path / "deep.h5", {"coefficient": fields((2,) * 6), "u": fields()})
    for name, message in {
        "absent.nc": "is not there",
        "empty.mat": "is empty",
        "text.mat": "cannot be read",
        "table.csv": "no known form.*HDF5",
        "folder": "not a zarr store",
        "text.npz": "no arrays of numbers",
        "half.h5": "cannot be opened.*whole",
        "half.npz": "cannot be read.*whole",
        "tensors.pt": "cannot be read.*whole",
        "none.mat": "no samples",
        "unequal.h5": "coefficient has 5 along sample, u has 4",
        "deep.h5": "coefficient has 6 axes",
    }.items():
        with pytest.raises(InputError, match=message):
            open_dataset(tmp_path / name)
    (tmp_path / "d.zarr.partial").mkdir()
    with pytest.raises(InputError, match="was not finished"):
        open_dataset(tmp_path / "d.zarr")


def test_layouts() -> None:
    with pytest.raises(InputError, match=r"no layout 'fno': there are .*fno-darcy"):
        layout_named("fno")
    for layout in LAYOUTS.values():
        assert layout.name in str(layout)
        assert "confirmed" in layout.known
        assert set(layout.inputs) <= {*layout.variables, "initial"}


def test_a_layout_that_does_not_fit(tmp_path: Path) -> None:
    hdf5(tmp_path / "d.h5", {"nu": fields(), "tensor": fields()})
    with pytest.raises(InputError, match=r"tensor has shape \(5, 9, 9\)"):
        open_dataset(tmp_path / "d.h5", layout="pdebench-darcy")
    with pytest.raises(MissingVariable, match="no 'coeff' for coefficient"):
        open_dataset(tmp_path / "d.h5", layout="fno-darcy")


def test_layouts_apply_to_files_without_named_dims(tmp_path: Path) -> None:
    ds = generate("darcy-rough", 3, 7, seed=13).compute()
    ds.to_netcdf(tmp_path / "d.nc")
    with pytest.raises(InputError, match=r"layout='fno-darcy'.*d\.nc does \(netcdf\): name inputs"):
        open_dataset(tmp_path / "d.nc", layout="fno-darcy")
    with pytest.raises(InputError, match="no layout 'fno'"):
        open_dataset(tmp_path / "d.nc", layout="fno")
    with pytest.raises(InputError, match="layout='fno-darcy' applies to files"):
        open_dataset(ds, layout="fno-darcy")
    matlab5(tmp_path / "d.mat", darcy(7, padded=True))
    named = open_dataset(tmp_path / "d.mat", layout="fno-darcy", inputs={"k": "coefficient"})
    assert named.attrs["inputs"] == "k"
    with pytest.raises(MissingVariable, match="no 'coeff' for coeff: the file holds coefficient, u"):
        open_dataset(tmp_path / "d.mat", layout="fno-darcy", inputs="coeff")


@pytest.mark.parametrize("given", [None, ["d.nc"], 3])
def test_invalid_paths(given: object) -> None:
    with pytest.raises(InputError, match="give the path of one file"):
        open_dataset(given)  # type: ignore[call-overload]
