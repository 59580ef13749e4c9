"""`sciml convection evaluate`: every form of input and of model, and errors as one line."""

import errno
import json
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from sciml.cli import convection as command
from sciml.cli import main
from sciml.cli.training_options import read_settings
from sciml.columns import convection_columns
from sciml.solve import Result
from sciml.verify.emulator.evaluate import assess
from sciml.verify.emulator.figures import pictures
from sciml.wrf import open_wrfout
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT, SHARED


class Parrot:
    """An algorithm that returns the targets of its columns with slightly too much heating."""

    def __init__(self):
        self.begun, self.asked = 0, []

    def init(self, problem):
        self.begun += 1
        return "state"

    def run(self, problem, state):
        assert state == "state"
        columns = problem.columns
        assert np.isin(columns["KIND"], (0, 1, 2)).all()
        self.asked.append(columns.sizes["column"])
        heated = columns["RTHCUTEN"] * 1.1
        return SimpleNamespace(outputs=columns.assign(RTHCUTEN=heated), result=Result.SUCCESS, stats={})


@pytest.fixture
def parrot(monkeypatch):
    algorithm = Parrot()
    monkeypatch.setattr(command, "load_algorithm", lambda model, weights: algorithm)
    return algorithm


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["convection", *map(str, arguments)])
    return ended.value.code or 0


@pytest.mark.usefixtures("plain_layout")
def test_a_wrfout_with_its_companion(parrot, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "sciml.verify.emulator.page.pictures", lambda evaluation: islice(pictures(evaluation), 2)
    )
    numbers, page, picture = tmp_path / "a.json", tmp_path / "deep" / "a.html", tmp_path / "a.png"
    more = ["--reference", SAMPLE_OFFLINE, "--json", numbers, "--html", page, "--figure", picture]
    assert run("evaluate", "some.sciml", SAMPLE_WRFOUT, *more) == 0
    content = json.loads(numbers.read_text())
    assert content["model"] == "some"
    assert content["data"] == SAMPLE_WRFOUT.name
    assert content["columns"]["evaluated"] == 4032
    assert content["trigger"]["accuracy"] == content["trigger"]["f1"] == 1
    assert len(content["trigger"]["confusion"]) == 3
    assert content["outputs"]["RTHCUTEN"]["nmae"] == pytest.approx(0.1, rel=1e-4)
    assert {"r2", "rmse", "bias", "nmae", "r2_all"} <= content["outputs"]["QI_CU"].keys()
    assert page.read_text().startswith("<!doctype html>")
    assert picture.read_bytes()[:4] == b"\x89PNG"
    output = capsys.readouterr()
    assert "RTHCUTEN" in output.out
    assert str(page) in output.out
    assert not list(tmp_path.glob(".*"))


def test_a_wrfout_alone_scores_only_computed_columns(parrot, tmp_path):
    assert (
        run(
            "evaluate",
            "some.sciml",
            SAMPLE_WRFOUT,
            "--json",
            tmp_path / "a.json",
            "--block",
            500,
            "--workers",
            1,
        )
        == 0
    )
    content = json.loads((tmp_path / "a.json").read_text())
    kind = convection_columns(open_wrfout(SAMPLE_WRFOUT))["KIND"].values
    assert content["columns"]["evaluated"] == np.isin(kind, (0, 1, 2)).sum() == sum(parrot.asked)
    assert content["columns"]["held"] == (kind == 3).sum() > 0
    assert max(parrot.asked) <= 500
    assert parrot.begun == 1


def test_several_models_share_the_files(parrot, tmp_path):
    more = ["--reference", SAMPLE_OFFLINE, "--compare", "dir/other.sciml", "--json", tmp_path / "a.json"]
    assert run("evaluate", "one.sciml", SAMPLE_WRFOUT, *more) == 0
    content = json.loads((tmp_path / "a.json").read_text())
    assert [other["model"] for other in content["also"]] == ["other"]
    assert content["also"][0]["outputs"].keys() == content["outputs"].keys()


@pytest.mark.shared
def test_drawn_pairs_of_one_run(parrot, tmp_path):
    pairs = SHARED / "wrf" / "train" / "mskf_pairs_convrad_train123.nc"
    assert run("evaluate", "one.sciml", pairs, "--run", 3, "--json", tmp_path / "a.json") == 0
    content = json.loads((tmp_path / "a.json").read_text())
    import xarray as xr

    with xr.open_dataset(pairs, decode_times=False) as ds:
        assert content["columns"]["evaluated"] == (ds["RUN"] == 3).sum()
    assert content["weighted"]["outputs"]["RTHCUTEN"]["nmae"] == pytest.approx(0.1, rel=1e-4)
    assert max(parrot.asked) <= 8192


