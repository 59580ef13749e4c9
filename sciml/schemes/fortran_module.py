"""Fortran text of a column scheme: the arguments of the procedure that runs its emulator.

`sciml.coupling.generated_sources` writes the text into the native sources.
"""

from __future__ import annotations

from collections.abc import Sequence

from sciml.schemes.c_header import groups
from sciml.schemes.field import Field
from sciml.schemes.scheme import EMULATOR_OUTPUTS, ColumnScheme

__all__ = ["argument_names", "members", "module_parts", "wrapped"]

_WIDTH = 100
_SETTINGS = ("dx", "dt", "cudt")
_BOUNDS = "ims ime jms jme kms kme its ite jts jte kts kte".split()
_POINTERS = {
    "input_profile": "in3",
    "input_surface": "in2",
    "output_profile": "out3",
    "output_surface": "out2",
}


def module_parts(scheme: ColumnScheme) -> dict[str, str]:
    """Return the parts of the Fortran module that list the fields.

    Parameters
    ----------
    scheme
        Declaration of the scheme. The names of the arguments are the symbols of its fields in lower case.

    Returns
    -------
    dict
        Text by name: ``structure``, the members of the C structure of pointers; ``quantities``, the description
        of the arguments; ``arguments``, the first statement of the procedure; ``declarations`` of the fields;
        ``pointers``, the assignments to the structure.
    """
    return {
        "structure": _structure(scheme),
        "quantities": _quantities(scheme),
        "arguments": _arguments(scheme),
        "declarations": _declarations(scheme),
        "pointers": _pointers(scheme),
    }


def _names(fields: Sequence[Field]) -> list[str]:
    return [field.symbol.lower() for field in fields]


def members(scheme: ColumnScheme) -> dict[str, list[str]]:
    """Return the names of the arguments by member of the C structure."""
    members = {_POINTERS[group]: _names(fields) for group, fields in groups(scheme).items()}
    members["out2"] += [output.symbol.lower() for output in EMULATOR_OUTPUTS]
    return members


def _structure(scheme: ColumnScheme) -> str:
    sizes = ", ".join(f"{member}({len(names)})" for member, names in members(scheme).items())
    return f"      type(c_ptr) :: {sizes}, kind\n"


def _quantities(scheme: ColumnScheme) -> str:
    entries: list[tuple[str, str]] = [(f.symbol, f.comment) for f in (*scheme.inputs, *scheme.outputs)]
    entries += [(output.symbol, output.comment) for output in EMULATOR_OUTPUTS]
    width = max(len(symbol) for symbol, _ in entries)
    return "".join(f"   !>   {symbol.lower():<{width}}  {comment}\n" for symbol, comment in entries)


def argument_names(scheme: ColumnScheme) -> list[str]:
    """Return the arguments of the procedure before the bounds of the arrays, in its order."""
    read = [f for f in scheme.outputs if f.is_read]
    written = [f for f in scheme.outputs if not f.is_read]
    names = ["emulator", *_names(scheme.inputs), *_SETTINGS, *_names(read), *_names(written), "kind"]
    return [*names, *(output.symbol.lower() for output in EMULATOR_OUTPUTS)]


def _arguments(scheme: ColumnScheme) -> str:
    words = [*argument_names(scheme), *_BOUNDS, "status", "message"]
    return wrapped(f"   subroutine sciml_{scheme.name}_run(", words, ")")


def _declarations(scheme: ColumnScheme) -> str:
    shapes = {"3": "(ims:ime, kms:kme, jms:jme)", "2": "(ims:ime, jms:jme)"}
    return "".join(
        f"      real(c_float), dimension{shapes[member[-1]]}, "
        f"intent({'in' if member.startswith('in') else 'inout'}), target :: &\n"
        + wrapped("         ", names, "")
        for member, names in members(scheme).items()
        if names
    )


def _pointers(scheme: ColumnScheme) -> str:
    at = {"3": "(its, kts, jts)", "2": "(its, jts)"}
    return "".join(
        wrapped(f"      fields%{member} = [", [f"c_loc({name}{at[member[-1]]})" for name in names], "]")
        for member, names in members(scheme).items()
        if names
    )


def wrapped(begin: str, words: Sequence[str], end: str) -> str:
    """Join words by commas, over lines that continue below the first word."""
    lines, line = [], begin
    for n, word in enumerate(words):
        piece = word + (", " if n + 1 < len(words) else end)
        if len(line) + len(piece) > _WIDTH and line.strip():
            lines.append(line.rstrip() + " &\n")
            line = " " * len(begin)
        line += piece
    return "".join([*lines, line.rstrip() + "\n"])
