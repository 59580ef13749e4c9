"""Every command that writes files records what made them, and `sciml info` prints it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from sciml.cli import GROUPS, app
from sciml.cli.recorded import ROLES, Role, role_of
from sciml.cli.rerun import NOT_RERUN
from sciml.storage.provenance import PROVENANCE
from sciml.verify.artefacts import read_artefact
from tests.cli.recorded_files import COMMANDS, MORE, NATIVE, SCHEME, run, written
from tests.cli.test_every_command import EVERY
from tests.paths import DATA, SAMPLE_WRFOUT

KINDS = {
    "c.zarr": "store of columns",
    "a.zarr": "store of columns with synthetic ones",
    "m.sciml": "checkpoint of kind convection-emulator",
    "p.sciml": "checkpoint of kind",
    "at.nc": "netCDF file",
    "an.nc": "netCDF file",
    "x.nc": "weights file",
    "x.onnx": "network as an ONNX graph",
    "k.sciml": "checkpoint of kind",
    "k.nc": "weights file",
    "q.sciml": "checkpoint of kind",
    "d.zarr": "dataset of a PDE",
    "d.nc": "dataset of a PDE",
    "f.sciml": "checkpoint of kind operator",
    "s.nc": "netCDF file",
    "i.nc": "perturbed initial state of WRF",
}
WRITES_OTHERWISE = {
    "demo": "runs other commands, whose files have their records",
    "reproduce": "the rerun has the record of its command",
}


def words_of(arguments: tuple[str, ...]) -> str:
    return " ".join(arguments[:2] if arguments[0] in GROUPS else arguments[:1])


def test_every_command_that_writes_a_file_is_in_the_table() -> None:
    """A new command with --output needs a line in `recorded_files`, so that its files are known to have a record."""
    writing = {name for name, command in EVERY.items() if "output" in {p.name for p in command.params}}
    assert {words_of(each) for each in (*COMMANDS.values(), *NATIVE.values())} | {"demo"} == writing
    assert set(KINDS) == set(COMMANDS)


def test_the_role_of_each_path_is_known() -> None:
    """A path among the arguments is an input or an output, else neither its checksum nor its place would be right."""
    names: set[str] = set()
    for name, command in EVERY.items():
        for param in command.params:
            names.add(param.name)
            if "Path" in str(param.type_descriptor.annotation):
                role = role_of(name, param.name)
                known = role in (Role.INPUT, Role.OUTPUT) or param.name == "cluster"
                assert known, f"sciml {name}: add {param.name} to sciml/cli/recorded.py"
    assert {name for members in ROLES.values() for name in members} - names <= {"cluster"}
    assert set(EVERY) > set(NOT_RERUN) >= set(WRITES_OTHERWISE)


@pytest.mark.usefixtures("plain_layout")
def test_every_file_records_its_command(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    for name, arguments in COMMANDS.items():
        made = read_artefact(name)
        assert made.kind.startswith(KINDS[name])
        assert made.provenance is not None, name
        record = made.provenance.to_json()
        command = " ".join(record["command"])
        assert command.startswith(words_of(arguments)) and "output" not in command and "json" not in command
        present = {each["given"] for each in record["inputs"]}
        assert present >= {word for word in arguments if Path(word).exists()}, name
        assert all(len(each["sha256"]) == 64 and each["size"] > 0 for each in record["inputs"]), name
        assert set(record["versions"]) >= {"sciml", "python", "torch", "numpy", "xarray", "netCDF4"}
        if "--seed" in arguments:
            assert int(arguments[arguments.index("--seed") + 1]) in record["seeds"].values(), name
        numbers = read_artefact(f"{name}.json")
        assert numbers.provenance == made.provenance, name
        assert "--json" in numbers.written["arguments"]
        if str(SCHEME) not in arguments:
            assert str(files) not in json.dumps(record)
    for name, others in MORE.items():
        for other in (path for path in others if Path(path).exists()):
            assert read_artefact(other).provenance == read_artefact(name).provenance
    assert "&#x27;--title=A &amp; B&#x27;" in Path("e.html").read_text().partition("<footer>")[2]


def test_the_default_options_are_recorded(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    record = read_artefact("f.sciml").provenance
    assert record is not None
    assert record.options["stride"] == 1 and record.options["network"] == "fno"
    assert record.options["fit"]["batch_size"] == 64, "from the file of --config"
    assert record.options["fit"]["schedule"] == "onecycle", "a default of the fit"


def test_equal_commands_write_equal_bytes(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the output, the number of workers and --restart are not in the files."""
    monkeypatch.chdir(files)
    for name, more in (("d.zarr", ("--workers", "1")), ("i.nc", ()), ("x.nc", ("--json", "again.json"))):
        again = f"again-{name}"
        assert run(*COMMANDS[name], "-o", again, "-q", *more) == 0
        listed = [
            sorted(p for p in Path(each).rglob("*") if p.is_file()) or [Path(each)] for each in (name, again)
        ]
        assert [p.read_bytes() for p in listed[0]] == [p.read_bytes() for p in listed[1]], name


