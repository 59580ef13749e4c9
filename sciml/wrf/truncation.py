"""Header of a classic NetCDF file: positions of the values, and the size of a complete file.

The netCDF library returns zeros, without an error, for missing parts of a truncated classic file. The layout follows
the published specification of the classic format (CDF-1, CDF-2 with 64-bit offsets, CDF-5).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["ClassicFile", "ClassicVariable", "missing_bytes", "read_classic", "read_values", "whole_records"]

_TYPES: Final = {
    1: ">i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8", 7: ">u1", 8: ">u2", 9: ">u4", 10: ">i8", 11: ">u8"
}  # fmt: skip
_VERSIONS: Final = (b"\x01", b"\x02", b"\x05")
_PIECE: Final = 1 << 17


@dataclass(frozen=True)
class ClassicVariable:
    """A variable of a classic file.

    Attributes
    ----------
    dims, shape
        Names and lengths of the dimensions, over all records.
    dtype
        Stored type, big-endian.
    attrs
        Attributes by name: text as str, a single number as a scalar.
    begin
        Position of the first value, in bytes from the start of the file.
    is_record
        Whether the variable has a record for each frame; otherwise its values are contiguous.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    attrs: dict[str, Any]
    begin: int
    is_record: bool


@dataclass(frozen=True)
class ClassicFile:
    """Header of a classic file.

    Attributes
    ----------
    record
        Name of the record dimension; "" if there is none.
    sizes
        Lengths of the dimensions.
    step
        Number of bytes between records.
    end
        End of the data, in bytes from the start of the file.
    """

    record: str
    sizes: dict[str, int]
    attrs: dict[str, Any]
    variables: dict[str, ClassicVariable]
    step: int
    end: int


def missing_bytes(path: Path) -> int:
    """Number of bytes missing at the end of a classic NetCDF file; 0 for a complete file and for other formats."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:3] != b"CDF" or magic[3:] not in _VERSIONS:
        return 0
    try:
        expected = read_classic(path).end
    except (struct.error, KeyError, IndexError, MemoryError, ValueError):
        return 1  # the file ends within its header, or the header is invalid
    # The padding of the last value to four bytes may be missing.
    absent = expected - path.stat().st_size
    return absent if absent > 3 else 0


def whole_records(path: Path, dim: str = "column") -> tuple[int, int] | None:
    """Return how many records a file that was cut off still has, and how many its header announces.

    Parameters
    ----------
    path
        A classic NetCDF file.
    dim
        Name of the record dimension. Captures of the library have one record for each column.

    Returns
    -------
    (int, int) or None
        None if the file is of another kind (a capture has XTIME), or is cut off before its second record.
    """
    try:
        header = read_classic(path)
    except (struct.error, KeyError, IndexError, MemoryError, ValueError, OverflowError):
        return None
    begins = [variable.begin for variable in header.variables.values() if variable.is_record]
    if header.record != dim or "XTIME" not in header.variables or not begins or header.step <= 0:
        return None
    whole = (path.stat().st_size - min(begins)) // header.step
    announced = header.sizes[dim]
    return (whole, announced) if 0 < whole < announced else None


def read_classic(path: Path) -> ClassicFile:
    """Read the header of a classic file.

    Raises
    ------
    struct.error, KeyError, IndexError, ValueError
        The header is truncated or invalid.
    """
    with path.open("rb") as file:
        data = file.read(_PIECE)
        while True:
            try:
                return _Header(data).read()
            except (struct.error, IndexError):
                more = file.read(len(data))
                if not more:
                    raise
                data += more


class _Header:
    """Reads the header of a classic file from its first bytes; raises struct.error if there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 4
        version = data[3]
        self._count = struct.Struct(">q" if version == 5 else ">i")
        self._offset = struct.Struct(">i" if version == 1 else ">q")
        self._kind = struct.Struct(">i")

    def _number(self, form: struct.Struct) -> int:
        (value,) = form.unpack_from(self._data, self._at)
        self._at += form.size
        return int(value)

    def _bytes(self, number: int) -> bytes:
        start = self._at
        self._at += -(-number // 4) * 4
        if number < 0 or self._at > len(self._data):
            raise struct.error("the header is cut off")
        return self._data[start : start + number]

    def _name(self) -> str:
        return self._bytes(self._number(self._count)).decode("utf-8", "replace")

    def _items(self) -> int:
        self._number(self._kind)  # the tag; a missing list has tag and number 0
        return self._number(self._count)

    def _attributes(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for _ in range(self._items()):
            name, dtype = self._name(), np.dtype(_TYPES[self._number(self._kind)])
            raw = self._bytes(self._number(self._count) * dtype.itemsize)
            if dtype.kind == "S":
                out[name] = raw.rstrip(b"\x00").decode("utf-8", "replace")
            else:
                values = np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))
                out[name] = values[0] if values.size == 1 else values
        return out

    def read(self) -> ClassicFile:
        records = self._number(self._count)
        dims = []
        for _ in range(self._items()):
            name = self._name()
            dims.append((name, self._number(self._count)))
        attrs = self._attributes()
        variables: dict[str, ClassicVariable] = {}
        sizes: dict[str, int] = {}
        for _ in range(self._items()):
            name = self._name()
            mine = [dims[self._number(self._count)] for _ in range(self._number(self._count))]
            more, dtype = self._attributes(), _TYPES[self._number(self._kind)]
            self._number(self._count)  # its size, which is wrong for large variables
            begin = self._number(self._offset)
            is_record = bool(mine) and mine[0][1] == 0
            lengths = [length for _, length in mine]
            sizes[name] = math.prod(lengths[is_record:]) * np.dtype(dtype).itemsize
            if is_record:
                lengths[0] = records
            variables[name] = ClassicVariable(
                tuple(n for n, _ in mine), tuple(lengths), dtype, more, begin, is_record
            )
        # A single record variable is not padded; several are padded to four bytes each.
        repeated = [sizes[name] for name, v in variables.items() if v.is_record]
        step = repeated[0] if len(repeated) == 1 else sum(-(-size // 4) * 4 for size in repeated)
        ends = [self._at]
        for name, v in variables.items():
            if not v.is_record:
                ends.append(v.begin + sizes[name])
            elif records > 0:
                ends.append(v.begin + (records - 1) * step + sizes[name])
        record = next((n for n, length in dims if length == 0), "")
        return ClassicFile(
            record, {n: length or records for n, length in dims}, attrs, variables, step, max(ends)
        )


def read_values(
    path: str, begin: int, shape: tuple[int, ...], dtype: npt.DTypeLike, spans: list[tuple[int, int, int]]
) -> npt.NDArray[Any]:
    """Read a part of contiguous values (in a variable with records, of a single record).

    Parameters
    ----------
    begin
        Position of the first value, in bytes from the start of the file.
    shape, dtype
        Shape of all values, and their stored type.
    spans
        Start, stop and step for each axis.

    Raises
    ------
    OSError
        The file ends before the values.
    """
    kind = np.dtype(dtype)
    first, last, by = spans[0] if spans else (0, 1, 1)
    rows, row = max(0, last - first), math.prod(shape[1:])
    with open(path, "rb") as file:
        file.seek(begin + first * row * kind.itemsize)
        raw = file.read(rows * row * kind.itemsize)
    if len(raw) < rows * row * kind.itemsize:
        raise OSError("the file ends before its values do")
    values = np.frombuffer(raw, kind)
    if not shape:
        return values.reshape(())
    steps = (slice(None, None, by), *(slice(*span) for span in spans[1:]))
    return values.reshape(rows, *shape[1:])[steps]
