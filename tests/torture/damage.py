"""Damage to the bytes of a file, drawn at random."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import numpy as np

__all__ = ["KINDS", "damage"]

KINDS: Final = (
    "flipped bits",
    "a flipped bit of the head",
    "truncated",
    "a block of zeros",
    "a block of ones",
    "a repeated block",
    "swapped blocks",
    "huge lengths",
    "a huge length in the head",
    "a random block",
    "more at the end",
    "empty",
    "a folder",
    "another file",
    "text in the head",
)
HEAD: Final = 2048
"""Bytes at the beginning of a file that describe the rest of it."""


def damage(path: Path, rng: np.random.Generator, others: list[Path]) -> str:
    """Damage a file; return how.

    Parameters
    ----------
    path
        The file.
    rng
        Generator of all choices.
    others
        Files of other kinds, of which one may take its place.
    """
    kind = KINDS[int(rng.integers(len(KINDS)))]
    if kind == "a folder":
        path.unlink()
        path.mkdir()
        return kind
    if kind == "another file":
        other = others[int(rng.integers(len(others)))]
        shutil.copyfile(other, path)
        return f"{kind}, {other.name}"
    content = bytearray(path.read_bytes())
    _change(content, kind, rng)
    path.write_bytes(content)
    return kind


def _change(content: bytearray, kind: str, rng: np.random.Generator) -> None:
    size = len(content)
    if kind == "empty" or not size:
        content.clear()
        return
    first, length = _block(size, rng)
    other, _ = _block(size, rng)
    head = min(size, HEAD)
    if kind == "flipped bits":
        for _ in range(int(rng.integers(1, 9))):
            content[int(rng.integers(size))] ^= 1 << int(rng.integers(8))
    elif kind == "a flipped bit of the head":
        content[int(rng.integers(head))] ^= 1 << int(rng.integers(8))
    elif kind == "truncated":
        del content[int(rng.integers(size)) :]
    elif kind in ("a block of zeros", "a block of ones"):
        content[first : first + length] = (b"\0" if "zeros" in kind else b"\xff") * length
    elif kind == "a repeated block":
        content[other:other] = content[first : first + length]
    elif kind == "swapped blocks":
        former, latter = content[first : first + length], content[other : other + length]
        content[first : first + length], content[other : other + length] = latter, former
    elif kind in ("huge lengths", "a huge length in the head"):
        whole, count = (size, int(rng.integers(1, 5))) if kind == "huge lengths" else (head, 1)
        for _ in range(count):
            at = int(rng.integers(whole)) & ~3
            value = (b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff" * 8, b"\x00\x00\x00\x40")[
                int(rng.integers(4))
            ]
            content[at : at + len(value)] = value
    elif kind == "a random block":
        content[first : first + length] = rng.bytes(length)
    elif kind == "more at the end":
        content += rng.bytes(int(rng.integers(1, 4096)))
    elif kind == "text in the head":
        words = (
            b"nan",
            b"1e999",
            b"null",
            b'"',
            b"{{",
            b"]",
            b"-1",
            b"../../x",
            b"\xff\xfe",
            b"\n[",
            b"0x",
            b"=",
        )
        at = int(rng.integers(head))
        content[at : at + int(rng.integers(0, 6))] = words[int(rng.integers(len(words)))]


def _block(size: int, rng: np.random.Generator) -> tuple[int, int]:
    """Return the start and the length of a block."""
    first = int(rng.integers(size))
    return first, min(int(rng.integers(1, 1 + min(size, 4096))), size - first)
