"""Digests of what a command wrote: of its bytes, or of its content where the bytes contain the time that it took."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

__all__ = ["digests", "entries"]

TIMES: Final = {
    "seconds",
    "bytes",
    "time",
    "seconds_emulator",
    "seconds_scheme",
    "seconds_prediction",
    "seconds_setup",
    "peak_bytes",
    "written",
}
"""Keys of JSON that depend on the time that a command took, or on when it ran."""


def entries(folder: Path) -> list[Path]:
    """Return the files and stores of a folder, in their order; a store is one entry."""
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and not (path / "zarr.json").exists():
            yield from _walk(path)
        else:
            yield path


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of each file and store of a folder by its relative path."""
    return {str(path.relative_to(folder)): digest(path) for path in entries(folder)}


def digest(path: Path) -> str:
    """Return the digest of a file or a store."""
    whole = hashlib.sha256()
    for part in _parts(path):
        whole.update(part)
    return whole.hexdigest()[:16]


def _parts(path: Path) -> Iterator[bytes]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                yield str(file.relative_to(path)).encode() + b"\0"
                yield _json(file.read_bytes()) if file.name == "zarr.json" else file.read_bytes()
    elif path.suffix == ".json":
        yield _json(path.read_bytes())
    elif path.suffix == ".sciml":
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                content = archive.read(name)
                yield name.encode() + (_json(content) if name.endswith(".json") else content)
    elif path.suffix == ".html":
        yield re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"", path.read_bytes())  # when it was written
    elif path.suffix == ".nc":
        yield _netcdf(path)
    else:
        yield path.read_bytes()


def _json(content: bytes) -> bytes:
    return json.dumps(_timeless(json.loads(content)), sort_keys=True).encode()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _timeless(item)
            for key, item in value.items()
            if key not in TIMES and not (key == "sha256" and isinstance(item, dict))
        }
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _netcdf(path: Path) -> bytes:
    import netCDF4
    import numpy as np

    whole = hashlib.sha256()
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        for item in (file, *file.variables.values()):
            for name in sorted(item.ncattrs()):
                if not name.startswith("sciml_provenance"):
                    whole.update(f"{name}={item.getncattr(name)!r}".encode())
        for name, variable in sorted(file.variables.items()):
            whole.update(f"{name}{variable.dimensions}{variable.dtype}".encode())
            whole.update(np.ascontiguousarray(variable[:]).tobytes())
    return whole.digest()
