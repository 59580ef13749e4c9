"""The library does not change the heap of the host (same calls, sizes and order), and reads no freed memory."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import xarray as xr

from sciml.coupling.build import c_compiler, rpath, sources
from sciml.coupling.library import Library
from tests.coupling.conftest import Settings
from tests.coupling.standin import STEPS, Run, run, same_bits

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("standin")]

SILENT = ("original", "capture", "shadow")
MODES = (*SILENT, "emulate", "guard")


@dataclass(frozen=True)
class Heap:
    """Calls of malloc and similar functions: their number, the hash of sizes and order, those in the library."""

    all: int
    order: int
    inside: int


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preloaded library that counts calls."""
    made = tmp_path_factory.mktemp("counter") / "heap_counter.so"
    words = [*c_compiler().command, "-std=gnu11", "-O1", "-shared", "-fPIC", f"-I{sources()}"]
    words += [str(Path(__file__).with_name("heap_counter.c")), "-ldl", "-o", str(made)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "__libc_" in done.stderr:
        pytest.skip("this C library is not glibc")
    assert done.returncode == 0, done.stderr
    return made


def counted(
    counter: Path,
    host: Path,
    where: Path,
    namelist: dict[str, str | int | float | bool] | None,
    **given: object,
) -> tuple[Heap, Run]:
    environment = {"LD_PRELOAD": str(counter), "HEAP_COUNTS": str(where / "heap")}
    done = run(host, where, namelist, environment=environment, steps=STEPS, kf_edrates=True, **given)  # type: ignore[arg-type]
    numbers = (where / "heap").read_text().split()
    return Heap(*(int(x) for x in numbers)), done


@pytest.mark.parametrize("mode", SILENT)
def test_the_library_does_not_change_the_heap(
    counter: Path, standin: Path, host: Path, state: Path, settings: Settings, tmp_path: Path, mode: str
) -> None:
    """The calls of the whole run are equal, with files of every second interval."""
    alone, plain = counted(counter, standin, tmp_path / "alone", None, state=state)
    with_library, done = counted(counter, host, tmp_path / "with", settings(mode, interval=10), state=state)
    assert alone.all > 100
    assert with_library.order == alone.order
    assert with_library.all == alone.all
    assert same_bits(plain.history, done.history) == []
    assert len(list((tmp_path / "with").glob("sciml_mskf_*.nc"))) == (0 if mode == "original" else 3)


@pytest.mark.parametrize("settings", ["floats", "int8"], indirect=True)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", ["emulate", "guard"])
def test_no_heap_calls_inside_the_entry(
    counter: Path, host: Path, state: Path, settings: Settings, tmp_path: Path, mode: str, threads: int
) -> None:
    """This includes the first call, which reads namelist and weights, and calls on threads of the host."""
    given = settings(mode, interval=10)
    heap, _ = counted(counter, host, tmp_path, given, state=state, tile=(7, 5), threads=threads)
    assert heap.all > 100
    assert heap.inside == 0


def test_a_message_of_failure_takes_no_heap(
    counter: Path, host: Path, state: Path, settings: Settings, tmp_path: Path
) -> None:
    missing = settings("shadow", weights=str(tmp_path / "nowhere.nc"))
    heap, done = counted(counter, host, tmp_path, missing, state=state)
    assert "nowhere.nc" in done.stderr
    assert heap.inside == 0


def test_freed_memory_does_not_matter(
    host: Path, state: Path, settings: Settings, plain: xr.Dataset, tmp_path: Path
) -> None:
    """The C library fills new and freed memory with a pattern, which must not be read."""
    options = dict(state=state, steps=STEPS, kf_edrates=True)
    filled = {"MALLOC_PERTURB_": "165"}
    for mode in MODES:
        done = run(host, tmp_path / mode, settings(mode), environment=filled, **options)
        other = (
            plain
            if mode in SILENT
            else run(host, tmp_path / f"{mode}_bare", settings(mode), environment={}, **options).history
        )
        assert same_bits(other, done.history) == []


def test_loading_takes_no_heap(counter: Path, library: Library, tmp_path: Path) -> None:
    """The host has neither OpenMP nor Fortran."""
    text = "void sciml_mskf_flush(void);\nint main(void) { CALL; return 0; }\n"
    (tmp_path / "host.c").write_text(text)
    counts = []
    for call, beside in (("", []), ("sciml_mskf_flush()", [str(library.path), *rpath(library.path.parent)])):
        words = [*c_compiler().command, f"-DCALL={call}", "host.c", *beside, "-o", "host"]
        subprocess.run(words, cwd=tmp_path, check=True)
        environment = {**os.environ, "LD_PRELOAD": str(counter), "HEAP_COUNTS": str(tmp_path / "heap")}
        subprocess.run(["./host"], cwd=tmp_path, env=environment, check=True)
        counts.append((tmp_path / "heap").read_text())
    assert counts[0] == counts[1]


def test_heap_calls_are_counted(counter: Path, tmp_path: Path) -> None:
    """Check the counter itself with a program that allocates and frees memory."""
    (tmp_path / "taker.c").write_text(
        "#include <stdlib.h>\nint main(void) { char *volatile p = malloc(77); free(p); return p == NULL; }\n"
    )
    program = tmp_path / "taker"
    words = [*c_compiler().command, "-O0", str(tmp_path / "taker.c"), "-o", str(program)]
    subprocess.run(words, check=True)
    environment = {**os.environ, "LD_PRELOAD": str(counter), "HEAP_COUNTS": str(tmp_path / "heap")}
    subprocess.run([str(program)], env=environment, check=True)
    assert int((tmp_path / "heap").read_text().split()[0]) >= 2
