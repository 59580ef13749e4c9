"""The parts of a checkpoint as a zip file or as a folder."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from sciml.errors import ChecksumError, InputError
from sciml.storage.atomic import replaced

__all__ = ["read_parts", "write_parts"]


def write_parts(path: Path, parts: Mapping[str, bytes], *, zipped: bool, deflated: bool) -> None:
    """Write files to a temporary name that is then renamed, with the same bytes at any time.

    Parameters
    ----------
    path
        Zip file or folder.
    parts
        Content by name.
    zipped
        Whether to write a zip file.
    deflated
        Whether the parts of the zip file that become smaller are compressed.
    """
    if zipped:
        with replaced(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, content in parts.items():
                entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                entry.create_system = 3
                entry.external_attr = 0o644 << 16
                smaller = deflated and len(zlib.compress(content, 9)) < len(content)
                archive.writestr(entry, content, zipfile.ZIP_DEFLATED if smaller else zipfile.ZIP_STORED, 9)
    else:
        with replaced(path, folder=True) as temporary:
            temporary.mkdir()
            for name, content in parts.items():
                (temporary / name).write_bytes(content)


def read_parts(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Read the files of a checkpoint; other files are ignored.

    Parameters
    ----------
    path
        Zip file or folder.
    names
        Names of the files.

    Returns
    -------
    dict
        Content by name, of the files that exist.

    Raises
    ------
    InputError
        The file is no checkpoint.
    ChecksumError
        The zip file is damaged.
    """
    if path.is_dir():
        return {name: (path / name).read_bytes() for name in names if (path / name).is_file()}
    head = path.read_bytes()[:8]
    if not zipfile.is_zipfile(path) and not head.startswith(b"PK"):
        raise InputError(
            f"{path} is no checkpoint (it begins with {head!r}): give a .sciml file or its directory"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.namelist()
            parts = {name: archive.read(name) for name in listed if name in names}
    except Exception as error:  # besides the archive's own errors, whatever a decompressor raises
        raise ChecksumError(f"{path} is damaged ({error}): fetch or train it again") from error
    if not parts:
        raise InputError(f"{path} is a zip but no checkpoint (it has no {names[0]}): give a .sciml file")
    return parts
