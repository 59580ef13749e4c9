"""A declared scheme in the native library: parity with torch, closures, threads, invalid columns, and Fortran."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.coupling.build import build, sources
from sciml.coupling.column_library import NativeScheme
from sciml.coupling.export import emulator_from, emulator_weights
from sciml.coupling.scheme_export import MOST_FIELDS, scheme_weights
from sciml.coupling.weights_file import Weights, read_weights, write_weights
from sciml.emulation.emulator import SchemeEmulator
from sciml.emulation.network import SchemeNetwork, Sizes
from sciml.emulation.scaling import InputScaling
from sciml.emulation.training import residuals
from sciml.errors import InputError, SchemaError, SciMLError
from sciml.schemes import ColumnClosure, ColumnScheme, Field, load_scheme
from sciml.train import TensorSource
from tests.coupling.fuzzing import small_emulator
from workflows.kessler.columns import arrays, write_columns
from workflows.kessler.fortran_run import LIMITS, compile_host, run_host
from workflows.kessler.soundings import SCHEME, pairs

pytestmark = pytest.mark.native
COLUMNS, LEVELS = 77, 21  # several tiles, the last one not full


@pytest.fixture(scope="module")
def rainy() -> xr.Dataset:
    return pairs(COLUMNS, LEVELS, seed=6)


def untrained(scheme: ColumnScheme, columns: xr.Dataset) -> SchemeEmulator:
    """An emulator with random weights and the scales of the columns, whose limits all act somewhere."""
    values = {str(name): torch.from_numpy(value.values) for name, value in columns.items()}
    scaling = InputScaling.of(scheme, {name: values[name] for name in scheme.input_names})
    torch.manual_seed(8)
    network = SchemeNetwork(scheme, Sizes(hidden=7, layers=2))
    network.calibrate(TensorSource(values))
    with torch.no_grad():
        network.level.weight.mul_(20.0)
    return SchemeEmulator(network.eval(), scaling, {})


@pytest.fixture(scope="module")
def emulator(rainy: xr.Dataset) -> SchemeEmulator:
    return untrained(load_scheme(SCHEME), rainy)


@pytest.fixture(scope="module")
def weights(emulator: SchemeEmulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scheme") / "kessler.nc"
    write_weights(path, scheme_weights(emulator))
    return path


@pytest.fixture
def native(weights: Path) -> NativeScheme:
    return NativeScheme(build(), weights, "kessler")


def dataset(scheme: ColumnScheme, out3: np.ndarray, out2: np.ndarray) -> xr.Dataset:
    made = {n: (("column", "level"), x.T) for n, x in zip(scheme.output_profiles, out3, strict=True)}
    return xr.Dataset(made | {n: ("column", x) for n, x in zip(scheme.output_scalars, out2, strict=True)})


def test_the_library_agrees_with_torch(
    native: NativeScheme, emulator: SchemeEmulator, rainy: xr.Dataset
) -> None:
    made = dataset(emulator.scheme, *native.run(*arrays(emulator.scheme, rainy)))
    reference = emulator(rainy)
    assert native.fields == (8, 1, 4, 1)
    for name in emulator.scheme.output_names:
        size = float(np.abs(reference[name]).max())
        assert size > 0
        np.testing.assert_allclose(made[name], reference[name], rtol=0, atol=1e-11 * size, err_msg=name)


def test_closures_hold_to_round_off(
    native: NativeScheme, emulator: SchemeEmulator, rainy: xr.Dataset
) -> None:
    scheme = emulator.scheme
    made = rainy[list(scheme.input_names)].merge(dataset(scheme, *native.run(*arrays(scheme, rainy))))
    for residual, size in residuals(scheme, made).values():
        assert (np.abs(residual) <= 1e-14 * size).all()
    for q in ("qv", "qc", "qr"):
        assert float((made[q] + made["dt"] * made[f"{q}_tendency"]).min()) > -1e-15
    assert float(made["rain"].max()) > 0


def test_threads_and_tilings_give_the_same_bits(
    native: NativeScheme, emulator: SchemeEmulator, rainy: xr.Dataset
) -> None:
    in3, in2 = arrays(emulator.scheme, rainy)
    out3, out2 = native.run(in3, in2)
    for again in (native.run(in3, in2, threads=3), native.run(in3[..., 11:31], in2[..., 11:31])):
        part = slice(None) if again[1].shape[-1] == COLUMNS else slice(11, 31)
        np.testing.assert_array_equal(again[0], out3[..., part])
        np.testing.assert_array_equal(again[1], out2[..., part])


@pytest.mark.parametrize(("field", "value"), [("theta", np.nan), ("layer_mass", 0.0), ("exner", -1.0)])
def test_an_invalid_column_is_zero_and_counted(
    native: NativeScheme, emulator: SchemeEmulator, rainy: xr.Dataset, field: str, value: float
) -> None:
    in3, in2 = arrays(emulator.scheme, rainy)
    out3, out2 = native.run(in3, in2)
    wrong = in3.copy()
    wrong[emulator.scheme.input_profiles.index(field), 4, 30] = value
    made3, made2 = native.run(wrong, in2)
    assert "1 of 77 columns are invalid" in native.message
    assert not made3[..., 30].any() and not made2[..., 30].any()
    others = np.arange(COLUMNS) != 30
    np.testing.assert_array_equal(made3[..., others], out3[..., others])
    np.testing.assert_array_equal(made2[..., others], out2[..., others])


def test_a_step_of_zero_is_invalid(native: NativeScheme, emulator: SchemeEmulator, rainy: xr.Dataset) -> None:
    in3, in2 = arrays(emulator.scheme, rainy)
    native.run(in3, 0 * in2)
    assert "77 of 77 columns are invalid" in native.message


def test_wrong_shapes_are_an_error(native: NativeScheme, emulator: SchemeEmulator, rainy: xr.Dataset) -> None:
    in3, in2 = arrays(emulator.scheme, rainy)
    with pytest.raises(InputError, match=r"give \(8, level, column\) and \(1, column\)"):
        native.run(in3[1:], in2)


def test_few_levels_are_an_error(native: NativeScheme, emulator: SchemeEmulator, rainy: xr.Dataset) -> None:
    in3, in2 = arrays(emulator.scheme, rainy)
    with pytest.raises(
        InputError, match=r"have 19 levels, and the scheme .* is declared for 20 or more: give"
    ):
        native.run(in3[:, :19], in2)
    with pytest.raises(InputError, match="has 19 levels, and the scheme kessler is declared for 20 or more"):
        emulator(rainy.isel(level=slice(19)))


def test_a_file_of_another_scheme_is_an_error(
    weights: Path, published: tuple[object, Path], tmp_path: Path
) -> None:
    with pytest.raises(SchemaError, match="one of the scheme `kessler`, not of `thompson`"):
        NativeScheme(build(), weights, "thompson")
    with pytest.raises(SchemaError, match="has no declared scheme"):
        NativeScheme(build(), published[1])
    convection = tmp_path / "convection.nc"
    write_weights(convection, emulator_weights(small_emulator()))
    with pytest.raises(SchemaError, match="one of the scheme `mskf`, not of `kessler`"):
        NativeScheme(build(), convection, "kessler")
    with pytest.raises(SchemaError, match="has no declared scheme: write one with `sciml scheme export`"):
        NativeScheme(build(), convection)
    with pytest.raises(SchemaError, match=r"no 'emulator' .*: export one with `sciml coupling export`"):
        emulator_from(read_weights(weights))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("head_output", [0, 0, 0]),
        ("head_output", [0, 1, 99]),
        ("closure_begin", [0, 1, 9]),
        ("closure_begin", [0, 5, 5]),
        ("closure_is_level", [1, 0]),
        ("closure_mass", [-1, -1]),
        ("closure_solved", [3, 3]),
        ("closure_surface", [1, -1]),
        ("term_factor", [1.0, 1.0, 1.0, 0.0, 1.0]),
        ("term_output", [1, 2, 2, 0, 1]),
        ("output_changes", [0, -1, 2, 3, -1]),
        ("output_nonnegative", [0, 0, 1, 1, 0]),
        ("input_size", [0.0] * 9),
        ("channel_mean", None),
        ("channel_mix", None),
    ],
)
def test_a_wrong_scheme_in_a_file_is_an_error(
    weights: Path, tmp_path: Path, name: str, value: list[float] | None
) -> None:
    right = read_weights(weights)
    changed = dict(right.arrays)
    if value is None:
        del changed[name]
    else:
        changed[name] = np.array(value, changed[name].dtype)
    write_weights(tmp_path / "wrong.nc", Weights(changed, right.attributes))
    with pytest.raises(SciMLError, match="export"):
        NativeScheme(build(), tmp_path / "wrong.nc")


def test_a_scheme_of_other_forms_agrees_with_torch(tmp_path: Path) -> None:
    declare = Field.declare
    scheme = ColumnScheme(
        name="mixing",
        inputs=(
            declare("u", "m s-1"),
            declare("q", "kg kg-1", bounds=(0.0, 0.1)),
            declare("mass", "kg m-2", bounds=(1.0, 1e4)),
            declare("dt", "s", is_profile=False, bounds=(1.0, 1e3)),
            declare("ustar", "m s-1", is_profile=False),
        ),
        outputs=(
            declare("du", "m s-2", bounds=(-1.0, 1.0), tendency_of="u"),
            declare("dq", "kg kg-1 s-1", tendency_of="q", nonnegative=True),
            declare("cover", "1", bounds=(0.0, 1.0)),
            declare("depth", "m", is_profile=False, bounds=(0.0, 100.0)),
        ),
        laws=(ColumnClosure("momentum", ("du",), "du", "mass"),),
        step="dt",
    )
    random = np.random.default_rng(3)
    profiles = {"u": 10.0, "q": 1e-2, "mass": 100.0, "du": 1e-3, "dq": 1e-4, "cover": 0.3}
    scalars = {"dt": 60.0, "ustar": 0.3, "depth": 50.0}
    columns = xr.Dataset(
        {n: (("column", "level"), x * random.uniform(0.1, 1, (40, 9))) for n, x in profiles.items()}
        | {n: ("column", x * random.uniform(0.1, 1, 40)) for n, x in scalars.items()}
    )
    emulator = untrained(scheme, columns)
    write_weights(tmp_path / "mixing.nc", scheme_weights(emulator))
    with NativeScheme(build(), tmp_path / "mixing.nc", "mixing") as native:
        made, reference = dataset(scheme, *native.run(*arrays(scheme, columns))), emulator(columns)
    for name in scheme.output_names:
        np.testing.assert_allclose(
            made[name], reference[name], rtol=0, atol=1e-11 * float(np.abs(reference[name]).max())
        )
    assert (np.abs((made["du"] * columns["mass"]).sum("level")) < 1e-13).all()
    assert float((columns["q"] + columns["dt"] * made["dq"]).min()) > -1e-16


def test_too_many_fields_are_an_error(emulator: SchemeEmulator) -> None:
    text = (sources() / "column" / "column_scheme.h").read_text()
    assert f"#define SCIML_MOST_FIELDS {MOST_FIELDS} " in text
    more = tuple(Field.declare(f"x{n}", "1") for n in range(MOST_FIELDS))
    scheme = replace(emulator.scheme, inputs=(*more, *emulator.scheme.inputs))
    columns = xr.Dataset(
        {n: (("column", "level")[: 1 + (n not in scheme.input_scalars)], np.ones((3, 4)) if n not in
             scheme.input_scalars else np.ones(3)) for n in scheme.input_names}
        | {n: (("column", "level"), np.ones((3, 4))) for n in scheme.output_profiles}
        | {n: ("column", np.ones(3)) for n in scheme.output_scalars}
    )  # fmt: skip
    with pytest.raises(InputError, match=r"has 73 inputs.*: the library takes 64 of each"):
        scheme_weights(untrained(scheme, columns))


def test_fortran_closes_the_water(weights: Path, rainy: xr.Dataset, tmp_path: Path) -> None:
    columns = tmp_path / "columns.bin"
    write_columns(columns, rainy, steps=10)
    program = compile_host(build(), sources() / "sciml_column.f90", tmp_path)
    values = run_host(program, weights, columns)
    assert values["rain"] > 0
    assert values["water"] < LIMITS["water"] and values["heat"] < LIMITS["heat"]
    assert values["least mixing ratio"] > -1e-15
    with pytest.raises(SystemExit, match=r"error: .*none\.nc"):
        run_host(program, tmp_path / "none.nc", columns)
    write_columns(columns, rainy.isel(level=slice(19)), steps=1)
    with pytest.raises(SystemExit, match="error: the columns have 19 levels, and the scheme"):
        run_host(program, weights, columns)
