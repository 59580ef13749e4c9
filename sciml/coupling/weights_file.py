"""The weights file: self-describing classic netCDF with a checksum.

Any netCDF tool opens it, and the native library reads it without one: the format is CDF-2 (64-bit offset).
The global attribute ``checksum`` is ``sha256:`` and 64 digits, the SHA-256 of the whole file in which these
digits are zeros, so that Python and the library detect a change of any bit.

A file with packed tensors has another schema: its arrays and attributes are in one variable, a bundle of deflated
bytes (`sciml.compress.bundle`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import netCDF4
import numpy as np
import numpy.typing as npt

from sciml.compress.bundle import bundle_tensors, unbundle_tensors
from sciml.compress.formats import pack, packed_parts, unpack
from sciml.errors import ChecksumError, InputError, SchemaError, SciMLError
from sciml.storage import provenance
from sciml.storage.atomic import replaced
from sciml.storage.schema import check_schema

__all__ = ["BUNDLE_SCHEMA", "WEIGHTS_SCHEMA", "Weights", "read_weights", "write_weights"]

#: Schema that this version writes and reads; `SCIML_WEIGHTS_SCHEMA` in the native sources is the same number.
WEIGHTS_SCHEMA = 1
#: The same of files with a bundle, and `SCIML_BUNDLE_SCHEMA`.
BUNDLE_SCHEMA = 2
EXPORT = "export the weights again with `sciml coupling export`"

Attribute = str | int | float | Sequence[float]

_BUNDLE = "bundle"  # the variable
_LEAST_SIZE = 4096  # bytes; the netCDF library cannot open a smaller file from memory
_ZEROS = b"0" * 64
# The attribute in the header of a classic file: name, type (2: char), length (71), value.
_CHECKSUM = re.compile(rb"\x00\x00\x00\x08checksum\x00\x00\x00\x02\x00\x00\x00\x47sha256:([0-9a-f]{64})\x00")
_KINDS = {"float32": "f4", "float64": "f8", "int32": "i4", "int16": "i2", "int8": "i1"}
_OWN = ("Conventions", "title", "sciml_schema", "checksum", "weight_formats", provenance.PROVENANCE)


@dataclass(frozen=True)
class Weights:
    """Content of a weights file.

    Attributes
    ----------
    arrays
        Named arrays of float32, float64, int32, int16 or bytes, in native byte order.
    attributes
        Global attributes, without those of the file format itself.
    descriptions
        Description of an array (its ``long_name``), for those that have one.
    dims
        Names of the dimensions of the arrays.
    formats
        Format (`sciml.compress.formats`) of each array that is not stored in its own dtype.
    packed
        Stored arrays of an earlier file or checkpoint to store again; see `sciml.compress.pack`.
    """

    arrays: Mapping[str, npt.NDArray[np.generic]]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    descriptions: Mapping[str, str] = field(default_factory=dict)
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)
    packed: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)


def _content(weights: Weights, deflate: bool) -> bytes:
    """Return the bytes of the file before its checksum is set."""
    attributes = {name: _attribute(name, value) for name, value in weights.attributes.items()}
    dense = {name: np.asarray(a) for name, a in weights.arrays.items()}
    arrays, described = pack(dense, weights.formats, weights.packed)
    for name, array in arrays.items():
        if array.dtype.name not in _KINDS and array.dtype != np.uint8:
            raise InputError(f"{name!r} is {array.dtype}: a weights file takes {', '.join(_KINDS)}; cast it")
        if array.size == 0 or array.ndim > 4:
            raise InputError(
                f"{name!r} has shape {array.shape}: a weights file takes 0 to 4 dimensions, none empty"
            )
    if described and deflate:
        try:
            blob = bundle_tensors(arrays, described, attributes)
        except ValueError as error:
            raise InputError(f"the weights cannot be stored ({error}): shorten it") from error
        return _classic(BUNDLE_SCHEMA, {}, {_BUNDLE: blob})
    attributes |= {"weight_formats": json.dumps(described, separators=(",", ":"))} if described else {}
    dims = {name: own for name, own in weights.dims.items() if name not in described}
    return _classic(WEIGHTS_SCHEMA, attributes, arrays, dims, weights.descriptions).ljust(_LEAST_SIZE, b"\0")


def _attribute(name: str, value: Attribute) -> Attribute:
    if name in _OWN:
        raise InputError(f"the attribute {name!r} belongs to the weights file itself: choose another name")
    if isinstance(value, bool | int) and not -(2**31) <= value < 2**31:
        raise InputError(
            f"the attribute {name!r} is {value}, which does not fit 32 bits: store it as a float"
        )
    return value


def _classic(
    schema: int,
    attributes: Mapping[str, Attribute],
    arrays: Mapping[str, npt.NDArray[np.generic]],
    dims: Mapping[str, tuple[str, ...]] | None = None,
    descriptions: Mapping[str, str] | None = None,
) -> bytes:
    """Return the bytes of a classic netCDF file with an empty checksum."""
    # The library extends the memory to the size of the file; it would not shorten a larger one.
    dataset = netCDF4.Dataset("weights", "w", memory=1, format="NETCDF3_64BIT_OFFSET")
    dataset.setncattr("Conventions", "CF-1.11")
    dataset.setncattr("title", "Weights of a sciml emulator")
    dataset.setncattr("sciml_schema", np.int32(schema))
    dataset.setncattr("checksum", "sha256:" + _ZEROS.decode())
    if (record := provenance.command_record()) is not None:
        dataset.setncattr(provenance.PROVENANCE, record.text())
    for name, value in attributes.items():
        if isinstance(value, bool | int):
            dataset.setncattr(name, np.int32(value))
        elif isinstance(value, str):
            dataset.setncattr(name, value)
        else:
            dataset.setncattr(name, np.asarray(value, dtype=np.float64))
    # classic netCDF has signed bytes alone
    arrays = {name: a.view(np.int8) if a.dtype == np.uint8 else a for name, a in arrays.items()}
    for name, array in arrays.items():
        own = (dims or {}).get(name) or tuple(f"size_{n}" for n in array.shape)
        for dim, size in zip(own, array.shape, strict=True):
            if dim not in dataset.dimensions:
                dataset.createDimension(dim, size)
            elif len(dataset.dimensions[dim]) != size:
                raise InputError(
                    f"the dimension {dim!r} has length {len(dataset.dimensions[dim])}, "
                    f"and {size} in {name!r}: give it two names"
                )
        variable = dataset.createVariable(name, _KINDS[array.dtype.name], own, fill_value=False)
        if descriptions and name in descriptions:
            variable.setncattr("long_name", descriptions[name])
        variable[...] = array
    return _clear_padding(dataset.close(), [array.nbytes for array in arrays.values()])


def _clear_padding(content: memoryview, sizes: Sequence[int]) -> bytes:
    """Set the bytes between arrays to zero: each array begins at a multiple of 4 bytes.

    The netCDF library does not write these bytes, so that they have the previous content of the memory.

    Parameters
    ----------
    content
        A classic netCDF file without a record dimension, whose last bytes are the arrays in the order of `sizes`.
    sizes
        Size of each array in bytes.
    """
    clean = bytearray(content)
    end = len(clean)
    for size in reversed(sizes):
        begin = end - (size + 3) // 4 * 4
        clean[begin + size : end] = bytes(end - begin - size)
        end = begin
    return bytes(clean)


def _sum(content: bytes, at: int) -> bytes:
    whole = hashlib.sha256(content[:at])
    whole.update(_ZEROS)
    whole.update(memoryview(content)[at + 64 :])
    return whole.hexdigest().encode()


def write_weights(path: str | os.PathLike[str], weights: Weights, *, deflate: bool = True) -> None:
    """Write a weights file, under a temporary name that is then renamed.

    Parameters
    ----------
    path
        Path of the file; an old file is replaced, completely or not at all.
    weights
        Arrays and attributes. The same weights give the same bytes.
    deflate
        Whether weights with formats are stored as a bundle, which has neither the descriptions nor the dimensions.
        False writes a variable for each array, for other tools; the library reads both.

    Raises
    ------
    InputError
        For types, shapes or names that the format does not have, or when the file cannot be written (disk full,
        or a directory or device of that name).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as there:
    ...     write_weights(f"{there}/w.nc", Weights({"w": np.ones((2, 3), np.float32)}, {"hidden": 32}))
    ...     back = read_weights(f"{there}/w.nc")
    >>> back.arrays["w"].shape, back.attributes["hidden"]
    ((2, 3), 32)
    """
    path = Path(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(
            f"{path} is not a regular file, which a weights file could replace: give another name"
        )
    content = _content(weights, deflate)
    match = _CHECKSUM.search(content)
    if match is None:
        raise InputError(f"{path}: the netCDF library wrote a header without the checksum attribute")
    at = match.start(1)
    sealed = content[:at] + _sum(content, at) + content[at + 64 :]
    if not path.parent.is_dir():
        raise InputError(
            f"cannot write {path}: there is no directory {path.parent}; make it, or give another path"
        )
    try:
        with replaced(path) as temporary:
            temporary.write_bytes(sealed)
    except SciMLError as error:
        raise InputError(str(error)) from error


def _plain(value: object) -> Attribute:
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.ndim:
        return [float(v) for v in array]
    return int(array) if array.dtype.kind in "iu" else float(array)


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """Read a weights file and check its checksum.

    Raises
    ------
    InputError
        When it cannot be opened, or is not a classic netCDF file.
    ChecksumError
        When its content does not match its checksum, or it has none.
    SchemaError
        When it is of another schema.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot open the weights file {path}: {error.strerror}") from error
    if content[:4] not in (b"CDF\x01", b"CDF\x02"):
        raise InputError(
            f"{path} is not a weights file: it begins with {content[:4]!r}, not with CDF; "
            "make one with `sciml coupling export`"
        )
    match = _CHECKSUM.search(content)
    if match is None:
        raise ChecksumError(f"{path} has no checksum: it is damaged, or not a weights file of sciml")
    computed = _sum(content, match.start(1))
    if computed != match.group(1):
        raise ChecksumError(
            f"{path} is damaged: its content has the checksum {computed[:12].decode()}..., its header has "
            f"{match.group(1)[:12].decode()}...; copy or export it again"
        )
    with netCDF4.Dataset("weights", memory=content.ljust(_LEAST_SIZE, b"\0")) as dataset:
        dataset.set_auto_mask(False)
        expected = BUNDLE_SCHEMA if list(dataset.variables) == [_BUNDLE] else WEIGHTS_SCHEMA
        check_schema(getattr(dataset, "sciml_schema", None), expected, path, EXPORT)
        arrays = {name: np.asarray(v[...]) for name, v in dataset.variables.items()}
        attributes = {n: _plain(dataset.getncattr(n)) for n in dataset.ncattrs() if n not in _OWN}
        described = json.loads(getattr(dataset, "weight_formats", "{}"))
        dims = {n: tuple(v.dimensions) for n, v in dataset.variables.items()}
        texts = {n: str(v.long_name) for n, v in dataset.variables.items() if "long_name" in v.ncattrs()}
    if expected == BUNDLE_SCHEMA:
        try:
            arrays, described, attributes = unbundle_tensors(arrays[_BUNDLE])
        except ValueError as error:
            raise SchemaError(
                f"{path}: its bundle cannot be read ({error}): upgrade sciml, or {EXPORT}"
            ) from error
        dims = {}
    arrays = {name: a.astype(a.dtype.newbyteorder("=")) for name, a in arrays.items()}
    packed = packed_parts(arrays, described)
    return Weights(
        arrays=unpack(arrays, described, path),
        formats={name: entry["format"] for name, entry in described.items()},
        packed={name: a.view(np.uint8) if a.dtype == np.int8 else a for name, a in packed.items()},
        attributes=attributes,
        descriptions=texts,
        dims=dims,
    )
