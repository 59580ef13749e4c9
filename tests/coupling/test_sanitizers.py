"""The library under the sanitizers of addresses, behaviour and threads, and under valgrind, in hosts that call it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import sciml
from sciml.coupling import build
from sciml.coupling.build import c_compiler, compilations, sources
from sciml.coupling.library import Library
from tests.coupling.fuzzing import SANITIZERS, sanitized_objects
from tests.coupling.standin import compile_host, initial_state, run, write_state
from tests.paths import SAMPLE_WRFOUT

pytestmark = [pytest.mark.native, pytest.mark.slow]

NI, NJ, NK = 24, 16, 44
MODES = ("capture", "shadow", "emulate", "guard")
CAPTURED = {"capture_none": 0.5, "capture_shallow": 0.5, "capture_deep": 0.5, "interval": 5}


@pytest.fixture(params=["floats", "int8"])
def weights(request: pytest.FixtureRequest, packaged_weights: dict[str, Path]) -> Path:
    """The packaged emulator, as trained and of 8 bits."""
    return packaged_weights[request.param]


def link_library(folder: Path, objects: Sequence[Path], flags: Sequence[str]) -> Path:
    """Link the C part of the library, its baseline kernels, with a sanitizer."""
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "libsciml_mskf.so"
    words = [*c_compiler().command, "-shared", *flags, *map(str, objects), "-o", str(library)]
    words += ["-lm", "-ldl", "-lpthread"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "cannot find" in done.stderr:
        pytest.skip("this compiler has no such sanitizer")
    assert done.returncode == 0, done.stderr
    return library


def sanitised(folder: Path, flags: Sequence[str]) -> Path:
    """Compile and link it."""
    return link_library(folder, sanitized_objects(folder, c_compiler(), ("-O1", "-g", *flags)), flags)


def on_the_heap(folder: Path, library: Library) -> Path:
    """Link the objects of the library again, with an arena on the heap, which valgrind watches."""
    folder.mkdir()
    compiled, objects = library.path.parent.parent / "objects", []
    for name, words in compilations(c_compiler()).items():
        command = [words[0], "-DSCIML_HEAP", *words[1:]] if name == "arena.o" else words
        objects.append(Path(build._object(name, command, c_compiler(), compiled, folder)))
    return link_library(folder, objects, [])


def settings(mode: str, weights: Path) -> dict[str, str | int | float | bool]:
    return {"mode": mode, "weights": str(weights), "novelty": 0.5, **CAPTURED}


@pytest.mark.xdist_group("sanitized")
def test_addresses_and_behaviour_in_the_stand_in(
    weights: Path, sanitized: list[Path], tmp_path: Path
) -> None:
    library = link_library(tmp_path / "library", sanitized, SANITIZERS)
    # the sanitizer's run-time library must come first
    host = compile_host(tmp_path / "host", library=library, extra=["-fsanitize=address"])
    state = write_state(initial_state(3), tmp_path / "state")
    quiet = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    for mode in MODES:
        given = settings(mode, weights)
        for tile, threads in (((5, 7), 2), ((0, 0), 1)):
            where = tmp_path / f"{mode}{threads}"
            done = run(
                host, where, given, state=state, steps=13, tile=tile, threads=threads, environment=quiet
            )
            assert foreign_lines(done.stderr) == []
            assert list(where.glob(f"sciml_mskf_{mode}_*.nc"))
    bad = {**settings("shadow", weights), "weights": str(tmp_path / "nowhere.nc")}
    done = run(host, tmp_path / "bad", bad, state=state, steps=2, environment=quiet)
    assert foreign_lines(done.stderr) == []


def foreign_lines(text: str) -> list[str]:
    """The lines of standard error that are not the library's messages."""
    return [line for line in text.splitlines() if not line.startswith("sciml: ")]


def write_fields(path: Path) -> Path:
    """Write the input of threads.c: part of the last frame of the sample."""
    columns = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT))).isel(
        column=slice(-NI * NJ, None)
    )
    names = ("U_PHY", "V_PHY", "T_PHY", "QVAPOR", "P_HYD", "DZ8W", "RHO", "PI_PHY", "W0AVG")
    with path.open("wb") as file:
        file.write(np.array([NI, NJ, NK], np.int32).tobytes())
        for name in names:
            array = np.zeros((NJ, NK + 1, NI), np.float32)
            array[:, :NK] = columns[name].values.reshape(NJ, NI, NK).transpose(0, 2, 1)
            file.write(array.tobytes())
        file.write(np.zeros((NJ, NK + 1, NI), np.float32).tobytes())
        for name in ("ZOL", "HFX", "UST", "PBLH"):
            file.write(columns[name].values.astype(np.float32).tobytes())
    return path


def build_threads(library: Path, flags: Sequence[str]) -> Path:
    program = library.with_name("threads")
    words = [*c_compiler().command, "-std=gnu11", "-O1", "-g", *flags, f"-I{sources()}"]
    words += [str(Path(__file__).with_name("threads.c")), str(library), f"-Wl,-rpath,{library.parent}"]
    subprocess.run([*words, "-lpthread", "-o", str(program)], check=True)
    return program


def write_settings(where: Path, mode: str, weights: Path) -> None:
    where.mkdir()
    lines = [f"{name} = {value!r}" for name, value in settings(mode, weights).items()]
    (where / "sciml_mskf.nml").write_text("\n".join(["&sciml_mskf", *lines, "/", ""]))


@pytest.mark.xdist_group("sanitized")
def test_threads_do_not_race(weights: Path, tmp_path: Path) -> None:
    """Eight threads call at the same time, also the first call, which makes the session, while files are written."""
    flags = ["-fsanitize=thread"]
    program = build_threads(sanitised(tmp_path / "library", flags), flags)
    fields = write_fields(tmp_path / "fields")
    environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1 exitcode=66"}
    for mode in MODES:
        write_settings(tmp_path / mode, mode, weights)
        words = [str(program), str(fields), "8", "4"]
        done = subprocess.run(
            words, cwd=tmp_path / mode, env=environment, capture_output=True, text=True, check=False
        )
        if "unexpected memory mapping" in done.stderr:
            pytest.skip("this kernel lays out memory as this thread sanitizer does not know it")
        assert done.returncode == 0, done.stderr[-4000:]
        assert "WARNING: ThreadSanitizer" not in done.stderr
        assert int(done.stdout) > 0 or mode == "emulate"
        assert len(list((tmp_path / mode).glob(f"sciml_mskf_{mode}_*.nc"))) == 4
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "sciml_mskf.nml").write_text("&sciml_mskf mode = 'guard', weights = 'nowhere.nc' /\n")
    done = subprocess.run(
        words, cwd=tmp_path / "bad", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("the host's own scheme is used") == 1
    assert "ThreadSanitizer" not in done.stderr


@pytest.mark.xdist_group("sanitized")
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind here: apt-get install valgrind")
def test_valgrind_reports_no_errors(weights: Path, library: Library, tmp_path: Path) -> None:
    """There is no use of uninitialised memory and no leak."""
    program = build_threads(on_the_heap(tmp_path / "library", library), [])
    fields = write_fields(tmp_path / "fields")
    environment = {**os.environ, "SCIML_ISA": "baseline"}
    for mode in MODES:
        write_settings(tmp_path / mode, mode, weights)
        words = [
            "valgrind",
            "--quiet",
            "--error-exitcode=77",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
        ]
        words += [str(program), str(fields), "2", "2"]
        done = subprocess.run(
            words, cwd=tmp_path / mode, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
