from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.columns import (
    DEEP,
    HELD,
    NONE,
    SHALLOW,
    UNKNOWN,
    Classes,
    check_finite,
    columns_to_map,
    convection_columns,
    count_classes,
    form_of,
    only_pairs,
    run_number,
)
from sciml.columns.classes import stored_kinds
from sciml.errors import InputError, MissingVariable, SchemaError
from sciml.schemes import MSKF
from sciml.wrf import LossyInput, open_wrfout
from sciml.wrf.precision import lossy_reason
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT, SHARED

Writer = Callable[[xr.Dataset, str], Path]


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    return convection_columns(open_wrfout(SAMPLE_WRFOUT, chunks=None), SAMPLE_OFFLINE)


@pytest.fixture(scope="module")
def stored() -> xr.Dataset:
    return convection_columns(open_wrfout(SAMPLE_WRFOUT, chunks=None))


def test_the_form_of_columns(truth: xr.Dataset) -> None:
    assert truth.sizes == {"column": 7 * 24 * 24, "level": 44}
    assert set(MSKF.input_names + MSKF.output_names) <= set(truth.data_vars)
    assert all(v.dtype == np.float32 for v in truth.data_vars.values())
    assert set(truth.coords) == {"Time", "XTIME", "south_north", "west_east", "RUN", "KIND", "WEIGHT"}
    assert {k: truth.attrs[k] for k in ("DX", "DT", "CUDT", "STEPCU", "sciml_schema")} == {
        "DX": 10000.0,
        "DT": 50.0,
        "CUDT": 5.0,
        "STEPCU": 6,
        "sciml_schema": 1,
    }
    check_finite(truth)


def test_columns_are_lazy_if_the_file_is(sample: xr.Dataset) -> None:
    columns = convection_columns(sample)
    assert all(columns[n].chunks is not None for n in MSKF.input_names)


def test_classes_of_the_truth(truth: xr.Dataset) -> None:
    result = count_classes(truth)
    assert (result.held, result.unknown) == (0, 0)
    assert (result.none, result.shallow, result.deep) == (2865, 355, 812)
    triggered = (np.abs(truth["RTHCUTEN"].values) > 0).any(axis=1)
    np.testing.assert_array_equal(triggered, np.isin(truth["KIND"].values, (SHALLOW, DEEP)))
    assert "pairs" in str(result)


def test_held_columns_differ_from_computed_columns(truth: xr.Dataset, stored: xr.Dataset) -> None:
    kind, real = stored["KIND"].values, truth["KIND"].values
    fresh = np.isin(kind, (NONE, SHALLOW, DEEP))
    # A step lies between the state of the truth and that of the stored tendencies.
    assert (kind == real)[fresh].mean() > 0.97
    held = kind == HELD
    assert held.sum() > 600

    def error(where: np.ndarray) -> float:
        a, b = stored["RTHCUTEN"].values[where], truth["RTHCUTEN"].values[where]
        return float(np.abs(a - b).sum() / np.abs(b).sum())

    assert error((kind == SHALLOW) & (real == SHALLOW)) < 0.1
    assert error((kind == DEEP) & (real == DEEP)) < 0.1
    assert error(held & (real == DEEP)) > 0.15


def test_an_evaluated_column_follows_from_the_nca_before(stored: xr.Dataset, sample: xr.Dataset) -> None:
    held = columns_to_map(stored, sample)["KIND"].values == HELD
    nca = sample["NCA"].values
    assert not held[0].any()
    np.testing.assert_allclose(nca[1:][held[1:]], np.maximum(nca[:-1] - 300, 0)[held[1:]])


def test_nca_is_the_value_returned_by_the_scheme(stored: xr.Dataset) -> None:
    shallow = stored["KIND"].values == SHALLOW
    assert (stored["NCA"].values[shallow] == 300).all()


