"""The stand-in host: the same bits for all tiles, threads and ranks, its budgets, and the contract of its scheme."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.coupling.standin import (
    CHECKS,
    OPTIONS,
    SOURCES,
    STEPS,
    compile_objects,
    link,
    run,
    same_bits,
    water_gap,
)

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("standin")]

TENDENCIES = ("RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN", "RUCUTEN", "RVCUTEN")
WATER = ("QV", "QC", "QR", "QI", "QS")
ARGUMENTS = """
ids,ide,jds,jde,kds,kde, ims,ime,jms,jme,kms,kme, its,ite,jts,jte,kts,kte, trigger, DT,KTAU,DX,CUDT,
ADAPT_STEP_FLAG, rho,RAINCV,PRATEC,NCA, U,V,TH,T,W,dz8w,Pcps,pi, W0AVG,XLV0,XLV1,XLS0,XLS1,CP,R,G,EP1, EP2,SVP1,SVP2,
SVP3,SVPT0, STEPCU,CU_ACT_FLAG,warm_rain,CUTOP,CUBOT, QV, F_QV,F_QC,F_QR,F_QI,F_QS, RTHCUTEN,RQVCUTEN,RQCCUTEN,
RQRCUTEN, RQICUTEN,RQSCUTEN,RQVFTEN, cldfra_dp_KF,cldfra_sh_KF, qc_KF,qi_KF,qr_KF,qs_KF, nc_KF,ni_KF,nr_KF,ns_KF,
ccn_KF,ainc_frac, UDR_KF,DDR_KF, UER_KF,DER_KF, TIMEC_KF,KF_EDRATES, ZOL,HFX,UST,PBLH, aerocu,no_src_types_cu,
aercu_fct,aercu_opt, EFCS,EFIS,EFSS, RUCUTEN,RVCUTEN,XLAND
"""


def test_order_of_arguments() -> None:
    text = (SOURCES / "module_cu_mskf.f90").read_text()
    match = re.search(r"subroutine mskf_cps\((.*?)\)", text, re.DOTALL)
    assert match is not None
    names = [name.strip(" &\n").lower() for name in match[1].split(",")]
    assert names == [name.strip().lower() for name in ARGUMENTS.split(",")]
    assert len(names) == 100


@pytest.mark.parametrize("tile", [(1, 1), (7, 5), (0, 0)], ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_tiles_and_threads(
    standin: Path, state: Path, plain: xr.Dataset, tmp_path: Path, tile: tuple[int, int], threads: int
) -> None:
    done = run(standin, tmp_path, state=state, steps=STEPS, tile=tile, threads=threads, kf_edrates=True)
    assert same_bits(plain, done.history) == []


@pytest.mark.parametrize("stop", [6, 9])
def test_restart(standin: Path, state: Path, plain: xr.Dataset, tmp_path: Path, stop: int) -> None:
    """The run stops at a call, and between two calls."""
    half = tmp_path / "half"
    run(standin, tmp_path, state=state, steps=stop, state_out=half, kf_edrates=True)
    again = run(standin, tmp_path, state=half, steps=STEPS - stop, tile=(7, 5), kf_edrates=True)
    assert same_bits(plain, again.history) == []


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks(standin_on_ranks: Path, state: Path, plain: xr.Dataset, tmp_path: Path, ranks: int) -> None:
    done = run(
        standin_on_ranks, tmp_path, state=state, steps=STEPS, tile=(7, 5), ranks=ranks, kf_edrates=True
    )
    assert len(list(tmp_path.glob("history_*.nc"))) == ranks
    assert same_bits(plain, done.history) == []


@pytest.mark.mpi
def test_restart_on_other_ranks(
    standin: Path, standin_on_ranks: Path, state: Path, plain: xr.Dataset, tmp_path: Path
) -> None:
    half, whole = tmp_path / "half", tmp_path / "whole"
    run(standin_on_ranks, tmp_path, state=state, steps=9, ranks=2, state_out=half, kf_edrates=True)
    options = dict(state=half, steps=STEPS - 9, kf_edrates=True)
    again = run(standin_on_ranks, tmp_path, ranks=4, threads=2, state_out=whole, **options)
    assert same_bits(plain, again.history) == []
    run(standin, tmp_path / "one", state_out=tmp_path / "same", **options)
    assert whole.read_bytes() == (tmp_path / "same").read_bytes()


@pytest.mark.mpi
def test_an_error_ends_all_ranks(standin_on_ranks: Path, tmp_path: Path) -> None:
    done = run(standin_on_ranks, tmp_path, state=tmp_path / "nowhere", ranks=2, check=False)
    assert done.code == 9
    assert "FATAL: standin: cannot read" in done.stdout


def test_all_checks(state: Path, tmp_path: Path) -> None:
    """Compilation gives no warnings, and the run has no access out of bounds and no undefined behaviour."""
    assert compile_objects(tmp_path, extra=CHECKS) == ""
    checked = link(tmp_path, extra=CHECKS)
    for absent in ((), OPTIONS):
        done = run(checked, tmp_path, state=state, tile=(7, 5), threads=2, kf_edrates=True, absent=absent)
        assert done.stderr == ""
        assert done.stdout.count("\n") == 1


def test_regimes(plain: xr.Dataset) -> None:
    """Columns of all classes, and held columns, occur at all times; deep convection ends."""
    for time in range(1, plain.sizes["Time"]):
        here = plain.isel(Time=time)
        shallow = here["CLDFRA_SH"].max("bottom_top") > 0
        deep = here["CLDFRA_DP"].max("bottom_top") > 0
        assert int(shallow.sum()) >= 10
        assert int(deep.sum()) >= 30
        assert int((~shallow & ~deep).sum()) >= 100
        assert not (shallow & deep).any()
        assert ((here["PRATEC"] > 0) == deep).all()
        assert int((here["CU_ACT_FLAG"] == 0).sum()) >= 30
    assert ((plain["NCA"] <= 0) & (plain["NCA"].shift(Time=1) > 0)).any()
    assert float(plain["T_PHY"].max()) < 320
    assert float(plain["QVAPOR"].min()) > -1e-8


def test_water_of_the_columns(each_step: xr.Dataset) -> None:
    """The change of water equals the host's input less the rain, to float32 rounding."""
    assert float(each_step["RAINC"].max()) > 0.1
    assert water_gap(each_step) < 1e-4


