"""`sciml compress`: emulators and operators, given plans, what is retained, and errors as one line."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr

from sciml.cli import main
from sciml.compress import CostTable, compression_of
from sciml.convection.emulator import Emulator
from sciml.emulation import SchemeEmulator, evaluate, open_pairs
from sciml.emulation.training import train as train_scheme
from sciml.operators import TrainedOperator
from sciml.operators.training import train as train_operator
from sciml.pde.grid import Grid
from sciml.schemes import load_scheme
from tests.operators.conftest import dataset
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT
from workflows.kessler.soundings import SCHEME, pairs

WRITTEN = ("config.json", "weights.safetensors")
FNO = {"class": "FNO", "modes": 3, "width": 6, "layers": 1, "projection": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compress")
    scheme, columns = load_scheme(SCHEME), pairs(120, 20, seed=5)
    columns.to_netcdf(folder / "pairs.nc")
    train_scheme(
        scheme,
        columns,
        folder / "scheme.sciml",
        fit={"epochs": 12, "batch_size": 24, "threads": 1},
        network={"hidden": 8, "layers": 1},
    )
    made = dataset(Grid((9, 9)), 30)
    made.to_netcdf(folder / "d.nc")
    fit = {"epochs": 20, "batch_size": 5, "learning_rate": 1e-2, "threads": 1}
    train_operator(made, folder / "fno.sciml", network=FNO, fit=fit)
    dataset(Grid((9, 9)), 12).rename(coefficient="k").drop_attrs().to_netcdf(folder / "other.nc")
    return folder


def run(*arguments: Any) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["compress", *map(str, arguments)])
    code = ended.value.code
    return code if isinstance(code, int) else 0


def numbers(path: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(path.read_text())
    return made


def test_an_emulator_of_a_scheme_retains_what_is_asked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, report = tmp_path / "small.sciml", tmp_path / "small.json"
    arguments = [folder / "scheme.sciml", folder / "pairs.nc", "--keep", 0.98, "-o", small]
    assert run(*arguments, "--json", report) == 0
    made = numbers(report)
    assert min(made["retained"].values()) >= 0.98
    assert made["bytes"] == small.stat().st_size
    assert made["bytes_before"] == (folder / "scheme.sciml").stat().st_size
    assert sum(made["samples"]) == 120
    printed = capsys.readouterr().out
    assert f"{made['bytes']} bytes" in printed
    assert all(row["tensor"] in printed and str(row["bytes"]) in printed for row in made["tensors"])
    emulator = SchemeEmulator.load(small)
    compression = compression_of(emulator)
    assert compression is not None
    assert compression.plan.to_json() == made["plan"]
    columns = open_pairs(folder / "pairs.nc", emulator.scheme)
    full = evaluate(SchemeEmulator.load(folder / "scheme.sciml"), columns).r2
    retained = {
        name: value / full[name] for name, value in evaluate(emulator, columns).r2.items() if full[name] > 0.1
    }
    assert set(retained) >= set(made["retained"])
    assert min(retained.values()) > 0.97
    again = tmp_path / "again.sciml"
    assert run(folder / "scheme.sciml", folder / "pairs.nc", "--plan", report, "-o", again, "-q") == 0
    parts = [zipfile.ZipFile(path).read(name) for path in (small, again) for name in WRITTEN]
    assert parts[:2] == parts[2:], "all but the record of the command"


def test_the_time_of_the_kernels_is_the_cost(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def measured(kinds: Sequence[str], shapes: Any, *, block: int) -> CostTable:
        given.append((list(kinds), block))
        times = {"int4": 3.0, "int8": 1.0, "bf16": 2.0}  # unpacking of 4 bits is slow
        return CostTable("avx2", 44, block, {(k, *shape): times[k] for k in kinds for shape in shapes})

    monkeypatch.setattr("sciml.coupling.matrix_costs.measure_costs", measured)
    report = tmp_path / "r.json"
    arguments = [folder / "scheme.sciml", folder / "pairs.nc", "--keep", 0.9, "--cost", "time", "--block", 32]
    assert run(*arguments, "-o", tmp_path / "fast.sciml", "--json", report, "-q") == 0
    made = numbers(report)
    assert given == [(["int4", "int8", "bf16"], 32)]
    assert made["cost"]["name"] == "time"
    assert made["cost"]["chosen"] < made["cost"]["largest"]
    assert made["block"] == 32
    assert set(made["plan"]["kinds"].values()) <= {"int8", "float32"}


def test_an_operator_with_one_width_and_with_chosen_widths(folder: Path, tmp_path: Path) -> None:
    sizes = []
    for number, choice in enumerate((["--bits", 8], ["--keep", 0.9], ["--keep", 0.9, "--metric", "loss"])):
        small, report = tmp_path / f"{number}.sciml", tmp_path / f"{number}.json"
        assert run(folder / "fno.sciml", folder / "d.nc", *choice, "-o", small, "--json", report, "-q") == 0
        made = numbers(report)
        assert (made["evaluations"] > 0) == (choice[0] != "--bits")
        assert set(made["retained"]) == ({"loss"} if "loss" in choice else {"u"})
        assert min(made["retained"].values()) >= 0.9
        sizes.append(small.stat().st_size)
        operator = TrainedOperator.load(small)
        assert operator.predict({"coefficient": torch.ones(1, 9, 9)}).isfinite().all()
    assert max(sizes) < (folder / "fno.sciml").stat().st_size


def test_an_emulator_of_convection_from_a_wrfout(tmp_path: Path) -> None:
    small, report = tmp_path / "small.sciml", tmp_path / "r.json"
    data = [SAMPLE_WRFOUT, "--reference", SAMPLE_OFFLINE]
    assert run("mskf-convrad", *data, "--bits", 8, "--samples", 96, "-o", small, "--json", report, "-q") == 0
    made = numbers(report)
    assert {"RTHCUTEN", "RUCUTEN", "PRATEC", "trigger F1"} <= set(made["retained"])
    assert min(made["retained"].values()) >= 0.999
    assert made["ratio"] > 3
    assert compression_of(Emulator.load(small)) is not None


def errors(arguments: Sequence[Any], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if not line.startswith("warning")]
    assert len(lines) == 1
    assert captured.out == ""
    return lines[0]


@pytest.mark.parametrize(
    ("model", "data", "options", "message"),
    [
        ("scheme", "pairs.nc", ["--widths", "3,8"], "width 3: the kernels have 4, 8, 16 bit"),
        ("scheme", "pairs.nc", ["--widths", "8"], "--bits 8 for one width"),
        ("scheme", "pairs.nc", ["--widths", "a,8"], "give whole numbers"),
        ("scheme", "pairs.nc", ["--bits", "5"], "bits=5: give 1, 4, 8, 16"),
        ("scheme", "pairs.nc", ["--bits", "8", "--widths", "4,8"], "--bits and --widths: give one"),
        ("scheme", "pairs.nc", ["--keep", "1.5"], "--keep 1.5"),
        ("scheme", "pairs.nc", ["--block", "2000"], "block"),
        ("scheme", "pairs.nc", ["--cost", "time", "--bits", "8"], "--cost time with --bits"),
        ("fno", "d.nc", ["--cost", "time"], "has no matrix that the kernels multiply"),
        ("scheme", "pairs.nc", ["--plan", "pairs.nc"], "is no JSON"),
        ("scheme", "pairs.nc", ["--plan", "fno.json"], "the plan is of another network"),
        ("scheme", "pairs.nc", ["--plan", "none.json"], "none.json"),
        ("scheme", "pairs.nc", ["--boundary", "periodic"], "is no operator"),
        ("scheme", "d.nc", [], "d.nc"),
        ("fno", "pairs.nc", [], "u"),
        ("fno", "other.nc", [], "--inputs"),
        ("fno", "d.nc", ["--reference", "pairs.nc"], "goes with an emulator of convection"),
        ("compressed", "pairs.nc", [], "is compressed already"),
        ("mskf-convrad", "d.nc", [], "d.nc"),
    ],
)
def test_bad_input(
    model: str,
    data: str,
    options: list[str],
    message: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "fno.json" in options and not (folder / "fno.json").exists():
        arguments = [folder / "fno.sciml", folder / "d.nc", "--bits", 8, "-o", tmp_path / "f.sciml"]
        assert run(*arguments, "--json", folder / "fno.json", "-q") == 0
    if model == "compressed":
        arguments = [
            folder / "scheme.sciml",
            folder / "pairs.nc",
            "--bits",
            8,
            "-o",
            folder / "compressed.sciml",
        ]
        assert run(*arguments, "-q") == 0
    capsys.readouterr()
    path = model if model.startswith("mskf") else folder / f"{model}.sciml"
    given = [folder / part if part.endswith((".nc", ".json")) else part for part in options]
    output = tmp_path / "out.sciml"
    assert message in errors([path, folder / data, *given, "-o", output], capsys)
    assert not output.exists()


def test_too_few_samples_and_a_floor_that_no_width_meets(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with xr.open_dataset(folder / "d.nc") as data:
        data.isel(sample=slice(0, 8)).to_netcdf(tmp_path / "few.nc")
    output = tmp_path / "out.sciml"
    assert "8 samples: give 12 or more" in errors(
        [folder / "fno.sciml", tmp_path / "few.nc", "-o", output], capsys
    )
    strict = [folder / "scheme.sciml", folder / "pairs.nc", "--widths", "4,8", "--keep", "0.9999999"]
    assert "give a smaller keep, or larger widths" in errors([*strict, "-o", output], capsys)
    assert not output.exists()
