"""Provenance: what made an artefact, as a record that is stored in it.

A command of `sciml` sets its description (`recorded`), and the writers of files store the record of what is running
(`current`). A record depends only on what determines the content: options that change neither values nor layout (the
number of workers, the name of the output) and the time are not in it, so that equal runs write equal bytes.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sciml.errors import ChecksumError, InputError, SchemaError
from sciml.storage.digests import Digest, digest_paths
from sciml.storage.revision import revision, versions
from sciml.storage.schema import check_schema

__all__ = [
    "PROVENANCE",
    "SIDECAR",
    "Command",
    "Given",
    "Provenance",
    "Source",
    "attribute",
    "command_record",
    "current",
    "note",
    "parse",
    "recorded",
    "resumed",
    "seal_store",
    "sidecar",
    "source_of",
    "written_now",
]

PROVENANCE: Final = "sciml_provenance"
"""Name of the attribute, of the property or of the element that contains the record."""
SIDECAR: Final = "provenance.json"
"""Name of the record of a folder."""
SCHEMA: Final = 1
LISTED: Final = 100
"""Number of files of one input whose checksums are listed each."""
LARGEST: Final = 1 << 20
"""Number of characters of a record; a longer one is not read."""


@dataclass(frozen=True)
class Given:
    """An input of a command before it is read.

    Parameters
    ----------
    option
        Name of the argument or option.
    given
        Its value, as it was given.
    paths
        The files and folders that it names.
    """

    option: str
    given: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Command:
    """A command that is running.

    Parameters
    ----------
    words
        The command and its arguments and options, without those that do not determine the content of what it writes.
    options
        Values of all arguments and options that determine the content, with the defaults.
    inputs
        Its inputs, whose checksums are computed when the first record is written.
    argv
        The arguments of the process as they were given.
    """

    words: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Given, ...] = ()
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """An input with its checksum.

    Parameters
    ----------
    option
        Name of the argument or option.
    given
        Its value, as it was given.
    sha256
        Checksum of the file or store; of several files, the checksum of the names and checksums of all.
    size
        Number of bytes.
    sampled
        Whether only a part of the bytes was read; see `sciml.storage.digests`.
    files
        Name and checksum of each of several files, of up to `LISTED`.
    """

    option: str
    given: str
    sha256: str
    size: int
    sampled: bool = False
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Provenance:
    """What made an artefact.

    Parameters
    ----------
    command
        Words of the command; none if functions of the package were called.
    options
        Values of its options, with the defaults; and settings that the command derived from them, by name.
    seeds
        Seeds of random numbers by the name of the option or setting.
    inputs
        What was read, with checksums.
    versions
        Versions of sciml, Python and libraries, and of compilers for a library.
    commit, changed
        Commit of the checkout of sciml, and whether its files differed from it; empty for an installed package.
    earlier
        Versions and revisions of earlier calls that this one resumed, if they were others.
    """

    command: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    inputs: tuple[Source, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    changed: bool = False
    earlier: tuple[Mapping[str, Any], ...] = ()

    def line(self) -> str:
        """Return the command as a line of a shell."""
        return shlex.join(("sciml", *self.command)) if self.command else "functions of sciml, in Python"

    def software(self) -> dict[str, Any]:
        """Return the versions and the revision."""
        return {"versions": dict(self.versions), "commit": self.commit, "changed": self.changed}

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain values, with a checksum of itself."""
        content = json.loads(json.dumps({"schema": SCHEMA, **asdict(self)}))
        return {**content, "sha256": _digest(content)}

    def text(self) -> str:
        """Return the record as one line of JSON, which is the same for equal records."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))


def parse(content: str | Mapping[str, Any], where: str | Path) -> Provenance:
    """Read a record, from its text or from its plain values.

    Raises
    ------
    ChecksumError
        The record is damaged.
    SchemaError
        It is of a later version.
    """
    damaged = f"{where}: its record of provenance is damaged"
    try:
        if isinstance(content, str) and len(content) > LARGEST:
            raise ValueError(f"it has {len(content)} characters")
        values = dict(json.loads(content) if isinstance(content, str) else content)
        check_schema(values.get("schema"), SCHEMA, where, "make it again")
        values.pop("written", None)
        if values.pop("sha256", None) != _digest(values):
            raise ValueError("its checksum differs")
        values.pop("schema")
        record = Provenance(**{**values, "inputs": tuple(_source(each) for each in values["inputs"])})
        _check_types(record)
    except SchemaError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ChecksumError(f"{damaged} ({error}): fetch or make the file again") from error
    return replace(record, command=tuple(record.command), earlier=tuple(record.earlier))


def _source(values: Mapping[str, Any]) -> Source:
    return Source(**{**values, "files": tuple((str(name), str(sha)) for name, sha in values["files"])})


def _check_types(record: Provenance) -> None:
    """Raise a TypeError for a value of the wrong type."""
    texts = [*record.command, record.commit, *record.versions, *record.versions.values(), *record.seeds]
    texts += [text for each in record.inputs for text in (each.option, each.given, each.sha256)]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text is expected")
    if not isinstance(record.options, dict) or not all(isinstance(each, dict) for each in record.earlier):
        raise TypeError("a mapping is expected")
    numbers = [*record.seeds.values(), *(each.size for each in record.inputs)]
    if not all(isinstance(number, int) for number in numbers):
        raise TypeError("a whole number is expected")


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class _Running:
    """The command that is running, its inputs once their checksums are computed, and what it noted."""

    command: Command
    sources: tuple[Source, ...] | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    earlier: list[Mapping[str, Any]] = field(default_factory=list)

    def record(self) -> Provenance:
        if self.sources is None:
            self.sources = tuple(_checked(each) for each in self.command.inputs)
        options = {**self.command.options, **self.notes}
        own = Provenance(
            self.command.words, options, _seeds(options), self.sources, dict(versions()), *_commit()
        )
        return replace(own, earlier=tuple(each for each in self.earlier if each != own.software()))


_running: list[_Running] = []
"""Commands that are running: `sciml demo` runs others."""


@contextlib.contextmanager
def recorded(command: Command) -> Iterator[None]:
    """Let the files that are written in this block record a command."""
    _running.append(_Running(command))
    try:
        yield
    finally:
        _running.pop()


def current() -> Provenance:
    """Return the record of the command that is running; of the software alone if there is none."""
    if _running:
        return _running[-1].record()
    return Provenance((), {}, {}, (), dict(versions()), *_commit())


def command_record() -> Provenance | None:
    """Return the record of the command that is running; None if functions of the package were called."""
    return _running[-1].record() if _running else None


def attribute() -> dict[str, str]:
    """Return the record as the attribute of a dataset."""
    return {PROVENANCE: current().text()}


def note(name: str, values: Mapping[str, Any]) -> None:
    """Add settings that the running command derived from its options and files to its record."""
    if _running:
        _running[-1].notes[name] = json.loads(json.dumps(values, default=str))


def resumed(record: str | None, where: str | Path) -> None:
    """Record the software of an earlier call whose unfinished work the running command resumes, if it is other."""
    if not record or not _running:
        return
    earlier = parse(record, where)
    listed = _running[-1].earlier
    listed += [each for each in (*earlier.earlier, earlier.software()) if each not in listed]


def seal_store(store: Path) -> None:
    """Write the record into a finished zarr store, if it differs from the one that is in it.

    The store has the record of the call that began it. A call that resumed it with other software adds its own.
    """
    path, temporary = store / "zarr.json", store / ".zarr.json.part"
    temporary.unlink(missing_ok=True)  # of a call that was killed here
    content = json.loads(path.read_text(encoding="utf-8"))
    attributes = content.setdefault("attributes", {})
    before, now = attributes.get(PROVENANCE), current()
    if before is not None:
        old = parse(before, store)
        changed = [each for each in (*old.earlier, old.software()) if each != now.software()]
        now = replace(now, earlier=(*now.earlier, *(each for each in changed if each not in now.earlier)))
    if before == now.text():
        return
    attributes[PROVENANCE] = now.text()
    temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
    os.replace(temporary, path)


def sidecar(folder: Path, more: Mapping[str, str] | None = None) -> Path:
    """Write the record into a folder of files, as `SIDECAR`; ``more`` are versions of further software."""
    from sciml.storage.atomic import replaced

    record = current()
    record = replace(record, versions={**record.versions, **(more or {})})
    path = folder / SIDECAR
    with replaced(path) as part:
        part.write_text(json.dumps(record.to_json(), indent=1) + "\n", encoding="utf-8")
    return path


def written_now() -> dict[str, Any]:
    """Return the time and the arguments of the process, for files that are not compared bit for bit."""
    argv = _running[-1].command.argv if _running else ()
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"time": now.replace("+00:00", "Z"), "arguments": list(argv)}


def _commit() -> tuple[str, bool]:
    made = revision()
    return made.commit, made.changed


def _seeds(options: Mapping[str, Any]) -> dict[str, int]:
    """Return the seeds among the options and the settings of a command."""
    seeds = {}
    for name, value in options.items():
        if name == "seed" and isinstance(value, int):
            seeds[name] = value
        elif isinstance(value, Mapping):
            seeds |= {f"{name}.{inner}": seed for inner, seed in _seeds(value).items()}
    return seeds


def _checked(given: Given) -> Source:
    """Return an input with its checksum; without one if it no longer exists."""
    try:
        digests = digest_paths(given.paths)
    except InputError:
        return Source(given.option, given.given, "", 0)
    return source_of(given, digests)


def source_of(given: Given, digests: list[Digest]) -> Source:
    """Return an input with the checksums of its files."""
    sampled = any(each.sampled for each in digests)
    size = sum(each.size for each in digests)
    if len(digests) == 1:
        return Source(given.option, given.given, digests[0].sha256, size, sampled)
    named = tuple((path.name, each.sha256) for path, each in zip(given.paths, digests, strict=True))
    whole = hashlib.sha256("".join(f"{name}\0{sha}\n" for name, sha in named).encode()).hexdigest()
    return Source(given.option, given.given, whole, size, sampled, named if len(named) <= LISTED else ())
