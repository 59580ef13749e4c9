"""The command of a record, run again with its output in another folder.

A record comes from a file that anybody may have written. Therefore the words are parsed by the parser of the command,
options that name outputs are replaced, those that do not determine the content are dropped, no shell is used, and a
shared library that the record names is not loaded unless the user names it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sciml.cli.error_lines import ClickException
from sciml.cli.recorded import Role, command_words, named_paths, role_of
from sciml.errors import ChecksumError, InputError, SciMLError
from sciml.storage.digests import digest_paths
from sciml.storage.packaged import PACKAGE
from sciml.storage.provenance import Given, Provenance, Source, source_of

__all__ = ["NOT_RERUN", "Rerun", "check_inputs", "differing_versions", "find_base", "prepare"]

NOT_RERUN: Final[Mapping[str, str]] = {
    "demo": "run 'sciml demo'",
    "doctor": "run 'sciml doctor'",
    "info": "run 'sciml info FILE'",
    "reproduce": "reproduce its FILE",
    "coupling flags": "it changes configure.wrf",
}
"""Commands that are not run again, with the reason or the remedy."""


SUFFIXES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("wrf columns", "convection augment", "pde generate"), ".zarr"),
    **dict.fromkeys(("coupling export", "scheme export", "wrf perturb"), ".nc"),
    "coupling build": "",
}
"""Suffix of an output that a command must write besides the one that is reproduced; else that of a checkpoint."""


@dataclass(frozen=True)
class Rerun:
    """A command to run again.

    Parameters
    ----------
    name
        Name of the command, such as ``wrf columns``.
    words
        Its arguments and options, with the new output.
    output
        What it writes.
    cautions
        Why the result may differ though the inputs and the versions are the same.
    """

    name: str
    words: tuple[str, ...]
    output: Path
    cautions: tuple[str, ...] = ()

    def run(self, base: Path, quiet: bool) -> None:
        """Run the command in a process of its own, in the folder that its inputs are relative to.

        Raises
        ------
        SciMLError
            The command failed, or did not write its output.
        """
        # -P: modules of the working directory are not imported
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())}
        done = subprocess.run(
            [sys.executable, "-P", "-m", "sciml", *self.name.split(), *self.words],
            cwd=base,
            env=environment,
            check=False,
            stdout=subprocess.DEVNULL if quiet else sys.stderr,
        )
        if not self.output.exists():
            raise SciMLError(
                f"the command sciml {self.name} ended with exit code {done.returncode} and without its output: "
                "see its message above"
            )


def _import_path() -> list[str]:
    """Return where the child imports from: this package first, then the user's own path."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [str(PACKAGE.parent), *(path for path in given if path and path != str(PACKAGE.parent))]


def prepare(record: Provenance, option: str, name: str, folder: Path, moved: Mapping[str, Path]) -> Rerun:
    """Parse the command of a record, and direct its output into a folder.

    Parameters
    ----------
    record
        The record.
    option
        The option that named the file, such as ``output`` or ``json_file``.
    name
        Name of the file to write.
    folder
        Folder for it.
    moved
        New locations of inputs by their recorded values.

    Raises
    ------
    InputError
        The record has no command of sciml that can be run again.
    """
    words = list(record.command)
    if not words:
        raise InputError(
            "functions of sciml wrote it, called from Python, not a command: run that program again"
        )
    command, command_name = _command(words)
    if command_name in NOT_RERUN:
        raise InputError(f"sciml {command_name} is not run again: {NOT_RERUN[command_name]}")
    ctx = command.context_class(command, info_name=command_name)
    arguments = words[len(command_name.split()) :]
    try:
        values, _, _ = command.make_parser(ctx).parse_args(args=list(arguments))
    except ClickException as error:
        raise _refused(record, error) from None
    params = {param.name: param for param in command.get_params(ctx)}
    if values.get("help"):
        raise InputError("the record asks for the help of a command: it is not one that sciml wrote")
    _check_libraries(command_name, values, moved)
    outputs = {key for key in params if role_of(command_name, key) is Role.OUTPUT}
    if option not in outputs:
        raise InputError(
            f"sciml {command_name} has no output of this kind: the record belongs to another file"
        )
    other = f"output{SUFFIXES.get(command_name, '.sciml')}"
    targets = {key: folder / "other" / other for key in outputs if params[key].required}
    if any(key != option for key in targets):
        (folder / "other").mkdir()
    targets[option] = folder / name
    read = command_words(
        command, ctx, arguments, lambda key: role_of(command_name, key) in (Role.INPUT, Role.VALUE), moved
    )
    written = [f"{max(params[key].opts, key=len)}={path}" for key, path in targets.items()]
    made = (*written, *read)
    _check_parsed(command, command_name, made, targets, record)
    return Rerun(command_name, made, targets[option], _cautions(values, record))


def _command(words: Sequence[str]) -> tuple[Any, str]:
    """Return the command of these words, and its name."""
    import typer

    from sciml.cli.application import GROUPS, app

    root: Any = typer.main.get_command(app)
    group, _, rest = words[0], " ", words[1:]
    if group in GROUPS and rest and rest[0] in (commands := root.load(group).commands):
        return commands[rest[0]], f"{group} {rest[0]}"
    if group in root.commands and group not in GROUPS:
        return root.commands[group], group
    raise InputError(f"{' '.join(words[:2])!r} is no command of this version of sciml: nothing is run")


