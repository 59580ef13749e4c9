"""Build the native library on demand, with the user's compilers.

The wheel carries sources only: a library must match the WRF it is linked to. Compilers come from ``$CC`` and
``$FC``, else gcc and gfortran; a library is cached under the hash of the sources, the flags and
the compilers' versions. The environment's ``CFLAGS`` are not used: the answers must not depend on them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import pooch

from sciml.coupling.instruction_sets import DEFINITIONS, FLAGS, known_sets
from sciml.errors import BuildError, SciMLError
from sciml.storage import provenance
from sciml.storage.atomic import replaced
from sciml.version import __version__

__all__ = [
    "Compiler",
    "build",
    "building_alone",
    "c_compiler",
    "cache_directory",
    "compilations",
    "fortran_compiler",
    "install",
    "rpath",
    "sources",
]

LIBRARY = "libsciml_mskf.so"

#: Compiled once per instruction set and precision, and once.
_PHYSICS = tuple(
    f"mskf/{name}.c"
    for name in (
        *("adjustment", "column_bilstm", "columns", "downdraft", "energy_closure", "features"),
        *("layer_outputs", "level_outputs", "momentum", "plume", "plume_closure", "plume_coordinate"),
        *("prepared_profiles", "pressure", "probe", "published_bilstm", "response", "sounding", "updraft"),
        "updraft_level",
    )
)
_KERNELS = {"engine/lstm_kernel.c": (32, 64), **dict.fromkeys(_PHYSICS, (64,))}
_REDUCED = "engine/reduced_kernel.c"
_ENGINE = (
    *("arena", "bundle", "disk", "host_environment", "inflate", "kernel_table", "message", "netcdf_file"),
    *(
        "netcdf_reader",
        "netcdf_writer",
        "network_run",
        "network_weights",
        "packed_tensor",
        "reduced_weights",
        "sha256",
    ),
)
_WRF = (
    *("capture", "emulated_patch", "host_run", "namelist", "scheme", "session", "settings", "statistics"),
    *("wrf_log", "wrf_patch"),
)
_PLAIN = (
    *(f"engine/{name}.c" for name in _ENGINE),
    *(f"mskf/{name}.c" for name in ("emulate", "emulator", "handle", "tables")),
    *(f"wrf/{name}.c" for name in _WRF),
    *(f"column/{name}.c" for name in ("column", "column_scheme", "heads")),
)
_FORTRAN = "sciml_mskf.f90"
#: Files for a host's own compilers, and the settings.
_FACES = (
    *("sciml_mskf.h", "sciml_column.h", "sciml_column.f90", "wrf/sciml_mskf_arguments.h"),
    *(_FORTRAN, "wrf/sciml_cu_mskf.f90", "sciml_mskf.nml"),
)
#: Separate libraries before glibc 2.34.
_LIBRARIES = ("-lm", "-ldl", "-lpthread") if platform.system() == "Linux" else ("-lm",)

_C_FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off")
_FORTRAN_FLAGS = ("-O2", "-fPIC")
#: Kernels of floats and the physics, and those of quantized networks, by name: their instruction set.
_FLOAT_SETS = {"baseline": "", "avx2": "avx2", "avx512": "avx512"}
_REDUCED_SETS = {"baseline": "", "avx2": "avx2", "avx512": "vnni", "amx": "amx"}
_INSTALL = {
    "C": "apt-get install gcc (Debian, Ubuntu), dnf install gcc (Fedora), conda install -c conda-forge gcc",
    "Fortran": "apt-get install gfortran (Debian, Ubuntu), dnf install gcc-gfortran (Fedora), "
    "conda install -c conda-forge gfortran",
}


@dataclass(frozen=True)
class Compiler:
    """A compiler that runs.

    Attributes
    ----------
    command
        Words of its command, from ``$CC`` or ``$FC``.
    version
        First line of its ``--version``.
    machine
        Target of the compiler, such as ``x86_64-linux-gnu``.
    """

    command: tuple[str, ...]
    version: str
    machine: str

    @property
    def x86_64(self) -> bool:
        """Whether it compiles for x86-64."""
        return self.machine.startswith(("x86_64", "amd64"))


def sources() -> Path:
    """Return the directory of the native sources in this installation."""
    return Path(str(resources.files("sciml.coupling") / "native"))


def cache_directory() -> Path:
    """Return the directory of built libraries: ``$SCIML_CACHE``, else the user's cache directory of this platform."""
    return Path(os.environ.get("SCIML_CACHE") or pooch.os_cache("sciml"))


def rpath(directory: Path) -> tuple[str, ...]:
    """Return the flags by which a program loads libraries from a directory."""
    if "," in str(directory):  # -Wl would split it
        return ("-Xlinker", "-rpath", "-Xlinker", str(directory))
    return (f"-Wl,-rpath,{directory}",)


