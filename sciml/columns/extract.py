"""Extraction of columns from files: inputs and outputs of a call of the convection scheme in each column.

There are three kinds of source. A *wrfout* has the state, from which the inputs are derived. It may have stored output
of the scheme too, or a companion file with the output of the true scheme for that state. A *capture* has the arguments
of the scheme on entry and on return. *Pairs* are columns drawn from captures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from sciml.columns.classes import HELD, KIND_ATTRS, UNKNOWN
from sciml.columns.formats import COORDINATE_ATTRS, GRID, form_of, run_number, scheme_attrs
from sciml.columns.inputs import from_capture, from_pairs, from_wrfout
from sciml.columns.missing import other_scheme, require_scheme
from sciml.columns.mixture import padding
from sciml.columns.reference import opened_companion
from sciml.errors import InputError
from sciml.wrf.precision import warn_if_lossy
from sciml.wrf.requirements import require_frames, where
from sciml.wrf.variables import TABLE

__all__ = ["Keep", "check_finite", "convection_columns", "make_columns", "only_pairs"]

Keep = Literal["all", "pairs"]


def convection_columns(
    ds: xr.Dataset,
    truth: xr.Dataset | str | Path | None = None,
    *,
    keep: Keep = "all",
    run: int | None = None,
    before: xr.DataArray | None = None,
) -> xr.Dataset:
    """Return the columns of a dataset as the MSKF scheme reads them, with its outputs if they are known.

    Parameters
    ----------
    ds
        A wrfout (see `open_wrfout`), a capture of the arguments of the scheme (``mskf_io_*``), drawn pairs
        (``mskf_pairs_*``), or a columns dataset, which is returned unchanged.
    truth
        For a wrfout: path or dataset of the companion with the output of the true scheme for its state
        (``mskf_offline_*``). Every column then counts as evaluated. Without it the tendencies stored in the wrfout
        are used.
    keep
        "all" returns all columns; KIND marks those that are held or unknown, and its attribute `comment` states why
        columns are unknown. "pairs" returns only columns that can be used for training.
    run
        Number of the run of the columns; default: from the name of the file, else 0 (`run_number`).
    before
        NCA (south_north, west_east) of the output before the first of `ds`, with a scalar coordinate Time.

    Returns
    -------
    xr.Dataset
        Dimensions ``column`` and ``level`` (0 is the lowest); float32; lazy where `ds` is lazy. Inputs U_PHY,
        V_PHY [m s-1], T_PHY [K], QVAPOR [kg kg-1], P_HYD [Pa], DZ8W [m], RHO [kg m-3], PI_PHY [1], W0AVG [m
        s-1] by level; ZOL [1], HFX [W m-2], UST [m s-1], PBLH [m]. Targets, if known: the eight
        tendencies, cloud fractions and condensate by level; PRATEC [mm s-1], NCA [s], CUTOP, CUBOT, and
        TIMEC_KF [s] if present. Coordinates Time, XTIME, south_north, west_east, RUN, KIND, WEIGHT. Attributes
        DX [m], DT [s], CUDT [min], STEPCU, sciml_schema, SOURCE, history. (`open_columns` gives columns of
        different runs, whose DX, DT, CUDT and STEPCU may be coordinates.)

    Raises
    ------
    MissingVariable
        An input of the scheme is missing (W0AVG in particular, which decides where convection starts).
    InputError
        There are no columns or no dimension Time, the companion does not belong to the wrfout (a companion that names
        another file only causes a warning), attributes are not valid numbers, or values are NaN (checked if they
        are in memory).

    Notes
    -----
    A stored NCA was decremented by a step after the call; here it is the value that the scheme returned, in columns
    in which convection triggered. Stored tendencies belong to the state a step before the state in the same frame, so
    pairs from captures are exact, and those from a wrfout are not (shallow columns differ by 1-7 %, deep columns by up
    to 8 %).
    """
    if form_of(ds) == "columns":
        return only_pairs(ds) if keep == "pairs" else ds
    if form_of(ds) != "pairs":
        require_frames(ds)
    warn_if_lossy(ds)
    if truth is not None and form_of(ds) == "wrfout":
        truth = opened_companion(ds, truth)
    out = make_columns(ds, truth, run=run, before=before)
    _finite_in_memory(out)
    return only_pairs(out) if keep == "pairs" else out


def make_columns(
    ds: xr.Dataset,
    truth: xr.Dataset | str | Path | None = None,
    *,
    run: int | None = None,
    before: xr.DataArray | None = None,
) -> xr.Dataset:
    """Return all columns of a source, as `convection_columns`, without its checks of values."""
    form = form_of(ds)
    if any(ds.sizes[d] == 0 for d in ds.sizes if d in (*GRID, "column", "bottom_top")):
        raise InputError(f"{where(ds)} contains no columns: its dimensions are {dict(ds.sizes)}")
    if truth is not None and form != "wrfout":
        raise InputError(
            f"truth is for wrfouts, but {where(ds)} is a file of {form}, which has the outputs of the scheme"
        )
    if form in ("pairs", "capture"):
        require_scheme(other_scheme(ds), where(ds))
    if form == "pairs":
        out = from_pairs(ds)
    elif form == "capture":
        out = from_capture(ds)
    else:
        out = from_wrfout(ds, truth, before)
    if "RUN" not in out.coords:
        number = run_number(Path(where(ds)).name) if run is None else run
        out = out.assign_coords(RUN=("column", np.full(out.sizes["column"], number, dtype=np.int32)))
    # The comment states why columns are unknown.
    out["KIND"].attrs = KIND_ATTRS | {k: v for k, v in out["KIND"].attrs.items() if k == "comment"}
    for name, attrs in COORDINATE_ATTRS.items():
        if name in out.coords:
            decoded = out[name].dtype.kind in "mM"  # xarray chooses the units of times when it saves them
            out[name].attrs = {k: v for k, v in attrs.items() if not (decoded and k == "units")}
    out.attrs = scheme_attrs(ds)
    return out


def only_pairs(columns: xr.Dataset) -> xr.Dataset:
    """Select the columns that the scheme computed at that call: KIND none, shallow or deep.

    Parameters
    ----------
    columns
        Result of `convection_columns`.

    Returns
    -------
    xr.Dataset
        The selected columns, in their order.

    Raises
    ------
    InputError
        There are no such columns.
    """
    kind = columns["KIND"].values
    chosen = (kind != HELD) & (kind != UNKNOWN)
    if chosen.all() and chosen.size:
        return columns
    if not chosen.any():
        why = columns["KIND"].attrs.get(
            "comment",
            "write history at multiples of CUDT with the tendencies (sciml wrf info), or give the truth",
        )
        raise InputError(
            f"none of the {kind.size} columns of {where(columns)} was computed by the scheme at its output "
            f"time: {why}"
        )
    return columns.isel(column=np.flatnonzero(chosen))


# A quantity that cannot be negative may be so by rounding: rain of -1e-11 mm/s, vapour of -2e-13 kg/kg.
ROUND_OFF = 1e-10


def _finite_in_memory(columns: xr.Dataset) -> None:
    """Check values in memory; lazy values are checked when they are computed, for example by the store."""
    check_finite(columns[[n for n in columns.data_vars if isinstance(columns[n].data, np.ndarray)]])


def check_finite(columns: xr.Dataset) -> None:
    """Check that a columns dataset has no NaN, no infinity, and no values outside the physical bounds of the table.

    Only the levels above a shorter column may be NaN (see `sciml.columns.mixture`).

    Parameters
    ----------
    columns
        Result of `convection_columns`; lazy values are computed.

    Raises
    ------
    InputError
        The message has the variable, the number of values, and the first time and position.
    """
    above = padding(columns)
    for name, array in columns.data_vars.items():
        values = array.values
        if not values.size:
            continue
        inside = np.ones(values.shape, bool) if above is None or values.ndim < 2 else ~above
        if not inside.all():
            values = np.where(inside, values, values[:, :1])
        low, high = TABLE[str(name)].bounds if name in TABLE else (-np.inf, np.inf)
        low -= ROUND_OFF if low == 0.0 else 0.0
        # NaN propagates through minimum and maximum, and fails the comparison.
        if (
            float(values.min()) >= low
            and float(values.max()) <= high
            and np.isfinite([values.min(), values.max()]).all()
        ):
            continue
        good = np.isfinite(values)
        source = columns.attrs.get("SOURCE", "the columns")
        if good.all():
            worst = float(values.min()) if float(values.min()) < low else float(values.max())
            outside = int((inside & ((values < low) | (values > high))).sum())
            raise InputError(
                f"{name} of {source} reaches {worst:g}, and {outside} of its values lie outside {low:g} to {high:g} "
                f"{TABLE[str(name)].units}: the file is damaged or in other units; leave it out"
            )
        row = int(np.flatnonzero(~good.reshape(good.shape[0], -1).all(axis=1))[0])
        coords = {c: str(columns[c].values[row]) for c in GRID if c in columns.coords}
        place = {c: value for c, value in coords.items() if value != "NaT"} or f"column {row}"
        raise InputError(
            f"{name} of {source} contains {int((inside & ~good).sum())} NaN or infinite values, the first at {place}: "
            "the run has failed or the file is damaged; leave out that time"
        )
