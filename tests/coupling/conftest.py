"""The native library, built once for all workers of a test run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciml.coupling.build import build
from sciml.coupling.library import Library
from sciml.coupling.weights import write_weights
from tests.coupling.published import CASES, Case, Net, make


@pytest.fixture(scope="session")
def library() -> Library:
    return Library(build())


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
