"""Add the flags of the library to a ``configure.wrf``, replace or remove them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal

from sciml.errors import InputError
from sciml.storage.atomic import replaced

__all__ = ["BACKUP", "apply_line", "compiled_case", "remove_line"]

BACKUP: Final = ".before-sciml"
"""Ending of the name of the backup beside a ``configure.wrf``."""

_BEGIN: Final = "# sciml: the next line links the emulated convection scheme (`sciml coupling flags`)"
_END: Final = "# sciml: end"
_BLOCK: Final = re.compile(
    rf"^{re.escape(_BEGIN)}[^\S\n]*\n(?:.*\n)*?{re.escape(_END)}[^\S\n]*(?:\n|\Z)", re.MULTILINE
)
_DEFINITION: Final = re.compile(r"^[ ]*LIB_EXTERNAL[ \t]*(?:[:?+]{0,2}=)", re.MULTILINE)


def apply_line(path: str | Path, line: str) -> Literal["added", "replaced", "unchanged"]:
    """Add a line of make below the last definition of LIB_EXTERNAL, between two comments.

    The same line again changes nothing; another line replaces the one in the file. The original file stays
    beside it under a name that ends in `BACKUP`.

    Parameters
    ----------
    path
        Path of a ``configure.wrf``, or of the folder of WRF that has one.
    line
        Line from `sciml.coupling.link_flags.make_line`.

    Raises
    ------
    InputError
        When there is no such file, or it does not define LIB_EXTERNAL.
    SciMLError
        When it cannot be written; it is then unchanged.
    """
    path, text = _read(path)
    bare = _BLOCK.sub("", text)
    definitions = list(_DEFINITION.finditer(bare))
    if not definitions:
        raise InputError(
            f"{path} does not define LIB_EXTERNAL: give the configure.wrf that WRF's ./configure wrote"
        )
    at = _logical_end(bare, definitions[-1].start())
    above = bare[:at]
    newline = "" if above.endswith("\n") else "\n\n" if above.endswith("\\") else "\n"
    changed = f"{above}{newline}{_BEGIN}\n{line}\n{_END}\n{bare[at:]}"
    if changed == text:
        return "unchanged"
    if bare == text:
        _write(path.with_name(path.name + BACKUP), text, like=path)
    _write(path, changed, like=path)
    return "added" if bare == text else "replaced"


def remove_line(path: str | Path) -> bool:
    """Remove the line, and return whether there was one. A backup that equals the result is removed.

    Raises
    ------
    InputError
        When there is no such file.
    SciMLError
        When it cannot be written; it is then unchanged.
    """
    path, text = _read(path)
    bare = _BLOCK.sub("", text)
    backup = path.with_name(path.name + BACKUP)
    before = backup.read_bytes().decode(errors="surrogateescape") if backup.is_file() else None
    if before is not None and bare.rstrip("\n") == before.rstrip("\n"):
        bare = before  # adding the flags completed the last line
    if bare != text:
        _write(path, bare, like=path)
    if before == bare:
        backup.unlink()
    return bare != text


def compiled_case(path: str | Path) -> str | None:
    """Return the case that the WRF of a ``configure.wrf`` was compiled as; None if none or several were.

    WRF links ``wrf.exe`` into the folder of the case, ``test/em_real`` for example.
    """
    root = Path(path).resolve()
    root = root if root.is_dir() else root.parent
    cases = [exe.parent.name for exe in sorted(root.glob("test/*/wrf.exe"))]
    return cases[0] if len(cases) == 1 else None


def _read(path: str | Path) -> tuple[Path, str]:
    path = Path(path).expanduser()
    path = path / "configure.wrf" if path.is_dir() else path
    path = path.resolve()
    if not path.is_file():
        raise InputError(f"{path} is not there: give the configure.wrf that WRF's ./configure wrote")
    return path, path.read_bytes().decode(errors="surrogateescape")  # all bytes, line ends too


def _write(path: Path, text: str, like: Path) -> None:
    mode = like.stat().st_mode
    with replaced(path) as part:
        part.write_bytes(text.encode(errors="surrogateescape"))
        part.chmod(mode)


def _logical_end(text: str, start: int) -> int:
    """Return the end of the line that begins at ``start``, with the lines that continue it."""
    while True:
        end = text.find("\n", start)
        if end < 0:
            return len(text)
        line = text[start:end].removesuffix("\r")
        if not line.endswith("\\"):
            return end + 1
        start = end + 1
