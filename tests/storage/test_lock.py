"""Locks: one writer at a time, owners that were killed, other hosts, clocks, and file systems without locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sciml.cli import main
from sciml.errors import InputError, SciMLError
from sciml.storage import lock
from sciml.storage.atomic import replaced
from sciml.storage.lock import Owner, lock_path, owned, owner_of
from tests.paths import REPO

HOLDER = """
import sys, time
from sciml.storage.lock import owned

with owned(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(output: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock of an output."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(output)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def write_owner(output: Path, **other: Any) -> Path:
    """Write a lock of this process, with other values."""
    this = Owner.this()
    content = {"pid": this.pid, "host": this.host, "started": this.started, **other}
    path = lock_path(output)
    path.write_text(json.dumps(content))
    return path


def test_a_second_writer_is_refused_and_a_killed_one_replaced(tmp_path: Path) -> None:
    output = tmp_path / "m.sciml"
    process = holder(output)
    with pytest.raises(
        InputError, match=rf"another process \({process.pid} on .*\) is writing .*m\.sciml: wait"
    ):
        owned(output).__enter__()
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert lock_path(output).exists()
    with owned(output):
        owner = owner_of(output)
        assert owner is not None and owner.pid == os.getpid() and owner.is_alive()
    assert list(tmp_path.iterdir()) == []


def test_the_same_process_may_not_write_twice_unless_it_asks(tmp_path: Path) -> None:
    output = tmp_path / "m.sciml"
    with owned(output):
        with pytest.raises(InputError, match=f"{os.getpid()} on"):
            owned(output).__enter__()
        with owned(output, nested=True):
            pass
        assert lock_path(output).exists()
    assert not lock_path(output).exists()


def test_a_reused_number_is_another_process(tmp_path: Path) -> None:
    """The process of that number runs, but started at another time; the clock of the day is not asked."""
    output = tmp_path / "m.sciml"
    path = write_owner(output, started="another-boot/17")
    with owned(output):
        assert owner_of(output) == Owner.this()
    assert not path.exists()


def test_a_living_owner_without_the_lock_of_the_system_is_respected(tmp_path: Path) -> None:
    """As on a file system without locks, or after a file server lost them."""
    output = tmp_path / "m.sciml"
    path = write_owner(output)
    with pytest.raises(InputError, match=f"{os.getpid()} on"):
        owned(output).__enter__()
    assert path.exists()


@pytest.mark.parametrize("reaches", [True, False])
def test_an_owner_on_another_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reaches: bool) -> None:
    output = tmp_path / "m.sciml"
    path = write_owner(output, host="nid001234", pid=17)
    monkeypatch.setattr(lock, "_reaches_all_hosts", lambda folder: reaches)
    if reaches:
        with owned(output):
            pass
        assert not path.exists()
        return
    with pytest.raises(InputError, match=rf"17 on nid001234.*remove {path} if that process has ended"):
        owned(output).__enter__()
    path.unlink()
    with owned(output):
        pass


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    output = tmp_path / "m.sciml"
    with owned(output), pytest.raises(InputError, match=f"{os.getpid()} on"):
        owned(output).__enter__()
    write_owner(output, started="another-boot/17")
    with owned(output):
        pass
    write_owner(output, host="nid001234")
    with pytest.raises(InputError, match="remove"):
        owned(output).__enter__()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1e99, "host": "", "started": ""}', "\0" * 99]
)
def test_a_damaged_lock_belongs_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(lock, "_PAUSE", 0.0)
    lock_path(tmp_path / "m.sciml").write_text(content)
    with owned(tmp_path / "m.sciml"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_jump_of_the_clock_and_times_in_the_future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "m.sciml"
    write_owner(output, started="another-boot/17")
    os.utime(lock_path(output), (4e9, 4e9))
    times = iter([2e9, 1e9, 3e9, 0.0])
    monkeypatch.setattr(time, "time", lambda: next(times, 5e9))
    with owned(output), pytest.raises(InputError):
        owned(output).__enter__()


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear all")
    lock_path(tmp_path / "m.sciml").symlink_to(tmp_path / "letter")
    with pytest.raises(SciMLError, match="cannot write"):
        owned(tmp_path / "m.sciml").__enter__()
    assert (tmp_path / "letter").read_text() == "dear all"


def test_folders_are_made_and_removed(tmp_path: Path) -> None:
    with owned(tmp_path / "a" / "b" / "m.sciml"):
        assert lock_path(tmp_path / "a" / "b" / "m.sciml").exists()
    assert list(tmp_path.iterdir()) == []
    with owned(tmp_path / "a" / "b" / "m.sciml"):
        (tmp_path / "a" / "note").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "note"]


def test_long_names(tmp_path: Path) -> None:
    output = tmp_path / ("µ" * 126)
    with owned(output), replaced(output) as part:
        part.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_a_command_refuses_an_output_that_another_process_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = holder(tmp_path / "f.json")
    try:
        with pytest.raises(SystemExit) as ended:
            main(["pde", "families", "--json", str(tmp_path / "f.json"), "--quiet"])
    finally:
        process.kill()
        process.wait(10)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: another process ({process.pid} on {platform.node()}) is writing")
    assert error.count("\n") == 1


def test_temporary_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    output, gone = tmp_path / "m.json", 2**22 - 3  # above the largest number of a process here
    if Path(f"/proc/{gone}").exists():
        pytest.skip("there is a process of that number")
    left = tmp_path / f".m.json.{platform.node()}-{gone}.part"
    other = tmp_path / f".m.json.elsewhere-{gone}.part"
    another = tmp_path / f".n.json.{platform.node()}-{gone}.part"
    for path in (left, other, another):
        path.write_text("half")
    with replaced(output) as part:
        part.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"m.json", other.name, another.name}


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool) -> None:
    """Also on file systems that cannot exchange two names, where a killed process may leave the old folder aside."""
    if not exchange:
        monkeypatch.setattr("sciml.storage.atomic._exchange", lambda first, second: False)
    output = tmp_path / "m"
    for text in ("old", "new"):
        with replaced(output, folder=True) as part:
            part.mkdir()
            (part / "config").write_text(text)
    assert (output / "config").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    os.replace(output, tmp_path / f".m.{platform.node()}-{2**22 - 3}.old")
    with pytest.raises(KeyboardInterrupt), replaced(output, folder=True):
        raise KeyboardInterrupt
    assert (output / "config").read_text() == "new"
