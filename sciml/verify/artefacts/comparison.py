"""Comparison of two artefacts of one kind: bit for bit, else which parts differ and by how much.

The records of provenance are not compared, nor are measured times: the content is.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError
from sciml.storage.provenance import PROVENANCE, SIDECAR
from sciml.train import checkpoint
from sciml.verify.artefacts.reading import Artefact, read_artefact
from sciml.verify.artefacts.records import META, chunks_of_png, span_in_graph

__all__ = ["Comparison", "compare"]

BOOKKEEPING: Final = (PROVENANCE, "plan", "sciml_identity", "checksum")
"""Attributes about the writing, not about the content."""
TIMES: Final = re.compile(r"(^|_)(seconds|time|times|ms)($|_)")
"""Keys of measured times."""
BLOCK: Final = 64 << 20
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Comparison:
    """Comparison of an artefact with another.

    Parameters
    ----------
    same_bytes
        Whether all files are equal bit for bit, with the records.
    differences
        What differs by the name of the part; empty if the contents are equal.
    """

    same_bytes: bool
    differences: Mapping[str, str]

    @property
    def equal(self) -> bool:
        """Whether the contents are equal."""
        return not self.differences

    def __str__(self) -> str:
        if self.same_bytes:
            return "equal, bit for bit"
        if self.equal:
            return "equal: the content bit for bit; the records of provenance, or measured times, differ"
        lines = [f"  {part}: {text}" for part, text in self.differences.items()]
        return "\n".join([f"different in {len(lines)} part{'s' * (len(lines) > 1)}:", *lines])

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        return {"equal": self.equal, "same_bytes": self.same_bytes, "differences": dict(self.differences)}


def compare(first: str | Path, second: str | Path, *, outputs: Path | None = None) -> Comparison:
    """Compare two artefacts.

    Parameters
    ----------
    first, second
        Files or folders that `read_artefact` recognises; differences are those of the second from the first.
    outputs
        Folder of what a rerun wrote: JSON of the second may contain paths in it where the first has others.

    Raises
    ------
    SciMLError
        One of them cannot be read.
    """
    left, right = read_artefact(first), read_artefact(second)
    if left.form != right.form:
        return Comparison(False, {"kind": f"{left.kind} and {right.kind}"})
    if _same_bytes(left.path, right.path):
        return Comparison(True, {})
    return Comparison(False, dict(_differences(left, right, "" if outputs is None else str(outputs))))


def _same_bytes(first: Path, second: Path) -> bool:
    if first.is_dir():
        names = sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
        if names != sorted(file.relative_to(second) for file in second.rglob("*") if file.is_file()):
            return False
        return all(_same_bytes(first / name, second / name) for name in names)
    if first.stat().st_size != second.stat().st_size:
        return False
    with first.open("rb") as left, second.open("rb") as right:
        while True:
            a, b = left.read(1 << 20), right.read(1 << 20)
            if a != b:
                return False
            if not a:
                return True


def _differences(left: Artefact, right: Artefact, outputs: str) -> Iterator[tuple[str, str]]:
    if left.form == "store":
        yield from _stores(left.path, right.path)
    elif left.form in ("netcdf", "weights"):
        yield from _netcdf(left.path, right.path)
    elif left.form == "checkpoint":
        yield from _checkpoints(left.path, right.path)
    elif left.form == "json":
        numbers = [json.loads(each.path.read_text(encoding="utf-8")) for each in (left, right)]
        yield from _values(numbers[0], numbers[1], "", outputs)
    elif left.form == "folder":
        yield from _folders(left.path, right.path)
    elif left.form == "page":
        yield from _pages(*(each.path.read_text(encoding="utf-8") for each in (left, right)))
    elif left.form == "figure":
        parts = (
            [chunk for chunk in chunks_of_png(each.path.read_bytes()) if chunk[0] != b"tEXt"]
            for each in (left, right)
        )
        if len({repr(part) for part in parts}) > 1:
            yield "image", "other pixels"
    elif left.form == "graph":
        contents = [_without(each.path.read_bytes()) for each in (left, right)]
        if contents[0] != contents[1]:
            yield "graph", "other bytes"
    else:
        yield left.path.name, "other bytes"


def _without(graph: bytes) -> bytes:
    span = span_in_graph(graph)
    return graph if span is None else graph[: span[0]].rpartition(PROVENANCE.encode())[0] + graph[span[1] :]


def _stores(first: Path, second: Path) -> Iterator[tuple[str, str]]:
    import zarr

    groups: list[Any] = [zarr.open_group(path, mode="r") for path in (first, second)]
    arrays = [dict(group.arrays()) for group in groups]
    yield from _mappings(dict(groups[0].attrs), dict(groups[1].attrs), "attribute ")
    for name in sorted({*arrays[0], *arrays[1]}):
        yield from _arrays(arrays[0].get(name), arrays[1].get(name), name)


def _netcdf(first: Path, second: Path) -> Iterator[tuple[str, str]]:
    import netCDF4

    with netCDF4.Dataset(first) as left, netCDF4.Dataset(second) as right:
        attributes = [{name: file.getncattr(name) for name in file.ncattrs()} for file in (left, right)]
        yield from _mappings(attributes[0], attributes[1], "attribute ")
        for file in (left, right):
            file.set_auto_maskandscale(False)
        for name in sorted({*left.variables, *right.variables}):
            yield from _arrays(left.variables.get(name), right.variables.get(name), name)


def _checkpoints(first: Path, second: Path) -> Iterator[tuple[str, str]]:
    left, right = checkpoint.load(first), checkpoint.load(second)
    configs = [
        {name: value for name, value in each.config.items() if name not in ("software", "sha256")}
        for each in (left, right)
    ]
    yield from _values(configs[0], configs[1], "")
    for name in sorted({*left.tensors, *right.tensors}):
        yield from _arrays(left.tensors.get(name), right.tensors.get(name), name)
    histories = [
        None if each.history is None else json.loads(each.history.to_json()) for each in (left, right)
    ]
    yield from _values(histories[0], histories[1], "history")


def _folders(first: Path, second: Path) -> Iterator[tuple[str, str]]:
    names = [
        {file.name for file in folder.iterdir() if file.is_file() and file.name[0] != "."} - {SIDECAR}
        for folder in (first, second)
    ]
    for name in sorted(names[0] ^ names[1]):
        yield name, f"only in the {'first' if name in names[0] else 'second'}"
    for name in sorted(names[0] & names[1]):
        if _same_bytes(first / name, second / name):
            continue
        try:
            listed = compare(first / name, second / name).differences
        except InputError:  # a source file or the like
            listed = {"": "other bytes"}
        yield from ((f"{name} {part}".strip(), text) for part, text in listed.items())


def _pages(first: str, second: str) -> Iterator[tuple[str, str]]:
    texts = []
    for page in (first, second):
        page = META.sub("", page)
        page = re.sub(r"<p>sciml [^<]*</p></footer>", "</footer>", page)
        texts.append(re.split(r'src="data:image/png;base64,([^"]*)"', page))
    words = [re.findall(r">([^<]+)<", "".join(parts[::2])) for parts in texts]
    if len(texts[0]) != len(texts[1]) or len(words[0]) != len(words[1]):
        yield "page", "other figures, tables or paragraphs"
        return
    changed = [(a, b) for a, b in zip(words[0], words[1], strict=True) if a != b]
    if changed:
        a, b = (html.unescape(text)[:40] for text in changed[0])
        yield "texts", f"{len(changed)} of {len(words[0])} differ, first {a!r} and {b!r}"
    figures = sum(a != b for a, b in zip(texts[0][1::2], texts[1][1::2], strict=True))
    if figures:
        yield "figures", f"{figures} of {len(texts[0][1::2])} differ"
    if not changed and not figures and texts[0] != texts[1]:
        yield "page", "other HTML"


def _mappings(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name in sorted({*first, *second} - set(BOOKKEEPING)):
        a, b = first.get(name), second.get(name)
        if repr(a) != repr(b):
            yield f"{prefix}{name}", f"{_short(a)} and {_short(b)}"


def _arrays(first: Any, second: Any, name: str) -> Iterator[tuple[str, str]]:
    """Compare two arrays bit for bit, by blocks of their first axis."""
    if first is None or second is None:
        yield name, f"only in the {'second' if first is None else 'first'}"
        return
    if first.shape != second.shape or first.dtype != second.dtype:
        yield name, f"{first.dtype} {tuple(first.shape)} and {second.dtype} {tuple(second.shape)}"
        return
    changed, largest = 0, 0.0
    for a, b in _blocks(first, second):
        if a.tobytes() == b.tobytes():
            continue
        differ = a != b
        if a.dtype.kind in "fc":
            differ &= ~((a != a) & (b != b))
        changed += int(np.count_nonzero(differ))
        if a.dtype.kind in "fiub" and differ.any():
            gap = np.abs(a[differ].astype(np.float64) - b[differ].astype(np.float64))
            largest = max(largest, float(np.nanmax(gap)) if np.isfinite(gap).any() else np.inf)
    if changed:
        size = int(np.prod(first.shape)) or 1
        yield name, f"{changed} of {size} values differ, by at most {largest:.3g}"


def _blocks(first: Any, second: Any) -> Iterator[tuple[Array, Array]]:
    if not first.shape:
        yield np.asarray(first[()]), np.asarray(second[()])
        return
    row = max(1, int(np.prod(first.shape[1:])) * np.dtype(first.dtype).itemsize)
    step = max(1, BLOCK // row)
    for start in range(0, first.shape[0], step):
        yield np.asarray(first[start : start + step]), np.asarray(second[start : start + step])


def _values(first: Any, second: Any, name: str, outputs: str = "") -> Iterator[tuple[str, str]]:
    """Compare nested plain values; measured times and paths of outputs are left out."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in [*first, *(key for key in second if key not in first)]:
            if key in BOOKKEEPING or TIMES.search(key):
                continue
            inner = f"{name}.{key}" if name else key
            if key not in first or key not in second:
                yield inner, f"only in the {'first' if key in first else 'second'}"
            else:
                yield from _values(first[key], second[key], inner, outputs)
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for number, (a, b) in enumerate(zip(first, second, strict=True)):
            yield from _values(a, b, f"{name}[{number}]", outputs)
    elif first != second and not (outputs and isinstance(second, str) and second.startswith(outputs)):
        gap = ""
        if isinstance(first, int | float) and isinstance(second, int | float):
            gap = f", a difference of {abs(first - second):.3g}"
        yield name or "value", f"{_short(first)} and {_short(second)}{gap}"


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
