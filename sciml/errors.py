"""The errors sciml raises: few, and each message shows the value it got and what to do about it."""

from __future__ import annotations

__all__ = [
    "BuildError",
    "ChecksumError",
    "InputError",
    "MissingVariable",
    "SchemaError",
    "SciMLError",
]


class SciMLError(Exception):
    """What every error of this package is. The command line prints it as one line and exits with 2."""


class InputError(SciMLError, ValueError):
    """An argument or a file that cannot be used as it is."""


class MissingVariable(SciMLError, KeyError):
    """A variable that a dataset lacks. The message names it and the line that makes WRF write it."""

    def __str__(self) -> str:
        # KeyError prints the repr of its argument, which would put quotes around a sentence.
        return str(self.args[0]) if self.args else ""


class SchemaError(SciMLError):
    """A store, checkpoint or weights file of a form this version cannot read."""


class ChecksumError(SciMLError):
    """A file whose content is not what its checksum says."""


class BuildError(SciMLError):
    """The native library could not be built or loaded."""
