"""Effects of the library on its host: floating-point environment, threads, forks and handles."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE
from sciml.coupling.build import build, c_compiler, fortran_compiler, install, sources
from sciml.coupling.library import Library
from sciml.coupling.weights_file import write_weights
from sciml.errors import InputError
from tests.coupling.conftest import ISAS
from tests.coupling.host import probe
from tests.coupling.published import CASES, Net, make
from tests.paths import SAMPLE_WRFOUT

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("packaged")]

INVALID, DIVISION, OVERFLOW = 1, 4, 8  # of x86
PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
linux = pytest.mark.skipif(platform.system() != "Linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    """An eighth of the sample, with calm air in the last ten columns."""
    everything = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    some: xr.Dataset = everything.isel(column=slice(None, None, 8)).load()
    for name in ("U_PHY", "V_PHY"):
        some[name].values[-10:] = 0.0
    return some


@pytest.fixture(params=["floats", "int8"])
def weights(request: pytest.FixtureRequest, packaged_weights: dict[str, Path]) -> Path:
    """The packaged emulator, as trained and of 8 bits."""
    return packaged_weights[request.param]


@pytest.fixture(scope="module")
def guest(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("traps are enabled in glibc's way")
    made = tmp_path_factory.mktemp("guest") / "guest"
    words = [*c_compiler().command, "-std=gnu11", "-O1", f"-I{sources()}"]
    words += [
        str(Path(__file__).with_name("guest.c")),
        str(library.path),
        f"-Wl,-rpath,{library.path.parent}",
    ]
    subprocess.run([*words, "-lm", "-o", str(made)], check=True)
    return made


def test_traps(
    guest: Path,
    weights: Path,
    columns: xr.Dataset,
    isa: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Traps, flags and rounding of the host do not change the outputs, and are restored."""
    spoilt = columns.copy(deep=True)
    spoilt["T_PHY"].values[3, 7] = np.nan
    spoilt["U_PHY"].values[11, 0] = np.inf
    spoilt["QVAPOR"].values[19, 3:9] = -1e-5
    with (tmp_path / "columns").open("wb") as file:
        file.write(np.array([spoilt.sizes["column"], spoilt.sizes["level"]], np.int32).tobytes())
        for name in (*INPUT_PROFILES, *INPUT_SURFACE):
            file.write(np.asarray(spoilt[name].values, np.float32).tobytes())
    plain = b""
    for number, (traps, upward, threads) in enumerate(
        ((0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 2), *(((1, 1, 1),) if isa == "avx512" else ()))
    ):
        if number == 4:  # the best instruction set, tiles for the network of 8 bits, with the same physics
            monkeypatch.delenv("SCIML_ISA")
        words = [guest, weights, tmp_path / "columns", tmp_path / "out", traps, upward, threads]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, (traps, upward, threads, done)
        answer = (tmp_path / "out").read_bytes()
        plain = plain or answer
        assert answer == plain, (traps, upward, threads)
    kind = np.frombuffer(plain, np.int32)[-columns.sizes["column"] :]
    assert set(np.unique(kind)) == {-1, 0, 1, 2}
    assert np.nonzero(kind == -1)[0].tolist() == [3, 11]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags by their numbers on x86")
def test_valid_columns_raise_no_floating_point_exceptions(
    library: Library, columns: xr.Dataset, isa: str
) -> None:
    """The probe, which does not save the host's environment, raises no flags."""
    n = columns.sizes["column"]
    mathematics = ctypes.CDLL("libm.so.6")
    mathematics.feclearexcept(INVALID | DIVISION | OVERFLOW)
    _, scalars = probe(build(probe=True), columns, (-0.03, 0.06), np.ones(n), np.zeros((n, 44)), isa)
    assert mathematics.fetestexcept(INVALID | DIVISION | OVERFLOW) == 0
    assert set(np.unique(scalars[:, 0])) == {0, 1, 2}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags by their numbers on x86")
def test_columns_without_a_plume_raise_no_floating_point_exceptions(
    library: Library, columns: xr.Dataset, isa: str
) -> None:
    """A column that passes the parcel test under a warm layer, where nothing rises, shares vectors with deep plumes."""
    some, n = columns.copy(deep=True), columns.sizes["column"]
    some["T_PHY"].values[::2, 8:] += 4.0
    mathematics = ctypes.CDLL("libm.so.6")
    mathematics.feclearexcept(INVALID | DIVISION | OVERFLOW)
    _, scalars = probe(build(probe=True), some, (-0.03, 0.06), np.ones(n), np.zeros((n, 44)), isa)
    assert mathematics.fetestexcept(INVALID | DIVISION | OVERFLOW) == 0
    nothing_rises = (scalars[:, 29] == 1) & (scalars[:, 0] == 0)
    assert nothing_rises.sum() > 20
    assert (scalars[:, 0] == 2).sum() > 20
    assert np.isfinite(scalars).all()


