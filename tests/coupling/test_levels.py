"""Columns of other numbers of levels than in the training: the native library and torch, and bits over tilings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import sciml
from sciml.constants import CP_DRY, GRAVITY, P_ZERO, R_DRY, R_VAPOUR
from sciml.convection.emulator import Emulator, physics, sounding_of
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.network import Architecture, Closure
from sciml.convection.problem import INPUT_SURFACE, Convection
from sciml.coupling.export import emulator_weights
from sciml.coupling.fortran_emulator import FortranEmulator, NativeColumns
from sciml.coupling.library import Library
from sciml.coupling.weights_file import write_weights
from sciml.errors import InputError
from sciml.solve import solve
from sciml.verify.library.parity import compare_outputs
from tests.paths import SAMPLE_WRFOUT

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("packaged")]

Array = np.ndarray[Any, Any]
LEVELS = (20, 50, 80)


def hybrid_share(eta: Array, mass: Array) -> Array:
    """Share of a column's mass (Pa) that is below the faces of WRF's hybrid levels (Klemp, 2011), (column, face)."""
    critical, above = 0.2, 0.95e5  # Pa between the reference surface and the top
    powers = (2 * critical**2 * (1 - critical), -critical * (4 - 3 * critical - critical**3))
    powers += (2 * (1 - critical**3), -(1 - critical**2))
    terrain = np.where(eta < critical, 0.0, np.polyval(powers[::-1], eta) / (1 - critical) ** 4)
    return 1 - (terrain * mass + (eta - terrain) * above) / mass


def on_levels(columns: xr.Dataset, levels: int, *, hybrid: bool = False) -> xr.Dataset:
    """Remap columns conservatively to levels that divide the mass as the given ones do, on average.

    Hybrid levels follow the terrain near the ground only. The means over mass of theta, vapour, wind and W0AVG are
    remapped; pressure is hydrostatic, and temperature, Exner function and density follow.
    """
    kappa = R_DRY / CP_DRY
    given = {
        name: columns[name].values.astype(np.float64) for name in columns.data_vars if columns[name].ndim == 2
    }
    mass = given["RHO"] * given["DZ8W"] * GRAVITY
    faces = np.concatenate([np.zeros((len(mass), 1)), np.cumsum(mass, 1)], 1)
    share = (faces / faces[:, -1:]).mean(0)
    wanted = np.interp(np.linspace(0, 1, levels + 1), np.linspace(0, 1, len(share)), share)
    new_faces = (hybrid_share(1 - wanted, faces[:, -1:]) if hybrid else wanted) * faces[:, -1:]
    depth = np.diff(new_faces, axis=1)

    def remapped(values: Array) -> Array:
        total = np.concatenate([np.zeros((len(mass), 1)), np.cumsum(values * mass, 1)], 1)
        at = np.stack([np.interp(*row) for row in zip(new_faces, faces, total, strict=True)])
        return np.diff(at, axis=1) / depth

    ground = given["P_HYD"][:, :1] + mass[:, :1] / 2
    p = ground - (new_faces[:, 1:] + new_faces[:, :-1]) / 2
    exner = (p / P_ZERO) ** kappa
    theta = remapped(given["T_PHY"] * (P_ZERO / given["P_HYD"]) ** kappa)
    profiles = {name: remapped(given[name]) for name in ("U_PHY", "V_PHY", "QVAPOR", "W0AVG")}
    t, q = theta * exner, profiles["QVAPOR"]
    density = p / (R_DRY * t * (1 + R_VAPOUR / R_DRY * q)) * (1 + q)
    profiles |= {"T_PHY": t, "P_HYD": p, "PI_PHY": exner, "RHO": density, "DZ8W": depth / (density * GRAVITY)}
    surface = {name: ("column", columns[name].values) for name in INPUT_SURFACE}
    rows = {name: (("column", "level"), values.astype(np.float32)) for name, values in profiles.items()}
    return xr.Dataset({**rows, **surface}, attrs=columns.attrs)


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    """A fifth of the sample: 807 columns, 29 % of which convect."""
    return (
        sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT))).isel(column=slice(0, None, 5)).load()
    )


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return Emulator.load("mskf-convrad", precision="float64")


@pytest.fixture(scope="module")
def weights(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("levels") / "mskf.nc"
    write_weights(path, emulator_weights(emulator))
    return path


@pytest.mark.parametrize(
    ("levels", "hybrid"), [*((levels, False) for levels in LEVELS), (31, True), (100, True)]
)
def test_the_library_and_torch_agree(
    library: Library, weights: Path, emulator: Emulator, columns: xr.Dataset, levels: int, hybrid: bool
) -> None:
    problem = Convection(on_levels(columns, levels, hybrid=hybrid))
    assert problem.levels == levels
    exact = solve(problem, emulator).outputs
    assert set(np.unique(exact["KIND"])) == {0, 1, 2}
    double = solve(problem, FortranEmulator(library.path, weights, precision="float64")).outputs
    parity = compare_outputs(exact, double, median=1e-11, tolerance=1e-9, share=1.0)
    assert parity.ok, parity
    single = compare_outputs(exact, solve(problem, FortranEmulator(library.path, weights)).outputs)
    assert single.ok, single


@pytest.mark.parametrize("levels", LEVELS)
def test_the_same_bits(library: Library, weights: Path, columns: xr.Dataset, levels: int) -> None:
    native = NativeColumns(Convection(on_levels(columns.isel(column=slice(0, 300)), levels)))
    with library.open(weights) as state:
        whole = native.run(state)
        for tile, threads in ((1, 1), (7, 2), (100, 1)):
            cut = native.run(state, threads, tile=tile)
            for name, values in whole.items():
                assert values.tobytes() == cut[name].tobytes(), (name, tile)


def test_most_columns_have_the_class_of_their_own_levels(
    library: Library, weights: Path, columns: xr.Dataset
) -> None:
    """Remapped to 44 levels at slightly other places, they have the same mean rain too."""
    truth = solve(Convection(columns), FortranEmulator(library.path, weights)).outputs
    kind = truth["KIND"].values
    for levels, agree in ((44, 0.97), (50, 0.9), (80, 0.9)):
        other = solve(Convection(on_levels(columns, levels)), FortranEmulator(library.path, weights)).outputs
        assert (other["KIND"].values == kind).mean() > agree, levels
        if levels == 44:
            assert float(other["PRATEC"].mean()) == pytest.approx(float(truth["PRATEC"].mean()), rel=0.05)


@pytest.mark.parametrize("levels", [1, 2, 19])
def test_too_few_levels_are_one_error(
    library: Library, weights: Path, emulator: Emulator, columns: xr.Dataset, levels: int
) -> None:
    problem = Convection(on_levels(columns.isel(column=slice(0, 20)), levels))
    for algorithm in (emulator, FortranEmulator(library.path, weights)):
        with pytest.raises(
            InputError, match=f"the columns have {levels} levels, and the network needs 20 or more"
        ):
            solve(problem, algorithm)


@pytest.mark.parametrize(("below", "cloud"), [(1, 1), (9, 64), (64, 3)])
def test_any_number_of_layers(
    library: Library, columns: xr.Dataset, tmp_path: Path, below: int, cloud: int
) -> None:
    """More layers of the plume than levels, and one layer of each kind, with a random network."""
    some = on_levels(columns.isel(column=slice(0, 300)), 25)
    torch.manual_seed(29)
    network = Closure(Architecture(hidden=3, pooled=4, below=below, cloud=cloud))
    with torch.no_grad():
        network.level.weight.normal_(0.0, 0.5)
        network.column.weight.normal_(0.0, 0.5)
    known = physics(sounding_of(some), network.shape)
    assert known is not None
    assert known.channels.shape[0] == below + cloud
    trained = {
        "dx": [1e4, 1e4],
        "dt": [50.0, 50.0],
        "cudt": [5.0, 5.0],
        "enthalpy": [-0.03, 0.06],
        "log_error": 0.3,
    }
    scaling = FeatureScaling.of(known.channels, known.scalars)
    emulator = Emulator(network.eval(), scaling, trained, "float64")
    write_weights(tmp_path / "random.nc", emulator_weights(emulator))
    native = FortranEmulator(library.path, tmp_path / "random.nc", precision="float64")
    exact, mine = (solve(Convection(some), algorithm).outputs for algorithm in (emulator, native))
    parity = compare_outputs(exact, mine, median=1e-11, tolerance=1e-9, share=1.0)
    assert parity.ok, parity
    np.testing.assert_allclose(mine["NOVELTY"], exact["NOVELTY"], rtol=1e-8)
