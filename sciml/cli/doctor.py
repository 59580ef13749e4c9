"""`sciml doctor`: what this machine has, what it lacks, what each lack costs, and how to mend it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, cast

from sciml.cli.output import Answer, Json, Quiet, check_targets, examples

__all__ = ["EXAMPLES", "Finding", "doctor", "examine"]

EXAMPLES = examples("sciml doctor", "sciml doctor --json machine.json --quiet")

DISK_WANTED = 2 * 1024**3
"""Bytes that a store of a season's wrfout and a training run want."""

MEMORY_WANTED = 4 * 1024**3
"""Bytes that torch, two Dask workers and a dataset of some hundred MB want, with some to spare."""

EXTRAS = {
    "xwrf": ("wrf", "the map projection of a wrfout, and distances on it, are not to be had"),
    "pyproj": ("wrf", "the map projection of a wrfout, and distances on it, are not to be had"),
    "scores": ("verify", "sciml wrf compare cannot run, and an evaluation leaves out ETS and HSS of rain"),
    "onnxruntime": ("onnx", "the independent check of the library against onnxruntime cannot run"),
    "jupytext": ("notebooks", "the notebooks cannot be made from their texts"),
    "ipykernel": ("notebooks", "the notebooks can be read but not run"),
}
"""Optional packages: the extra of pyproject.toml that lists each, and what does not work without it."""

PACKAGES = {
    "wrf": "xwrf pyproj",
    "verify": "scores",
    "onnx": "onnx onnxscript onnxruntime",
    "notebooks": "jupytext nbmake ipykernel",
}
"""Packages of each extra. They are installed by name: ``sciml`` on PyPI is another package."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what was found; what its lack costs, and what mends it."""

    name: str
    ok: bool
    found: str
    cost: str = ""
    remedy: str = ""


def _says(command: list[str]) -> str:
    """Return the first line that a program prints, or why it prints none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else f"{command[0]} printed nothing"


def compiler(variable: str, default: str, remedy: str, cost: str) -> Finding:
    """Look for the compiler that `variable` names, else the default one."""
    command = (os.environ.get(variable) or default).split()
    name, path = f"{variable} compiler", shutil.which(command[0])
    if path is None:
        asked = f"${variable}={command[0]}" if os.environ.get(variable) else command[0]
        return Finding(name, False, f"{asked} not found", cost, remedy)
    return Finding(name, True, f"{path}: {_says([*command, '--version'])}", cost, remedy)


def cpu() -> Finding:
    """Look for the vector instructions that the native kernel can use."""
    flags: set[str] = set()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith(("flags", "Features")):
                flags = set(line.split(":", 1)[1].split())
                break
    wanted = {"avx2": "avx2", "fma": "fma", "avx512f": "avx512", "avx512_bf16": "bf16", "amx_bf16": "amx"}
    known = [label for flag, label in wanted.items() if flag in flags]
    found = f"{platform.machine()}, {os.cpu_count()} cores, {' '.join(known) or 'no vector flags seen'}"
    cost = "the library runs its portable path: right, but slower a column"
    return Finding("CPU", "avx2" in flags, found, cost, "run where WRF runs fast: a CPU with AVX2")


def memory() -> Finding:
    """Look at the memory of the machine."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return Finding("memory", True, "not known on this system")
    cost = f"under {MEMORY_WANTED / 1024**3:.0f} GiB a training or a Dask cluster may be killed"
    remedy = "give --batch, --block or --workers a smaller number"
    return Finding("memory", total >= MEMORY_WANTED, f"{total / 1024**3:.1f} GiB", cost, remedy)


def torch_device() -> list[Finding]:
    """Look for torch, its threads, and the fastest device it can use."""
    cost = "nothing can be trained, and no checkpoint asked"
    try:
        import torch
    except (ImportError, OSError) as error:
        return [Finding("torch", False, str(error).splitlines()[0], cost, "pip install torch")]
    told = f", OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}" if "OMP_NUM_THREADS" in os.environ else ""
    here = Finding("torch", True, f"torch {torch.__version__}, {torch.get_num_threads()} threads{told}", cost)
    cost = "training takes hours, not minutes"
    remedy = "train where there is one: a checkpoint runs anywhere"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return [here, Finding("GPU", True, ", ".join(names), cost, remedy)]
    if torch.backends.mps.is_available():
        return [here, Finding("GPU", True, "mps", cost, remedy)]
    built = torch.version.cuda
    why = (
        f"none seen by torch, which is built for CUDA {built}"
        if built
        else "torch is built for the CPU alone"
    )
    return [here, Finding("GPU", False, why, cost, remedy)]


