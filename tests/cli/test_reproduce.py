"""`sciml reproduce`: equal files, changed inputs, moved files, and records that nobody should run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import netCDF4
import pytest
import zarr

from sciml.cli import rerun
from sciml.cli.rerun import NOT_RERUN
from sciml.storage.provenance import PROVENANCE, Provenance, Source, parse
from sciml.verify.artefacts import compare, read_artefact
from tests.cli.recorded_files import NATIVE, inside, run
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT

NEEDED = ("c.zarr", "d.zarr", "d.nc", "k.sciml", "k.nc", "f.sciml", "i.nc", "d.zarr.json", "k.nc.json")
READ = ("fno.toml", "scheme.toml", "pairs.nc", "wrfinput_d01", SAMPLE_WRFOUT.name, SAMPLE_OFFLINE.name)


@pytest.fixture
def here(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files, as the working directory."""
    (tmp_path / "work").mkdir()
    for name in (*NEEDED, *READ):
        copy = (
            shutil.copytree if (files / name).is_dir() else shutil.copy2
        )  # the plan of a store has the times of its files
        copy(files / name, tmp_path / "work" / name)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Run commands in this process, which takes less time than a new one; return those that were run."""
    ran: list[list[str]] = []

    def run_here(words: Sequence[str], *, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
        assert list(words[1:4]) == ["-P", "-m", "sciml"] and "shell" not in more
        ran.append(list(words[4:]))
        with inside(cwd):
            return subprocess.CompletedProcess(list(words), run(*words[4:]))

    monkeypatch.setattr(rerun.subprocess, "run", run_here)
    return ran


@pytest.mark.parametrize(
    "name", ["c.zarr", "d.nc", "k.sciml", "k.nc", "f.sciml", "i.nc", "d.zarr.json", "k.nc.json"]
)
def test_an_equal_file(
    here: Path, in_this_process: list[list[str]], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in here.iterdir()}
    assert run("reproduce", name) == 0
    printed = capsys.readouterr().out
    inputs = "no inputs" if "pde generate" in printed else "unchanged"
    assert f"{name}: equal" in printed and f"{inputs}; running: sciml " in printed
    if name in ("c.zarr", "k.nc", "i.nc"):  # HDF5 does not promise equal bytes, and a history has seconds
        assert "equal, bit for bit" in printed
    assert len(in_this_process) == 1
    assert {path.name: path.stat().st_mtime_ns for path in here.iterdir()} == before


@pytest.mark.slow
def test_a_process_of_its_own_does_not_import_from_the_working_directory(here: Path) -> None:
    (here / "sciml").mkdir()
    (here / "sciml" / "__init__.py").write_text("raise SystemExit('imported from the working directory')")
    assert run("reproduce", "d.zarr", "--json", "result.json") == 0
    assert json.loads(Path("result.json").read_text())["same_bytes"] is True


@pytest.mark.usefixtures("in_this_process")
def test_a_different_file_is_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values: Any = zarr.open_group("d.zarr", mode="r+")["u"]
    values[2, 3, 4] += 0.25
    assert run("reproduce", "d.zarr", "--keep", "rerun", "--json", "result.json", "-q") == 1
    assert "u: 1 of 486 values differ, by at most 0.25" in capsys.readouterr().err
    result = json.loads(Path("result.json").read_text())
    assert (result["equal"], list(result["differences"])) == (False, ["u"])
    assert read_artefact("rerun/d.zarr").kind == "dataset of a PDE"


@pytest.mark.usefixtures("in_this_process")
def test_a_tensor_that_differs_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sciml.train import checkpoint

    made = checkpoint.load("f.sciml")
    name = max(made.tensors, key=lambda each: made.tensors[each].size)
    changed = {**made.tensors, name: made.tensors[name] + 1}
    config = {key: value for key, value in made.config.items() if key not in checkpoint.RESERVED}
    checkpoint.save("other.sciml", {**config, "kind": made.kind}, changed, history=made.history)
    difference = compare("f.sciml", "other.sciml").differences
    assert list(difference) == [name] and "by at most 1" in difference[name]


def test_a_changed_input_is_named(
    here: Path, in_this_process: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with (here / "pairs.nc").open("ab") as file:
        file.write(b"\0")
    for more in ([], ["--check"]):
        assert run("reproduce", "k.sciml", *more) == 2
        printed = capsys.readouterr().err
        assert re.search(r"error: the input pairs\.nc has changed since .*--input pairs\.nc=PATH", printed)
    assert in_this_process == []


def test_a_moved_file_and_a_moved_input(
    here: Path,
    in_this_process: list[list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (here.parent / "elsewhere").mkdir()
    monkeypatch.chdir(here.parent / "elsewhere")
    assert run("reproduce", "../work/k.sciml", "-q") == 0, "the inputs are beside the file"
    (here / "pairs.nc").rename(here.parent / "moved.nc")
    assert run("reproduce", "../work/k.sciml") == 2
    assert "the input pairs.nc is neither here nor beside k.sciml" in capsys.readouterr().err
    assert run("reproduce", "../work/k.sciml", "--input", "pairs.nc=../moved.nc", "-q") == 0
    assert run("reproduce", "../work/k.sciml", "--input", "pair.nc=../moved.nc") == 2
    assert "the recorded inputs are" in capsys.readouterr().err
    assert run("reproduce", "../work/k.sciml", "--input", "pairs.nc=absent") == 2
    assert "absent does not exist" in capsys.readouterr().err
    assert len(in_this_process) == 2


def altered(path: Path, change: Callable[[Provenance], Provenance]) -> None:
    """Replace the record of a netCDF file by another valid one."""
    with netCDF4.Dataset(path, "r+") as file:
        record = parse(file.getncattr(PROVENANCE), path)
        file.setncattr(PROVENANCE, change(record).text())


def test_other_versions_are_warned_of(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    versions = {"sciml": "0.0.9", "torch": "1.0", "compiler": "cc 3"}
    altered(here / "d.nc", lambda record: replace(record, versions=versions, commit="ab" * 20, changed=True))
    assert run("reproduce", "d.nc", "--check") == 0
    printed = capsys.readouterr()
    lines = (printed.out + printed.err).splitlines()
    assert "warning: made with torch 1.0, here is" in "\n".join(lines)
    assert sum(line.startswith("warning: ") for line in lines) == 4
    assert "to run it: sciml pde generate" in lines[-1]


HOSTILE: dict[str, tuple[tuple[str, ...], str]] = {
    "a program": (("rm", "-rf", "work"), "is no command of this version of sciml"),
    "an option of the application": (("--install-completion",), "is no command of this version of sciml"),
    "a group": (("pde",), "is no command of this version of sciml"),
    "another group's command": (("pde", "columns", "d.zarr"), "is no command of this version of sciml"),
    "a command that changes files": (("coupling", "flags", "--apply=victim", "build"), "is not run again"),
    "many commands": (("demo", "-o", "."), "is not run again"),
    "itself": (("reproduce", "d.nc"), "is not run again"),
    "an output of another kind": (("pde", "info", "d.zarr"), "has no output of this kind"),
    "an unknown option": (("pde", "generate", "--run=evil", "darcy-smooth"), "cannot be parsed"),
    "the help": (("pde", "generate", "--help"), "asks for the help"),
    "a value of another type": (("pde", "generate", "--count=many", "darcy-smooth"), "cannot be parsed"),
    "a library": (("convection", "evaluate", "evil.so", "c.zarr"), "which is code"),
    "a library of another output": (("convection", "analogs", "evil.so", "c.zarr"), "which is code"),
    "a folder with a library": (("coupling", "rce", "evil"), "which is code"),
    "no command": ((), "functions of sciml wrote it"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_record_is_refused(
    here: Path, in_this_process: list[list[str]], capsys: pytest.CaptureFixture[str], case: str
) -> None:
    (here / "evil").mkdir()
    for path in (here / "evil.so", here / "evil" / "libsciml_mskf.so", here / "victim"):
        path.write_text("precious")
    words, message = HOSTILE[case]
    altered(here / "d.nc", lambda record: replace(record, command=words, inputs=()))
    assert run("reproduce", "d.nc") == 2
    printed = capsys.readouterr().err
    assert message in printed and "Traceback" not in printed
    assert in_this_process == [], "nothing is run"
    assert (here / "victim").read_text() == "precious"


def test_a_hostile_record_cannot_write_elsewhere(here: Path, in_this_process: list[list[str]]) -> None:
    (here / "victim").write_text("precious")
    words = ("pde", "generate", "--resolution=9", "--count=6", "--seed=11", "--overwrite", "--workers=7")
    words += ("--json=victim", "-o", "victim", "--output=../victim.nc", "--quiet", "--", "darcy-smooth")
    altered(here / "d.nc", lambda record: replace(record, command=words))
    before = sorted(os.listdir(here))
    assert run("reproduce", "d.nc") == 0
    assert (here / "victim").read_text() == "precious"
    assert sorted(os.listdir(here)) == before and not (here.parent / "victim.nc").exists()
    (ran,) = in_this_process
    assert not any(
        "victim" in word or word.startswith(("--workers", "--overwrite", "--json")) for word in ran
    )


def test_an_argument_like_an_option_stays_an_argument(here: Path, in_this_process: list[list[str]]) -> None:
    words = ("pde", "generate", "--count=6", "--", "--json=victim")
    altered(here / "d.nc", lambda record: replace(record, command=words))
    assert run("reproduce", "d.nc") == 2
    assert [ran[-2:] for ran in in_this_process] == [["--", "--json=victim"]]
    assert not (here / "victim").exists()


@pytest.mark.parametrize("path", ["/dev/zero", "pipe"])
def test_an_input_that_does_not_end_is_not_read(
    here: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    os.mkfifo(here / "pipe")
    source = Source("data", path, "0" * 64, 7)
    altered(here / "d.nc", lambda record: replace(record, inputs=(source,)))
    assert run("reproduce", "d.nc", "--check") == 2
    assert "error: " in capsys.readouterr().err


def test_without_a_record(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("wrfinput_d01", "mskf-convrad"):
        assert run("reproduce", name) == 2
        assert "has no record of what made it" in capsys.readouterr().err


@pytest.mark.usefixtures("in_this_process")
def test_the_command_that_failed_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(NOT_RERUN) >= {"demo", "reproduce", "coupling flags"}
    altered(here / "d.nc", lambda record: replace(record, command=(*record.command[:-1], "no-family")))
    assert run("reproduce", "d.nc", "-q") == 2
    assert "the command sciml pde generate ended with exit code 2" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.native
def test_a_library_is_reproduced(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*NATIVE["build"], "--output", "build", "-q") == 0
    for name in ("build", "build/mskf.nc", "build/libsciml_mskf.so"):
        assert run("reproduce", name, "--json", "result.json", "-q") == 0
        assert json.loads(Path("result.json").read_text())["same_bytes"] is True