def script(library: Library, folder: Path, text: str, **environment: str) -> str:
    """Return the output of a new process with the library, a network and many columns."""
    net = make(CASES[3])
    write_weights(folder / "w.nc", net.weights())
    head = (
        "import os, signal, sys\nimport numpy as np\nfrom sciml.coupling.library import Library\n"
        "native = Library(sys.argv[1]).open(sys.argv[2])\n"
        "x = np.random.default_rng(3).normal(size=(200_000, 1, 1)).astype('f4')\n"
        "def run(threads): return native.network(x, threads)[0].tobytes()\n"
        "def tasks(): return len(os.listdir('/proc/self/task'))\n"
        "signal.alarm(60)\nbefore = tasks()\n"
    )
    words = [sys.executable, "-c", head + text, str(library.path), str(folder / "w.nc")]
    known = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment}
    done = subprocess.run(words, env=known, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout


@linux
def test_no_more_threads_than_processors(library: Library, tmp_path: Path) -> None:
    """The limit applies during a call; after the call all threads have ended."""
    text = (
        "import threading\nwhole, done, most = run(1), threading.Event(), [0]\n"
        "def watch():\n"
        "    while not done.is_set(): most[0] = max(most[0], tasks() - before - 1)\n"
        "watcher = threading.Thread(target=watch)\nwatcher.start()\n"
        "for _ in range(20): assert run(1000) == whole\n"
        "done.set()\nwatcher.join()\nimport time\n"
        "for _ in range(500):\n"
        "    if tasks() > before: time.sleep(0.01)\n"
        "print(most[0], tasks() - before)\n"
    )
    assert script(library, tmp_path, text).split() == [str(PROCESSORS - 1), "0"]
    assert script(library, tmp_path, text, OMP_THREAD_LIMIT="1").split() == ["0", "0"]


@linux
def test_a_forked_child(library: Library, tmp_path: Path) -> None:
    """A child may start threads, after a parent with or without threads."""
    text = (
        "def child():\n"
        "    known = os.fork()\n"
        "    if not known:\n"
        "        signal.alarm(30)\n"
        "        os._exit(10 * (run(2) == whole) + tasks() - 1)\n"
        "    return os.waitstatus_to_exitcode(os.waitpid(known, 0)[1])\n"
        "whole = run(1)\nprint(child())\nassert run(2) == whole\nprint(child())\n"
    )
    assert script(library, tmp_path, text).split() == ["10", "10"]


@linux
def test_a_thread_that_the_system_cannot_create(library: Library, tmp_path: Path) -> None:
    """Without memory for the stack of a thread, the call continues with fewer threads."""
    text = (
        "import resource, threading\nwhole = run(1)\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + 6_000_000, size + 6_000_000))\n"
        "print(run(2) == whole)\n"
    )
    assert script(library, tmp_path, text).split() == ["True"]


@linux
def test_the_library_takes_no_heap_when_it_is_loaded(library: Library) -> None:
    """The library needs only the run-time library of C; those of Fortran and OpenMP take memory at their start."""
    words = ["readelf", "-d", str(library.path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    needed = {line.split("[")[1].split(".so")[0] for line in done.splitlines() if "(NEEDED)" in line}
    assert needed <= {
        "libc",
        "libm",
        "libdl",
        "libpthread",
        "libgcc_s",
        "ld-linux-x86-64",
        "ld-linux-aarch64",
    }


def test_init_without_a_path(library: Library) -> None:
    handle = ctypes.c_void_p(1)
    message = ctypes.create_string_buffer(200)
    dll = ctypes.CDLL(str(library.path))
    assert dll.sciml_mskf_init(None, ctypes.byref(handle), message, ctypes.c_size_t(200)) == 1
    assert handle.value is None
    assert b"needs a path" in message.value


@pytest.mark.parametrize("name", ["AVX2", "sse2", "avx1024", *ISAS])
def test_a_missing_instruction_set(
    library: Library, published: tuple[Net, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A misspelt name and a set that this processor does not have are errors."""
    monkeypatch.setenv("SCIML_ISA", name)
    if name in ISAS[: ISAS.index(library.isa) + 1]:
        with library.open(published[1]) as native:
            assert native.isa == name
        return
    with pytest.raises(InputError, match=f"SCIML_ISA is `{name}`.* have baseline"):
        library.open(published[1])


def test_no_instruction_set(
    library: Library, published: tuple[Net, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIML_ISA", "")
    with library.open(published[1]) as native:
        assert native.isa == library.isa


def test_an_emulator_has_one_owner(library: Library, published: tuple[Net, Path], tmp_path: Path) -> None:
    """Opening an emulator again frees the old one (700 do not fit into memory); a copy is not open."""
    installed = install(tmp_path / "native")
    words = [*fortran_compiler().command, "-O1", "-g", "-o", "owner", tmp_path / "native" / "sciml_mskf.f90"]
    words += [Path(__file__).with_name("owner.f90"), installed, f"-Wl,-rpath,{installed.parent}"]
    subprocess.run(words, cwd=tmp_path, check=True)

    def narrow() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (400_000_000, 400_000_000))

    done = subprocess.run(
        ["./owner", published[1]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=narrow,
    )
    assert done.returncode == 0, done
    lines = ["0", "first: 4", "second: 1", "second again: 1", "first after a failure: 1"]
    assert [line.strip() for line in done.stdout.splitlines()] == lines
