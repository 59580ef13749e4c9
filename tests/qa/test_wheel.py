"""The contents of the wheel: the modules, the native sources, the data and py.typed."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.paths import DATA, REPO, SAMPLE_WRFOUT

NATIVE = REPO / "sciml" / "coupling" / "native"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(out), str(REPO)], check=True, timeout=300)
    (path,) = out.glob("sciml_weather-*.whl")
    return path


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_the_wheel_is_pure_and_complete(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {path.relative_to(REPO).as_posix() for path in (REPO / "sciml").rglob("*.py")}
    expected |= {path.relative_to(REPO).as_posix() for path in NATIVE.rglob("*") if path.is_file()}
    expected |= {f"sciml/data/{path.name}" for path in DATA.iterdir() if path.is_file()}
    expected |= {"sciml/py.typed", "sciml/fortran_host/replay.f90"}
    hosted = (REPO / "workflows" / "column_host").glob("*.f90")
    expected |= {f"sciml/column_host/{path.name}" for path in hosted}
    assert not expected - names
    assert not [name for name in names if name.startswith(("tests", "data/", "workflows"))]


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_an_installed_wheel_reads_its_data(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = f"import sciml, sciml.storage.packaged as d; print(sciml.__file__, d.packaged('{SAMPLE_WRFOUT.name}'))"
    completed = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    module, data = completed.stdout.split()
    assert Path(module) == tmp_path / "sciml" / "__init__.py"
    assert Path(data) == tmp_path / "sciml" / "data" / SAMPLE_WRFOUT.name


def test_the_version_is_that_of_the_metadata() -> None:
    metadata = importlib.import_module("tomllib").loads((REPO / "pyproject.toml").read_text())["project"]
    assert metadata["version"] == importlib.import_module("sciml").__version__