def _find(language: str, variable: str, default: str) -> Compiler:
    chosen = os.environ.get(variable, "").strip()
    try:
        command = tuple(shlex.split(chosen)) or (default,)
    except ValueError as error:
        raise BuildError(
            f"${variable} is {chosen!r}, which is not a command: {error}; set it again"
        ) from error
    if shutil.which(command[0]) is None:
        where = (
            f"${variable} is {chosen!r}, which is not on the path" if chosen else f"no {default} on the path"
        )
        raise BuildError(
            f"no {language} compiler: {where}. Install one: {_INSTALL[language]}; or set {variable} to yours"
        )
    try:
        return _ask(command)
    except OSError as error:
        raise BuildError(f"cannot run {command[0]} of ${variable}: {error.strerror}; set it again") from error


@lru_cache
def _ask(command: tuple[str, ...]) -> Compiler:
    def answer(flag: str) -> str:
        done = subprocess.run([*command, flag], capture_output=True, text=True, check=False, errors="replace")
        return (done.stdout or done.stderr).strip() if done.returncode == 0 else ""

    version = answer("--version") or answer("-V")
    return Compiler(command, version.split("\n")[0], answer("-dumpmachine") or platform.machine())


def c_compiler() -> Compiler:
    """The C compiler: ``$CC``, else gcc.

    Raises
    ------
    BuildError
        When there is none; the message has the line that installs one.
    """
    return _find("C", "CC", "gcc")


def fortran_compiler() -> Compiler:
    """The Fortran compiler: ``$FC``, else gfortran.

    Raises
    ------
    BuildError
        When there is none; the message has the line that installs one.
    """
    return _find("Fortran", "FC", "gfortran")


def _run(command: list[str], where: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=where, capture_output=True, text=True, check=False, errors="replace"
        )
    except OSError as error:
        raise BuildError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode:
        complaint = (done.stderr or done.stdout).strip()[-2000:]
        raise BuildError(
            f"the native library does not compile; output of `{shlex.join(command)}`:\n{complaint}"
        )


def compilations(c: Compiler) -> dict[str, list[str]]:
    """Return the command of each object of the C part, without ``-o``, by the object's name."""
    known = ("", *known_sets(c.command)) if c.x86_64 else ("",)
    definitions = [DEFINITIONS[name] for name in known if name]
    native = sources()

    def words(name: str, kernel: str = "", flags: tuple[str, ...] = (), bits: int = 0) -> list[str]:
        chosen = [f"-DSCIML_ISA={kernel}"] if kernel else definitions
        chosen += [f"-DSCIML_BITS={bits}"] if bits else []
        return [*c.command, *_C_FLAGS, *flags, *chosen, f"-I{native}", "-c", str(native / name)]

    commands = {}
    for kernel, needed in _REDUCED_SETS.items():
        if needed in known:
            commands[f"reduced_kernel_{kernel}.o"] = words(_REDUCED, kernel, FLAGS.get(needed, ()))
    for name, precisions in _KERNELS.items():
        for kernel, needed in _FLOAT_SETS.items():
            for bits in precisions if needed in known else ():
                made = words(name, kernel, FLAGS.get(needed, ()), bits)
                commands[f"{Path(name).stem}_{kernel}_{bits}.o"] = made
    for name in _PLAIN:
        commands[f"{Path(name).stem}.o"] = words(name)
    about = json.dumps({"sciml": __version__, "compiler": c.version, "machine": c.machine, "flags": _C_FLAGS})
    commands["provenance.o"] = words(
        "engine/provenance.c", flags=(f"-DSCIML_PROVENANCE={json.dumps(about)}",)
    )
    return commands


def _object(name: str, command: list[str], compiler: Compiler, objects: Path, where: Path) -> str:
    """Compile one object, unless the same source has been compiled in the same way before."""
    source = Path(command[-1])
    whole = hashlib.sha256(
        repr((compiler, [word for word in command[:-1] if not word.startswith("-I")], source.name)).encode()
    )
    for part in (source, *sorted(sources().rglob("*.h"))):
        whole.update(part.read_bytes() + b"\0")
    made = objects / f"{whole.hexdigest()[:20]}.o"
    if not made.exists():
        _run([*command, "-o", name], where)
        (where / name).replace(made)
    return str(made)


def _exports(where: Path, probe: bool) -> Path:
    """Write the linker script of the exported names: the interface and, for parity checks, the probe."""
    text = (sources() / "exports.map").read_text(encoding="utf-8")
    script = where / "exports.map"
    script.write_text(
        text.replace("global:", "global: sciml_mskf_probe;") if probe else text, encoding="utf-8"
    )
    return script


