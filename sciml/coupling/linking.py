"""The link line that leads WRF's calls of the convection scheme to the library, with no line of WRF changed.

The linker's ``--wrap`` gives undefined references to the scheme another name, which the library has; and the
executable shows the scheme's own name and WRF's message routines, so that the library can call them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final, Literal

from sciml.coupling.build import LIBRARY, rpath
from sciml.errors import InputError

__all__ = ["SCHEME", "Family", "link_flags", "wrf_lines"]

Family = Literal["gnu", "intel"]

#: What compilers call ``mskf_cps`` of ``module_cu_mskf``.
SCHEME: Final[dict[Family, str]] = {
    "gnu": "__module_cu_mskf_MOD_mskf_cps",
    "intel": "module_cu_mskf_mp_mskf_cps_",
}
_SHOWN: Final = ("wrf_message_", "wrf_error_fatal_", "wrf_get_myproc_")
_OLDEST = (2, 35)  # of binutils with --export-dynamic-symbol


def link_flags(
    directory: str | Path, family: Family = "gnu", *, linker: tuple[int, int] | None = None
) -> list[str]:
    """The words to add to a link line, behind all objects.

    Parameters
    ----------
    directory
        The folder of ``libsciml_mskf.so``.
    family
        Of the Fortran compiler: ``gnu`` (gfortran) or ``intel`` (ifort, ifx).
    linker
        The version of GNU ld; by default that of the ``ld`` on the path. Before 2.35 it cannot show single names, so
        that the executable shows all (``-rdynamic``).

    Raises
    ------
    InputError
        When the library is not there, or for another family.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as there:
    ...     _ = (Path(there) / "libsciml_mskf.so").write_bytes(b"")
    ...     link_flags(there, "intel", linker=(2, 30))[:2]
    ['-Wl,--wrap=module_cu_mskf_mp_mskf_cps_', '-rdynamic']
    """
    directory = Path(directory).resolve()
    if family not in SCHEME:
        raise InputError(f"no compilers called {family!r}: give {' or '.join(SCHEME)}")
    if not (directory / LIBRARY).is_file():
        raise InputError(
            f"{directory} has no {LIBRARY}: make it with `sciml coupling build -o {directory} MODEL`"
        )
    name = SCHEME[family]
    version = linker or linker_version()
    if version is None or version >= _OLDEST:
        shown = [f"-Wl,--export-dynamic-symbol={one}" for one in (name, *_SHOWN)]
    else:
        shown = ["-rdynamic"]
    return [f"-Wl,--wrap={name}", *shown, str(directory / LIBRARY), *rpath(directory)]


def linker_version() -> tuple[int, int] | None:
    """The version of GNU ld on the path; None for another linker, or without one."""
    if shutil.which("ld") is None:
        return None
    said = subprocess.run(["ld", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"GNU ld .*?(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def wrf_lines(directory: str | Path, family: Family = "gnu") -> str:
    """What to change in ``configure.wrf`` and to type afterwards, as text to print.

    Raises
    ------
    InputError
        As `link_flags`.
    """
    flags = link_flags(directory, family)
    if any(re.search(r"[\s$#]", word) for word in flags):
        raise InputError(
            f"{Path(directory).resolve()} has a blank, $ or # in it, which make does not take: move it"
        )
    folded = " \\\n\t".join(flags)
    return f"""# 1. configure.wrf: add this to the end of the line (and its continuations) that begins with LIB_EXTERNAL
#    (cu_physics stays 11, nothing is recompiled):
\t{folded}
# 2. link again:
rm -f main/wrf.exe && ./compile em_real > compile.log 2>&1
# 3. see that it is in (one line each):
nm main/wrf.exe | grep -c '__wrap_{SCHEME[family]}'
ldd main/wrf.exe | grep {LIBRARY}
# 4. where WRF runs: the weights, and the settings, at first with mode = 'original'
cp {Path(directory).resolve()}/sciml_mskf.nml {Path(directory).resolve()}/*.nc ."""