def test_the_scheme_conserves(each_step: xr.Dataset) -> None:
    """Water, momentum and enthalpy of each adjustment."""
    now = each_step.isel(Time=1).astype(np.float64)
    mass = now["RHO"] * now["DZ8W"]

    def total(x: xr.DataArray) -> xr.DataArray:
        return (mass * x).sum("bottom_top")

    water = [now[f"R{name}CUTEN"] for name in WATER]
    deep = now["PRATEC"] > 0
    size = total(sum(map(np.abs, water), xr.zeros_like(mass)))
    away = -total(sum(water, xr.zeros_like(mass)))
    assert (np.abs(away - now["PRATEC"]) <= 2e-7 * size).all()
    assert not now["RQRCUTEN"].where(deep, 0).any()
    assert now["RQRCUTEN"].where(~deep, 0).any()
    for name in ("RUCUTEN", "RVCUTEN"):
        assert (np.abs(total(now[name])) <= 2e-7 * total(np.abs(now[name]))).all()
    latent = 3.15e6 - 2370 * 273.15
    warm, moist = 3.5 * 287 * now["PI_PHY"] * now["RTHCUTEN"], latent * now["RQVCUTEN"]
    # without freezing and melting, as in the scheme
    assert (np.abs(total(warm + moist)) <= 1e-6 * total(np.abs(warm)) + 1e-12).all()


