"""Content of weights files, to compare files that different commands wrote."""

from __future__ import annotations

from pathlib import Path

import xarray as xr


def content(path: Path) -> xr.Dataset:
    """Read a weights file as stored, without the record of what made it and the checksum over both."""
    with xr.open_dataset(path, decode_cf=False) as file:
        stored = file.load()
    for name in ("sciml_provenance", "checksum"):
        del stored.attrs[name]
    return stored
