"""`sciml doctor`: what this machine has, what it lacks, and what each lack costs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Finding", "doctor", "examine"]

DISK_WANTED = 2 * 1024**3
"""Bytes that a store of a season's wrfout and a training run want."""

EXTRAS = {
    "xwrf": ("wrf", "coordinates of files on a map projection cannot be checked against xwrf's"),
    "scores": ("verify", "the skill scores of rain (ETS, HSS) are left out of an evaluation"),
    "onnxruntime": ("onnx", "the independent check of the library against onnxruntime cannot run"),
}
"""Optional packages: the extra that brings each, and what is lost without it."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what was found, and what it costs when it is not as it should be."""

    name: str
    ok: bool
    found: str
    cost: str = ""


def _says(command: list[str]) -> str:
    """Return the first line that a program prints, or why it prints none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else f"{command[0]} printed nothing"


def compiler(variable: str, default: str, install: str, cost: str) -> Finding:
    """Look for the compiler that `variable` names, else the default one."""
    command = (os.environ.get(variable) or default).split()
    path = shutil.which(command[0])
    if path is None:
        asked = f"${variable}={command[0]}" if os.environ.get(variable) else command[0]
        return Finding(f"{variable} compiler", False, f"{asked} not found", f"{cost}: {install}")
    return Finding(f"{variable} compiler", True, f"{path}: {_says([*command, '--version'])}")


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
    return Finding(
        "CPU", "avx2" in flags, found, "the library runs its portable path: right, but slower a column"
    )


def torch_device() -> Finding:
    """Look for torch and the fastest device it can use."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding(
            "torch", False, str(error).splitlines()[0], "nothing can be trained: pip install torch"
        )
    version = f"torch {torch.__version__}"
    if torch.cuda.is_available():
        return Finding("torch", True, f"{version}, {torch.cuda.get_device_name()}")
    threads = torch.get_num_threads()
    return Finding(
        "torch", True, f"{version}, CPU with {threads} threads", "no GPU: training takes hours, not minutes"
    )


def scheduler() -> Finding:
    """Look for a Dask scheduler that the environment names, and whether it answers."""
    from sciml.cluster import address, cores

    named = address()
    if named is None:
        return Finding(
            "Dask", True, f"none named: a local cluster of {cores()} workers is started when needed"
        )
    import distributed

    try:
        with distributed.Client(named, timeout=5) as client:
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
        return Finding("Dask", True, f"{named}, {workers} workers")
    except (OSError, TimeoutError, ValueError) as error:
        return Finding(
            "Dask",
            False,
            f"{named}: {error}",
            "stores cannot be written: start the scheduler, or unset DASK_SCHEDULER_ADDRESS",
        )


def disk(place: Path) -> Finding:
    """Look at the space left where the user stands."""
    free = shutil.disk_usage(place).free
    return Finding(
        "disk",
        free >= DISK_WANTED,
        f"{free / 1024**3:.1f} GiB free in {place}",
        f"under {DISK_WANTED / 1024**3:.0f} GiB a store or a training run may fill it, stop, resume later",
    )


def f2py() -> Finding:
    """Look for what f2py needs beside the compilers: meson, ninja and Python's header."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    header = Path(sysconfig.get_path("include")) / "Python.h"
    remedies = {
        tool: "pip install 'sciml[f2py]'" for tool in ("meson", "ninja") if not shutil.which(tool, path=path)
    }
    if not header.exists():
        remedies["Python.h"] = "apt-get install python3-dev"
    if not remedies:
        return Finding("f2py", True, "meson, ninja and Python.h are there")
    cost = f"the f2py module cannot be built (the library can): {'; '.join(dict.fromkeys(remedies.values()))}"
    return Finding("f2py", False, f"no {', '.join(remedies)}", cost)


def extras() -> list[Finding]:
    """Look for the optional packages."""
    findings = []
    for module, (extra, cost) in EXTRAS.items():
        if importlib.util.find_spec(module) is None:
            findings.append(Finding(module, False, "not installed", f"{cost}: pip install 'sciml[{extra}]'"))
        else:
            findings.append(Finding(module, True, importlib.metadata.version(module)))
    return findings


def examine() -> list[Finding]:
    """Look at everything; nothing is changed."""
    from sciml import __version__
    from sciml.data_files import folder

    data = folder()
    return [
        Finding("sciml", True, f"{__version__}, Python {platform.python_version()}, {sys.prefix}"),
        compiler("FC", "gfortran", "apt-get install gfortran", "the Fortran library cannot be built"),
        compiler("CC", "gcc", "apt-get install gcc", "the native kernel cannot be built"),
        f2py(),
        cpu(),
        torch_device(),
        scheduler(),
        disk(Path.cwd()),
        Finding(
            "data",
            data.is_dir(),
            str(data),
            "sciml demo and the pretrained emulators are not to be had: install the package again",
        ),
        *extras(),
    ]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look at compilers, CPU, torch, Dask, disk and extras; tell what each lack costs."""
    findings = examine()
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[yellow]--[/]"
        table.add_row(mark, finding.name, finding.found)
        if finding.cost and (not finding.ok or finding.name == "torch"):
            table.add_row("", "", f"[dim]{finding.cost}[/]")
    Console().print(table)
    lacking = [finding.name for finding in findings if not finding.ok]
    typer.echo(f"lacking: {', '.join(lacking)}" if lacking else "nothing is lacking")
