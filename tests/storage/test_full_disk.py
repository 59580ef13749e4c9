"""Commands on a disk that is full or read-only: one line, nothing half-written, and a rerun completes."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sciml.cli import main
from workflows.kessler.soundings import SCHEME, pairs

SIZE = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(place)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    pairs(40, 20, seed=3).to_netcdf(folder / "pairs.nc")
    (folder / "fit.toml").write_text(
        "[fit]\nepochs = 1\nbatch_size = 20\n[network]\nhidden = 4\nlayers = 1\n"
    )
    return folder


COMMANDS = {
    "store": "pde generate poisson --resolution 15 --count 8 --chunk 2 --workers 1 --quiet -o {disk}/d.zarr",
    "netCDF": "pde generate poisson --resolution 15 --count 8 --chunk 2 --workers 1 --quiet -o {disk}/d.nc",
    "training": "scheme train {scheme} {inputs}/pairs.nc --config {inputs}/fit.toml --quiet -o {disk}/d.sciml",
    "numbers": "pde families --quiet --json {disk}/d.json",
}


def fill(ballast: Path, free: int) -> None:
    """Fill the disk with a file, except some bytes."""
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    os.truncate(ballast, ballast.stat().st_size - free)


def run(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    return int(ended.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("free", [0, 3 * 4096])
def test_a_full_disk(
    name: str, free: int, disk: Path, inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = COMMANDS[name].format(disk=disk, inputs=inputs, scheme=SCHEME)
    ballast = disk / "ballast"
    fill(ballast, free)
    code, error = run(words, capsys)
    if code == 0 and name == "numbers":
        return  # it fits
    assert code == 2 and error.count("\n") == 1 and "Traceback" not in error, error
    assert "space" in error or "full" in error
    names = {path.name for path in disk.iterdir()}
    assert names <= {"ballast", "d.zarr.partial", "d.nc.partial", "d.resume.sciml"}, names
    ballast.unlink()
    assert run(words, capsys) == (0, "")
    assert [path.name for path in disk.iterdir()] == [words.rpartition("/")[2]]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_cannot_be_written(
    name: str, disk: Path, inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, error = run(COMMANDS[name].format(disk=disk, inputs=inputs, scheme=SCHEME), capsys)
    assert code == 2 and error.count("\n") == 1, error
    assert "cannot write" in error and "Read-only file system" in error
