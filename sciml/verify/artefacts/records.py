"""Records of provenance in files that are not data sets: pages, figures, graphs and libraries."""

from __future__ import annotations

import html
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sciml.storage.provenance import PROVENANCE

__all__ = [
    "META",
    "chunks_of_png",
    "library_facts",
    "record_of_graph",
    "record_of_page",
    "record_of_png",
    "span_in_graph",
]

META: Final = re.compile(rf'<meta name="{PROVENANCE}" content="([^"]*)">')
PNG: Final = b"\x89PNG\r\n\x1a\n"
MARK: Final = f"{PROVENANCE}:".encode()


def record_of_page(text: str) -> dict[str, Any] | None:
    """Return the record in the head of an HTML page."""
    match = META.search(text)
    return None if match is None else _mapping(html.unescape(match[1]))


def record_of_png(content: bytes) -> str | None:
    """Return the record in the texts of a PNG file."""
    key = PROVENANCE.encode() + b"\0"
    texts = (data for kind, data in chunks_of_png(content) if kind == b"tEXt" and data.startswith(key))
    return next((data[len(key) :].decode("latin-1") for data in texts), None)


def chunks_of_png(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and data of each chunk of a PNG file, up to the first that is cut short."""
    at = len(PNG)
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        if at + 12 + length > len(content):
            return
        yield content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        at += 12 + length


def span_in_graph(content: bytes) -> tuple[int, int] | None:
    """Return where the record is in an ONNX graph: a property whose key is a string before it.

    A property is a message of two strings, each with a tag and its length (the encoding of Protocol Buffers).
    """
    key = b"\x0a" + bytes([len(PROVENANCE)]) + PROVENANCE.encode() + b"\x12"
    at = content.rfind(key)
    if at < 0:
        return None
    at, length, shift = at + len(key), 0, 0
    while at < len(content) and shift < 35:
        length |= (content[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if content[at - 1] < 0x80:
            return (at, at + length) if at + length <= len(content) else None
    return None


def record_of_graph(content: bytes) -> str | None:
    """Return the record among the properties of an ONNX graph."""
    span = span_in_graph(content)
    return None if span is None else content[span[0] : span[1]].decode(errors="replace")


def library_facts(path: Path) -> dict[str, Any]:
    """Return version, compiler and flags in a native library; nothing if it has none."""
    content = path.read_bytes()
    at = content.find(MARK + b"{")
    if at < 0:
        return {}
    text = content[at + len(MARK) : content.find(b"\0", at)].decode(errors="replace")
    return _mapping(text) or {}


def _mapping(text: str) -> dict[str, Any] | None:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None
