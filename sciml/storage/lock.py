"""Locks of outputs: one process at a time writes an output.

The lock of ``runs/m.sciml`` is the file ``runs/.m.sciml.lock``. It is made with O_EXCL, which is atomic on NFS too, and
held with flock, which the kernel releases when the process ends in any way. Its content names the owner: the process,
its host, and its start in ticks since the boot of the host, so that neither a reused number nor a changed clock makes
it another process.

A lock that nobody holds any more is taken over: on a file system whose locks reach all hosts (local disks, NFS with its
lock service, Lustre with ``flock``, GPFS, CephFS) always, on others only if the owner was a process of this host.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sciml.errors import InputError, SciMLError
from sciml.storage.atomic import beside, check_replaceable

__all__ = ["Owner", "lock_path", "owned", "owner_of"]

_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""Errors of flock on a file system without locks."""
_LOCAL: Final = ("nolock", "local_lock=all", "local_lock=flock", "localflock", "nobrl")
"""Mount options with which the locks of a network file system do not reach other hosts."""
_SHARED: Final = (
    "nfs", "nfs4", "lustre", "gpfs", "ceph", "beegfs", "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay"
)  # fmt: skip
"""File systems whose locks reach all hosts that mount them; the local ones have one host."""
_PATIENCE: Final = 200
"""Number of looks at a lock without an owner, because the process that made it may be about to write its name."""
_PAUSE: Final = 0.005
"""Seconds between two looks."""
_held: set[Path] = set()
"""Locks of this process."""


@dataclass(frozen=True)
class Owner:
    """The process that holds a lock.

    Parameters
    ----------
    pid
        Its number.
    host
        Name of its host.
    started
        Boot of the host, and start of the process in ticks since then; empty where the system does not say it.
    """

    pid: int
    host: str
    started: str

    @staticmethod
    def this() -> Owner:
        """Describe this process."""
        return Owner(os.getpid(), platform.node(), _started(os.getpid()))

    def __str__(self) -> str:
        return f"{self.pid} on {self.host}"

    def is_alive(self) -> bool:
        """Return whether the process runs on this host."""
        if self.host != platform.node():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OverflowError:
            return False
        except PermissionError:
            pass
        return _started(self.pid) in ("", self.started) or not self.started


def _started(pid: int) -> str:
    """Return the boot of this host and the start of a process in ticks since then; empty if unknown or ended."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return ""
    return f"{boot}/{fields[19]}"


def lock_path(output: str | Path) -> Path:
    """Return the path of the lock of an output.

    Examples
    --------
    >>> lock_path("/data/m.sciml").name
    '.m.sciml.lock'
    """
    output = Path(output)
    return beside(output.parent.resolve() / output.name, "lock")


def owner_of(output: str | Path) -> Owner | None:
    """Return the process that wrote its name into the lock of an output; None without a lock, or without a name."""
    return _read(lock_path(output))


@contextlib.contextmanager
def owned(output: str | Path, *, nested: bool = False) -> Iterator[None]:
    """Let no other process write an output while the block runs.

    Folders that do not exist are made; they are removed at the end if they are empty.

    Parameters
    ----------
    output
        Path that will be written.
    nested
        Whether the lock may be held by this process already, which then keeps it.

    Raises
    ------
    InputError
        Another process writes the output; the message names it. Or the path cannot be written to.
    SciMLError
        The folder cannot be written: it is read-only or the disk is full.
    """
    output = Path(output)
    check_replaceable(output, folder=True)
    path = lock_path(output)
    if nested and path in _held:
        yield
        return
    made = _make_folders(path.parent, output)
    try:
        descriptor = _acquire(path, output)
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
            with contextlib.suppress(OSError):
                if _is_file(descriptor, path):
                    path.unlink()
            os.close(descriptor)
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _make_folders(folder: Path, output: Path) -> list[Path]:
    """Make a folder and those above it; return those that did not exist, the lowest first."""
    absent = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(output, error) from error
    return absent


def _cannot_write(output: Path, error: OSError) -> SciMLError:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SciMLError(f"cannot write {output}: {reason}; free some space, or give another path")
    return SciMLError(f"cannot write {output}: {reason}; give a path in a folder that you may write to")


def _acquire(path: Path, output: Path) -> int:
    """Return the descriptor of the lock, which this process then holds."""
    looks = 0
    while True:
        try:
            descriptor, new = _open(path)
        except FileNotFoundError:
            continue  # released between two calls
        except OSError as error:
            raise _cannot_write(output, error) from error
        try:
            if new:
                _make_own(descriptor, path, output)
                return descriptor
            locked = _flock(descriptor)
            owner = _read(path)
            if _is_file(descriptor, path):
                if owner is None and looks < _PATIENCE:
                    looks += 1
                elif locked is False or (owner is not None and not _may_take_over(owner, locked, path)):
                    raise _refusal(output, owner, path)
                else:
                    _write(descriptor, output)
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        time.sleep(_PAUSE)


def _make_own(descriptor: int, path: Path, output: Path) -> None:
    """Lock the file that this process made, and write its owner; remove it after an error."""
    try:
        for _ in range(_PATIENCE):
            if _flock(descriptor) is not False:
                break
            time.sleep(_PAUSE)  # another process looks at it
        _write(descriptor, output)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _open(path: Path) -> tuple[int, bool]:
    """Open a lock, and return whether it is a new one."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666), True
    except FileExistsError:
        return os.open(path, flags), False


def _flock(descriptor: int) -> bool | None:
    """Try to lock a file; None on a file system without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in _NO_LOCKS else False
    return True


def _may_take_over(owner: Owner, locked: bool | None, path: Path) -> bool:
    """Return whether the owner has ended for certain."""
    if owner.host == platform.node():
        return not owner.is_alive()
    return bool(locked) and _reaches_all_hosts(path.parent)


def _reaches_all_hosts(folder: Path) -> bool:
    """Return whether a lock on the file system of a folder excludes the processes of all hosts that mount it."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        device = os.stat(folder).st_dev
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        place, _, mounted = line.partition(" - ")
        if place.split()[2] == number:
            kind, options = mounted.split()[0], f"{place.split()[5]},{mounted.split()[-1]}".split(",")
            return kind in _SHARED and not set(_LOCAL) & set(options)
    return False


def _is_file(descriptor: int, path: Path) -> bool:
    """Return whether the path is still the file of the descriptor."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read(path: Path) -> Owner | None:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(4096))
        return Owner(int(content["pid"]), str(content["host"]), str(content["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(descriptor: int, output: Path) -> None:
    this = Owner.this()
    text = json.dumps({"pid": this.pid, "host": this.host, "started": this.started})
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{text}\n".encode(), 0)
    except OSError as error:
        raise _cannot_write(output, error) from error


def _refusal(output: Path, owner: Owner | None, path: Path) -> InputError:
    who = f" ({owner})" if owner else ""
    remedy = "wait for it, or choose another name"
    if owner is not None and owner.host != platform.node():
        remedy = f"wait for it, choose another name, or remove {path} if that process has ended"
    return InputError(f"another process{who} is writing {output}: {remedy}")
