"""Plan of a store: its files, their division into blocks, and the position of each block in the store.

The plan depends only on the files and the options, not on the workers. Therefore the bytes of the store are the same
for any number of workers, and an interrupted call can be resumed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.columns.classes import DEEP, NONE, SHALLOW, UNKNOWN, Classes
from sciml.columns.extract import Keep
from sciml.columns.fields import CLASS_FIELDS, TARGETS, needed, read_header
from sciml.columns.formats import Form, form_of, run_number, scheme_attrs
from sciml.columns.inputs import capture_kinds, frame_kinds, grid_times, has_stored_targets, returned_kinds
from sciml.columns.missing import other_scheme, require_inputs, require_scheme
from sciml.columns.paths import expand_columns
from sciml.columns.reference import companion_frames, match_companions
from sciml.columns.segments import Member, experiment, linked
from sciml.errors import InputError
from sciml.schemes.mskf import MSKF
from sciml.wrf.diagnostics import theta_source
from sciml.wrf.hyperslab import Slab, read_slab
from sciml.wrf.requirements import require_all, require_faces, require_frames
from sciml.wrf.runs import RUN_START, run_starts
from sciml.wrf.times import frame_times, gregorian
from sciml.wrf.vertical import warn_of_pressure

__all__ = [
    "Block",
    "SourceFile",
    "before_slab",
    "blocks_of",
    "companion_slab",
    "count_slabs",
    "describe_sources",
    "identity",
    "slabs_of",
]

PAIRS: Final = (NONE, SHALLOW, DEEP)


@dataclass(frozen=True)
class SourceFile:
    """A file of a store.

    Attributes
    ----------
    path, truth
        Paths of the file and of its companion; "" without a companion.
    form
        Form of the file.
    run
        Number of the run of its columns.
    frames
        Half-open range of the selected frames (of columns, for drawn pairs).
    size
        (bottom_top, south_north, west_east); (bottom_top, 1, 1) for drawn pairs.
    before
        Path of the file with the output before the first frame, or "".
    grain
        Numbers of frames and rows (or columns) in a compressed chunk of the file.
    fields
        Variables of the file from which its columns are made.
    targets
        Targets of its columns.
    attrs
        Attributes DX, DT, CUDT and STEPCU.
    fingerprint
        Hash of size, modification time, head and tail of the file.
    """

    path: str
    truth: str
    form: Form
    run: int
    frames: tuple[int, int]
    size: tuple[int, int, int]
    before: str
    grain: tuple[int, int]
    fields: tuple[str, ...]
    targets: tuple[str, ...]
    attrs: dict[str, float]
    fingerprint: str


@dataclass(frozen=True)
class Block:
    """Slab of a source that a task reads, and range [first, last) of the columns that it writes."""

    number: int
    source: int
    slab: Slab
    first: int
    last: int


def _fingerprint(path: Path) -> str:
    """Hash of size, modification time, and the first and last 256 kB, which is fast for many files.

    The time identifies a run that was repeated: head and tail of WRF's uncompressed output may be equal.
    """
    stat, piece = path.stat(), 1 << 18
    size = stat.st_size
    digest = hashlib.sha256(f"{size} {stat.st_mtime_ns}".encode())
    with path.open("rb") as file:
        digest.update(file.read(piece))
        if size > piece:
            file.seek(max(piece, size - piece))
            digest.update(file.read())
    return digest.hexdigest()[:16]


def _targets(ds: xr.Dataset, form: Form, truth: str) -> tuple[str, ...]:
    if truth:
        present = set(map(str, read_header(truth).variables))
    elif form == "wrfout" and not has_stored_targets(ds):
        return ()
    else:
        present = set(map(str, ds.variables))
    if (truth or form != "wrfout") and "RQRCUTEN" in present:
        present.add("RQSCUTEN")  # zero if it is missing, as in `convection_columns`
    return tuple(name for name in TARGETS if name in present)


def describe_sources(
    paths: str | Path | Iterable[str | Path],
    truth: str | Path | Iterable[str | Path] | None,
    run: int | None,
) -> list[SourceFile]:
    """Read the headers of all files, assign companions to wrfouts, and order the wrfouts of each run.

    Raises
    ------
    InputError
        Files cannot be used, or cannot be in the same store.
    """
    files = list(dict.fromkeys(path.resolve() for path in expand_columns(paths)))
    companions = {} if truth is None else match_companions([f for f in files if _form(f) == "wrfout"], truth)
    sources: list[SourceFile] = []
    members: dict[int, Member] = {}
    schemes: dict[Path, int] = {}
    for path in files:
        ds = read_header(path)
        form = form_of(ds)
        source = _describe(ds, path, form, companions.get(path), run)
        if form == "wrfout":
            times = frame_times(ds)
            key = (*experiment(path), _start(ds, times), source.run)
            members[len(sources)] = Member(source.path, key, gregorian(times), source.size)
        sources.append(source)
        if source.targets and not source.truth:
            schemes[path] = other_scheme(ds) or MSKF.cu_physics
    _check_schemes(schemes)
    parts = linked(members)
    chained: list[SourceFile] = []
    for number, source in enumerate(sources):
        if source.form == "wrfout":
            mine = parts.get(number, [])  # the first file of a run also adds the others
            chained += [replace(sources[p.member], frames=(p.first, p.last), before=p.before) for p in mine]
        else:
            chained.append(source)
    return chained


def _start(ds: xr.Dataset, times: npt.NDArray[np.datetime64]) -> str:
    """Start of the run of the first frame, to the minute, because XTIME is rounded."""
    return str((run_starts(ds, times)[0] + np.timedelta64(30, "s")).astype("datetime64[m]"))


def _form(path: Path) -> Form:
    return form_of(read_header(path))


def _describe(ds: xr.Dataset, path: Path, form: Form, companion: Path | None, run: int | None) -> SourceFile:
    if form == "columns":
        raise InputError(f"{path} contains columns already: open it with open_columns")
    if form == "wrfout" and "SOURCE_FILE" in ds.attrs and "T" not in ds.variables:
        raise InputError(
            f"{path} is the truth of {ds.attrs['SOURCE_FILE']} and has no state: give it with truth= (--reference)"
        )
    axis = "column" if form == "pairs" else "Time"
    grid = () if form == "pairs" else ("south_north", "west_east")
    if form != "pairs":
        require_frames(ds)
    if form == "wrfout":
        require_inputs(ds, truth=companion is not None)
    else:
        require_all(ds, MSKF.input_names)
    if not all(ds.sizes.get(dim) for dim in (axis, *grid)):
        raise InputError(f"{path} contains no columns: its dimensions are {dict(ds.sizes)}")
    if form == "wrfout":
        require_faces(ds)
        theta_source(ds)
        warn_of_pressure(ds)
    profile = next(n for n in ("T_PHY", "T", "THM") if n in ds.variables)
    levels = ds[profile].sizes
    vertical = next(int(levels[d]) for d in levels if d in ("bottom_top", "level"))
    size = (vertical, 1, 1) if form == "pairs" else (vertical, ds.sizes["south_north"], ds.sizes["west_east"])
    attrs = {k: float(v) for k, v in scheme_attrs(ds).items() if k in ("DX", "DT", "CUDT", "STEPCU")}
    truth = "" if companion is None else str(companion.resolve())
    if companion is not None:
        companion_frames(ds, read_header(companion), frame_times(ds))
    return SourceFile(
        path=str(path),
        truth=truth,
        form=form,
        run=run_number(path.name) if run is None else run,
        frames=(0, ds.sizes[axis]),
        size=size,
        before="",
        grain=_grain(ds, str(profile)),
        fields=needed(form, set(map(str, ds.variables)), truth=bool(truth)),
        targets=_targets(ds, form, truth),
        attrs=attrs,
        fingerprint=_fingerprint(path) + (_fingerprint(companion) if companion else ""),
    )


def _grain(ds: xr.Dataset, name: str) -> tuple[int, int]:
    """Numbers of frames and rows in a compressed chunk of the file, so that no chunk is decompressed twice."""
    lengths = dict(zip(ds[name].dims, ds[name].encoding.get("chunksizes") or (), strict=False))
    frames = lengths.get("Time", lengths.get("column", 1))
    return int(frames), int(lengths.get("south_north", 1))


def _check_schemes(schemes: Mapping[Path, int]) -> None:
    """Check that the outputs in the files are those of one scheme."""
    for path, scheme in schemes.items():
        first = next(iter(schemes))
        if scheme != schemes[first]:
            raise InputError(
                f"{path} has outputs of cu_physics={scheme} but {first} of cu_physics={schemes[first]}: columns of "
                "different schemes cannot be mixed, leave out one of them"
            )
        require_scheme(None if scheme == MSKF.cu_physics else scheme, str(path))


def before_slab(source: SourceFile, slab: Slab) -> xr.DataArray | None:
    """NCA of the output before a slab, from the same file or the file before; None if there is no such output.

    Its coordinates are Time and RUN_START of that output.
    """
    names = ("NCA", "Times", "XTIME", RUN_START)
    if source.form != "wrfout" or source.truth:
        return None
    if slab.start > 0:
        earlier = read_slab(source.path, names, Slab(slab.start - 1, slab.start, slab.rows))
    elif source.before:
        end = read_header(source.before).sizes["Time"]
        earlier = read_slab(source.before, names, Slab(end - 1, end, slab.rows))
    else:
        return None
    if "NCA" not in earlier:
        return None
    times = frame_times(earlier)
    nca = earlier["NCA"].isel(Time=0)
    return nca.assign_coords({"Time": times[0], RUN_START: run_starts(earlier, times)[0]})


def count_source(source: SourceFile) -> npt.NDArray[np.int8]:
    """KIND of all columns of a source, (frame, row, column), from its fields without levels."""
    whole = Slab(*source.frames)
    ds = read_slab(source.path, CLASS_FIELDS, whole)
    if source.form == "pairs":
        return returned_kinds(ds, ("column",), scheme_attrs(ds)["CUDT"]).reshape(-1, 1, 1)
    if source.form == "capture":
        return capture_kinds(ds)
    times = grid_times(ds)
    if source.truth:
        fields = ("NCA", "PRATEC", "CUTOP", "Times", "XTIME")
        other = companion_slab(source, times["Time"].values, fields)
        return returned_kinds(other, cudt=scheme_attrs(ds)["CUDT"])
    if not source.targets:
        return np.full((ds.sizes["Time"], *source.size[1:]), UNKNOWN, dtype=np.int8)
    return frame_kinds(ds, times, before_slab(source, whole))


def companion_slab(
    source: SourceFile, times: npt.NDArray[np.datetime64], names: tuple[str, ...], slab: Slab | None = None
) -> xr.Dataset:
    """Named fields of the companion at these times, in memory."""
    stamps = frame_times(read_slab(source.truth, ("Times", "XTIME")))
    order = {stamp: k for k, stamp in enumerate(stamps)}
    wanted = [order[stamp] for stamp in times]
    low = min(wanted)
    rows = None if slab is None else slab.rows
    return read_slab(source.truth, names, Slab(low, max(wanted) + 1, rows)).isel(
        Time=[k - low for k in wanted]
    )


def rows_and_frames(source: SourceFile, block_bytes: int) -> tuple[int, int]:
    """Numbers of frames and rows in a block that reads about `block_bytes`."""
    levels, rows, columns = source.size
    profile = 4 * levels * (len(MSKF.input_names) + len(source.targets))
    frame = profile * rows * columns
    grain_frames, grain_rows = source.grain
    if frame * grain_frames <= block_bytes:
        return block_bytes // (frame * grain_frames) * grain_frames, rows
    fitting = block_bytes // (profile * columns * grain_frames)
    return grain_frames, min(rows, max(1, fitting // grain_rows) * grain_rows)


def blocks_of(
    sources: Sequence[SourceFile], counts: Iterator[list[int]] | Iterable[list[int]], block_bytes: int
) -> list[Block]:
    """Divide the sources into blocks, and place each block by the number of columns that each slab contributes."""
    blocks: list[Block] = []
    first = 0
    for index, (source, numbers) in enumerate(zip(sources, counts, strict=True)):
        for slab, number in zip(slabs_of(source, block_bytes), numbers, strict=True):
            blocks.append(Block(len(blocks), index, slab, first, first + number))
            first += number
    return blocks


def slabs_of(source: SourceFile, block_bytes: int) -> list[Slab]:
    """Slabs of a source, in the order of their columns in the store."""
    frames, rows = rows_and_frames(source, block_bytes)
    out = []
    for start in range(*source.frames, frames):
        stop = min(start + frames, source.frames[1])
        if rows >= source.size[1]:
            out.append(Slab(start, stop))
        else:
            out += [
                Slab(start, stop, (j, min(j + rows, source.size[1]))) for j in range(0, source.size[1], rows)
            ]
    return out


def count_slabs(source: SourceFile, block_bytes: int, keep: Keep) -> tuple[list[int], Classes]:
    """Number of columns that each slab contributes, and the classes of all columns of the source."""
    kind = count_source(source)
    chosen = np.isin(kind, PAIRS) if keep == "pairs" else np.ones(kind.shape, bool)
    numbers = []
    for slab in slabs_of(source, block_bytes):
        piece = chosen[slab.start - source.frames[0] : slab.stop - source.frames[0]]
        numbers.append(int(np.count_nonzero(piece if slab.rows is None else piece[:, slice(*slab.rows)])))
    return numbers, Classes.count(kind)


def identity(sources: Sequence[SourceFile], options: dict[str, Any]) -> str:
    """Return a text that is equal for two plans if and only if they write the same store."""
    paths = ("path", "truth", "before")
    listed = [asdict(s) | {k: Path(getattr(s, k)).name for k in paths} for s in sources]
    return json.dumps({"sources": listed, "options": options}, sort_keys=True)
