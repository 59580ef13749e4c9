"""The native library through f2py: an extension module that is linked TO the shared library.

An extension with its own copy of the sources would have its own state; linked to the library it shares handles with
all other users of that library in the process.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np

from sciml.coupling.build import building_alone, cache_directory, fortran_compiler, rpath, sources
from sciml.errors import BuildError

__all__ = ["build_extension", "load_extension"]

NAME = "sciml_mskf_f2py"

_SHIM = "f2py_shim.f90"


def _key(library: Path) -> str:
    whole = hashlib.sha256((sources() / _SHIM).read_bytes())
    for part in (str(library), repr(fortran_compiler()), sys.version, np.__version__):
        whole.update(part.encode() + b"\0")
    return whole.hexdigest()[:20]


def build_extension(library: str | os.PathLike[str]) -> Path:
    """Build the extension module for a library, or return the one that was built before.

    Parameters
    ----------
    library
        ``libsciml_mskf.so``; the extension loads it from this path.

    Raises
    ------
    BuildError
        Without a Fortran compiler, meson or ninja, or when one of them fails.
    """
    library = Path(library).resolve()
    if not library.exists():
        raise BuildError(f"there is no library {library}: build it with `sciml coupling build`")
    home = cache_directory() / "f2py" / _key(library)
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    if os.path.exists(home / f"{NAME}{suffix}"):
        return home / f"{NAME}{suffix}"
    # meson and ninja come with this Python; its scripts need not be on the user's path.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    for tool in ("meson", "ninja"):
        if shutil.which(tool, path=path) is None:
            raise BuildError(f"f2py needs {tool}, which is not on the path: pip install {tool}")
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (
            building_alone(home.parent),
            tempfile.TemporaryDirectory(prefix=".building-", dir=home.parent) as there,
        ):
            _run_f2py(library, Path(there), path).replace(home / f"{NAME}{suffix}")
    except OSError as error:
        raise BuildError(
            f"cannot write into the cache {home.parent}: {error.strerror}; "
            "set SCIML_CACHE to a directory of yours"
        ) from error
    return home / f"{NAME}{suffix}"


def _run_f2py(library: Path, there: Path, path: str) -> Path:
    """Build in an empty directory and return the extension module."""
    shutil.copyfile(sources() / _SHIM, there / _SHIM)
    # meson splits LDFLAGS as a shell does; f2py's own options do not accept every name of a directory.
    link = shlex.join((f"-L{library.parent}", *rpath(library.parent)))
    compiler = shlex.join(fortran_compiler().command)
    environment = {**os.environ, "PATH": path, "FC": compiler, "LDFLAGS": link}
    name = "-l" + library.name.removeprefix("lib").split(".")[0]
    command = [sys.executable, "-m", "numpy.f2py", "-c", "--backend", "meson", name, "-m", NAME, _SHIM]
    done = subprocess.run(
        command, cwd=there, env=environment, capture_output=True, text=True, check=False, errors="replace"
    )
    made = sorted(there.glob(f"{NAME}*{importlib.machinery.EXTENSION_SUFFIXES[0]}"))
    if done.returncode or not made:
        output = (done.stdout + done.stderr).strip()[-2000:]
        raise BuildError(f"f2py cannot build the extension module; output:\n{output}")
    return made[0]


def load_extension(library: str | os.PathLike[str]) -> ModuleType:
    """Build the extension module if necessary, and import it.

    Its member ``emulator`` has ``open_weights(path)``, ``run_network(handle, x, threads, outputs, pooled)`` and
    ``close_weights(handle)``; arrays are in Fortran's order, (channel, level, column). Sizes that are not the
    network's give status 5 and a message. f2py copies an array in another order or type without a warning.
    """
    extension = build_extension(library)
    spec = importlib.util.spec_from_file_location(NAME, extension)
    if spec is None or spec.loader is None:
        raise BuildError(f"cannot import {extension}: remove it and build again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
