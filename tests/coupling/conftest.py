"""The native library, built once for all workers of a test run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciml.coupling.build import build
from sciml.coupling.library import Library
from sciml.coupling.weights import write_weights
from tests.coupling.published import CASES, Case, Net, make

ISAS = ("baseline", "avx2", "avx512")


@pytest.fixture(scope="session")
def library() -> Library:
    return Library(build())


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, library: Library, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each instruction set that this processor and this build have, in use."""
    if library.isa not in ISAS[ISAS.index(request.param) :]:
        pytest.skip(f"this processor or this build has {library.isa} at most")
    monkeypatch.setenv("SCIML_ISA", request.param)
    return str(request.param)


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Net, Path]:
    net = make(CASES[0])
    path = tmp_path_factory.mktemp("weights") / "published.nc"
    write_weights(path, net.weights())
    return net, path
