"""`sciml doctor`: check the software and hardware of this machine, with a remedy for each missing part."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from sciml.cli.help_pages import examples
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets

__all__ = ["EXAMPLES", "Check", "doctor", "run_checks"]

EXAMPLES = examples("sciml doctor", "sciml doctor --json machine.json --quiet")

DISK_WANTED = 2 * 1024**3
"""Bytes of disk space for a store of a season of wrfouts and a training."""

MEMORY_WANTED = 4 * 1024**3
"""Bytes of memory for torch, two Dask workers and a dataset of some hundred MB."""

EXTRAS = {
    "xwrf": ("wrf", "the map projection of a wrfout, and distances on it, are not available"),
    "pyproj": ("wrf", "the map projection of a wrfout, and distances on it, are not available"),
    "scores": ("verify", "sciml wrf compare cannot run, and evaluations omit ETS and HSS of rain"),
    "onnxruntime": ("onnx", "the library cannot be compared with onnxruntime"),
    "jupytext": ("notebooks", "the notebooks cannot be generated from their .py files"),
    "ipykernel": ("notebooks", "the notebooks cannot be run"),
}
"""Optional packages: the extra of pyproject.toml that lists each, and the consequence if it is missing."""

PACKAGES = {
    "wrf": "xwrf pyproj",
    "verify": "scores",
    "onnx": "onnx onnxscript onnxruntime",
    "notebooks": "jupytext nbmake ipykernel",
}
"""Packages of each extra, installed by name, because ``sciml`` on PyPI is another package."""


@dataclass(frozen=True)
class Check:
    """The result of a check, and the consequence and remedy if it fails."""

    name: str
    ok: bool
    result: str
    consequence: str = ""
    remedy: str = ""

    def to_json(self) -> dict[str, str | bool]:
        """Return the check as data."""
        return {
            "name": self.name,
            "ok": self.ok,
            "found": self.result,
            "cost": self.consequence,
            "remedy": self.remedy,
        }


def _first_line(command: list[str]) -> str:
    """Return the first line that a program prints, or the reason why it prints none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else f"{command[0]} printed nothing"


def check_compiler(variable: str, default: str, remedy: str, consequence: str) -> Check:
    """Check the compiler that an environment variable names, else the default compiler."""
    command = (os.environ.get(variable) or default).split()
    name, path = f"{variable} compiler", shutil.which(command[0])
    if path is None:
        missing = f"${variable}={command[0]}" if os.environ.get(variable) else command[0]
        return Check(name, False, f"{missing} not found", consequence, remedy)
    return Check(name, True, f"{path}: {_first_line([*command, '--version'])}", consequence, remedy)


def check_cpu() -> Check:
    """Check the vector instructions that the native kernel can use."""
    flags: set[str] = set()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith(("flags", "Features")):
                flags = set(line.split(":", 1)[1].split())
                break
    wanted = {"avx2": "avx2", "fma": "fma", "avx512f": "avx512", "avx512_bf16": "bf16", "amx_bf16": "amx"}
    known = [label for flag, label in wanted.items() if flag in flags]
    result = f"{platform.machine()}, {os.cpu_count()} cores, {' '.join(known) or 'no vector instructions'}"
    consequence = "the library uses its portable kernel, which is correct but slower"
    return Check("CPU", "avx2" in flags, result, consequence, "use a CPU with AVX2")


