"""Files of another schema or of no schema, damaged files and files of other kinds: one clear error."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import pytest
from typer.testing import CliRunner

import sciml
from sciml.cli import app
from sciml.columns.open import open_columns, write_columns
from sciml.convection.emulator import Emulator
from sciml.coupling import weights_file
from sciml.coupling.export import emulator_weights
from sciml.coupling.weights_file import read_weights, write_weights
from sciml.errors import SchemaError, SciMLError
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde import generate, write_dataset
from sciml.wrf import open_wrfout
from tests.paths import DATA, SAMPLE_OFFLINE, SAMPLE_WRFOUT

Change = Callable[[Path, Path, int | None], object]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each kind, written by this version."""
    folder = tmp_path_factory.mktemp("files")
    files = {"emulator": DATA / "mskf-convrad.sciml", "operator": DATA / "darcy-any.sciml"}
    files |= {name: folder / f"{name}.zarr" for name in ("columns", "dataset")}
    files |= {name: folder / f"{name}.nc" for name in ("netcdf", "weights")}
    write_columns(SAMPLE_WRFOUT, files["columns"], truth=SAMPLE_OFFLINE, workers=1)
    data = generate("darcy-rough", resolution=7, count=2, seed=5)
    for name in ("dataset", "netcdf"):
        write_dataset(data, files[name], workers=1)
    write_weights(files["weights"], emulator_weights(Emulator.load(files["emulator"])))
    return files


def change_checkpoint(source: Path, target: Path, schema: int | None) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["schema"] = schema
                content = json.dumps({key: x for key, x in config.items() if x is not None}).encode()
            new.writestr(name, content)


def change_store(name: str) -> Change:
    def change(source: Path, target: Path, schema: int | None) -> None:
        shutil.copytree(source, target)
        content = json.loads((target / "zarr.json").read_text())
        del content["attributes"][name]
        if schema is not None:
            content["attributes"][name] = schema
        (target / "zarr.json").write_text(json.dumps(content))

    return change


def change_netcdf(source: Path, target: Path, schema: int | None) -> None:
    shutil.copy(source, target)
    with netCDF4.Dataset(target, "a") as file:
        file.delncattr("sciml_dataset")
        if schema is not None:
            file.sciml_dataset = schema


def change_weights(source: Path, target: Path, schema: int | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights_file, "WEIGHTS_SCHEMA", schema or 0)
        write_weights(target, read_weights_of_any_schema(source))
    if schema is None:  # the attribute gets another name, and the file its new checksum
        content = target.read_bytes().replace(b"sciml_schema", b"other_schema")
        match = weights_file._CHECKSUM.search(content)
        assert match is not None
        at = match.start(1)
        target.write_bytes(content[:at] + weights_file._sum(content, at) + content[at + 64 :])


def read_weights_of_any_schema(path: Path) -> weights_file.Weights:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights_file, "check_schema", lambda *_: 1)
        return read_weights(path)


@dataclass(frozen=True)
class Kind:
    """A kind of file: the readers, what changes its schema number, and the remedy of the message."""

    read: Callable[[Path], object]
    change: Change
    remedy: str
    command: tuple[str, ...] = ()


KINDS = {
    "emulator": Kind(
        Emulator.load,
        change_checkpoint,
        "train it again",
        ("coupling", "export", "{file}", "-o", "{other}.nc"),
    ),
    "operator": Kind(
        TrainedOperator.load, change_checkpoint, "train it again", ("pde", "verify", "{file}", "{netcdf}")
    ),
    "columns": Kind(
        open_columns,
        change_store("sciml_schema"),
        "'sciml wrf columns'",
        ("convection", "evaluate", "mskf-convrad", "{file}"),
    ),
    "dataset": Kind(
        sciml.open_dataset, change_store("sciml_dataset"), "'sciml pde generate'", ("pde", "info", "{file}")
    ),
    "netcdf": Kind(
        sciml.open_dataset,
        change_netcdf,
        "'sciml pde generate'",
        ("pde", "train", "fno", "{file}", "-o", "{other}.sciml"),
    ),
    "weights": Kind(read_weights, change_weights, "`sciml coupling export`"),
}