@pytest.mark.shared
def test_captured_pairs(parrot, tmp_path):
    capture = SHARED / "wrf" / "train" / "mskf_io_convrad_train3.nc"
    assert run("evaluate", "one.sciml", capture, "--json", tmp_path / "a.json") == 0
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["columns"]["held"] + content["columns"]["evaluated"] == 9216
    assert content["outputs"]["PRATEC"]["r2"] == 1


def test_blocks_do_not_change_scores():
    columns = convection_columns(open_wrfout(SAMPLE_WRFOUT), SAMPLE_OFFLINE)
    steps = []
    blocks = assess(columns, Parrot(), block=997, progress=lambda done, total: steps.append((done, total)))
    whole = assess(columns, Parrot())
    assert blocks.scores["trigger"] == whole.scores["trigger"]
    assert blocks.scores["outputs"]["RTHCUTEN"]["r2"] == pytest.approx(
        whole.scores["outputs"]["RTHCUTEN"]["r2"]
    )
    assert steps[-1] == (4032, 4032)
    assert [done for done, _ in steps][:2] == [997, 1994]


def fails(capsys, *arguments):
    assert run(*arguments) == 2
    message = capsys.readouterr().err.strip()
    assert len(message.splitlines()) == 1
    assert "Traceback" not in message
    return message


