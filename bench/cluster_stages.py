"""CPU seconds and bytes of the stages of commands, measured in one process, for bench/cluster.py."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cluster_model import Stage

from sciml.columns import blocks, write
from sciml.columns.open import open_columns
from sciml.convection.emulator import Emulator
from sciml.parallel import cluster
from sciml.parallel.bounded import TaskRunner
from sciml.parallel.parts import Part
from sciml.verify.emulator import evaluate
from sciml.verify.forecast import mean_state, rain_scores
from sciml.verify.forecast.compare import compare_runs, open_source

EMULATOR = "mskf-convrad"


class Stopwatch:
    """CPU seconds by stage of functions that are replaced by timed ones; seconds inside another stage count there."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner = 0.0

    def timing(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that adds its CPU seconds to a stage."""

        def call(*args: Any, **kwargs: Any) -> Any:
            outer, self._inner = self._inner, 0.0
            begun = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                whole = time.process_time() - begun
                self.seconds[stage] += whole - self._inner
                self._inner = outer + whole

        return call

    @contextlib.contextmanager
    def patched(self, *places: tuple[Any, str, str]) -> Iterator[None]:
        """Time functions: module or class, name, stage."""
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
        for owner, name, stage in places:
            setattr(owner, name, self.timing(stage, getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name, function in before:
                setattr(owner, name, function)


def _do_nothing(item: int) -> int:
    return item


def scheduler_seconds(count: int = 600) -> float:
    """Return the CPU seconds of this process, with client and scheduler, for a task without content."""
    with cluster.client(n_workers=1, processes=True) as client:
        run = TaskRunner(client)
        list(run(_do_nothing, range(50), lambda done, total: None))
        begun = time.process_time()
        list(run(_do_nothing, range(count), lambda done, total: None))
        return (time.process_time() - begun) / count


def columns_stages(files: list[Path], work: Path) -> list[Stage]:
    """Measure the stages of `write_columns` with one process."""
    watch, store = Stopwatch(), work / "stages.zarr"
    counted: Counter[str] = Counter()

    def count(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            counted[name] += 1
            return function(*args)

        return call

    places = (
        (write, "describe_sources", "plan"),
        (write, "_count", "count"),
        (write, "write_block", "block"),
        (write, "write_seam", "seam"),
        (write, "seams", "list of seams"),
        (blocks, "read_slab", "read"),
        (blocks, "put_chunks", "compress and write"),
        (blocks, "save_arrays", "edges"),
        (Path, "write_bytes", "chunks"),
    )
    with contextlib.ExitStack() as stack:
        for name in ("_count", "write_block", "write_seam"):
            stack.callback(setattr, write, name, getattr(write, name))
            setattr(write, name, count(getattr(write, name), name))
        stack.enter_context(watch.patched(*places))
        begun = time.process_time()
        write.write_columns(files, store, workers=1, overwrite=True)
        whole = time.process_time() - begun
    took, number = watch.seconds, counted["write_block"]
    stored = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    rest = whole - sum(took.values())
    per = {name: seconds / number for name, seconds in took.items()}
    return [
        Stage("plan", 0, central_s=took["plan"]),
        Stage("count", counted["_count"], read_s=took["count"] / counted["_count"]),
        Stage(
            "blocks",
            number,
            read=size / number,
            write=stored / number,
            read_s=per["read"],
            compute_s=per["block"] + per["compress and write"],
            write_s=per["chunks"] + per["edges"],
        ),
        Stage("list of seams", 0, central_s=took["list of seams"]),
        Stage("empty store", 0, central_s=rest, grows=False),
        Stage("seams", counted["write_seam"], compute_s=took["seam"] / counted["write_seam"]),
    ]


def fixed_and_growing(name: str, small: float, large: float, ratio: float) -> list[Stage]:
    """Divide serial seconds, measured for two sizes of the input, into a fixed part and one that grows."""
    slope = max(0.0, (large - small) / (ratio - 1))
    return [
        Stage(f"{name}, fixed", 0, central_s=max(0.0, large - ratio * slope), grows=False),
        Stage(name, 0, central_s=ratio * slope),
    ]


def evaluate_stages(work: Path, blocks_of_it: int = 4) -> list[Stage]:
    """Measure the stages of `assess` with one process."""
    store = work / "stages.zarr"
    columns = open_columns(store, keep="all")
    total, emulator = columns.sizes["column"], Emulator.load(EMULATOR)
    size = min(4096, total // blocks_of_it)
    places = (
        (Part, "load", "read"),
        (evaluate._Scoring, "__call__", "block"),
        (evaluate.ScoreAccumulator, "merge", "merge"),
    )
    serial = []
    for number in (1, blocks_of_it):
        part, watch = columns.isel(column=slice(0, number * size)), Stopwatch()
        begun = time.process_time()
        with watch.patched(*places):
            evaluate.assess(part, emulator, block=size, by=[["class"]])
        serial.append(time.process_time() - begun - sum(watch.seconds.values()))
    begun = time.process_time()
    message = len(pickle.dumps(Part(columns.isel(column=slice(0, size)))))
    pickling = time.process_time() - begun
    stored = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    block = Stage(
        "blocks",
        blocks_of_it,
        read=stored * size / total,
        read_s=watch.seconds["read"] / blocks_of_it,
        compute_s=watch.seconds["block"] / blocks_of_it,
        central_s=watch.seconds["merge"] / blocks_of_it + pickling,
    )
    print(f"evaluate  message of a task: {message / 1e3:.0f} kB")
    whole = total / (size * blocks_of_it)
    rest = fixed_and_growing("tables", *serial, blocks_of_it)
    return [stage.times(whole) for stage in (block, *rest)]


def compare_stages(work: Path) -> list[Stage]:
    """Measure the stages of `compare_runs` with one process."""
    places = ((mean_state, "_sums_of_a_frame", "frame"), (rain_scores, "_squares", "windows"))
    runs = [sorted((work / name).iterdir()) for name in ("reference", "candidate")]
    serial = []
    for some in ([run[0] for run in runs], [work / "reference", work / "candidate"]):
        watch = Stopwatch()
        begun = time.process_time()
        with watch.patched(*places):
            compare_runs(*(open_source(path) for path in some), resamples=200)
        serial.append(time.process_time() - begun - sum(watch.seconds.values()))
    run = open_source(work / "reference").run
    assert run is not None
    frames, size = run.sizes["Time"], sum(path.stat().st_size for paths in runs for path in paths)
    rest = fixed_and_growing("rain and budgets", *serial, len(runs[0]))
    return [
        *rest,
        # About half of the bytes of a file are read.
        Stage("frames", frames, read=0.5 * size / frames, read_s=watch.seconds["frame"] / frames),
        Stage("windows", frames, compute_s=watch.seconds["windows"] / frames),
    ]
