"""The native library and the stand-in host, built once for a test run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

from sciml.compress import quantize
from sciml.convection.emulator import Emulator
from sciml.coupling.build import build, c_compiler
from sciml.coupling.export import emulator_weights
from sciml.coupling.library import Library
from sciml.coupling.weights_file import write_weights
from tests.coupling.fuzzing import SANITIZERS, sanitized_objects
from tests.coupling.published import CASES, Case, Net, make
from tests.coupling.standin import STEPS, compile_host, initial_state, link, mpi_compiler, run, write_state

Settings = Callable[..., dict[str, str | int | float | bool]]
ISAS = ("baseline", "avx2", "avx512")


@pytest.fixture(scope="session")
def library() -> Library:
    return Library(build())


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, library: Library, monkeypatch: pytest.MonkeyPatch) -> str:
    """Use each instruction set that this processor and this build have."""
    if library.isa not in ISAS[ISAS.index(request.param) :]:
        pytest.skip(f"this processor or this build has {library.isa} at most")
    monkeypatch.setenv("SCIML_ISA", request.param)
    return str(request.param)


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    case: Case = request.param
    return case


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Net, Path]:
    net = make(CASES[0])
    path = tmp_path_factory.mktemp("weights") / "published.nc"
    write_weights(path, net.weights())
    return net, path


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Initial state of the stand-in host; some columns are outside the training of the packaged emulator."""
    return write_state(initial_state(moister=1.15), tmp_path_factory.mktemp("state") / "state")


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in host without MPI."""
    return compile_host(tmp_path_factory.mktemp("standin"))


@pytest.fixture(scope="session")
def host(standin: Path, library: Library) -> Path:
    """The stand-in host without MPI, wrapped by the library."""
    return link(standin.parent, library=library.path)


@pytest.fixture(scope="session")
def packaged_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights files of the packaged emulator, as trained and of 8 bits."""
    emulator, folder = Emulator.load("mskf-convrad"), tmp_path_factory.mktemp("weights")
    for name, each in (("floats", emulator), ("int8", quantize(emulator, 8))):
        write_weights(folder / f"{name}.nc", emulator_weights(each))
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture(scope="session")
def settings(request: pytest.FixtureRequest, packaged_weights: dict[str, Path]) -> Settings:
    """The namelist of a mode, with the packaged emulator; a parameter is a name in `packaged_weights`."""
    weights = packaged_weights[getattr(request, "param", "floats")]

    def of(mode: str, **others: str | float) -> dict[str, str | int | float | bool]:
        drawn = dict.fromkeys(("capture_none", "capture_shallow", "capture_deep"), 0.3)
        # guard returns some columns of the initial state to the host's scheme, and not others
        limit = {"novelty": 0.34} if mode == "guard" else {}
        return {"mode": mode, "weights": str(weights), "directory": ".", **drawn, **limit, **others}

    return of


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Objects of the library with sanitizers of addresses and behaviour; their tests are of one xdist group."""
    return sanitized_objects(tmp_path_factory.mktemp("sanitized"), c_compiler(), SANITIZERS)


@pytest.fixture(scope="session")
def standin_on_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if mpi_compiler() is None:
        pytest.skip("no mpif90 and mpiexec here: make test-mpi installs them")
    return compile_host(tmp_path_factory.mktemp("ranks"), mpi=True)


@pytest.fixture(scope="session")
def host_on_ranks(standin_on_ranks: Path, library: Library) -> Path:
    """The stand-in host with MPI, wrapped by the library."""
    return link(standin_on_ranks.parent, library=library.path, mpi=True)


@pytest.fixture(scope="session")
def plain(standin: Path, state: Path, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """History of the stand-in with its own scheme, on one tile, thread and rank, without a stop."""
    return run(standin, tmp_path_factory.mktemp("plain"), state=state, steps=STEPS, kf_edrates=True).history


@pytest.fixture(scope="session")
def each_step(standin: Path, state: Path, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The history of the stand-in after each step."""
    where = tmp_path_factory.mktemp("steps")
    return run(standin, where, state=state, steps=STEPS, kf_edrates=True, history_interval=1).history
