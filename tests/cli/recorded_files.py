"""Commands that write small files of each kind, with the record of what made them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from sciml.cli import main
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT
from workflows.kessler.soundings import SCHEME

SETTINGS: Final = "[fit]\nepochs = 1\nbatch_size = 64\nthreads = 1\n[network]\n"
FILES: Final = {
    "small.toml": SETTINGS + "hidden = 4\npooled = 4\n",
    "transformer.toml": SETTINGS + "width = 8\nheads = 2\nlayers = 1\n",
    "scheme.toml": SETTINGS + "hidden = 4\nlayers = 1\n",
    "fno.toml": SETTINGS + "modes = 3\nwidth = 4\nlayers = 1\nprojection = 4\n",
}
"""Settings by the name of the file."""

COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "c.zarr": ("wrf", "columns", SAMPLE_WRFOUT.name, "--reference", SAMPLE_OFFLINE.name, "--workers", "1"),
    "a.zarr": ("convection", "augment", "c.zarr", "--factor", "0.1", "--seed", "11"),
    "m.sciml": ("convection", "train", "c.zarr", "--config", "small.toml", "--seed", "7"),
    "p.sciml": ("convection", "pretrain", "c.zarr", "--config", "transformer.toml", "--seed", "7"),
    "at.nc": ("convection", "attribute", "b.sciml", "c.zarr", "--columns", "2"),
    "an.nc": ("convection", "analogs", "c.zarr", "c.zarr", "--features", "profiles", "--members", "4"),
    "x.nc": ("coupling", "export", "mskf-convrad", "--no-response"),
    "x.onnx": ("coupling", "export", "mskf-convrad", "--no-response"),
    "k.sciml": ("scheme", "train", str(SCHEME), "pairs.nc", "--config", "scheme.toml", "--seed", "7"),
    "k.nc": ("scheme", "export", "k.sciml"),
    "q.sciml": ("compress", "k.sciml", "pairs.nc", "--bits", "8", "--metric", "loss"),
    "d.zarr": ("pde", "generate", "darcy-smooth", "--resolution", "9", "--count", "6", "--seed", "11"),
    "d.nc": ("pde", "generate", "darcy-smooth", "--resolution", "9", "--count", "6", "--seed", "11"),
    "f.sciml": ("pde", "train", "fno", "d.zarr", "--config", "fno.toml", "--seed", "7"),
    "s.nc": ("pde", "solve", "darcy-smooth", "--resolution", "15", "--seed", "11"),
    "i.nc": ("wrf", "perturb", "wrfinput_d01", "--seed", "11"),
}
"""Arguments, without the output, of the command that writes each file."""
MORE: Final = {"at.nc": ("--figure", "e.png"), "s.nc": ("--html", "e.html", "--title", "A & B")}
"""Further files of some commands."""
NATIVE: Final[dict[str, tuple[str, ...]]] = {
    "build": ("coupling", "build", "mskf-convrad"),
    "rce.nc": ("coupling", "rce", "build", "--days", "1", "--members", "2"),
    "replayed": ("coupling", "replay", "build", SAMPLE_WRFOUT.name, "--tile", "0x0"),
}
"""Those that need compilers."""


def run(*words: object) -> int:
    """Run a command in this process; return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    code = ended.value.code
    return code if isinstance(code, int) else int(bool(code))


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, as a user does, so that the paths are short."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def written(name: str) -> list[str]:
    """Return the arguments of the command that writes a file."""
    return [*{**COMMANDS, **NATIVE}[name], "--output", name, "--quiet"]