@pytest.mark.shared
def test_a_capture_is_read_unchanged() -> None:
    path = SHARED / "wrf" / "train" / "mskf_io_convrad_train3.nc"
    ds = xr.open_dataset(path, decode_times=False)
    columns = convection_columns(ds)
    assert form_of(ds) == "capture"
    assert count_classes(columns) == Classes(none=7183, shallow=708, deep=134, held=1191)
    assert (columns["RUN"].values == 3).all()
    np.testing.assert_array_equal(columns["KIND"].values == HELD, ds["CU_ACT_FLAG"].values.ravel() == 0)
    back = columns_to_map(columns, ds)
    np.testing.assert_array_equal(back["W0AVG"].values, ds["W0AVG"].values)
    # The rule for held columns of a wrfout gives the captured flag.
    entry = ds["NCA_IN"].values
    np.testing.assert_array_equal(entry >= 25, ds["CU_ACT_FLAG"].values == 0)


@pytest.mark.shared
def test_drawn_pairs() -> None:
    path = SHARED / "wrf" / "train" / "mskf_pairs_convrad_train123.nc"
    columns = convection_columns(xr.open_dataset(path, decode_times=False).isel(column=slice(None, None, 5)))
    assert set(np.unique(columns["RUN"].values)) == {1, 2, 3}
    assert (columns["RQSCUTEN"].values == 0).all()
    assert "zero: absent from the source" in columns["RQSCUTEN"].attrs["comment"]
    assert columns["WEIGHT"].values.max() > 1
    with pytest.raises(InputError, match="no position on the grid"):
        columns_to_map(columns)


@pytest.mark.shared
def test_real_terrain() -> None:
    folder = SHARED / "wrf" / "sample"
    ds = open_wrfout(folder / "wrfout_d01_terrain3km_full.nc")
    columns = convection_columns(ds, folder / "mskf_offline_terrain3km.nc")
    assert columns.attrs["DX"] == 3000
    assert columns.attrs["STEPCU"] == 20
    assert count_classes(columns).pairs == columns.sizes["column"]
    check_finite(columns.isel(column=slice(None, None, 7)).compute())


def test_columns_are_mapped_to_the_grid(truth: xr.Dataset, sample: xr.Dataset) -> None:
    chosen = truth.isel(column=truth["KIND"].values == DEEP)
    there = columns_to_map(chosen, sample)
    assert there["RTHCUTEN"].dims == ("Time", "bottom_top", "south_north", "west_east")
    deep = there["KIND"].values == DEEP
    assert deep.sum() == chosen.sizes["column"]
    assert np.isnan(there["PRATEC"].values[~deep]).all()
    offline = xr.open_dataset(SAMPLE_OFFLINE)["PRATEC"].values
    np.testing.assert_array_equal(there["PRATEC"].values[deep], offline[deep])
    with pytest.raises(InputError, match="have the same time and position"):
        columns_to_map(xr.concat([chosen, chosen], dim="column"))
    with pytest.raises(InputError, match="reach to"):
        columns_to_map(chosen, sample.isel(south_north=slice(0, 3)))


STEP = {"dt": 50.0, "cudt": 5.0}


def test_the_rule_for_held_columns() -> None:
    nca = np.array([250.0, -100.0, 1900.0, 1900.0, 0.0])
    rain = np.array([0.0, 0.0, 1e-4, 1e-4, 1e-4])
    before = np.array([100.0, 0.0, 2200.0, 200.0, 300.0])
    kind = stored_kinds(nca, rain, before=before, interval=300, **STEP)
    assert kind.tolist() == [SHALLOW, NONE, HELD, DEEP, HELD]
    alone = stored_kinds(nca, rain, **STEP)
    assert alone.tolist() == [SHALLOW, NONE, UNKNOWN, UNKNOWN, UNKNOWN]
    hourly = stored_kinds(nca, rain, before=nca + 3600, interval=3600, **STEP)
    assert hourly.tolist() == [SHALLOW, NONE, HELD, HELD, HELD]
    assert (stored_kinds(nca, rain, cumulus_step=False, before=before, interval=300, **STEP) == UNKNOWN).all()