def scheduler() -> Finding:
    """Look for a Dask scheduler that the environment names, and whether it answers."""
    from sciml.parallel.cluster import address, cores

    cost = "stores and datasets cannot be written"
    named = address()
    if named is None:
        found = f"no scheduler named: a local cluster of {cores()} workers is started when needed"
        return Finding("Dask", True, found, cost)
    import distributed

    try:
        with distributed.Client(named, timeout=5) as client:
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
        return Finding("Dask", True, f"{named}, {workers} workers", cost)
    except (OSError, TimeoutError, ValueError) as error:
        remedy = "start the scheduler, or unset DASK_SCHEDULER_ADDRESS"
        return Finding("Dask", False, f"{named}: {error}", cost, remedy)


def disk(place: Path) -> Finding:
    """Look at the space left where the user stands."""
    free = shutil.disk_usage(place).free
    cost = f"under {DISK_WANTED / 1024**3:.0f} GiB a store or a training may fill it, and stop"
    remedy = "free some, or write elsewhere with -o; the same command goes on where it stopped"
    return Finding("disk", free >= DISK_WANTED, f"{free / 1024**3:.1f} GiB free in {place}", cost, remedy)


def f2py() -> Finding:
    """Look for what f2py needs beside the compilers: meson, ninja and Python's header."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    header = Path(sysconfig.get_path("include")) / "Python.h"
    remedies = {
        tool: "pip install meson ninja" for tool in ("meson", "ninja") if not shutil.which(tool, path=path)
    }
    if not header.exists():
        remedies["Python.h"] = "apt-get install python3-dev"
    cost = "the f2py module cannot be built (the library can)"
    if not remedies:
        return Finding("f2py", True, "meson, ninja and Python.h are there", cost)
    return Finding(
        "f2py", False, f"no {', '.join(remedies)}", cost, "; ".join(dict.fromkeys(remedies.values()))
    )


def linker() -> Finding:
    """Look for GNU ld, whose --wrap leads WRF's scheme through the library."""
    path = shutil.which("ld")
    said = _says([path, "--version"]) if path else "ld not found"
    cost = "`sciml coupling flags` prints a link line for GNU ld (or lld), which this is not"
    ok = any(name in said for name in ("GNU ld", "GNU gold", "LLD"))
    return Finding("linker", ok, f"{path}: {said}" if path else said, cost, "apt-get install binutils")


def extras() -> list[Finding]:
    """Look for the optional packages."""
    findings = []
    for module, (extra, cost) in EXTRAS.items():
        remedy = f"pip install {PACKAGES[extra]}"
        there = importlib.util.find_spec(module) is not None
        found = importlib.metadata.version(module) if there else "not installed"
        findings.append(Finding(module, there, found, cost, remedy))
    return findings


def examine() -> list[Finding]:
    """Look at everything; nothing is changed."""
    from sciml.storage.packaged import folder
    from sciml.version import __version__

    data = folder()
    lost = "sciml demo and the pretrained emulators are not to be had"
    return [
        Finding("sciml", True, f"{__version__}, Python {platform.python_version()}, {sys.prefix}"),
        compiler("FC", "gfortran", "apt-get install gfortran", "the Fortran library cannot be built"),
        compiler("CC", "gcc", "apt-get install gcc", "the native kernel cannot be built"),
        linker(),
        f2py(),
        cpu(),
        memory(),
        *torch_device(),
        scheduler(),
        disk(Path.cwd()),
        Finding("data", data.is_dir(), str(data), lost, "install the package again"),
        *extras(),
    ]


def doctor(json_file: Json = None, quiet: Quiet = False) -> None:
    """Tell what this machine lacks, what it costs, what mends it."""
    check_targets({"--json": json_file}, [])
    answer = Answer(json_file, quiet)
    findings = examine()
    lacking = [finding.name for finding in findings if not finding.ok]
    answer.keep({"lacking": lacking, "findings": [asdict(finding) for finding in findings]})
    if not quiet:
        _print(findings, sys.stderr if answer.piped else sys.stdout)
    answer.say(f"lacking: {', '.join(lacking)}" if lacking else "nothing is lacking")
    answer.files()


def _print(findings: list[Finding], stream: object) -> None:
    """The table: of what is lacking, its cost and remedy too."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[yellow]--[/]"
        table.add_row(mark, finding.name, escape(finding.found))
        if not finding.ok:
            lines = [finding.cost, *([f"remedy: {finding.remedy}"] if finding.remedy else [])]
            table.add_row("", "", f"[dim]{escape(chr(10).join(lines))}[/]")
    Console(file=cast(IO[str], stream)).print(table)
