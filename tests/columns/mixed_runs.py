"""Files of drawn pairs of different runs, made from the sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sciml.schemes.mskf import MSKF


def write_pairs(
    path: Path, columns: xr.Dataset, *, run: int, levels: int | None = None, **attrs: float
) -> Path:
    """Write columns as the library's pairs, with other attributes, and without the levels above the given number."""
    names = [
        name for name in (*MSKF.input_names, *MSKF.output_names, *MSKF.optional_names) if name in columns
    ]
    some = columns[names].drop_vars(list(columns.coords)).isel(level=slice(0, levels))
    out = some.rename(level="bottom_top").load()
    number = out.sizes["column"]
    out["RUN"] = "column", np.full(number, run, np.int32)
    out["WEIGHT"] = "column", np.ones(number, np.float32)
    out["XTIME"] = "column", columns["XTIME"].values.astype(np.float32)
    out["J"], out["I"] = (("column", columns[name].values) for name in ("south_north", "west_east"))
    out.attrs = {
        **{name: columns.attrs[name] for name in ("DX", "DT", "CUDT", "STEPCU")},
        "CU_PHYSICS": 11,
        **attrs,
    }
    out.drop_encoding().to_netcdf(path)
    return path
