"""Description of a WRF file: its kind, and whether it has the variables for rain, prediction and training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import xarray as xr

from sciml.columns.fields import read_header
from sciml.columns.formats import form_of, scheme_attrs
from sciml.columns.missing import (
    absent_inputs,
    absent_targets,
    other_scheme,
    require_inputs,
    rerun_setting,
)
from sciml.errors import InputError, SciMLError
from sciml.schemes.mskf import MSKF
from sciml.wrf.diagnostics import theta_source
from sciml.wrf.dimensions import WRF, renamed
from sciml.wrf.missing import describe_missing
from sciml.wrf.origin import other_origin, wrf_version
from sciml.wrf.requirements import require_faces, require_frames
from sciml.wrf.times import frame_times
from sciml.wrf.variables import TABLE

__all__ = ["FileDescription", "describe_file"]

_RAIN: Final = ("RAINC", "RAINNC")


@dataclass(frozen=True)
class FileDescription:
    """Kind and contents of a WRF file, its missing variables, and their consequences.

    Attributes
    ----------
    path
        Path of the file.
    what
        "wrfout", "capture", "pairs", or another kind of file in words.
    version
        Version of WRF, such as "4.3"; "" if it is not known.
    sizes
        Numbers of frames, levels, rows and columns of the grid, as far as they are known.
    times
        Times of the first and the last frame; empty if they cannot be read.
    attrs
        DX [m], DT [s], CUDT [min], as far as the file has them.
    missing
        Missing variables for each purpose ("rain", "prediction", "training").
    messages
        Remedies, one line each.
    usable
        Whether columns can be made of the file.
    """

    path: str
    what: str
    version: str
    sizes: dict[str, int]
    times: tuple[str, ...]
    attrs: dict[str, float]
    missing: dict[str, tuple[str, ...]]
    messages: tuple[str, ...]
    usable: bool

    def __str__(self) -> str:
        of = f" of WRF {self.version}" if self.version else ""
        sizes = dict(self.sizes)
        rows, width = sizes.pop("rows", None), sizes.pop("width", None)
        shown = [f"{value} {name}" for name, value in sizes.items()]
        shown += [] if rows is None or width is None else [f"{rows} x {width} points"]
        lines = [", ".join([f"{self.path}: {self.what}{of}", *shown])]
        if self.times:
            lines.append(f"  times: {self.times[0]} to {self.times[-1]}")
        if self.attrs:
            lines.append("  " + ", ".join(f"{name} {value:g}" for name, value in self.attrs.items()))
        return "\n".join([*lines, *(f"  {line}" for line in self.messages)])

    def to_json(self) -> dict[str, Any]:
        """Return all fields as data for `json.dumps`."""
        known = {"path": self.path, "form": self.what, "version": self.version or None, **self.sizes}
        missing = {purpose: list(names) for purpose, names in self.missing.items()}
        return {
            **known,
            **self.attrs,
            "times": list(self.times),
            "usable": self.usable,
            "missing": missing,
            "messages": list(self.messages),
        }


def describe_file(path: str | Path) -> FileDescription:
    """Describe a file by its header, also if variables or attributes are missing.

    Parameters
    ----------
    path
        A NetCDF file.

    Raises
    ------
    InputError
        The file is not NetCDF, or has no variable of WRF output.
    """
    ds = read_header(path)
    origin = other_origin(ds)
    if not origin and not any(name in TABLE for name in ds.variables):
        there = ", ".join(map(str, list(ds.variables)[:8])) or "no variable"
        raise InputError(f"{path} has no variable of WRF output: it has {there}; give a wrfout")
    form = form_of(ds)
    if form != "wrfout" or "SOURCE_FILE" in ds.attrs:
        return FileDescription(str(path), form, "", dict(_sizes(ds)), (), {}, {}, (), usable=True)
    back = {dim: own for dim, own in renamed(ds).items() if own in WRF}
    as_wrf = ds.drop_vars([own for own in back.values() if own in ds.variables]).rename(back)
    missing = {
        "rain": tuple(name for name in _RAIN if name not in ds.variables),
        "prediction": tuple(absent_inputs(ds)),
        "training": (*absent_inputs(ds), *absent_targets(ds)),
    }
    # In a file that is not a wrfout, missing times and settings are expected.
    problems = [] if origin and missing["prediction"] else list(_problems(ds))
    version = None if origin else wrf_version(ds)
    return FileDescription(
        path=str(path),
        what=origin or "wrfout",
        version=".".join(map(str, version)) if version else "",
        sizes=dict(_sizes(as_wrf)),
        times=_times(as_wrf),
        attrs=dict(_settings(ds)),
        missing={purpose: names for purpose, names in missing.items() if names},
        messages=(*problems, *_lines(ds, missing, origin, fit=not problems)),
        usable=not problems and not missing["prediction"],
    )


def _sizes(ds: xr.Dataset) -> Iterator[tuple[str, int]]:
    names = {"Time": "frames", "column": "columns", "bottom_top": "levels"}
    names |= {"south_north": "rows", "west_east": "width"}
    for dim, name in names.items():
        if dim in ds.sizes:
            yield name, int(ds.sizes[dim])


def _times(ds: xr.Dataset) -> tuple[str, ...]:
    try:
        times = frame_times(ds)
    except SciMLError:
        return ()
    return tuple(str(time)[:19].replace("T", " ") for time in (times[0], times[-1])) if len(times) else ()


def _settings(ds: xr.Dataset) -> Iterator[tuple[str, float]]:
    for name in ("DX", "DT", "CUDT"):
        try:
            yield name, float(ds.attrs[name])
        except (KeyError, TypeError, ValueError):
            continue


def _problems(ds: xr.Dataset) -> Iterator[str]:
    """Yield other problems that prevent columns. The checks are independent, so all problems are listed."""

    def potential_temperature(header: xr.Dataset) -> None:
        if "T" in header.variables or "THM" in header.variables:
            theta_source(header)

    def units(header: xr.Dataset) -> None:
        if not absent_inputs(header):
            require_inputs(header)

    def times(header: xr.Dataset) -> None:
        if "Time" in header.dims:
            frame_times(header)

    checks: tuple[Callable[[xr.Dataset], Any], ...] = (
        require_frames,
        require_faces,
        times,
        scheme_attrs,
        potential_temperature,
        units,
    )
    for check in checks:
        try:
            check(ds)
        except SciMLError as error:
            yield str(error)
    if "Time" in ds.sizes and not all(ds.sizes.get(dim, 1) for dim in ("Time", "south_north", "west_east")):
        yield f"it has no columns: its dimensions are {dict(ds.sizes)}"


def _lines(ds: xr.Dataset, missing: dict[str, tuple[str, ...]], origin: str, *, fit: bool) -> Iterator[str]:
    """Yield a line for each purpose: yes, or the missing variables and the remedy."""
    scheme = other_scheme(ds)
    for purpose, names in missing.items():
        if purpose == "training" and scheme is not None:
            yield (
                f"training: no: it was made with cu_physics={scheme}, and the tendencies of MSKF are those of "
                f"cu_physics={MSKF.cu_physics}"
            )
        elif not names:
            yield (
                f"{purpose}: yes"
                if fit or purpose == "rain"
                else f"{purpose}: no, until the problem above is corrected"
            )
        elif purpose == "training" and missing["prediction"]:
            absent = absent_targets(ds)
            targets = "" if origin else f", nor are {', '.join(absent)} (or give the truth with --reference)"
            yield f"training: no: the inputs of prediction are missing{targets if absent else ''}"
        else:
            targets_too = absent_targets(ds) if purpose == "prediction" else ()
            what = describe_missing(
                names, "the file", origin=origin, training=targets_too, run_with=rerun_setting(ds)
            )
            yield f"{purpose}: no: {what}"