def check_memory() -> Check:
    """Check the memory of the machine."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return Check("memory", True, "unknown on this system")
    consequence = (
        f"under {MEMORY_WANTED / 1024**3:.0f} GiB a training or a Dask cluster may run out of memory"
    )
    remedy = "use smaller values of --batch-size, --block or --workers"
    return Check("memory", total >= MEMORY_WANTED, f"{total / 1024**3:.1f} GiB", consequence, remedy)


def check_torch() -> list[Check]:
    """Check torch, its number of threads, and the fastest device that it can use."""
    consequence = "models can neither be trained nor evaluated"
    try:
        import torch
    except (ImportError, OSError) as error:
        return [Check("torch", False, str(error).splitlines()[0], consequence, "pip install torch")]
    limit = f", OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}" if "OMP_NUM_THREADS" in os.environ else ""
    version = f"torch {torch.__version__}, {torch.get_num_threads()} threads{limit}"
    installed = Check("torch", True, version, consequence)
    consequence = "training takes hours, not minutes"
    remedy = "train on a machine with a GPU: a checkpoint runs on any machine"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return [installed, Check("GPU", True, ", ".join(names), consequence, remedy)]
    if torch.backends.mps.is_available():
        return [installed, Check("GPU", True, "mps", consequence, remedy)]
    cuda = torch.version.cuda
    why = f"torch with CUDA {cuda} detects no GPU" if cuda else "torch is built for the CPU only"
    return [installed, Check("GPU", False, why, consequence, remedy)]


def check_scheduler() -> Check:
    """Check the Dask scheduler that the environment names."""
    from sciml.parallel.cluster import address, cores

    consequence = "stores and datasets cannot be written"
    named = address()
    if named is None:
        result = (
            f"no scheduler in the environment: a local cluster of {cores()} workers is started when needed"
        )
        return Check("Dask", True, result, consequence)
    import distributed

    try:
        with distributed.Client(named, timeout=5) as client:
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
        return Check("Dask", True, f"{named}, {workers} workers", consequence)
    except (OSError, TimeoutError, ValueError) as error:
        remedy = "start the scheduler, or unset DASK_SCHEDULER_ADDRESS"
        return Check("Dask", False, f"{named}: {error}", consequence, remedy)


def check_disk(place: Path) -> Check:
    """Check the free disk space of a folder."""
    free = shutil.disk_usage(place).free
    consequence = f"under {DISK_WANTED / 1024**3:.0f} GiB a store or a training may fill the disk and stop"
    remedy = "free some space, or write elsewhere with -o; the same command resumes"
    return Check(
        "disk", free >= DISK_WANTED, f"{free / 1024**3:.1f} GiB free in {place}", consequence, remedy
    )


def check_f2py() -> Check:
    """Check the requirements of f2py besides the compilers: meson, ninja and the header of Python."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    header = Path(sysconfig.get_path("include")) / "Python.h"
    remedies = {
        tool: "pip install meson ninja" for tool in ("meson", "ninja") if not shutil.which(tool, path=path)
    }
    if not header.exists():
        remedies["Python.h"] = "apt-get install python3-dev"
    consequence = "the f2py module cannot be built (the library can)"
    if not remedies:
        return Check("f2py", True, "meson, ninja and Python.h are installed", consequence)
    return Check(
        "f2py", False, f"no {', '.join(remedies)}", consequence, "; ".join(dict.fromkeys(remedies.values()))
    )


def check_linker() -> Check:
    """Check for GNU ld, whose option --wrap redirects WRF's calls of its scheme to the library."""
    path = shutil.which("ld")
    version = _first_line([path, "--version"]) if path else "ld not found"
    consequence = "the link line of `sciml coupling flags` requires GNU ld or lld"
    ok = any(name in version for name in ("GNU ld", "GNU gold", "LLD"))
    return Check(
        "linker", ok, f"{path}: {version}" if path else version, consequence, "apt-get install binutils"
    )


def check_extras() -> list[Check]:
    """Check the optional packages."""
    checks = []
    for module, (extra, consequence) in EXTRAS.items():
        remedy = f"pip install {PACKAGES[extra]}"
        installed = importlib.util.find_spec(module) is not None
        result = importlib.metadata.version(module) if installed else "not installed"
        checks.append(Check(module, installed, result, consequence, remedy))
    return checks


def run_checks() -> list[Check]:
    """Run all checks. Nothing is changed on the machine."""
    from sciml.storage.packaged import folder
    from sciml.version import __version__

    data = folder()
    consequence = "sciml demo and the pretrained emulators are not available"
    return [
        Check("sciml", True, f"{__version__}, Python {platform.python_version()}, {sys.prefix}"),
        check_compiler("FC", "gfortran", "apt-get install gfortran", "the Fortran library cannot be built"),
        check_compiler("CC", "gcc", "apt-get install gcc", "the native kernel cannot be built"),
        check_linker(),
        check_f2py(),
        check_cpu(),
        check_memory(),
        *check_torch(),
        check_scheduler(),
        check_disk(Path.cwd()),
        Check("data", data.is_dir(), str(data), consequence, "reinstall the package"),
        *check_extras(),
    ]


def doctor(json_file: Json = None, quiet: Quiet = False) -> None:
    """Check the software and hardware of this machine, with remedies."""
    check_targets({"--json": json_file}, [])
    output = Output(json_file, quiet)
    checks = run_checks()
    missing = [check.name for check in checks if not check.ok]
    output.write_json({"lacking": missing, "findings": [check.to_json() for check in checks]})
    if not quiet:
        _print_table(checks, sys.stderr if output.json_to_stdout else sys.stdout)
    output.print(f"missing: {', '.join(missing)}" if missing else "nothing is missing")
    output.print_files()


def _print_table(checks: list[Check], stream: object) -> None:
    """Print the checks, with the consequence and the remedy of each check that fails."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[yellow]--[/]"
        table.add_row(mark, check.name, escape(check.result))
        if not check.ok:
            lines = [check.consequence, *([f"remedy: {check.remedy}"] if check.remedy else [])]
            table.add_row("", "", f"[dim]{escape(chr(10).join(lines))}[/]")
    Console(file=cast(IO[str], stream)).print(table)