def test_the_rule_where_the_scheme_is_called_every_step() -> None:
    nca, rain = np.array([0.0, 0.0, 900.0]), np.array([0.0, 0.0, 1e-4])
    top = np.array([1.0, 12.0, 30.0])
    kind = stored_kinds(nca, rain, dt=50, cudt=0, cutop=top, before=np.zeros(3), interval=50)
    assert kind.tolist() == [NONE, SHALLOW, DEEP]
    assert stored_kinds(nca, rain, dt=50, cudt=0).tolist() == [UNKNOWN, UNKNOWN, UNKNOWN]


def test_no_pairs_between_calls_and_at_the_start(frames: xr.Dataset) -> None:
    between = open_wrfout(frames.assign(ITIMESTEP=frames["ITIMESTEP"] + 1))
    assert count_classes(convection_columns(between)).pairs == 0
    with pytest.raises(InputError, match="none of the"):
        only_pairs(convection_columns(between))
    start = open_wrfout(frames.assign(ITIMESTEP=frames["ITIMESTEP"] * 0))
    assert count_classes(convection_columns(start)).pairs == 0


def test_other_schemes_tendencies_are_left_out(frames: xr.Dataset) -> None:
    with pytest.warns(UserWarning, match="cu_physics=5"):
        columns = convection_columns(open_wrfout(frames.assign_attrs(CU_PHYSICS=5)))
    assert "RTHCUTEN" not in columns
    assert count_classes(columns).unknown == columns.sizes["column"]


@pytest.mark.parametrize("name", ["W0AVG", "ZOL"])
def test_missing_inputs_are_named(frames: xr.Dataset, name: str) -> None:
    with pytest.raises(MissingVariable, match=rf"{name}.*\+:h:0:{name}"):
        convection_columns(open_wrfout(frames.drop_vars(name)))


@pytest.mark.parametrize("name", ["U", "PHB", "HFX"])
def test_no_iofields_line_for_variables_that_wrf_always_writes(frames: xr.Dataset, name: str) -> None:
    with pytest.raises(MissingVariable, match=rf"^{name} .*WRF writes it to every wrfout") as caught:
        convection_columns(open_wrfout(frames.drop_vars(name)))
    assert "run WRF again" not in str(caught.value)


def test_one_message_lists_all_missing_variables(frames: xr.Dataset) -> None:
    asked = ["W0AVG", "ZOL", "NCA", "PRATEC", "CUTOP", "CUBOT"]
    asked += [str(name) for name in frames.data_vars if str(name).endswith("CUTEN")]
    bare = open_wrfout(frames.drop_vars([*asked, "HFX", "PBLH"]))
    with pytest.raises(MissingVariable, match="determines where convection starts") as caught:
        convection_columns(bare)
    text = str(caught.value)
    line = re.findall(r"\+:h:0:([A-Z0-9_,]+)", text)
    assert len(line) == 1
    assert sorted(line[0].split(",")) == sorted(asked)
    assert "HFX" in text.split("run WRF again; ")[1]
    assert "PBLH" in text.split("run WRF again; ")[1]
    assert text.count("run WRF again") == 1
    with pytest.raises(MissingVariable) as caught:
        convection_columns(bare, truth=frames)  # the truth has the targets
    assert re.findall(r"\+:h:0:([A-Z0-9_,]+)", str(caught.value)) == ["W0AVG,ZOL"]


def test_missing_attributes_are_named(frames: xr.Dataset) -> None:
    bare = open_wrfout(frames)
    del bare.attrs["CUDT"]
    with pytest.raises(InputError, match="CUDT"):
        convection_columns(bare)


def test_nan_is_an_error_with_its_position(frames: xr.Dataset) -> None:
    broken = open_wrfout(frames.copy(deep=True))
    broken["T"].values[1, 4, 2, 3] = np.nan
    with pytest.raises(InputError, match=r"T_PHY.*1 NaN.*11:35.*'south_north': '2', 'west_east': '3'"):
        convection_columns(broken)


