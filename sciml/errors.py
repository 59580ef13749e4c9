"""The errors that sciml raises; each message shows the value and the remedy."""

from __future__ import annotations

__all__ = [
    "BuildError",
    "ChecksumError",
    "ClusterError",
    "InputError",
    "MissingVariable",
    "SchemaError",
    "SciMLError",
]


class SciMLError(Exception):
    """Base class of all errors of this package. The command line prints it as one line and exits with 2."""


class InputError(SciMLError, ValueError):
    """An argument or a file is invalid."""


class MissingVariable(SciMLError, KeyError):
    """A dataset has no such variable. The message names it and the line that makes WRF write it."""

    def __str__(self) -> str:
        # KeyError prints the repr of its argument, which would put quotes around a sentence.
        return str(self.args[0]) if self.args else ""


class SchemaError(SciMLError):
    """A store, checkpoint or weights file has a schema that this version cannot read."""


class ChecksumError(SciMLError):
    """The content of a file does not match its checksum."""


class BuildError(SciMLError):
    """The native library could not be built or loaded."""


class ClusterError(SciMLError):
    """The workers or the scheduler of a cluster stopped; the finished part remains, and the same call continues."""
