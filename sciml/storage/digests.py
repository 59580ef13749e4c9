"""Checksums of the files and stores that a command reads.

Up to `FULL` bytes in all, every byte is read. Beyond, a file larger than `SAMPLE` contributes its size and `PIECES`
evenly spaced pieces, and a store the names and sizes of all files and the content of some, so that the time does not
grow with the terabytes. A checksum records which of the two it is.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sciml.errors import InputError

__all__ = ["FULL", "Digest", "digest_paths"]

FULL: Final = 4 << 30
"""Number of bytes of all inputs of a command up to which all of them are read."""
PIECES: Final = 16
PIECE: Final = 256 << 10
SAMPLE: Final = PIECES * PIECE
READ_FILES: Final = 1024
"""Number of files of a store that are read if it is sampled."""
METADATA: Final = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata", "config.json")
THREADS: Final = 4


@dataclass(frozen=True)
class Digest:
    """Checksum of a file, or of all files of a folder.

    Parameters
    ----------
    sha256
        SHA-256 in hexadecimal digits: of the bytes of a file; of the names, sizes and checksums of the files of a
        folder.
    size
        Number of bytes.
    sampled
        Whether only a part of the bytes was read.
    """

    sha256: str
    size: int
    sampled: bool = False


def digest_paths(paths: Sequence[Path], *, sampled: bool | None = None) -> list[Digest]:
    """Return the checksums of files and folders.

    Parameters
    ----------
    paths
        Regular files, and folders, whose files are all taken.
    sampled
        Whether large ones are sampled; by default, if there are more than `FULL` bytes in all.

    Raises
    ------
    InputError
        A path does not exist, or is neither a regular file nor a folder.
    """
    listed = [_files(path) for path in paths]
    if sampled is None:
        sampled = sum(size for files in listed for _, _, size in files) > FULL
    partial = bool(sampled)
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda path, files: _digest(path, files, partial), paths, listed))


def _digest(path: Path, files: Sequence[tuple[str, Path, int]], sampled: bool) -> Digest:
    total = sum(size for _, _, size in files)
    if not path.is_dir():
        return Digest(_content(path, total, sampled), total, sampled and total > SAMPLE)
    whole, read = hashlib.sha256(), _read_names(files) if sampled else {name for name, _, _ in files}
    for name, file, size in files:
        content = _content(file, size, sampled) if name in read else ""
        whole.update(f"{name}\0{size}\0{content}\n".encode())
    return Digest(
        whole.hexdigest(), total, sampled and (len(read) < len(files) or any(s > SAMPLE for *_, s in files))
    )


def _read_names(files: Sequence[tuple[str, Path, int]]) -> set[str]:
    """Return the names of the files of a sampled store that are read: metadata, and evenly spaced others."""
    data = [name for name, file, _ in files if file.name not in METADATA]
    step = -(-len(data) // READ_FILES)
    return {name for name, file, _ in files if file.name in METADATA} | set(data[:: max(1, step)])


def _files(path: Path) -> list[tuple[str, Path, int]]:
    """Return name, path and size of each file, in an order that does not depend on the file system."""
    try:
        about = path.stat()
        if stat.S_ISREG(about.st_mode):
            return [("", path, about.st_size)]
        if not stat.S_ISDIR(about.st_mode):
            raise InputError(f"{path} is neither a file nor a folder: give the path of data")
        listed = list(_walk(path, ""))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; check the path with ls") from error
    return sorted(listed)


def _walk(folder: Path, prefix: str) -> Iterable[tuple[str, Path, int]]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file(follow_symlinks=True):  # pipes and devices are left out
            yield f"{prefix}{entry.name}", Path(entry.path), entry.stat().st_size


def _content(path: Path, size: int, sampled: bool) -> str:
    whole = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        if not sampled or size <= SAMPLE:
            return hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(str(size).encode())
        for number in range(PIECES):
            file.seek((size - PIECE) * number // (PIECES - 1))
            whole.update(file.read(PIECE))
    return whole.hexdigest()
