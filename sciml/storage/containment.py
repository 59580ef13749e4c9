"""Checks before a file is opened: it runs no code, and its values lie in it and not in other files.

HDF5 can store values in other files by external links, external storage and virtual datasets, and a folder can contain
symbolic links. A file from elsewhere could read any file of its reader in this way. The codecs of zarr include one that
unpickles, which runs code.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sciml.errors import InputError
from sciml.storage.damage import DAMAGE, reason_of

__all__ = ["check_hdf5", "check_store", "reads_other_files"]

CODECS: Final = {
    *("bytes", "blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "shuffle", "delta", "fixedscaleoffset"),
    *("quantize", "astype", "bitround", "crc32", "crc32c", "adler32", "fletcher32", "transpose", "packbits"),
    *(
        "vlen-utf8",
        "vlen-bytes",
        "sharding_indexed",
        "jenkins_lookup3",
        "categorize",
        "scale_offset",
        "cast_value",
    ),
}
"""Codecs that only compute with numbers and text, by name; those of numcodecs may begin with ``numcodecs.``."""
METADATA: Final = ("zarr.json", ".zarray", ".zmetadata")
SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"


def check_store(store: Path) -> None:
    """Check a zarr store before it is opened.

    Raises
    ------
    InputError
        A symbolic link leads out of the store, an array has a codec that is not known to be safe, or its description
        cannot be read.
    """
    import zarr

    home = store.resolve()
    for folder, folders, files in os.walk(store):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                raise InputError(
                    f"{path} is a symbolic link to a file outside the store: copy that file into the store"
                )
        for name in METADATA:
            if name in files:
                _check_codecs(Path(folder, name))
        if Path(folder) != store and {"zarr.json", ".zarray"} & set(files):
            try:
                zarr.open(str(folder), mode="r")
            except DAMAGE as error:
                raise InputError(
                    f"{folder} cannot be opened as zarr ({reason_of(error)}): write the store again"
                ) from error


def _check_codecs(path: Path) -> None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        used = set(_codecs(content))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({reason_of(error)}): write the store again") from error
    unknown = sorted(name for name in used if name.removeprefix("numcodecs.") not in CODECS)
    if unknown:
        raise InputError(
            f"{path} has the codec {', '.join(unknown)}, which is not read, because it could run code: write the store "
            f"with another one, such as blosc"
        )


def _codecs(content: Any) -> Iterator[str]:
    """Yield the names of the codecs in the description of an array, or of all arrays of a group."""
    if isinstance(content, list):
        for item in content:
            yield from _codecs(item)
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        listed = value if isinstance(value, list) else [value]
        if key in ("codecs", "index_codecs", "filters", "compressor"):
            for codec in listed:
                if isinstance(codec, Mapping):
                    yield str(codec.get("name", codec.get("id")))
                elif codec is not None:
                    yield str(codec)
        if key != "attributes":
            yield from _codecs(value)


def check_hdf5(path: Path) -> None:
    """Check a file before it is opened: the values of an HDF5 file must lie in it. Files of other formats pass.

    A process checks a file once, until the file is written again.

    Raises
    ------
    InputError
        The file has an external link, external storage or a virtual dataset; or it cannot be opened.
    """
    about = path.stat()
    _check_hdf5(path, about.st_mtime_ns, about.st_size)


@functools.lru_cache(maxsize=1024)  # tasks that read parts of a file each check it
def _check_hdf5(path: Path, modified: int, size: int) -> None:
    with path.open("rb") as file:
        head = file.read(8 + 512)
    if SIGNATURE not in (head[:8], head[512:]):
        return
    import h5py

    try:
        with h5py.File(path, "r") as opened:
            outside = next(_outside(opened), None)
    except DAMAGE as error:
        raise InputError(
            f"{path} cannot be opened as NetCDF or HDF5 ({reason_of(error)}): is it whole? Copy it again"
        ) from error
    if outside is not None:
        raise InputError(f"{path}: {outside}, and other files are not read: copy the values into the file")


def reads_other_files(dataset: Any) -> bool:
    """Return whether values of a dataset (`h5py.h5d.DatasetID`) lie in other files."""
    import h5py

    plist = dataset.get_create_plist()
    return bool(plist.get_external_count() or plist.get_layout() == h5py.h5d.VIRTUAL)


def _outside(group: Any) -> Iterator[str]:
    """Yield descriptions of what a group has in other files."""
    import h5py

    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            yield f"{group.name.rstrip('/')}/{name} is a link to {link.filename}"
            continue
        if isinstance(link, h5py.SoftLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _outside(item)
        elif isinstance(item, h5py.Dataset) and reads_other_files(item.id):
            plist = item.id.get_create_plist()
            if plist.get_external_count():
                yield f"the values of {item.name} are stored in {os.fsdecode(plist.get_external(0)[0])}"
            else:
                yield f"{item.name} is a virtual dataset"
