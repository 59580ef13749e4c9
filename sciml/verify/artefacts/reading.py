"""The kind of a file or folder, its facts, and the record of what made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from sciml.errors import InputError
from sciml.storage.provenance import LARGEST, PROVENANCE, SIDECAR, Provenance, parse
from sciml.train import checkpoint
from sciml.verify.artefacts.records import library_facts, record_of_graph, record_of_page, record_of_png

__all__ = ["Artefact", "Form", "read_artefact"]

Form = Literal[
    "store", "netcdf", "checkpoint", "weights", "library", "folder", "json", "page", "figure", "graph"
]
REMEDY: Final = "give a file or folder that a command of sciml wrote, or WRF output"
HIDDEN: Final = (PROVENANCE, "grid", "family_parameters", "weight_formats", "COMMENT", "history")
"""Attributes that are too long for a table."""
WRF_ATTRIBUTES: Final = ("TITLE", "SIMULATION_START_DATE", "DX", "DY", "DT", "CU_PHYSICS", "MP_PHYSICS")


@dataclass(frozen=True)
class Artefact:
    """A file or folder that sciml can describe.

    Parameters
    ----------
    path
        Path of the file or folder.
    form
        How it is stored, which determines how two of them are compared.
    kind
        What it is, in words.
    facts
        Sizes and attributes by name.
    provenance
        The record of what made it; None if it has none.
    written
        Time and arguments of the process that wrote it, if the file has them.
    output
        The option of the command that named it.
    more
        A command that describes it in detail; empty if there is none.
    """

    path: Path
    form: Form
    kind: str
    facts: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None
    written: Mapping[str, Any] = field(default_factory=dict)
    output: str = "output"
    more: str = ""


def read_artefact(path: str | Path) -> Artefact:
    """Recognise a file or folder by its content, and read the record of what made it.

    Parameters
    ----------
    path
        A store, checkpoint (or its packaged name), netCDF file, weights file, library or its folder, JSON file, HTML
        page, PNG figure or ONNX graph.

    Raises
    ------
    InputError
        It does not exist, or is none of these.
    ChecksumError, SchemaError
        It, or its record, is damaged or of a later version.
    """
    path = Path(path)
    if not path.exists():
        path = checkpoint.resolve(path)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder: {REMEDY}")
    with path.open("rb") as file:
        head = file.read(64)
    if head[:2] == b"PK":
        return _checkpoint(path)
    if head[:3] == b"CDF" or head[:4] == b"\x89HDF":
        return _netcdf(path)
    if head[:4] == b"\x7fELF" or path.suffix in (".so", ".dylib"):
        return _library(path)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        text = record_of_png(path.read_bytes())
        return Artefact(path, "figure", "figure", provenance=_parsed(text, path), output="figure")
    if path.suffix == ".onnx":
        text = record_of_graph(path.read_bytes())
        return Artefact(path, "graph", "network as an ONNX graph", provenance=_parsed(text, path))
    if head.lstrip()[:1] in (b"{", b"["):
        return _json(path)
    if head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        return _page(path)
    raise InputError(f"{path} is no file that sciml knows (it begins with {head[:8]!r}): {REMEDY}")


def _parsed(content: str | Mapping[str, Any] | None, path: Path) -> Provenance | None:
    return None if content is None else parse(content, path)


def _folder(path: Path) -> Artefact:
    if (path / "zarr.json").is_file():
        return _store(path)
    if (path / checkpoint.CONFIG).is_file():
        return _checkpoint(path)
    libraries = sorted(path.glob("libsciml*.so"))
    if libraries or (path / SIDECAR).is_file():
        record = _sidecar(path)
        files = sorted(file.name for file in path.iterdir() if file.is_file() and file.name[0] != ".")
        facts = {"files": ", ".join(files), **(_library(libraries[0]).facts if libraries else {})}
        kind = "folder of the native library" if libraries else "folder of a command"
        return Artefact(
            path, "folder", kind, facts, record, more=f"sciml coupling check {path}" * bool(libraries)
        )
    raise InputError(f"{path} is a folder without a store, a checkpoint or a library: {REMEDY}")


def _sidecar(folder: Path) -> Provenance | None:
    path = folder / SIDECAR
    if not path.is_file():
        return None
    if path.stat().st_size > LARGEST:
        raise InputError(
            f"{path} has {path.stat().st_size} bytes, too many for a record: make the folder again"
        )
    return parse(path.read_text(encoding="utf-8", errors="replace"), path)


def _store(path: Path) -> Artefact:
    import zarr

    try:
        group: Any = zarr.open_group(path, mode="r")
        attributes = dict(group.attrs)
        arrays = dict(group.arrays())
        shapes = {name: (array.metadata.dimension_names or (), array.shape) for name, array in arrays.items()}
    except Exception as error:  # whatever zarr raises for a damaged store
        raise InputError(f"{path} cannot be opened as a zarr store ({error}): write it again") from error
    return _dataset(path, "store", attributes, shapes)


def _netcdf(path: Path) -> Artefact:
    import netCDF4

    try:
        with netCDF4.Dataset(path) as file:
            attributes = {name: file.getncattr(name) for name in file.ncattrs()}
            shapes = {name: (item.dimensions, item.shape) for name, item in file.variables.items()}
    except (OSError, RuntimeError, ValueError, AttributeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be opened as netCDF ({error}): it is damaged; fetch or make it again"
        ) from error
    return _dataset(path, "netcdf", attributes, shapes)


def _dataset(
    path: Path,
    form: Form,
    attributes: Mapping[str, Any],
    shapes: Mapping[str, tuple[tuple[Any, ...], tuple[int, ...]]],
) -> Artefact:
    """Describe a zarr store or a netCDF file by its attributes and arrays."""
    record = attributes.get(PROVENANCE)
    made = _parsed(None if record is None else str(record), path)
    kind, names, more = _kind(attributes, shapes, path)
    sizes = {str(dim): int(n) for dims, shape in shapes.values() for dim, n in zip(dims, shape, strict=False)}
    facts = {"dimensions": ", ".join(f"{dim} {size}" for dim, size in sizes.items())}
    facts |= {"variables": ", ".join(sorted(shapes)[:8]) + (", ..." if len(shapes) > 8 else "")}
    chosen = [name for name in names if name in attributes] or [n for n in attributes if n not in HIDDEN][:8]
    facts |= {name: " ".join(str(attributes[name]).split())[:100] for name in chosen}
    form = "weights" if kind == "weights file" else form
    return Artefact(path, form, kind, facts, made, more=more)


def _kind(
    attributes: Mapping[str, Any], shapes: Mapping[str, Any], path: Path
) -> tuple[str, tuple[str, ...], str]:
    """Return what a dataset is, the attributes to list, and the command that describes it."""
    detail = f"sciml wrf info {path}"
    if "augmentation" in attributes:
        return "store of columns with synthetic ones", ("SOURCE", "augmentation"), detail
    if "checksum" in attributes and "sciml_schema" in attributes:
        return "weights file", ("network", "emulator", "weight_format", "checksum"), ""
    if "sciml_schema" in attributes and "classes" in attributes:
        return "store of columns", ("SOURCE", "classes"), detail
    if "sciml_dataset" in attributes:
        return "dataset of a PDE", ("family", "seed", "inputs", "target", "caution"), f"sciml pde info {path}"
    if "SCIML_RANK" in attributes or "SCIML_LIBRARY" in attributes:
        return (
            "file that the library wrote in WRF",
            ("TITLE", "SCIML_LIBRARY", "WEIGHTS", "MODE", "SCIML_RANK", "RANK", "DX", "DT", "CUDT"),
            (f"sciml coupling report {path}"),
        )
    if "SCIML_PERTURBATION" in attributes:
        return "perturbed initial state of WRF", ("SCIML_PERTURBATION", "TITLE"), ""
    if any("south_north" in dims for dims, _ in shapes.values()):
        return "WRF file", WRF_ATTRIBUTES, detail
    return "netCDF file" if path.is_file() else "zarr store", (), ""


def _checkpoint(path: Path) -> Artefact:
    record = checkpoint.read_record(path)
    loaded = checkpoint.load(path)
    facts = {name: text for name, text in loaded.rows() if name not in ("path", "written by")}
    return Artefact(path, "checkpoint", f"checkpoint of kind {loaded.kind}", facts, _parsed(record, path))


def _library(path: Path) -> Artefact:
    facts = {name: str(value) for name, value in library_facts(path).items()}
    if not facts:
        raise InputError(f"{path} is a library without the version of sciml: {REMEDY}, or build it again")
    return Artefact(path, "library", "native library", facts, _sidecar(path.parent))


def _json(path: Path) -> Artefact:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged JSON ({error}): {REMEDY}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is JSON without the numbers of a command: {REMEDY}")
    if content.keys() >= {"schema", "command", "versions", "sha256"}:
        return Artefact(path, "json", "record of a folder", provenance=parse(content, path))
    record = content.get(PROVENANCE)
    made = _parsed(record if isinstance(record, dict) else None, path)
    facts = {"keys": ", ".join(sorted(map(str, content.keys() - {PROVENANCE})))}
    return Artefact(path, "json", "numbers of a command (JSON)", facts, made, _written(record), "json_file")


def _page(path: Path) -> Artefact:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is damaged HTML ({error}): {REMEDY}") from error
    record = record_of_page(text)
    title = text.partition("<title>")[2].partition("</title>")[0]
    return Artefact(
        path,
        "page",
        "HTML page",
        {"title": title[:100]},
        _parsed(record, path),
        _written(record),
        "html_file",
    )


def _written(record: Any) -> dict[str, Any]:
    """Return time and arguments of the process that wrote a file."""
    written = record.get("written") if isinstance(record, dict) else None
    if not isinstance(written, dict):
        return {}
    time, arguments = written.get("time"), written.get("arguments")
    made: dict[str, Any] = {"time": time} if isinstance(time, str) else {}
    return made | ({"arguments": list(map(str, arguments))} if isinstance(arguments, list) else {})