def test_the_contract_of_a_call(each_step: xr.Dataset) -> None:
    dt, levels = each_step.attrs["DT"], each_step.sizes["bottom_top"]
    first = each_step.isel(Time=1)
    assert (first["CU_ACT_FLAG"] == 1).all()
    nothing = (first["CLDFRA_DP"] + first["CLDFRA_SH"]).max("bottom_top") == 0
    for name in TENDENCIES:
        assert not first[name].where(nothing, 0).any()
    for name, value in (("CUTOP", 1), ("CUBOT", levels + 1), ("PRATEC", 0), ("NCA", -100)):
        assert (first[name].where(nothing, value) == value).all()
        assert (first[name].where(~nothing) != value).any()
    assert (first["RAINCV"] == np.float32(dt) * first["PRATEC"]).all()
    left = first["NCA"].where(~nothing, 0) / dt
    assert (left == np.round(left)).all()
    assert (first["TIMEC_KF"] > 0).equals(~nothing)


def test_columns_that_are_held(each_step: xr.Dataset) -> None:
    """At the second call they keep all but W0AVG, and their tendencies end with their time."""
    before, after = each_step.isel(Time=5), each_step.isel(Time=6)
    held = after["CU_ACT_FLAG"] == 0
    assert held.equals(before["NCA"] >= 0.5 * each_step.attrs["DT"])
    assert 30 < int(held.sum()) < held.size
    for name in (
        *TENDENCIES,
        "PRATEC",
        "CUTOP",
        "CUBOT",
        "CLDFRA_DP",
        "CLDFRA_SH",
        "QC_CU",
        "QI_CU",
        "UDR_KF",
    ):
        ending = (after["NCA"] <= 0) & (name in TENDENCIES[:6])
        assert (after[name] == before[name]).where(held & ~ending, True).all()
        assert not after[name].where(held & ending, 0).any()


@pytest.mark.parametrize("adapt", [False, True])
def test_mean_of_w(standin: Path, state: Path, tmp_path: Path, adapt: bool) -> None:
    """W0AVG is updated in all columns at calls only; with an adaptive step, with its weights."""
    x = run(standin, tmp_path, state=state, steps=7, history_interval=1, adapt_step=adapt).history
    w = x["W"].values
    middle = np.float32(0.5) * (w[:, :-1] + w[:, 1:])
    mean = x["W0AVG"].values
    now, whole = (np.float32(50), np.float32(600)) if adapt else (np.float32(1), np.float32(12))
    for step in range(1, 8):
        expected = mean[step - 1]
        if step in (1, 6):
            expected = (expected * (whole - now) + middle[step] * now) / whole
        assert expected.tobytes() == mean[step].tobytes()


def test_absent_arguments(standin: Path, state: Path, tmp_path: Path, plain: xr.Dataset) -> None:
    """Absent arguments change nothing, except the water classes of the microphysics."""
    silent = ("adapt_step_flag", "f_qv", "f_qc", "aerocu")
    done = run(standin, tmp_path / "some", state=state, steps=STEPS, kf_edrates=True, absent=silent)
    assert same_bits(plain, done.history) == []
    x = run(standin, tmp_path / "all", state=state, absent=OPTIONS).history
    assert not any(x[f"R{name}CUTEN"].any() for name in ("QR", "QI", "QS"))
    assert x["RQCCUTEN"].any()


@pytest.mark.parametrize("setting", ["warm_rain", "ice"])
def test_microphysics_without_ice(standin: Path, state: Path, tmp_path: Path, setting: str) -> None:
    x = run(standin, tmp_path, state=state, **{setting: setting == "warm_rain"}).history
    assert not x["RQICUTEN"].any()
    assert not x["RQSCUTEN"].any()
    assert x["RQCCUTEN"].any()


def test_rates_only_when_asked(standin: Path, state: Path, tmp_path: Path, plain: xr.Dataset) -> None:
    x = run(standin, tmp_path, state=state).history
    assert not any(x[name].any() for name in ("UDR_KF", "UER_KF", "TIMEC_KF"))
    assert plain["UDR_KF"].any()
    assert plain["UER_KF"].any()


def test_an_error_ends_the_run(standin: Path, tmp_path: Path) -> None:
    done = run(standin, tmp_path, state=tmp_path / "nowhere", check=False)
    assert (done.code, done.stderr) == (9, "")
    assert done.stdout.startswith("FATAL: standin: cannot read")
