"""Bundles: many arrays and attributes of a file as one array of deflated bytes.

A file with a variable for each packed tensor spends more bytes on names, shapes and offsets than on the small tensors
themselves, and the codes of weights, whose distribution is not flat, have less than a byte of information each. All
numbers are big-endian, as in classic netCDF. The bytes are:

- ``[1]``, the number of streams (uint8), and the bytes of each stream before and after its compression (uint32,
  uint32);
- the streams (RFC 1951), one after the other. Together they have the content: the list of the attributes and arrays,
  then the arrays. Where one stream ends is of no importance: the writer begins one where other bytes are frequent.

The list has the number of attributes and that of arrays (uint16, uint16). An attribute has its name (uint8 for the
length, characters), the number of its type in netCDF (uint8), the number of its values (uint16) and these. An array has
its name, its type, the number of its dimensions (uint8) and these (uint32). Arrays of one type that follow each other
have their bytes in planes, the first byte of each number before the second ones, since bytes of one place are alike.
Type 7 is a packed tensor of 16-bit integers, whose dimensions are its rows, its columns and its bytes; their bytes have
the order of `sciml.compress.code_planes`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml.compress.blobs import matrix_shape
from sciml.compress.code_planes import Sizes, join_codes, matrix_of_codes, split_codes
from sciml.compress.formats import format_named, packed_parts
from sciml.errors import InputError

__all__ = ["as_bundle", "bundle_tensors", "from_bundle", "read_bundle", "unbundle_tensors", "write_bundle"]

Array = npt.NDArray[Any]
Attribute = str | int | float | Sequence[float]

BUNDLE = ":bundle"  # the array that has the others
FORMATS = "weight_formats"  # the attribute with the formats of the arrays
VERSION = 1
MOST_STREAMS = 255
LARGEST = 1 << 30  # bytes of a content
_CHARS, _CODES = 2, 7
_TYPES = {1: "u1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8"}
_NUMBERS = {"uint8": 1, "int8": 1, "int16": 3, "int32": 4, "float32": 5, "float64": 6}
_PLAIN = ("int16", "int32", "float32", "float64")  # of arrays that are not encoded
_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY)


def write_bundle(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Attribute],
    groups: Mapping[str, str],
    codes: Mapping[str, Sizes] | None = None,
) -> npt.NDArray[np.uint8]:
    """Return the bytes of a bundle.

    Parameters
    ----------
    arrays
        Arrays of bytes, int16, int32, float32 or float64 by name.
    attributes
        Texts, integers of 32 bits, and floats.
    groups
        Group of an array, by name: arrays of one group and type are compressed together. Those without one are a group
        too.
    codes
        Sizes of packed tensors of 16-bit integers, by name; see `sciml.compress.code_planes.matrix_of_codes`.

    Raises
    ------
    ValueError
        An array or an attribute has another type, or is too long.
    """
    codes = codes or {}
    members = _members(arrays, groups, codes)
    streams = [_listed(arrays, attributes, [name for names in members.values() for name in names], codes)]
    for names in members.values():
        own = [arrays[name] for name in names]
        streams += split_codes(own, [codes[n] for n in names]) if names[0] in codes else _streams(own)
    if len(streams) > MOST_STREAMS:
        streams = [streams[0], b"".join(streams[1:])]
    packed = [_deflated(stream) for stream in streams]
    sizes = [struct.pack(">II", len(a), len(b)) for a, b in zip(streams, packed, strict=True)]
    return np.frombuffer(b"".join([bytes([VERSION, len(streams)]), *sizes, *packed]), np.uint8)


def read_bundle(blob: Array) -> tuple[dict[str, Array], dict[str, Attribute]]:
    """Return the arrays and the attributes of a bundle.

    Raises
    ------
    ValueError
        The bytes are no bundle of this version, or are damaged.
    """
    data = np.ascontiguousarray(blob).view(np.uint8).tobytes()
    content = _Bytes(_inflated(data))
    attributes: dict[str, Attribute] = {}
    arrays: dict[str, Array] = {}
    counts = struct.unpack(">HH", content.take(4))
    for _ in range(counts[0]):
        name, kind = content.name(), content.take(1)[0]
        (count,) = struct.unpack(">H", content.take(2))
        attributes[name] = _value(kind, content.take(count * (1 if kind == _CHARS else _item(kind))), count)
    shapes: list[tuple[str, int, tuple[int, ...]]] = []
    for _ in range(counts[1]):
        name, kind, rank = content.name(), content.take(1)[0], content.take(1)[0]
        shapes.append((name, kind, struct.unpack(f">{rank}I", content.take(4 * rank))))
    for kind, run in itertools.groupby(shapes, key=lambda entry: entry[1]):
        own = list(run)
        if kind == _CODES:
            shapes_of = [(shape[0], shape[1], shape[2]) for _, _, shape in own if len(shape) == 3]
            blobs = join_codes(content.take(sum(size for *_, size in shapes_of)), shapes_of)
            arrays |= {name: blob for (name, _, _), blob in zip(own, blobs, strict=True)}
            continue
        sizes = [math.prod(shape) for _, _, shape in own]
        planes = np.frombuffer(content.take(_item(kind) * sum(sizes)), np.uint8).reshape(_item(kind), -1)
        values = (
            planes.T.copy().view(_TYPES[kind]).astype(np.dtype(_TYPES[kind]).newbyteorder("=")).reshape(-1)
        )
        for (name, _, shape), end in zip(own, itertools.accumulate(sizes), strict=True):
            arrays[name] = values[end - math.prod(shape) : end].reshape(shape)
    if content.left:
        raise ValueError(f"{content.left} bytes behind the arrays")
    return arrays, attributes


class _Bytes:
    """Bytes that are read from the beginning to the end."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def left(self) -> int:
        return len(self._content) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError(f"{self.left} bytes where {size} are needed")
        part = self._content[self._at : self._at + size]
        self._at += size
        return part

    def name(self) -> str:
        return self.take(self.take(1)[0]).decode()