def test_values_outside_the_physical_bounds(frames: xr.Dataset) -> None:
    broken = open_wrfout(frames.copy(deep=True))
    broken["PBLH"].values[0, 1, 1] = 9.96921e36
    with pytest.raises(InputError, match=r"PBLH.*reaches 9\.96"):
        convection_columns(broken)


def test_zero_columns(frames: xr.Dataset) -> None:
    with pytest.raises(InputError, match="contains no columns"):
        convection_columns(open_wrfout(frames.isel(west_east=slice(0, 0), west_east_stag=slice(0, 1))))
    with pytest.raises(InputError, match="contains no frame"):
        open_wrfout(frames.isel(Time=slice(0, 0)))


def test_calm_air_is_a_valid_column(frames: xr.Dataset) -> None:
    calm = frames.assign(U=frames["U"] * 0, V=frames["V"] * 0)
    columns = convection_columns(open_wrfout(calm))
    assert (columns["U_PHY"].values == 0).all()
    check_finite(columns)


def test_a_companion_of_another_file(frames: xr.Dataset, answers: xr.Dataset) -> None:
    ds = open_wrfout(frames)
    with pytest.raises(InputError, match="south_north is 5"):
        convection_columns(ds, answers.isel(south_north=slice(0, 5)))
    with pytest.raises(InputError, match="no truth for 2007-06-10T11:40"):
        convection_columns(ds, answers.isel(Time=[0, 1]))
    first = convection_columns(ds.isel(Time=[1]), answers)
    assert (first["Time"].values == np.datetime64("2007-06-10T11:35")).all()
    np.testing.assert_array_equal(first["PRATEC"].values, answers["PRATEC"].values[1].ravel())


def test_columns_of_another_schema(truth: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="schema 7"):
        convection_columns(truth.assign_attrs(sciml_schema=7))
    assert convection_columns(truth) is truth


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("wrfout_d01_convrad_train1.nc", 1),
        ("mskf_io_run12_x.nc", 12),
        ("wrfout_d01_2007-06-01_12:00:00", 0),
        ("5", 5),
    ],
)
def test_run_numbers(name: str, number: int) -> None:
    assert run_number(name) == number


def test_run_numbers_of_names_are_distinct_and_stable() -> None:
    assert run_number("monsoon") == run_number("monsoon") != run_number("harmattan")


def _rounded(frames: xr.Dataset, bits: int) -> xr.Dataset:
    values = frames["W0AVG"].values.copy()
    mask = np.uint32((0xFFFFFFFF << bits) & 0xFFFFFFFF)
    values = (values.view(np.uint32) & mask).view(np.float32)
    return frames.assign(W0AVG=(frames["W0AVG"].dims, values))


def test_lossy_files_are_recognised(frames: xr.Dataset, recwarn: pytest.WarningsRecorder) -> None:
    convection_columns(open_wrfout(frames))
    assert not [w for w in recwarn.list if w.category is LossyInput]
    with pytest.warns(LossyInput, match="W0AVG: the last 9 bits"):
        convection_columns(open_wrfout(_rounded(frames, 9)))
    marked = frames.assign(QVAPOR=frames["QVAPOR"].assign_attrs(_QuantizeBitGroomNumberOfSignificantDigits=4))
    with pytest.warns(LossyInput, match="QuantizeBitGroom"):
        convection_columns(open_wrfout(marked))


def test_decimal_rounding_is_recognised() -> None:
    noise = np.random.default_rng(11).normal(0, 30, 20_000).astype("f4")
    assert lossy_reason(noise) == ""
    assert "multiples of 0.001" in lossy_reason(noise.round(3))
    assert lossy_reason(np.zeros(5000, "f4")) == ""


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["sample/wrfout_d01_convrad_full.nc", "sample/wrfout_d01_terrain3km_full.nc"]
)
def test_files_without_rounding_cause_no_warning(name: str, recwarn: pytest.WarningsRecorder) -> None:
    convection_columns(open_wrfout(SHARED / "wrf" / name))
    assert not [w for w in recwarn.list if w.category is LossyInput]