@pytest.mark.parametrize("schema", [0, 99, None])
@pytest.mark.parametrize("kind", KINDS)
def test_another_schema(files: dict[str, Path], tmp_path: Path, kind: str, schema: int | None) -> None:
    file = tmp_path / files[kind].name
    KINDS[kind].change(files[kind], file, schema)
    if schema is None and kind in ("dataset", "netcdf"):  # a dataset of another origin has no number
        assert sciml.open_dataset(file).sizes["sample"] == 2
        return
    with pytest.raises(SchemaError) as caught:
        KINDS[kind].read(file)
    number = "no schema number" if schema is None else f"schema {schema}"
    expected = [str(file), number, KINDS[kind].remedy]
    if (kind, schema) != ("columns", None):
        expected += [f"this version reads schema{'s 1 to 2' if kind == 'columns' else ' 1'}"]
    if schema == 99:
        expected += ["upgrade sciml"]
    assert [text for text in expected if text not in str(caught.value)] == []
    assert "\n" not in str(caught.value)
    if not KINDS[kind].command:
        return
    names = {"file": file, "other": tmp_path / "other", "netcdf": files["netcdf"]}
    words = [word.format(**names) for word in KINDS[kind].command]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 2
    text = " ".join(shown.output.split())
    assert text.startswith("error: ")
    assert text.removeprefix("error: ") == " ".join(str(caught.value).split())
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name]


@pytest.mark.parametrize("schema", [0, 99])
def test_a_resume_file_of_another_schema(files: dict[str, Path], tmp_path: Path, schema: int) -> None:
    state = tmp_path / "model.resume.sciml"
    change_checkpoint(files["operator"], state, schema)
    shown = CliRunner().invoke(
        app,
        ["pde", "train", "fno", str(files["netcdf"]), "-o", str(tmp_path / "model.sciml"), "--epochs", "1"],
    )
    text = " ".join(shown.output.split())
    assert shown.exit_code == 2
    assert f"schema {schema}, this version reads schema 1" in text
    assert state.name in text
    assert "--restart" in text
    assert [path.name for path in tmp_path.iterdir()] == [state.name]


def damaged(files: dict[str, Path], folder: Path) -> dict[str, Path]:
    """Files that are cut off or empty, or of no kind at all."""
    made = {name: folder / f"{name}{files[name].suffix}" for name in ("operator", "netcdf", "weights")}
    for name, path in made.items():
        content = files[name].read_bytes()
        path.write_bytes(content[: 2 * len(content) // 3])
    for name in ("columns", "dataset"):
        made[name] = folder / f"{name}.zarr"
        shutil.copytree(files[name], made[name])
        content = (made[name] / "zarr.json").read_bytes()
        (made[name] / "zarr.json").write_bytes(content[: len(content) // 2])
    for name, content in (("empty.sciml", b""), ("empty.nc", b""), ("text.nc", b"a line\n")):
        made[name] = folder / name
        made[name].write_bytes(content)
    made["folder.zarr"] = folder / "folder.zarr"
    made["folder.zarr"].mkdir()
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_and_files_of_other_kinds(files: dict[str, Path], tmp_path: Path, kind: str) -> None:
    same = {"dataset": {"netcdf"}, "netcdf": {"dataset"}}.get(kind, set())
    others = {name: path for name, path in files.items() if name not in {kind, *same}}
    others["wrfout"] = SAMPLE_WRFOUT
    if kind == "columns":
        del others["wrfout"]  # columns are made of it
    for path in [*others.values(), *damaged(files, tmp_path).values()]:
        with pytest.raises(SciMLError) as caught:
            KINDS[kind].read(path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_wrf_output_is_not_any_other_file(files: dict[str, Path], tmp_path: Path) -> None:
    for path in [*files.values(), *damaged(files, tmp_path).values()]:
        with pytest.raises(SciMLError, match=path.name):
            open_wrfout(path)