def _item(kind: int) -> int:
    if kind not in _TYPES:
        raise ValueError(f"an array of type {kind}")
    return np.dtype(_TYPES[kind]).itemsize


def _value(kind: int, content: bytes, count: int) -> Attribute:
    if kind == _CHARS:
        return content.decode()
    values = np.frombuffer(content, _TYPES[kind])
    if count != 1:
        return [float(value) for value in values]
    return int(values[0]) if values.dtype.kind == "i" else float(values[0])


def _listed(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Attribute],
    order: Sequence[str],
    codes: Mapping[str, Sizes],
) -> bytes:
    parts = [struct.pack(">HH", len(attributes), len(arrays))]
    for name, value in attributes.items():
        if isinstance(value, str):
            kind, count, content = _CHARS, len(value.encode()), value.encode()
        else:
            values = np.asarray(value, np.int32 if isinstance(value, bool | int) else np.float64).reshape(-1)
            kind, count = _NUMBERS[values.dtype.name], values.size
            content = values.astype(_TYPES[kind]).tobytes()
        if count >= 1 << 16:
            raise ValueError(f"the attribute {name!r} has {count} values")
        parts += [_name(name), struct.pack(">BH", kind, count), content]
    for name in order:
        array = arrays[name]
        if array.dtype.name not in _NUMBERS:
            raise ValueError(f"{name!r} is of {array.dtype}")
        kind, shape = (_CODES, codes[name]) if name in codes else (_NUMBERS[array.dtype.name], array.shape)
        parts += [_name(name), struct.pack(f">BB{len(shape)}I", kind, len(shape), *shape)]
    return b"".join(parts)


def _name(name: str) -> bytes:
    content = name.encode()
    if not 0 < len(content) < 256:
        raise ValueError(f"the name {name!r} has {len(content)} bytes")
    return bytes([len(content)]) + content


def _members(
    arrays: Mapping[str, Array], groups: Mapping[str, str], codes: Mapping[str, Sizes]
) -> dict[str, list[str]]:
    """Return the names of the arrays by group and type; those of numbers of several bytes by type alone."""
    members: dict[str, list[str]] = {}
    for name, array in arrays.items():
        group = f"bytes of {groups.get(name, '')}" if array.itemsize == 1 else array.dtype.name
        members.setdefault("codes" if name in codes else group, []).append(name)
    return members


def _streams(arrays: Sequence[Array]) -> list[bytes]:
    """Return the planes of bytes of arrays of one type, each as a stream or all as one, whichever is smaller."""
    kind = np.dtype(_TYPES[_NUMBERS[arrays[0].dtype.name]])
    values = np.concatenate([array.reshape(-1) for array in arrays]).astype(kind)
    planes = [plane.tobytes() for plane in values.view(np.uint8).reshape(-1, kind.itemsize).T]
    whole = b"".join(planes)
    return (
        planes if sum(len(_deflated(plane)) + 8 for plane in planes) < len(_deflated(whole)) + 8 else [whole]
    )


def _deflated(content: bytes) -> bytes:
    """Return the shortest of some streams; without matches they are often shorter."""
    made = []
    for strategy in _STRATEGIES:
        for memory in (8, 9):
            stream = zlib.compressobj(9, zlib.DEFLATED, -15, memory, strategy)
            made.append(stream.compress(content) + stream.flush())
    return min(made, key=len)


