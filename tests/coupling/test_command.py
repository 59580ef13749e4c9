"""`sciml coupling`, from a checkpoint to a replay through Fortran, and its errors."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sciml.cli import app
from sciml.columns.open import open_columns
from sciml.compress import quantize
from sciml.convection.emulator import Emulator
from sciml.coupling.build import fortran_compiler
from sciml.coupling.replay import HOST, Grid, answers, run_host, write_stream
from sciml.coupling.weights_file import Weights, read_weights, write_weights
from sciml.errors import ChecksumError, InputError, SchemaError, SciMLError
from tests.coupling.weights_content import content
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("packaged")]

runner = CliRunner()


#: The packaged emulator as trained, and of 8 bits in a checkpoint of its own.
both = pytest.mark.parametrize("model", ["floats", "int8"], indirect=True)


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if getattr(request, "param", "floats") == "floats":
        return "mskf-convrad"
    path = tmp_path_factory.mktemp("model") / "small.sciml"
    return str(quantize(Emulator.load("mskf-convrad"), 8).save(path))


@pytest.fixture(scope="module")
def built(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    shown = runner.invoke(app, ["coupling", "build", "-o", str(folder), model])
    assert shown.exit_code == 0, shown.output
    return folder


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    """Two of the seven times of the sample."""
    columns = open_columns(SAMPLE_WRFOUT, keep="all")
    return columns.isel(column=np.flatnonzero(columns["Time"] <= np.unique(columns["Time"])[1])).load()


def spoilt(built: Path, folder: Path, content: bytes) -> Path:
    """Copy the folder, with other weights."""
    folder.mkdir()
    for path in built.iterdir():
        shutil.copyfile(path, folder / path.name)
    (folder / "mskf.nc").write_bytes(content)
    return folder


def test_build_writes_all_files(built: Path) -> None:
    names = {"libsciml_mskf.so", "sciml_mskf.h", "sciml_mskf_arguments.h", "sciml_mskf.nml", "mskf.nc"}
    names |= {"sciml_mskf.f90", "sciml_cu_mskf.f90", "sciml_column.h", "sciml_column.f90", "provenance.json"}
    assert {path.name for path in built.iterdir()} == names


@both
def test_export_is_the_same_file(model: str, built: Path, tmp_path: Path) -> None:
    shown = runner.invoke(app, ["coupling", "export", model, "-o", str(tmp_path / "w.nc"), "--no-response"])
    assert shown.exit_code == 0, shown.output
    xr.testing.assert_identical(content(tmp_path / "w.nc"), content(built / "mskf.nc"))


@both
def test_check(model: str, built: Path) -> None:
    shown = runner.invoke(app, ["coupling", "check", str(built), "--columns", "110"])
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert lines[-1].startswith("verdict: ok")
    quantized = [line for line in lines if "network's bits" in line]
    assert len(quantized) == (model != "mskf-convrad")
    assert all("those of torch, " in line and " columns on baseline" in line for line in quantized)
    assert len(lines) == 9 + len(quantized)
    assert any("scheme's entry" in line for line in lines)
    assert all(line.startswith("ok") for line in lines[:-1])


@both
def test_evaluate_accepts_the_folder(model: str, built: Path, tmp_path: Path) -> None:
    words = ["convection", "evaluate", str(built), str(SAMPLE_WRFOUT), "--reference", str(SAMPLE_OFFLINE)]
    shown = runner.invoke(app, [*words, "--json", str(tmp_path / "native.json")])
    assert shown.exit_code == 0, shown.output
    native = json.loads((tmp_path / "native.json").read_text())
    words[2] = model
    shown = runner.invoke(app, [*words, "--json", str(tmp_path / "torch.json")])
    assert shown.exit_code == 0, shown.output
    torch = json.loads((tmp_path / "torch.json").read_text())
    assert native["trigger"]["confusion"] == torch["trigger"]["confusion"]
    for name, scores in torch["outputs"].items():
        if scores["r2"] is not None and name != "RQSCUTEN":  # of which there is next to none
            assert native["outputs"][name]["r2"] == pytest.approx(scores["r2"], abs=1e-6), name


@both
def test_replay(built: Path, tmp_path: Path) -> None:
    words = ["coupling", "replay", str(built), str(SAMPLE_WRFOUT), "-o", str(tmp_path)]
    shown = runner.invoke(app, [*words, "--tile", "1x1", "--tile", "7x5", "--tile", "0x0"])
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert lines[-1] == "verdict: ok, 4,032 columns through Fortran 6 times, all with the same bits"
    assert lines[0].startswith("1 x 1 columns a tile: 7 records of 576 tiles, 1 threads")
    assert lines[3].startswith("7 x 5 columns a tile: 7 records of 20 tiles, 2 threads")
    assert lines[4].startswith("the whole domain a tile: 7 records of 1 tiles")
    assert lines[-2].startswith("agree: Fortran against torch, 4,032 columns, 0 of another class")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["coupling", "check", "{tmp}"], "no library"),
        (["coupling", "check", "{tmp}/nowhere"], "is not a folder"),
        (["coupling", "replay", "{built}", "--tile", "7"], "--tile 7: give WIDTHxHEIGHT"),
        (["coupling", "export", "no-such-model", "-o", "{tmp}/w.nc"], "no-such-model"),
        (["coupling", "export", "mskf-convrad", "-o", "{built}/mskf.nc/w.nc"], "cannot write"),
        (["coupling", "build", "-o", "{tmp}/lib", "no-such-model"], "no-such-model"),
    ],
)
def test_errors_are_one_line(built: Path, tmp_path: Path, words: list[str], message: str) -> None:
    shown = runner.invoke(app, [word.format(tmp=tmp_path, built=built) for word in words])
    assert shown.exit_code == 2
    assert message in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_no_fortran_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC", "no-such-fortran")
    shown = runner.invoke(app, ["coupling", "build", "-o", str(tmp_path / "lib")])
    assert shown.exit_code == 2
    assert "no Fortran compiler" in shown.stderr
    assert "apt-get install gfortran" in shown.stderr
    assert not (tmp_path / "lib").exists()


def flipped(content: bytes) -> bytes:
    at = len(content) * 2 // 3
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("damage", "error", "status", "message"),
    [
        (flipped, ChecksumError, 3, "damaged"),
        (lambda content: content[:-1000], ChecksumError, None, ""),
        (lambda content: b"{}" + content, InputError, 2, "not a"),
    ],
    ids=["one bit", "truncated", "not netCDF"],
)
def test_damaged_weights(
    built: Path,
    columns: xr.Dataset,
    tmp_path: Path,
    damage: object,
    error: type[SciMLError],
    status: int | None,
    message: str,
) -> None:
    assert callable(damage)
    folder = spoilt(built, tmp_path / "spoilt", damage((built / "mskf.nc").read_bytes()))
    with pytest.raises(error):
        read_weights(folder / "mskf.nc")
    shown = runner.invoke(app, ["coupling", "check", str(folder), "--columns", "20"])
    assert shown.exit_code == 1
    assert shown.output.splitlines()[-1] == "verdict: FAILED (weights)"
    # The library returns a status and a message, and does not stop the Fortran program.
    grid = write_stream(columns, tmp_path / "in.bin")
    assert grid.records == 2
    host = HOST.compile(folder / "libsciml_mskf.so", tmp_path)
    with pytest.raises(SciMLError, match="replay: .*" + message):
        run_host(host, folder / "mskf.nc", tmp_path / "in.bin", tmp_path / "out.bin")


def test_weights_of_another_schema_or_half_an_emulator(built: Path, tmp_path: Path) -> None:
    weights = read_weights(built / "mskf.nc")
    arrays = {name: array for name, array in weights.arrays.items() if name != "summary.bias"}
    write_weights(tmp_path / "half.nc", Weights(arrays, weights.attributes))
    folder = spoilt(built, tmp_path / "half", (tmp_path / "half.nc").read_bytes())
    shown = runner.invoke(app, ["coupling", "check", str(folder), "--columns", "20"])
    assert shown.exit_code == 1
    assert "no array of numbers `summary.bias`" in shown.output
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sciml.coupling.weights_file.WEIGHTS_SCHEMA", 99)
        write_weights(tmp_path / "later.nc", weights)
    with pytest.raises(SchemaError, match="schema 99"):
        read_weights(tmp_path / "later.nc")
    folder = spoilt(built, tmp_path / "later", (tmp_path / "later.nc").read_bytes())
    shown = runner.invoke(app, ["coupling", "check", str(folder), "--columns", "20"])
    assert shown.exit_code == 1
    assert "schema 99" in shown.output


def test_the_stream(columns: xr.Dataset, tmp_path: Path) -> None:
    order = np.random.default_rng(11).permutation(columns.sizes["column"])
    mixed = columns.isel(column=order)
    grid = write_stream(mixed, tmp_path / "in.bin")
    assert (grid.records, grid.nj, grid.ni, grid.levels) == (2, 24, 24, 44)
    head = np.fromfile(tmp_path / "in.bin", np.int32, 20)
    np.testing.assert_array_equal(head, grid.header)
    nj, nk, ni = grid.memory
    values = np.fromfile(tmp_path / "in.bin", np.float32, offset=92).reshape(2, -1)
    field = values[:, 2 * nj * nk * ni : 3 * nj * nk * ni].reshape(2, nj, nk, ni)  # T, the third
    inside = field[:, 3:-3, :44, 3:-3]
    np.testing.assert_array_equal(
        inside.transpose(0, 1, 3, 2).reshape(-1, 44), columns["T_PHY"].values, strict=True
    )
    assert np.isnan(field).sum() == field.size - inside.size
    (tmp_path / "out.bin").write_bytes(b"short")
    with pytest.raises(InputError, match="not the answers"):
        answers(tmp_path / "out.bin", grid)


def test_columns_that_fill_no_rectangle(columns: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="do not fill 2 times 24 x 24"):
        write_stream(columns.isel(column=slice(1, None)), tmp_path / "in.bin")
    with pytest.raises(InputError, match="have no coordinate Time"):
        Grid.of(columns.drop_vars("Time"))
    assert not list(tmp_path.iterdir())


def test_the_host_has_no_warnings(built: Path, tmp_path: Path) -> None:
    from sciml.coupling.fortran_programs import program_sources

    if "GNU" not in fortran_compiler().version:
        pytest.skip("warnings are looked at with gfortran")
    words = [*fortran_compiler().command, "-std=f2018", "-Wall", "-Wextra", "-Werror", "-fopenmp", "-c"]
    command = [
        *words,
        str(built / "sciml_mskf.f90"),
        *map(str, program_sources("fortran_host", ["replay.f90"])),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
