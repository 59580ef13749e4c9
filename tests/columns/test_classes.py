"""Classes of columns in special cases: calls every step, irregular steps, and companions."""

from __future__ import annotations

import shutil
import warnings
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
    columns_to_map,
    convection_columns,
    count_classes,
)
from sciml.columns.classes import stored_kinds, true_kinds
from sciml.columns.formats import scheme_attrs
from sciml.columns.open import open_columns
from sciml.errors import InputError
from sciml.wrf import LossyInput, open_wrfout
from sciml.wrf.precision import lossy_lines, lossy_reason
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT, SHARED

Writer = Callable[[xr.Dataset, str], Path]


def test_returned_kinds_where_every_step_is_a_call() -> None:
    nca, rain, top = np.array([-100.0, 0.0, 0.0, 900.0]), np.array([0, 0, 0, 1e-4]), np.array([1.0, 1, 9, 30])
    assert true_kinds(nca, rain, cudt=0.0, cutop=top).tolist() == [NONE, NONE, SHALLOW, DEEP]
    # With a positive CUDT, CUTOP may be from an earlier call.
    assert true_kinds(nca, rain, cudt=5.0, cutop=top).tolist() == [NONE, NONE, NONE, DEEP]


def test_a_companion_where_every_step_is_a_call(frames: xr.Dataset, answers: xr.Dataset) -> None:
    usual = convection_columns(open_wrfout(frames), answers)["KIND"].values
    shallow = (answers["NCA"] == 300) & (answers["PRATEC"] == 0)
    each = answers.assign(NCA=answers["NCA"].where(~shallow, 0))
    kind = convection_columns(open_wrfout(frames.assign_attrs(CUDT=0.0)), each)["KIND"].values
    np.testing.assert_array_equal(kind, usual)
    assert (kind == SHALLOW).sum() > 20


@pytest.mark.shared
def test_a_capture_where_every_step_is_a_call() -> None:
    ds = xr.open_dataset(SHARED / "wrf" / "train" / "mskf_io_convrad_train3.nc", decode_times=False).isel(
        Time=[2, 3]
    )
    usual = convection_columns(ds)["KIND"].values
    shallow = (ds["NCA"] == 300) & (ds["PRATEC"] == 0)
    each = ds.assign(NCA=ds["NCA"].where(~shallow, 0)).assign_attrs(CUDT=np.float32(0))
    np.testing.assert_array_equal(convection_columns(each)["KIND"].values, usual)


def test_the_rule_where_cudt_is_one_step() -> None:
    nca, rain = np.array([0.0, 0.0, 900.0, 60.0]), np.array([0.0, 0.0, 1e-4, 0.0])
    top = np.array([1.0, 12.0, 30.0, 1.0])
    before = np.array([0.0, 0.0, 0.0, 120.0])
    kind = stored_kinds(nca, rain, dt=60, cudt=1.0, cutop=top, before=before, interval=60)
    assert kind.tolist() == [NONE, SHALLOW, DEEP, HELD]
    without = stored_kinds(nca, rain, dt=60, cudt=1.0, before=before, interval=60)
    assert without.tolist() == [UNKNOWN, UNKNOWN, DEEP, HELD]


def test_a_changing_time_step(frames: xr.Dataset) -> None:
    steps = frames["ITIMESTEP"].copy(data=np.array([300, 306, 312], "i4"))
    adaptive = open_wrfout(frames.assign(ITIMESTEP=steps))
    with pytest.warns(
        UserWarning, match=r"ITIMESTEP 300 of DT = 50 s make 15000 s but XTIME is 12600 s"
    ) as record:
        columns = convection_columns(adaptive)
    assert len(record) == 1
    assert count_classes(columns).unknown == columns.sizes["column"]
    with (
        pytest.warns(UserWarning, match="adaptive"),
        pytest.raises(InputError, match=r"none of the 432 columns.*adaptive or was changed"),
    ):
        convection_columns(adaptive, keep="pairs")
    odd = frames.drop_vars("ITIMESTEP").assign(XTIME=frames["XTIME"] + np.float32(0.3))
    with pytest.warns(UserWarning, match=r"XTIME 12618 s is not a whole number of steps of DT = 50 s"):
        assert count_classes(convection_columns(open_wrfout(odd))).pairs == 0
    changed = open_wrfout(
        frames.assign(ITIMESTEP=frames["ITIMESTEP"].copy(data=np.array([252, 258, 265], "i4")))
    )
    with pytest.warns(UserWarning, match="ITIMESTEP 265"):
        kind = convection_columns(changed)["KIND"].values.reshape(3, -1)
    np.testing.assert_array_equal(
        kind[:2], convection_columns(open_wrfout(frames))["KIND"].values.reshape(3, -1)[:2]
    )
    assert (kind[2] == UNKNOWN).all()


def test_a_nest_that_starts_later_counts_its_own_steps(frames: xr.Dataset) -> None:
    steps = frames["ITIMESTEP"] - np.int32(180)  # it starts 180 steps of 50 s after the parent: 10:30
    late = open_wrfout(frames.assign(ITIMESTEP=steps).assign_attrs(START_DATE="2007-06-10_10:30:00"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind = convection_columns(late)["KIND"].values
    np.testing.assert_array_equal(kind, convection_columns(open_wrfout(frames))["KIND"].values)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "sample/wrfout_d01_convrad_full.nc",
        "sample/wrfout_d01_terrain3km_full.nc",
        "train/wrfout_d01_convrad_train1.nc",
    ],
)
def test_steps_of_ordinary_runs_agree_with_the_clock(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        columns = convection_columns(open_wrfout(SHARED / "wrf" / name))
    assert count_classes(columns).pairs > 0.5 * columns.sizes["column"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DT", 0.0),
        ("DT", np.nan),
        ("CUDT", -1.0),
        ("STEPCU", 0),
        ("DX", -3.0),
        ("DT", "fast"),
        ("CUDT", np.inf),
    ],
)
def test_invalid_attributes(
    frames: xr.Dataset, answers: xr.Dataset, write: Writer, name: str, value: float | str
) -> None:
    wrong = frames.isel(Time=[0]).assign_attrs({name: value})
    message = rf"attribute {name} = {value}, which must be a .*correct it"
    with pytest.raises(InputError, match=message):
        convection_columns(open_wrfout(wrong))
    with pytest.raises(InputError, match=message):
        convection_columns(open_wrfout(wrong), answers)
    with pytest.raises(InputError, match=message):
        open_columns(write(wrong, "wrfout_d01_wrong"))


