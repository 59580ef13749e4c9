"""What an installed wheel holds: the native sources, the data, and the mark of a typed package."""

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
def test_it_is_pure_and_whole(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {path.relative_to(REPO).as_posix() for path in (REPO / "sciml").rglob("*.py")}
    wanted |= {path.relative_to(REPO).as_posix() for path in NATIVE.rglob("*") if path.is_file()}
    wanted |= {f"sciml/data/{path.name}" for path in DATA.iterdir() if path.is_file()}
    wanted |= {"sciml/py.typed", "sciml/fortran_host/replay.f90"}
    hosted = (REPO / "workflows" / "column_host").glob("*.f90")
    wanted |= {f"sciml/column_host/{path.name}" for path in hosted}
    assert not wanted - names
    assert not [name for name in names if name.startswith(("tests", "data/", "workflows"))]


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_it_finds_its_data_when_installed(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = f"import sciml, sciml.storage.packaged as d; print(sciml.__file__, d.packaged('{SAMPLE_WRFOUT.name}'))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    module, data = done.stdout.split()
    assert Path(module) == tmp_path / "sciml" / "__init__.py"
    assert Path(data) == tmp_path / "sciml" / "data" / SAMPLE_WRFOUT.name


def test_the_version_is_told_once() -> None:
    metadata = importlib.import_module("tomllib").loads((REPO / "pyproject.toml").read_text())["project"]
    assert metadata["version"] == importlib.import_module("sciml").__version__