def test_errors_are_one_line(parrot, tmp_path, capsys):
    numbers = tmp_path / "a.json"
    text = tmp_path / "wrfout_d01_text"
    text.write_text("not a file of ours")
    assert "wrfout_d01_text" in fails(capsys, "evaluate", "m", text, "--json", numbers)
    assert "absent" in fails(capsys, "evaluate", "m", tmp_path / "absent.nc", "--json", numbers)
    message = fails(capsys, "evaluate", "m", SAMPLE_WRFOUT, "--run", 99, "--json", numbers)
    assert "RUN 99" in message
    assert "WEIGHT" in fails(capsys, "evaluate", "m", SAMPLE_WRFOUT, "--weighted", "--json", numbers)
    assert "folder" in fails(capsys, "evaluate", "m", SAMPLE_WRFOUT, "--json", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wrfout_d01_text"]


def test_paths_that_are_not_models(tmp_path, capsys):
    message = fails(capsys, "evaluate", tmp_path / "lib.so", SAMPLE_WRFOUT)
    assert "weights" in message
    (tmp_path / "libsciml_mskf.so").write_bytes(b"")
    (tmp_path / "a.nc").write_bytes(b"")
    (tmp_path / "b.nc").write_bytes(b"")
    assert "2 weights files (a.nc, b.nc)" in fails(capsys, "evaluate", tmp_path, SAMPLE_WRFOUT)
    message = fails(capsys, "evaluate", tmp_path / "lib.so", SAMPLE_WRFOUT, "--weights", tmp_path / "a.nc")
    assert "sciml coupling build" in message
    message = fails(capsys, "evaluate", "m.sciml", SAMPLE_WRFOUT, "--weights", tmp_path / "a.nc")
    assert "goes with a library" in message


def test_interrupted(parrot, tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(parrot, "run", stop)
    assert run("evaluate", "m.sciml", SAMPLE_WRFOUT, "--json", tmp_path / "a.json") == 130
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_settings_of_a_training(tmp_path, capsys):
    config = tmp_path / "fit.toml"
    config.write_text("[fit]\nepochs = 3\n[network]\nhidden = 48\n")
    assert read_settings(config) == {"fit": {"epochs": 3}, "network": {"hidden": 48}}
    config.write_text("[other]\nx = 1\n")
    with pytest.raises(ValueError, match="fit, network"):
        read_settings(config)
    config.write_text("epochs ==")
    with pytest.raises(ValueError, match="not a TOML file"):
        read_settings(config)


@pytest.fixture
def taught(monkeypatch):
    """Record the arguments of the training instead of training."""
    asked = {}

    def learn(columns, output, **settings):
        asked.update(columns=columns, output=output, **settings)
        output.write_text("a checkpoint")
        return "an emulator"

    monkeypatch.setattr("sciml.convection.training.train", learn)
    return asked


def test_options_precede_the_file_and_the_file_the_defaults(taught, tmp_path, capsys):
    config = tmp_path / "fit.toml"
    config.write_text("[fit]\nepochs = 3\nseed = 5\n[network]\nhidden = 48\n")
    output = tmp_path / "a.sciml"
    more = ["--reference", SAMPLE_OFFLINE, "-o", output, "--config", config, "--epochs", 9, "--hold-out", 0]
    more += ["--hypercomplex", 4]
    assert run("train", SAMPLE_WRFOUT, *more, "--restart", "--quiet") == 0
    assert taught["fit"] == {"epochs": 9, "seed": 5}
    assert taught["network"] == {"hidden": 48, "hypercomplex": 4}
    assert list(taught["hold_out"]) == [0]
    assert taught["resume"] is False
    assert taught["columns"].sizes["column"] == 4032
    assert capsys.readouterr().out == ""
    output.unlink()
    assert run("train", SAMPLE_WRFOUT, *more, "--restart") == 0
    assert capsys.readouterr().out == f"an emulator\nsaved: {output}\n"


def test_a_training_stopped_by_its_time_limit_reports_it(taught, tmp_path, capsys):
    from sciml.train.state import resume_path

    output = tmp_path / "a.sciml"
    resume_path(output).write_text("")
    assert run("train", SAMPLE_WRFOUT, "--reference", SAMPLE_OFFLINE, "-o", output, "--time-limit", 1) == 0
    assert taught["fit"] == {"time_limit_s": 1.0}
    assert "run the same command again" in capsys.readouterr().out


@pytest.mark.shared
def test_a_file_without_the_deciding_variable_is_an_error(parrot, capsys):
    message = fails(capsys, "evaluate", "m", SHARED / "wrf" / "real" / "salem_wrf_d01_allvars_cropped.nc")
    assert "W0AVG" in message


def test_a_library_uses_the_weights_in_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("sciml.coupling.FortranEmulator", lambda *paths: paths, raising=False)
    library, weights = tmp_path / "libsciml_mskf.so", tmp_path / "mskf.nc"
    library.write_bytes(b"")
    weights.write_bytes(b"")
    both = (str(library), str(weights))
    assert command.load_algorithm(str(tmp_path), None) == both
    assert command.load_algorithm(str(library), None) == both
    assert command.load_algorithm(str(library), weights) == both


def test_inputs_are_not_overwritten(parrot, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "select_runs", lambda *_: pytest.fail("read"))
    data, model, library = tmp_path / "wrfout_d01_x.nc", tmp_path / "m.sciml", tmp_path / "built"
    library.mkdir()
    for path in (data, model, library / "libsciml_mskf.so", library / "mskf.nc"):
        path.write_bytes(b"precious")
    page = tmp_path / "x.html"
    for arguments, match in [
        (["--json", data], "one of the inputs"),
        (["--reference", tmp_path / "t.nc", "--html", tmp_path / "t.nc"], "one of the inputs"),
        (["--figure", model], "one of the inputs"),
        (["--compare", library, "--json", library / "mskf.nc"], "one of the inputs"),
        (["--html", page, "--figure", tmp_path / "." / "x.html"], "--html and --figure both name"),
        (["--json", "/dev/null"], "is a device"),
        (["--json", library], "is a folder"),
    ]:
        assert match in fails(capsys, "evaluate", model, data, *arguments)
    monkeypatch.chdir(tmp_path)
    for given in ("wrfout_d01_*", "."):
        assert "one of the inputs" in fails(capsys, "evaluate", "m", given, "--json", data)
    for path in (data, model, library / "libsciml_mskf.so", library / "mskf.nc"):
        assert path.read_bytes() == b"precious"


def test_a_missing_run_is_an_error(parrot, capsys):
    message = fails(capsys, "evaluate", "m", SAMPLE_WRFOUT, "--run", 0, "--run", 77)
    assert "no column of RUN 77: the files contain RUN 0" in message


def test_files_are_written_before_anything_is_printed(parrot, tmp_path, monkeypatch):
    def closed(*_, **__):
        raise BrokenPipeError(errno.EPIPE, "nobody reads")

    monkeypatch.setattr(command.typer, "echo", closed)
    numbers = tmp_path / "a.json"
    assert run("evaluate", "m", SAMPLE_WRFOUT, "--reference", SAMPLE_OFFLINE, "--json", numbers) == 1
    assert json.loads(numbers.read_text())["columns"]["evaluated"] == 4032


def test_a_training_checks_its_output_before_it_opens_the_data(taught, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sciml.columns.open.open_columns", lambda *_, **__: pytest.fail("opened"))
    results, store = tmp_path / "results", tmp_path / "in.zarr"
    for folder in (results, store):
        folder.mkdir()
    (results / "thesis.txt").write_text("precious")
    (store / "zarr.json").write_text("{}")
    truth = tmp_path / "truth.nc"
    truth.write_text("truth")
    assert "no checkpoint" in fails(capsys, "train", store, "-o", results)
    assert "one of the inputs" in fails(capsys, "train", store, "-o", store)
    assert "one of the inputs" in fails(capsys, "train", "w.nc", "--reference", truth, "-o", truth)
    assert "device" in fails(capsys, "train", store, "-o", "/dev/null")
    assert (results / "thesis.txt").read_text() == "precious"
    assert not taught


def test_the_help_of_config_shows_its_tables(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    assert run("train", "--help") == 0
    assert "TOML with tables [fit] and [network]." in capsys.readouterr().out