def _compile(c: Compiler, fortran: Compiler | None, where: Path, workers: int, probe: bool) -> Path:
    """Compile and link everything, in an empty directory beside that of the objects."""
    objects = where.parent / "objects"
    objects.mkdir(exist_ok=True)
    jobs: list[tuple[str, list[str], Compiler]] = [(n, words, c) for n, words in compilations(c).items()]
    if fortran is not None:
        words = [*fortran.command, *_FORTRAN_FLAGS, "-c", str(sources() / _FORTRAN)]
        jobs.append(("module.o", words, fortran))
    with ThreadPoolExecutor(workers) as pool:
        made = list(pool.map(lambda job: _object(job[0], job[1], job[2], objects, where), jobs))
    exports = _exports(where, probe)
    linux = platform.system() == "Linux"
    # a name relative to `where`, which may have commas
    script = (f"-Wl,--version-script={exports.name}", f"-Wl,-soname,{LIBRARY}") if linux else ()
    # the Fortran module needs nothing of its run-time library, which would take memory when it is loaded
    needed = ("-Wl,--as-needed",) if linux else ()
    linker = fortran if fortran is not None else c
    _run([*linker.command, "-shared", *needed, *made, *script, "-o", LIBRARY, *_LIBRARIES], where)
    return where / LIBRARY


def _key(c: Compiler, fortran: Compiler | None, probe: bool) -> str:
    whole = hashlib.sha256()
    for source in sorted(sources().rglob("*")):
        if source.suffix in (".c", ".h", ".f90", ".map"):
            whole.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    settings = (_KERNELS, _PLAIN, _C_FLAGS, _FORTRAN_FLAGS, _FLOAT_SETS, _REDUCED_SETS, FLAGS, _LIBRARIES)
    for part in (repr(c), repr(fortran), repr(settings), platform.system(), repr(probe), __version__):
        whole.update(part.encode() + b"\0")
    return whole.hexdigest()[:20]


@contextmanager
def building_alone(directory: Path) -> Iterator[None]:
    """Let one process at a time build in a directory: all ranks of a job may start together.

    What a process that was killed left there is removed.
    """
    with (directory / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for left in directory.glob(".building-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _build_into(home: Path, c: Compiler, fortran: Compiler | None, workers: int, probe: bool) -> None:
    with tempfile.TemporaryDirectory(prefix=".building-", dir=home.parent) as there:
        library = _compile(c, fortran, Path(there), workers, probe)
        finished = Path(there) / "finished"
        finished.mkdir()
        library.replace(finished / LIBRARY)
        finished.rename(home)


def build(*, fortran: bool = True, workers: int | None = None, probe: bool = False) -> Path:
    """Build ``libsciml_mskf.so``, or return the one that was built before.

    Parameters
    ----------
    fortran
        Include the Fortran module in the library. Without it no Fortran compiler is needed, and the library
        serves C and Python, and Fortran hosts that compile ``sciml_mskf.f90`` themselves.
    workers
        Number of compilers to run in parallel; by default the number of processors.
    probe
        Export ``sciml_mskf_probe`` of probe.h too, for parity checks of the stages of the physics.

    Returns
    -------
    Path
        Path of the library in the cache. Its name depends on sources, flags and compilers.

    Raises
    ------
    BuildError
        Without a compiler (the message says how to install one), or when one fails (with its output).
    """
    c = c_compiler()
    module = fortran_compiler() if fortran else None
    home = cache_directory() / "native" / _key(c, module, probe)
    try:
        if (home / LIBRARY).exists():
            return home / LIBRARY
        home.parent.mkdir(parents=True, exist_ok=True)
        with building_alone(home.parent):
            if not (home / LIBRARY).exists():
                _build_into(home, c, module, workers or os.cpu_count() or 1, probe)
    except OSError as error:
        raise BuildError(
            f"cannot write into the cache {home.parent}: {error.strerror}; "
            "set SCIML_CACHE to a directory of yours"
        ) from error
    return home / LIBRARY


def install(directory: str | os.PathLike[str], *, fortran: bool = True) -> Path:
    """Build the library and copy all files that a host needs into a directory.

    These are the library, ``sciml_mskf.h`` and ``sciml_mskf_arguments.h`` for C, and for the host's own Fortran
    compiler ``sciml_mskf.f90`` (the emulator) and ``sciml_cu_mskf.f90`` (the scheme with WRF's arguments); module
    files are compiler specific, so none is shipped. And ``sciml_mskf.nml``, the settings with
    comments. ``provenance.json`` has the versions, the compilers and the command (`sciml.storage.provenance`); the
    library itself has the version, the compiler and its flags after the mark ``sciml_provenance:``.

    Returns
    -------
    Path
        Path of the library in that directory.

    Raises
    ------
    BuildError
        As `build`, or when the directory cannot be written.
    """
    library = build(fortran=fortran)
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for source in (library, *(sources() / name for name in _FACES)):
            # a library in use must not change: a new file takes its name
            with replaced(directory / source.name) as temporary:
                shutil.copyfile(source, temporary)
        compilers = {"c_compiler": c_compiler().version}
        compilers |= {"fortran_compiler": fortran_compiler().version} if fortran else {}
        provenance.sidecar(directory, compilers)
    except OSError as error:
        raise BuildError(
            f"cannot write into {directory}: {error.strerror}; choose another directory"
        ) from error
    except SciMLError as error:
        raise BuildError(str(error)) from error
    return directory / LIBRARY
