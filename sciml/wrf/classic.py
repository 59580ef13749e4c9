"""The size a classic NetCDF file must have: the library reads zeros, without a word, where one was cut off.

The layout is that of the published specification of the classic format (CDF-1, CDF-2 with 64-bit offsets, CDF-5).
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["missing_bytes"]

_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}


def missing_bytes(path: Path) -> int:
    """How many bytes a classic NetCDF file lacks at its end; 0 for whole ones, and for files of other formats."""
    with path.open("rb") as file:
        magic = file.read(4)
        if magic[:3] != b"CDF" or magic[3:] not in (b"\x01", b"\x02", b"\x05"):
            return 0
        try:
            expected = _Header(file, magic[3]).end()
        except (struct.error, KeyError, IndexError, MemoryError):
            return 1  # it ends within its header, or the header is no header
    # The last value may lack the padding to four bytes.
    lacking = expected - path.stat().st_size
    return lacking if lacking > 3 else 0


class _Header:
    """Reads the header of a classic file from just behind its magic number."""

    def __init__(self, file: BinaryIO, version: int) -> None:
        self._file = file
        self._count = ">q" if version == 5 else ">i"
        self._offset = ">i" if version == 1 else ">q"

    def _number(self, form: str) -> int:
        (value,) = struct.unpack(form, self._file.read(struct.calcsize(form)))
        return int(value)

    def _skip(self, number: int) -> None:
        self._file.seek(-(-number // 4) * 4, 1)

    def _name(self) -> None:
        self._skip(self._number(self._count))

    def _items(self) -> int:
        self._number(">i")  # the tag; a list that is absent has tag and number 0
        return self._number(self._count)

    def _attributes(self) -> None:
        for _ in range(self._items()):
            self._name()
            kind = self._number(">i")
            self._skip(self._number(self._count) * _BYTES[kind])

    def end(self) -> int:
        """Where the data end, in bytes from the start of the file."""
        records = self._number(self._count)
        lengths = []
        for _ in range(self._items()):
            self._name()
            lengths.append(self._number(self._count))
        self._attributes()
        fixed, per_record = [self._file.tell()], []
        for _ in range(self._items()):
            self._name()
            dims = [lengths[self._number(self._count)] for _ in range(self._number(self._count))]
            self._attributes()
            width = _BYTES[self._number(">i")]
            self._number(self._count)  # its size, which is wrong for large variables
            begin = self._number(self._offset)
            if dims and dims[0] == 0:
                per_record.append((begin, math.prod(dims[1:]) * width))
            else:
                fixed.append(begin + math.prod(dims) * width)
        # One record variable alone is packed, several are padded to four bytes each.
        step = per_record[0][1] if len(per_record) == 1 else sum(-(-size // 4) * 4 for _, size in per_record)
        last = [begin + (records - 1) * step + size for begin, size in per_record if records > 0]
        return max([*fixed, *last])