def test_outputs_between_calls_do_not_mean_an_adaptive_step(frames: xr.Dataset) -> None:
    late = frames.assign(ITIMESTEP=frames["ITIMESTEP"] + 1, XTIME=frames["XTIME"] + np.float32(50 / 60))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        columns = convection_columns(open_wrfout(late))
    assert count_classes(columns).unknown == columns.sizes["column"]
    with pytest.raises(InputError, match="output time: write history at multiples of CUDT"):
        convection_columns(open_wrfout(late), keep="pairs")


def test_a_cudt_of_zero_is_valid(frames: xr.Dataset) -> None:
    assert scheme_attrs(frames.assign_attrs(CUDT=0.0))["STEPCU"] == 1


@pytest.mark.parametrize("names", [["NCA"], ["PRATEC"], ["RTHCUTEN", "RQVCUTEN"]])
def test_stored_targets_that_are_missing_are_named(frames: xr.Dataset, names: list[str]) -> None:
    ds = open_wrfout(frames.drop_vars(names))
    assert count_classes(convection_columns(ds)).unknown == 3 * 6 * 24
    with pytest.raises(
        InputError, match=rf"none of the 432 columns.*{', '.join(names)} .*'\+:h:0:{','.join(names)}'"
    ):
        convection_columns(ds, keep="pairs")


def test_a_companion_that_names_another_file(frames: xr.Dataset, answers: xr.Dataset, write: Writer) -> None:
    renamed = write(frames, "wrfout_d01_renamed")
    message = "truth of wrfout_d01_convrad_24x24_5min.nc, not of .*wrfout_d01_renamed"
    with pytest.warns(UserWarning, match=message) as record:
        columns = convection_columns(open_wrfout(renamed), answers)
    assert len(record) == 1
    np.testing.assert_array_equal(columns["PRATEC"].values, answers["PRATEC"].values.ravel())
    companion = write(answers, "truth.nc")
    with pytest.warns(UserWarning, match=message):
        open_columns(renamed, truth=companion)
    same = write(answers.assign(PBLH=frames["PBLH"]), "same.nc")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_columns(renamed, truth=same)
    other = write(answers.assign(PBLH=frames["PBLH"] + 1), "other.nc")
    with pytest.raises(InputError, match=r"not of .*renamed: PBLH at 2007-06-10T11:30.* differs"):
        open_columns(renamed, truth=other)


def test_a_companion_of_the_right_name_causes_no_warning(tmp_path: Path) -> None:
    shutil.copy(SAMPLE_WRFOUT, tmp_path / SAMPLE_WRFOUT.name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convection_columns(open_wrfout(tmp_path / SAMPLE_WRFOUT.name), SAMPLE_OFFLINE)
        open_columns(tmp_path / SAMPLE_WRFOUT.name, truth=SAMPLE_OFFLINE)


def test_no_columns_on_a_map(sample: xr.Dataset) -> None:
    columns = convection_columns(sample)
    with pytest.raises(InputError, match="no columns to map"):
        columns_to_map(columns.isel(column=[]), like=sample)
    with pytest.raises(InputError, match="no columns to map"):
        columns_to_map(columns.isel(column=[]))


@pytest.mark.parametrize(
    ("name", "frame"), [("P", 0), ("PH", 0), ("P", -1), ("PH", -1), ("W0AVG", 0), ("T", 0)]
)
def test_rounding_of_one_variable_in_one_frame(frames: xr.Dataset, name: str, frame: int) -> None:
    values = frames[name].values.copy()
    values[frame] = (values[frame].view(np.uint32) & np.uint32(0xFFFFFC00)).view(np.float32)
    with pytest.warns(LossyInput, match=rf"loss \({name}: the last 1\d bits"):
        convection_columns(open_wrfout(frames.assign({name: (frames[name].dims, values)})))


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "real/salem_wrf_cropped.nc",
        "real/salem_wrf_d01_allvars_cropped.nc",
        "real/mercator_sample.nc",
        "train/wrfout_d01_convrad_train1.nc",
    ],
)
def test_real_files_show_no_rounding(name: str) -> None:
    ds = open_wrfout(SHARED / "wrf" / name)
    assert lossy_lines(ds.drop_vars(["T", "U", "QVAPOR", "W0AVG"], errors="ignore")) == []


@pytest.mark.parametrize("bits", [5, 9])
def test_rounding_is_detected_if_few_values_are_examined_first(bits: int) -> None:
    noise = np.random.default_rng(23).normal(0, 30, 50_000).astype("f4")
    whole = noise.copy()
    noise.view(np.uint32)[:] &= np.uint32(0xFFFFFFFF << bits & 0xFFFFFFFF)
    assert f"the last {bits} bits" in lossy_reason(noise, bits)
    mixed = np.where(np.arange(noise.size) % 7 == 3, whole, noise)
    assert lossy_reason(mixed, bits) == ""
    assert lossy_reason(noise, bits + 1) == ""
