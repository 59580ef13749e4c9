"""Checkpoints: a zip (``.sciml``) or a directory of JSON and safetensors, checksummed, never pickle.

A checkpoint holds ``config.json`` (what the caller described, and with it the schema number, the software
that wrote it and the checksums), ``weights.safetensors``, ``provenance.json`` (what made it, see
`sciml.storage.provenance`) and, optionally, ``history.json``. The bytes are a function of the content alone. Neither
reading nor writing one imports torch.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from sciml.compress.bundle import as_bundle, from_bundle
from sciml.compress.formats import pack, packed_parts, stored_bytes, unpack
from sciml.compress.saved import expand_plan, shorten_plan
from sciml.errors import ChecksumError, InputError, SchemaError
from sciml.storage import packaged as data_files
from sciml.storage import provenance
from sciml.storage.atomic import check_apart, check_replaceable
from sciml.storage.revision import versions
from sciml.storage.schema import check_schema
from sciml.tables import aligned, html_table
from sciml.train.archive import read_parts, write_parts
from sciml.train.history import History
from sciml.train.json_values import check_keys, config_digest, plain_value, reject_constant

if TYPE_CHECKING:
    import torch

__all__ = [
    "CHECKPOINT_SCHEMA",
    "MIGRATIONS",
    "SUFFIX",
    "Checkpoint",
    "check_target",
    "load",
    "read_record",
    "resolve",
    "save",
]

CHECKPOINT_SCHEMA = 1
SUFFIX = ".sciml"
CONFIG, WEIGHTS, HISTORY = "config.json", "weights.safetensors", "history.json"
RESERVED = ("kind", "schema", "software", "formats", "sha256")

Config = dict[str, Any]
Array = npt.NDArray[Any]
Migration = Callable[[Config, dict[str, Array]], tuple[Config, dict[str, Array]]]

MIGRATIONS: dict[int, Migration] = {}
"""From schema number n to n + 1: applied one after the other until `CHECKPOINT_SCHEMA` is reached."""


@dataclass(frozen=True, repr=False, eq=False)
class Checkpoint:
    """Content of a checkpoint; the repr is a table.

    Parameters
    ----------
    config
        Config that was passed to `save`, with ``kind``, ``schema``, ``software``, ``sha256`` and, if a tensor is stored
        in a format of `sciml.compress.formats`, ``formats``.
    tensors
        NumPy arrays by name; see `state_dict` for torch.
    history
        History of the training, if it was saved.
    path
        File or folder that was read.
    packed
        Stored arrays of the tensors that have a format, for `save`.
    """

    config: Config
    tensors: dict[str, Array]
    history: History | None = None
    path: Path | None = None
    packed: Mapping[str, Array] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over config and tensors, for ``config, tensors = load(path)``."""
        return iter((self.config, self.tensors))

    @property
    def kind(self) -> str:
        """Kind of the saved object, such as ``operator``."""
        return str(self.config["kind"])

    def state_dict(self, dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
        """Return the tensors for ``torch.nn.Module.load_state_dict``; floating ones cast to ``dtype`` if given."""
        import torch

        tensors = {name: torch.from_numpy(array.copy()) for name, array in self.tensors.items()}
        if dtype is None:
            return tensors
        return {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}

    def summary(self) -> str:
        """A table: kind, origin, configuration, tensors, training."""
        return "\n".join([f"Checkpoint: {self.kind}", *aligned(self.rows(), align="<", indent="  ")])

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of the table: name and text."""
        count = sum(array.size for array in self.tensors.values())
        formats = {name: str(entry["format"]) for name, entry in self.config.get("formats", {}).items()}
        size = stored_bytes(self.tensors, formats, self.packed)
        kinds = ", ".join(sorted({str(array.dtype) for array in self.tensors.values()}))
        rows = [("path", str(self.path))] if self.path else []
        software = ", ".join(f"{name} {version}" for name, version in self.config.get("software", {}).items())
        rows += [("schema", str(self.config.get("schema", CHECKPOINT_SCHEMA))), ("written by", software)]
        rows += [(name, _short(value)) for name, value in self.config.items() if name not in RESERVED]
        if formats:
            kinds += f" stored as {', '.join(sorted(set(formats.values())))}"
        rows.append(("tensors", f"{len(self.tensors)} ({count:,} values, {kinds}, {size / 1000:,.1f} kB)"))
        if self.history is not None:
            rows.append(("training", self.history.summary(0).splitlines()[0]))
        return rows

    __repr__ = summary

    def _repr_html_(self) -> str:
        return html_table(f"Checkpoint: {self.kind}", self.rows())


def save(
    path: str | Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Array | torch.Tensor],
    *,
    history: History | None = None,
    formats: Mapping[str, str] | None = None,
    packed: Mapping[str, Array] | None = None,
) -> Path:
    """Write a checkpoint to a temporary name, then rename it: an old one is replaced by a complete one only.

    Parameters
    ----------
    path
        With the suffix ``.sciml`` a zip, else a directory. An existing file or folder must be a checkpoint too (see
        `check_target`).
    config
        Values that JSON can hold (finite numbers; tuples come back as lists), with the key ``kind``: a str naming
        the family. The keys ``schema``, ``software``, ``formats`` and ``sha256`` are written by this function.
    tensors
        NumPy arrays or torch tensors by name; their dtypes stay (bfloat16, which NumPy does not have, becomes
        float32). Give the dense weights of a parametrised network (`sciml.nn.materialise`).
    history
        History of the training.
    formats
        Name of a format of `sciml.compress.formats` by the name of the tensor, such as ``bfloat16``; `load` decodes
        these tensors to float32. By default every tensor is stored in its own dtype. The parts of a zip with formats
        are deflated.
    packed
        Arrays of an earlier checkpoint to store again; see `sciml.compress.pack`.

    Returns
    -------
    Path
        The path written.

    Raises
    ------
    InputError
        A value that JSON, safetensors or a format cannot hold, or a path of something else than a checkpoint.
    SciMLError
        The file could not be written (disk full, no permission); an old one is unchanged.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "line.sciml"
    >>> _ = save(path, {"kind": "line", "note": "y = a x"}, {"a": np.array([3.0], np.float16)})
    >>> load(path).tensors["a"]
    array([3.], dtype=float16)
    """
    path = Path(path)
    check_target(path)
    dense = {name: _array(name, value) for name, value in tensors.items()}
    encoded, own = pack(dense, formats or {}, packed)
    config = shorten_plan(config, own)
    arrays, described = as_bundle(encoded, own)
    parts = {WEIGHTS: safetensors.numpy.save(arrays)}
    if history is not None:
        parts[HISTORY] = history.to_json().encode()
    parts = {CONFIG: _config(config, described, parts), **parts}
    parts[provenance.SIDECAR] = provenance.current().text().encode()
    write_parts(path, parts, zipped=path.suffix == SUFFIX, deflated=bool(described))
    return path


def check_target(path: str | Path, inputs: Iterable[str | Path] = ()) -> None:
    """Check that `save` may write to a path; call it before the work whose result is saved.

    Parameters
    ----------
    path
        The checkpoint to be written.
    inputs
        Files and folders that must not be overwritten.

    Raises
    ------
    InputError
        The path is something else than a checkpoint (an empty file or folder is replaced), or it is one of the inputs,
        lies in a store among them, or contains one.
    """
    path = Path(path)
    check_apart(path, inputs)
    zipped = path.suffix == SUFFIX
    check_replaceable(path, folder=not zipped)
    if path.is_file() and not zipped:
        raise InputError(
            f"{path} is a file, and a checkpoint without the suffix {SUFFIX} is a folder: give another path"
        )
    if path.exists() and not _ours(path):
        what = "a folder" if path.is_dir() else "a file"
        raise InputError(
            f"{path} is {what} but no checkpoint, which writing would destroy: give another path"
        )


def _ours(path: Path) -> bool:
    """Return whether a path is a checkpoint, possibly a damaged one, or an empty file or folder."""
    if path.is_dir():
        names = {entry.name for entry in path.iterdir()}
        parts = CONFIG in names and names <= {CONFIG, WEIGHTS, HISTORY, provenance.SIDECAR}
        return not names or (parts and b'"sha256"' in (path / CONFIG).read_bytes())
    with path.open("rb") as file:
        head = file.read(30 + len(CONFIG))
    if not head or (head[:2] == b"PK" and head[30:] == CONFIG.encode()):
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return {CONFIG, WEIGHTS} <= set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, EOFError, OSError):
        return False


def load(path: str | Path, *, kind: str | None = None) -> Checkpoint:
    """Read a checkpoint and check it.

    Parameters
    ----------
    path
        A file, a directory, or the bare name of a packaged checkpoint (see `resolve`).
    kind
        The expected family.

    Raises
    ------
    InputError
        There is no such checkpoint, or the file is not a checkpoint or of another kind.
    ChecksumError
        The content does not match its checksums.
    SchemaError
        It has another schema or none, or a format that this version does not know.
    """
    path = resolve(path)
    parts = read_parts(path, (CONFIG, WEIGHTS, HISTORY))
    try:
        config: Config = json.loads(parts[CONFIG], parse_constant=reject_constant)
        schema = check_schema(
            dict(config).get("schema"), CHECKPOINT_SCHEMA, path, "train it again", oldest=_oldest()
        )
        sums = dict(config["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise ChecksumError(f"{path}: its {CONFIG} is damaged ({error}): fetch or train it again") from error
    _verify(path, config, sums, parts)
    if kind is not None and config.get("kind") != kind:
        raise InputError(
            f"{path} is a checkpoint of kind {config.get('kind')!r}, wanted {kind!r}: give another file"
        )
    try:
        stored = safetensors.numpy.load(parts[WEIGHTS])
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ChecksumError(f"{path}: its {WEIGHTS} is damaged ({error}): fetch or train it again") from error
    try:
        stored, described = from_bundle(stored, config.get("formats", {}))
    except ValueError as error:
        raise SchemaError(f"{path}: its bundle of tensors cannot be read ({error}): upgrade sciml") from error
    config = expand_plan({**config, "formats": described}, described) if described else config
    tensors = unpack(stored, described, path)
    for number in range(schema, CHECKPOINT_SCHEMA):
        config, tensors = MIGRATIONS[number](config, tensors)
        config = {**config, "schema": number + 1}
    try:
        history = History.from_json(parts[HISTORY].decode()) if HISTORY in parts else None
    except SchemaError as error:
        raise SchemaError(f"{path}: {error}") from error
    return Checkpoint(config, tensors, history, path, packed_parts(stored, described))


def read_record(path: str | Path) -> str | None:
    """Read the text of the record of what made a checkpoint; None if it has none, as those of earlier versions.

    Raises
    ------
    InputError, ChecksumError
        The file is no checkpoint, or is damaged.
    """
    parts = read_parts(resolve(path), (CONFIG, provenance.SIDECAR))
    record = parts.get(provenance.SIDECAR)
    return None if record is None else record.decode(errors="replace")


def _oldest() -> int:
    """Return the oldest schema from which `MIGRATIONS` lead to the present one."""
    oldest = CHECKPOINT_SCHEMA
    while oldest - 1 in MIGRATIONS:
        oldest -= 1
    return oldest


def resolve(name_or_path: str | Path) -> Path:
    """Return the path of a checkpoint, from a path or the name of a packaged checkpoint such as ``mskf-convrad``.

    Raises
    ------
    InputError
        Neither exists; the message lists the packaged names.
    """
    path = Path(name_or_path)
    if path.is_file() or (path / CONFIG).is_file():
        return path
    packaged = {file.stem: file for file in data_files.folder().glob(f"*{SUFFIX}")}
    if len(path.parts) == 1 and path.name.removesuffix(SUFFIX) in packaged:
        return packaged[path.name.removesuffix(SUFFIX)]
    names = ", ".join(sorted(packaged)) or "none in this installation"
    what = "is a directory without a config.json" if path.is_dir() else "does not exist"
    raise InputError(
        f"no checkpoint {str(path)!r}: it {what}; give a .sciml file or a packaged name ({names})"
    )


def _array(name: str, value: Array | torch.Tensor) -> Array:
    if not isinstance(value, np.ndarray):
        import torch

        if not isinstance(value, torch.Tensor):
            raise InputError(
                f"tensor {name!r} is a {type(value).__name__}: give a NumPy array or a torch tensor"
            )
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if value.dtype.kind not in "fiubc" or value.dtype.itemsize > 8:
        raise InputError(
            f"tensor {name!r} has dtype {value.dtype}: give booleans, integers or floats of up to 64 bits"
        )
    return np.asarray(value, dtype=value.dtype.newbyteorder("="), order="C")


def _config(config: Mapping[str, Any], described: Mapping[str, Any], parts: Mapping[str, bytes]) -> bytes:
    if not isinstance(config.get("kind"), str):
        raise InputError(f"config['kind'] is {config.get('kind')!r}: give a str that names the family")
    if config.get("schema", CHECKPOINT_SCHEMA) != CHECKPOINT_SCHEMA:
        raise InputError(
            f"config['schema'] is {config['schema']!r}: the key is reserved, name yours differently"
        )
    content = {"kind": config["kind"], "schema": CHECKPOINT_SCHEMA, "software": dict(versions())}
    content |= {name: value for name, value in config.items() if name not in RESERVED}
    content |= {"formats": described} if described else {}
    check_keys(content, "config")
    sums = {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}
    try:
        sums[CONFIG] = config_digest(content)
        text = json.dumps({**content, "sha256": sums}, indent=1, allow_nan=False, default=plain_value)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the config cannot be written as JSON ({error}): use str, finite numbers, lists"
        ) from error
    return text.encode()


def _verify(path: Path, config: Config, sums: Mapping[str, str], parts: Mapping[str, bytes]) -> None:
    computed = {name: hashlib.sha256(part).hexdigest() for name, part in parts.items() if name != CONFIG}
    computed[CONFIG] = config_digest(config)
    for name in sorted({*computed, *sums}):
        if computed.get(name) != sums.get(name):
            raise ChecksumError(
                f"{path}: {name} has sha256 {computed.get(name, 'missing')[:12]}, "
                f"its config says {str(sums.get(name, 'nothing'))[:12]}: fetch or train it again"
            )


def _short(value: object, width: int = 80) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."