def bundle_tensors(
    stored: Mapping[str, Array],
    described: Mapping[str, Mapping[str, Any]],
    attributes: Mapping[str, Attribute] | None = None,
) -> npt.NDArray[np.uint8]:
    """Return a bundle of the tensors that `sciml.compress.pack` encoded.

    Parameters
    ----------
    stored, described
        Result of `sciml.compress.pack`.
    attributes
        Attributes of the bundle.

    Raises
    ------
    ValueError
        As for `write_bundle`.
    """
    groups = {
        f"{name}:{part}" if part else name: str(entry["format"])
        for name, entry in described.items()
        for part in entry["parts"]
    }
    codes: dict[str, Sizes] = {}
    if all(list(entry["parts"]) == [""] for entry in described.values()):
        for name, entry in described.items():
            shape = format_named(str(entry["format"])).matrix(tuple(entry["shape"]))
            sizes = matrix_of_codes(stored[name], *matrix_shape(shape))
            codes |= {} if sizes is None else {name: sizes}
        order = [name for names in _members(stored, groups, codes).values() for name in names]
        text = " ".join(_word(described.get(name)) for name in order)
    else:
        text = json.dumps(described)
    return write_bundle(stored, {**(attributes or {}), FORMATS: text}, groups, codes)


def unbundle_tensors(blob: Array) -> tuple[dict[str, Array], dict[str, dict[str, Any]], dict[str, Attribute]]:
    """Return the stored tensors of a bundle, their description for `sciml.compress.unpack`, and its attributes.

    Raises
    ------
    ValueError
        As for `read_bundle`; or the formats are damaged.
    """
    stored, attributes = read_bundle(blob)
    text = str(attributes.pop(FORMATS, ""))
    if text.startswith("{"):
        described = json.loads(text)
        if not isinstance(described, dict):
            raise ValueError(f"`{FORMATS}` is {described!r}")
        return stored, described, attributes
    words = text.split(" ")
    if len(words) != len(stored):
        raise ValueError(f"`{FORMATS}` has {len(words)} words for {len(stored)} arrays")
    described = {name: _entry(word) for name, word in zip(stored, words, strict=True) if word}
    return stored, described, attributes


def as_bundle(
    stored: dict[str, Array], described: dict[str, dict[str, Any]]
) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
    """Return what `sciml.compress.pack` encoded with a single array for all tensors whose type a bundle has.

    Raises
    ------
    InputError
        A tensor has the name of the bundle, or one that is too long.
    """
    if not described:
        return stored, described
    own = {*packed_parts(stored, described), *(n for n, a in stored.items() if a.dtype.name in _PLAIN)}
    rest = {name: array for name, array in stored.items() if name not in own}
    if BUNDLE in rest:
        raise InputError(f"the tensor {BUNDLE!r}: the name belongs to the file; choose another one")
    try:
        blob = bundle_tensors({name: array for name, array in stored.items() if name in own}, described)
    except ValueError as error:
        raise InputError(f"the packed tensors cannot be stored ({error}): choose another name") from error
    return {BUNDLE: blob, **rest}, {BUNDLE: {"format": "bundle", "shape": [], "parts": [""]}}


def from_bundle(
    stored: dict[str, Array], described: dict[str, dict[str, Any]]
) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
    """Return what `as_bundle` was given; the same if there is no bundle.

    Raises
    ------
    ValueError
        As for `read_bundle`.
    """
    if BUNDLE not in described or BUNDLE not in stored:
        return stored, described
    own, formats, _ = unbundle_tensors(stored[BUNDLE])
    return {**own, **{name: array for name, array in stored.items() if name != BUNDLE}}, formats


def _word(entry: Mapping[str, Any] | None) -> str:
    """Return a format and a shape as a word; the rows of a matrix follow from both."""
    return "" if entry is None else f"{entry['format']}:{','.join(map(str, entry['shape']))}"


def _entry(word: str) -> dict[str, Any]:
    name, _, sizes = word.partition(":")
    shape = [int(size) for size in sizes.split(",") if size]
    entry: dict[str, Any] = {"format": name, "shape": shape, "parts": [""]}
    with contextlib.suppress(InputError):  # of an unknown format, which `unpack` reports
        if format_named(name).matrix(tuple(shape)) != tuple(shape):
            entry["rows"] = shape[0]
    return entry


def _inflated(data: bytes) -> bytes:
    """Return the content of all streams."""
    if len(data) < 2 or data[0] != VERSION:
        raise ValueError(f"version {data[0] if data else 'none'}, which this version does not know")
    at, content = 2 + 8 * data[1], b""
    sizes = (
        [struct.unpack_from(">II", data, 2 + 8 * number) for number in range(data[1])]
        if at <= len(data)
        else []
    )
    if len(sizes) != data[1] or at + sum(packed for _, packed in sizes) != len(data):
        raise ValueError(f"{len(data)} bytes, which its streams do not have")
    if sum(size for size, _ in sizes) > LARGEST:
        raise ValueError(f"more than {LARGEST} bytes")
    for size, packed in sizes:
        stream = zlib.decompressobj(-15)
        try:
            part = stream.decompress(data[at : at + packed], size + 1)
        except zlib.error as error:
            raise ValueError(f"a damaged stream ({error})") from error
        if len(part) != size or not stream.eof or stream.unused_data:
            raise ValueError("a stream of another length")
        content, at = content + part, at + packed
    return content