def _refused(record: Provenance, error: Any) -> InputError:
    text = " ".join(str(error.message).split())
    return InputError(
        f"the recorded command cannot be parsed ({text}): {record.line()[:200]}; nothing is run"
    )


def _check_parsed(
    command: Any, name: str, words: Sequence[str], targets: Mapping[str, Path], record: Provenance
) -> None:
    """Parse the words that will be run, and check that their only outputs are the given ones."""
    try:
        ctx = command.make_context(name, list(words))
    except ClickException as error:
        raise _refused(record, error) from None
    for key, value in ctx.params.items():
        if role_of(name, key) is Role.OUTPUT and value is not None and Path(value) != targets.get(key):
            raise InputError(f"the recorded command writes {value}: nothing is run")


def _check_libraries(name: str, values: Mapping[str, Any], moved: Mapping[str, Path]) -> None:
    """Raise for a shared library among the inputs that the user has not named."""
    for key, value in values.items():
        if role_of(name, key) is not Role.INPUT or not isinstance(value, str | list | tuple):
            continue
        for text in [value] if isinstance(value, str) else value:
            path = Path(text)
            library = path.suffix == ".so" or (path.is_dir() and any(path.glob("*.so")))
            if library and text not in moved:
                raise InputError(
                    f"the recorded command loads the library {text}, which is code: if you trust it, add "
                    f"--input {text}={text}"
                )


def _cautions(values: Mapping[str, Any], record: Provenance) -> tuple[str, ...]:
    """Return why the result may differ though inputs and versions are the same."""
    cautions = []
    if values.get("time_budget") is not None:
        cautions.append(
            "--time-budget: the learning rate followed the clock, so that the weights will differ"
        )
    group = record.options.get("processes")
    if isinstance(group, dict) and group.get("number", 1) != 1:
        cautions.append(
            f"{group['number']} processes trained it, here is 1, so that sums are rounded otherwise"
        )
    return tuple(cautions)


def find_base(record: Provenance, file: Path, moved: Mapping[str, Path]) -> Path:
    """Return the folder that relative inputs are relative to.

    It is the working directory, or the folder of the file or one above it, whichever has all inputs.

    Raises
    ------
    InputError
        None has them; the message names an input.
    """
    names = [each.given for each in record.inputs if each.sha256 and each.given not in moved]
    places = [Path.cwd(), *file.resolve().parents]
    missing = {place: [name for name in names if not _there(place, name)] for place in places}
    best = min(places, key=lambda place: len(missing[place]))
    if not missing[best]:
        return best
    name = missing[best][0]
    raise InputError(
        f"the input {name} is neither here nor beside {file.name}: give its new place, --input {name}=PATH"
    )


def _there(base: Path, name: str) -> bool:
    return bool(_paths(base, name))


def _paths(base: Path, name: str) -> list[Path]:
    """Return the files of an input that is relative to a folder, or of a packaged checkpoint."""
    absolute = os.path.isabs(os.path.expanduser(name))
    paths = named_paths(name if absolute else str(base / name))
    return paths or ([] if absolute or Path(name).exists() else named_paths(name))


def check_inputs(record: Provenance, base: Path, moved: Mapping[str, Path]) -> list[Source]:
    """Compare the checksums of the inputs with those of the record.

    Raises
    ------
    ChecksumError
        An input has changed; the message names it, or the files of it.
    """
    checked = []
    for source in record.inputs:
        if not source.sha256:
            continue
        place = moved.get(source.given)
        paths = tuple(
            [place] if place is not None and place.is_file() else _paths(base, str(place or source.given))
        )
        now = source_of(
            Given(source.option, source.given, paths), digest_paths(paths, sampled=source.sampled)
        )
        if now.sha256 != source.sha256:
            raise ChecksumError(
                f"the input {_changed(source, now, str(place or source.given))} has changed since (sha256 "
                f"{now.sha256[:12]}, recorded {source.sha256[:12]}): restore it, or give the old one with --input "
                f"{source.given}=PATH"
            )
        checked.append(now)
    return checked


def _changed(source: Source, now: Source, given: str) -> str:
    """Return the name of an input, and of its files that differ."""
    before, after = dict(source.files), dict(now.files)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return f"{given} ({', '.join(names[:3])}{', ...' * (len(names) > 3)})" if names else given


def differing_versions(record: Provenance, now: Provenance) -> list[str]:
    """Return what differs in the software, as text."""
    lines = [
        f"made with {name} {version}, here is {now.versions[name]}"
        for name, version in record.versions.items()
        if name in now.versions and now.versions[name] != version
    ]
    if record.commit != now.commit:
        lines.append(
            f"made with revision {record.commit[:12] or 'none'} of sciml, here is {now.commit[:12] or 'none'}"
        )
    if record.changed:
        lines.append("made with local changes of sciml, which are not recorded")
    if record.earlier:
        lines.append("begun with other versions, see 'sciml info'")
    return lines
