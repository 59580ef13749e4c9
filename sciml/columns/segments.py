"""Which wrfouts are one run, one after another, and which of their frames are taken: each once."""

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
# Equal to the bit in one frame kept twice, and hardly in two runs.
_TELLING: Final = ("T", "QVAPOR", "W0AVG", "NCA", "HFX", "XLAT", "XLONG")

Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Member:
    """A file: its run (whatever tells runs apart), the times of its frames, and its grid."""

    path: str
    run: tuple[str | int, ...]
    times: Times
    size: tuple[int, int, int]


@dataclass(frozen=True)
class Part:
    """Frames [first, last) of a member, by its number, and the file that holds the frame before, or ""."""

    member: int
    first: int
    last: int
    before: str


def experiment(path: Path) -> tuple[str, str]:
    """The folder and the name without its date: files that differ in either are not one run's.

    Examples
    --------
    >>> experiment(Path("hot/wrfout_d01_2007-06-10_12:00:00"))[1]
    'wrfout_d01_'
    """
    return str(path.parent), _DATE.sub("", path.name)


def linked(members: Mapping[int, Member]) -> dict[int, list[Part]]:
    """Put the files of each run in the order of time; by the number of the run's file that was given first.

    A frame that two files of a run share (restarts) is taken from the first. Two runs are found to be one, kept
    twice or in two folders, by the last frame that both have; this is warned of.

    Raises
    ------
    InputError
        A file whose frames are not in the order of time.
    """
    runs: dict[tuple[str | int, ...], list[int]] = {}
    for number, member in members.items():
        late = np.flatnonzero(np.diff(member.times) <= np.timedelta64(0, "ns"))
        if len(late):
            one, two = member.times[late[0] : late[0] + 2]
            raise InputError(
                f"{member.path}: frame {late[0] + 1} ({_clock(two)}) does not come after frame {late[0]} "
                f"({_clock(one)}): sort its frames by time, each once"
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
                f"{len(taken)} frames of {members[in_time[0]].path} and what follows it are in other files too: "
                "each is taken once",
                stacklevel=4,
            )
        parts[numbers[0]] = _parts(members, in_time, taken)
        done.append(own)
    return parts


def _clock(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]"))


def _one_run(a: dict[np.datetime64, tuple[str, int]], b: dict[np.datetime64, tuple[str, int]]) -> bool:
    """Whether the last frame at a time that both have is the same to the bit.

    The last, since runs may well begin from one state.
    """
    common = a.keys() & b.keys()
    if not common:
        return False
    (one, i), (two, j) = (run[max(common)] for run in (a, b))
    first, second = read_slab(one, _TELLING, Slab(i, i + 1)), read_slab(two, _TELLING, Slab(j, j + 1))
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