@pytest.mark.parametrize("name", ["c.zarr", "m.sciml", "x.nc", "d.zarr.json", "e.html"])
def test_info_prints_the_record(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(files)
    assert run("info", name, "--json", "info.json") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{name}: ")
    assert "  made by" in printed and "sciml 0." in printed and "numpy" in printed
    content = json.loads(Path("info.json").read_text())
    assert content["provenance"]["command"] and content["kind"] and PROVENANCE not in content
    assert ("time" in content["written"]) is (name in ("d.zarr.json", "e.html"))


def test_info_without_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", SAMPLE_WRFOUT) == 0
    printed = capsys.readouterr().out
    assert "WRF file" in printed and "CU_PHYSICS" in printed and "OUTPUT FROM WRF" in printed
    assert f"more: sciml wrf info {SAMPLE_WRFOUT}" in printed
    assert run("info", "mskf-convrad") == 0
    assert "it has no record of what made it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no file that sciml knows"),
        (b"PK\x03\x04 cut", "is damaged"),
        (b"CDF\x02 cut", "cannot be opened as netCDF"),
        (b"\x89HDF\r\n\x1a\n cut", "cannot be opened as netCDF"),
        (b'{"schema": 1', "damaged JSON"),
        (b"[1, 2]", "JSON without the numbers"),
        (b'{"sciml_provenance": {"schema": 1}}', "its record of provenance is damaged"),
        (b"<!doctype html>\xff", "damaged HTML"),
        (b"\x7fELF of another", "library without the version of sciml"),
        (b'<!doctype html><meta name="sciml_provenance" content="{&quot;schema&quot;: 1}">', "is damaged"),
    ],
)
def test_a_damaged_file_is_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    (tmp_path / "file").write_bytes(content)
    assert run("info", tmp_path / "file") == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.count("\n") == 1 and "file" in printed


def test_other_paths_are_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, message in (
        (tmp_path, "a folder without a store"),
        (tmp_path / "absent", "does not exist"),
        (Path("/dev/null"), "neither a file nor a folder"),
        (DATA / "checksums.sha256", "no file that sciml knows"),
    ):
        assert run("info", path) == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.usefixtures("plain_layout")
def test_files_of_the_library_record_their_command(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inputs)
    for name, arguments in NATIVE.items():
        assert run(*written(name)) in (0, 1), name  # a day is too short for the budgets of `rce`
        made: Any = read_artefact(name)
        assert " ".join(made.provenance.command).startswith(words_of(arguments)), name
    library: Any = read_artefact("build/libsciml_mskf.so")
    assert library.facts["compiler"] and "-O3" in library.facts["flags"]
    assert library.provenance.versions["c_compiler"] == library.facts["compiler"]
    assert read_artefact("build").provenance == library.provenance
    assert read_artefact("build/mskf.nc").provenance.command == library.provenance.command  # type: ignore[union-attr]


def test_the_commands_of_the_application_are_all_known() -> None:
    root: Any = typer.main.get_command(app)
    assert {name.split()[0] for name in EVERY} == set(root.commands)
