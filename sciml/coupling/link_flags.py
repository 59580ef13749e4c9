"""The link line that redirects WRF's calls of the convection scheme to the library, without a change of WRF.

The linker's ``--wrap`` gives undefined references to the scheme another name, which the library defines; and the
executable exports the scheme's own name and WRF's message routines, so that the library can call them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final, Literal

from sciml.checks import check_choice
from sciml.coupling.build import LIBRARY, rpath
from sciml.errors import InputError

__all__ = ["SCHEME", "CompilerFamily", "link_flags", "make_line", "relinking", "wrf_lines"]

CompilerFamily = Literal["gnu", "intel"]

#: Symbol of ``mskf_cps`` of ``module_cu_mskf`` by compiler family.
SCHEME: Final[dict[CompilerFamily, str]] = {
    "gnu": "__module_cu_mskf_MOD_mskf_cps",
    "intel": "module_cu_mskf_mp_mskf_cps_",
}
_SHOWN: Final = ("wrf_message_", "wrf_error_fatal_", "wrf_get_myproc_")
_OLDEST = (2, 35)  # of binutils with --export-dynamic-symbol


def link_flags(
    directory: str | Path, family: CompilerFamily = "gnu", *, linker: tuple[int, int] | None = None
) -> list[str]:
    """Return the words to add to a link line, after all objects.

    Parameters
    ----------
    directory
        Folder of ``libsciml_mskf.so``.
    family
        Family of the Fortran compiler: ``gnu`` (gfortran) or ``intel`` (ifort, ifx).
    linker
        Version of GNU ld; by default that of the ``ld`` on the path. Before 2.35 it cannot export single names, so
        the executable exports all (``-rdynamic``).

    Raises
    ------
    InputError
        When there is no library, or for another family.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as there:
    ...     _ = (Path(there) / "libsciml_mskf.so").write_bytes(b"")
    ...     link_flags(there, "intel", linker=(2, 30))[:2]
    ['-Wl,--wrap=module_cu_mskf_mp_mskf_cps_', '-rdynamic']
    """
    directory = Path(directory).resolve()
    check_choice("family", family, SCHEME)
    if not (directory / LIBRARY).is_file():
        raise InputError(
            f"{directory} has no {LIBRARY}: build it with `sciml coupling build -o {directory} MODEL`"
        )
    name = SCHEME[family]
    version = linker or linker_version()
    if version is None or version >= _OLDEST:
        shown = [f"-Wl,--export-dynamic-symbol={symbol}" for symbol in (name, *_SHOWN)]
    else:
        shown = ["-rdynamic"]
    return [f"-Wl,--wrap={name}", *shown, str(directory / LIBRARY), *rpath(directory)]


def linker_version() -> tuple[int, int] | None:
    """Return the version of GNU ld on the path; None for another linker, or without one."""
    if shutil.which("ld") is None:
        return None
    output = subprocess.run(["ld", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"GNU ld .*?(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else None


def wrf_lines(directory: str | Path, family: CompilerFamily = "gnu", *, case: str | None = None) -> str:
    """Return the change of ``configure.wrf`` and the commands after it, as text to print.

    Parameters
    ----------
    case
        Case that WRF was compiled as, such as ``em_real``; by default the text has a placeholder.

    Raises
    ------
    InputError
        As `link_flags`.
    """
    line = make_line(directory, family)
    folder = Path(directory).resolve()
    return f"""# 1. configure.wrf: add this line below the definition of LIB_EXTERNAL, on a line of its own
#    (cu_physics stays 11, nothing is recompiled). `sciml coupling flags {directory} --apply configure.wrf` does it:
{line}
{relinking(folder, family, case)}"""


def make_line(directory: str | Path, family: CompilerFamily = "gnu") -> str:
    """Return the line of GNU make that adds the flags to WRF's libraries.

    ``+=`` needs no continuation of the lines before it.

    Raises
    ------
    InputError
        As `link_flags`; or the path has a character that make does not accept.
    """
    flags = link_flags(directory, family)
    if any(re.search(r"[\s$#]", word) for word in flags):
        raise InputError(
            f"{Path(directory).resolve()} has a blank, $ or # in it, which make does not take: move it"
        )
    return f"LIB_EXTERNAL += {' '.join(flags)}"


def relinking(directory: str | Path, family: CompilerFamily = "gnu", case: str | None = None) -> str:
    """Return the commands after the change of configure.wrf: link again, check, copy the settings."""
    folder, name = Path(directory).resolve(), case or "CASE"
    which = "" if case else ", with the case that you compiled, such as em_real, for CASE"
    return f"""# 2. link again, in WRF's folder{which}:
rm -f main/wrf.exe && ./compile {name} > compile.log 2>&1
# 3. check that the library is in wrf.exe (each prints one line):
nm main/wrf.exe | grep '__wrap_{SCHEME[family]}'
ldd main/wrf.exe | grep {LIBRARY}
# 4. copy the weights and the settings to where WRF runs; begin with mode = 'original':
cp {folder}/sciml_mskf.nml {folder}/*.nc ."""
