"""Runs of several wrfouts: the order of the files, and the frames that are used, each once."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError
from sciml.wrf.hyperslab import Slab, read_slab

__all__ = ["Member", "Part", "experiment", "linked"]

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d([_T-]?\d\d.?\d\d.?\d\d)?")
# Bit-identical in two copies of a frame, and almost never in two runs.
_DISTINGUISHING: Final = ("T", "QVAPOR", "W0AVG", "NCA", "HFX", "XLAT", "XLONG")

Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Member:
    """A file: a key that identifies its run, the times of its frames, and the size of its grid."""

    path: str
    run: tuple[str | int, ...]
    times: Times
    size: tuple[int, int, int]


@dataclass(frozen=True)
class Part:
    """Range [first, last) of the frames of a member, by its number, and the file with the frame before, or ""."""

    member: int
    first: int
    last: int
    before: str


def experiment(path: Path) -> tuple[str, str]:
    """Folder, and name without its date; files that differ in either belong to different runs.

    Examples
    --------
    >>> experiment(Path("hot/wrfout_d01_2007-06-10_12:00:00"))[1]
    'wrfout_d01_'
    """
    return str(path.parent), _DATE.sub("", path.name)


def linked(members: Mapping[int, Member]) -> dict[int, list[Part]]:
    """Sort the files of each run by time; the key is the number of the first given file of the run.

    A frame that two files of a run share (restarts) is read from the first. Two copies of the same run, for example
    in two folders, are recognised by the last frame that both have, with a warning.

    Raises
    ------
    InputError
        The frames of a file are not sorted by time.
    """
    runs: dict[tuple[str | int, ...], list[int]] = {}
    for number, member in members.items():
        late = np.flatnonzero(np.diff(member.times) <= np.timedelta64(0, "ns"))
        if len(late):
            time, following = member.times[late[0] : late[0] + 2]
            raise InputError(
                f"{member.path}: frame {late[0] + 1} ({_clock(following)}) does not come after frame {late[0]} "
                f"({_clock(time)}): sort its frames by time, each once"
            )
        runs.setdefault((*member.run, *member.size), []).append(number)
    parts: dict[int, list[Part]] = {}
    done: list[dict[np.datetime64, tuple[str, int]]] = []
    for numbers in runs.values():
        in_time = sorted(numbers, key=lambda n: (members[n].times[0], members[n].path))
        own = {t: (members[n].path, k) for n in reversed(in_time) for k, t in enumerate(members[n].times)}
        taken = {t for other in done if _one_run(own, other) for t in other.keys() & own.keys()}
        if taken:
            warnings.warn(
                f"{len(taken)} frames of {members[in_time[0]].path} and the files after it are in other files too: "
                "each is used once",
                stacklevel=4,
            )
        parts[numbers[0]] = _parts(members, in_time, taken)
        done.append(own)
    return parts


def _clock(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]"))


def _one_run(a: dict[np.datetime64, tuple[str, int]], b: dict[np.datetime64, tuple[str, int]]) -> bool:
    """Whether the last frame that both have is bit-identical.

    The last frame is compared, because different runs may begin from the same state.
    """
    common = a.keys() & b.keys()
    if not common:
        return False
    (path_a, i), (path_b, j) = (run[max(common)] for run in (a, b))
    first, second = (
        read_slab(path_a, _DISTINGUISHING, Slab(i, i + 1)),
        read_slab(path_b, _DISTINGUISHING, Slab(j, j + 1)),
    )
    shared = [name for name in first.data_vars if name in second]
    return bool(shared) and all(np.array_equal(first[n].values, second[n].values) for n in shared)


def _parts(members: Mapping[int, Member], numbers: Sequence[int], taken: set[np.datetime64]) -> list[Part]:
    parts: list[Part] = []
    seen = set(taken)
    last: Member | None = None
    for number in numbers:
        member = members[number]
        new = np.array([time not in seen for time in member.times])
        seen.update(member.times)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], new, [False]])))
        for first, stop in edges.reshape(-1, 2):
            follows = first == 0 and last is not None and last.times[-1] < member.times[0]
            parts.append(Part(number, int(first), int(stop), last.path if last and follows else ""))
        if last is None or member.times[-1] > last.times[-1]:
            last = member
    return parts
