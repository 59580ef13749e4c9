"""The workflows: variables, errors, resumption, and a trial of the first ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import distributed
import pytest

from tests.paths import REPO
from workflows.run import main

SCRIPT = REPO / "workflows" / "run.py"
WORKFLOWS = sorted(path for path in (REPO / "workflows").glob("*.toml") if "{shared}" in path.read_text())


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_layout: None, capfd: pytest.CaptureFixture[str]
) -> Run:
    """Run a workflow in this process, which does not import torch again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPO))  # a workflow extends it

    def running(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr("sys.argv", [str(SCRIPT), *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        shown = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, code, shown.out, shown.err)

    return running


def write(folder: Path, text: str) -> str:
    path = folder / "workflow.toml"
    path.write_text(text)
    return str(path)


def test_variables_become_words(tmp_path: Path) -> None:
    workflow = write(
        tmp_path,
        """
        [variables]
        flags = ["--version"]
        none = []
        [[step]]
        purpose = "Which version"
        command = ["{none}", "{flags}"]
        """,
    )
    done = run(workflow, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[1/1] Which version\n$ sciml --version\nsciml " in done.stdout


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("[variables", [], "is not a TOML file"),
        ('[[step]]\npurpose = "p"\ncommand = ["{wind}"]', [], "'{wind}' names 'wind', which is not among"),
        ("[variables]\nepochs = 7", ["--set", "epoch=3"], "give NAME=VALUE with a name out of epochs"),
        (
            '[variables]\nf = ["--reference", "no.nc"]\n[absent]\nf = "WRF writes it"',
            [],
            "no.nc is not there: WRF writes it",
        ),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, arguments: list[str], message: str) -> None:
    done = run(write(tmp_path, text), *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_step_that_fails_ends_it_with_its_code(tmp_path: Path) -> None:
    step = '[[step]]\npurpose = "p"\ncommand = ["wrf", "info", "no-such-file.nc"]\n'
    done = run(write(tmp_path, step * 2), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout.count("$ sciml") == 1
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_the_training_data_is_named_when_it_is_absent(workflow: Path, tmp_path: Path) -> None:
    done = run(str(workflow), cwd=tmp_path, SCIML_SHARED=str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "is not there: " in done.stderr
    assert "SCIML_SHARED" in done.stderr


@pytest.mark.slow
def test_the_first_workflow(here: Run, tmp_path: Path, short_sample: tuple[Path, Path]) -> None:
    wrfout, reference = short_sample
    given = ("--set", f"wrfout={wrfout}", "--set", f"reference={reference}")
    done = here(str(REPO / "workflows" / "01_sample.toml"), "--smoke", *given)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "runs" / "01_smoke" / "scores.json").read_text())
    assert 0.9 < scores["trigger"]["f1"] <= 1
    assert (tmp_path / "runs" / "01_smoke" / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_the_workflow_of_the_operators(here: Run, tmp_path: Path) -> None:
    done = here(str(REPO / "workflows" / "04_darcy.toml"), "--smoke")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "runs" / "04_smoke" / "scores.json").read_text())
    assert 0 < scores["also"][0]["relative_l2"] < scores["relative_l2"]
    assert "With sparse LU as the reference" in done.stdout


@pytest.mark.slow
def test_the_workflow_of_analogs(here: Run, tmp_path: Path) -> None:
    done = here(str(REPO / "workflows" / "17_analogs.toml"), "--smoke")
    assert done.returncode == 0, done.stderr
    output = tmp_path / "runs" / "17_smoke"
    plume, profiles = (json.loads((output / f"{name}.json").read_text()) for name in ("scores", "profiles"))
    assert plume["novelty"]["largest"] == profiles["novelty"]["largest"] == 0
    assert plume["outputs"]["all"]["RTHCUTEN"]["r2"] > profiles["outputs"]["all"]["RTHCUTEN"]["r2"] > 0.5
    assert (output / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_the_workflow_of_normalisations(here: Run, tmp_path: Path) -> None:
    done = here(str(REPO / "workflows" / "16_normalization.toml"), "--smoke")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "runs" / "16_smoke" / "scores.json").read_text())
    errors = [scores["relative_l2"], *(other["relative_l2"] for other in scores["also"])]
    assert len(set(errors)) == 3 and all(0 < error < 1e3 for error in errors)


@pytest.mark.slow
def test_the_workflow_of_linear_operators(here: Run, tmp_path: Path) -> None:
    done = here(str(REPO / "workflows" / "18_greens.toml"), "--smoke")
    assert done.returncode == 0, done.stderr
    output = tmp_path / "runs" / "18_smoke"
    assert json.loads((output / "greens.json").read_text())["error"] > 0
    assert (output / "report.html").read_text().count("<h2>") == 2
    assert "push of 2 columns (plume-closure)" in done.stdout


@pytest.mark.slow
@pytest.mark.native
def test_the_workflow_of_a_declared_scheme(here: Run, tmp_path: Path) -> None:
    done = here(str(REPO / "workflows" / "13_kessler.toml"), "--smoke")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    output = tmp_path / "runs" / "13_smoke"
    scores = json.loads((output / "scores.json").read_text())
    assert scores["columns"] == 40 and set(scores["levels"]) == {"20", "34"}
    assert max(scores["closure"].values()) < 1e-14
    fortran = json.loads((output / "fortran.json").read_text())
    assert fortran["rain"] > 0 and fortran["water"] < 1e-13
    assert "$ python -m workflows.kessler.fortran_run" in done.stdout


@pytest.mark.slow
def test_the_workflow_of_stable_rollouts(here: Run, tmp_path: Path) -> None:
    done = here(str(REPO / "workflows" / "15_stable_rollout.toml"), "--smoke")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    output = tmp_path / "runs" / "15_smoke"
    scores = json.loads((output / "scores.json").read_text())
    assert scores["lipschitz_bound"] <= 1 and scores["certificate"]["order"] == 1
    euclidean, fno = scores["also"]
    assert euclidean["lipschitz_bound"] <= 1 and euclidean["certificate"]["order"] == 0
    assert "lipschitz_bound" not in fno
    page = (output / "report.html").read_text(encoding="utf-8")
    for norm in ("in the norm of H^-1", "in the Euclidean norm"):
        assert norm in done.stdout and norm in page


def test_a_module_that_fails_ends_the_workflow(tmp_path: Path) -> None:
    step = '[[step]]\npurpose = "p"\nmodule = "workflows.kessler.fortran_run"\ncommand = ["--step"]\n'
    done = run(write(tmp_path, step * 2), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout.count("$ python -m") == 1 and "fortran_run.py: error: " in done.stderr


@pytest.mark.slow
def test_a_paper_scale_workflow_goes_on_until_it_is_finished(here: Run, tmp_path: Path) -> None:
    """With a short time limit it trains one step and stops; the second run goes on, and scores at the end."""
    workflow, output = (
        str(REPO / "workflows" / "06_darcy_rough.toml"),
        tmp_path / "runs" / "06_darcy_rough_smoke",
    )
    first = here(workflow, "--smoke", "--set", "epochs=2", "--set", "time_limit=0.01")
    assert first.returncode == 0, first.stderr
    assert "not finished yet: run the same command again to resume" in first.stdout
    assert "Score it" not in first.stdout
    assert not (output / "official.sciml").exists()
    last = here(workflow, "--smoke", "--set", "epochs=2")
    assert last.returncode == 0, last.stderr
    assert "resumed from" in last.stderr
    assert json.loads((output / "scores.json").read_text())["relative_l2"] > 0


@pytest.mark.slow
@pytest.mark.dask
@pytest.mark.xdist_group("dask")
def test_the_workflow_of_clusters(here: Run, tmp_path: Path) -> None:
    pytest.importorskip("scores")
    with distributed.LocalCluster(
        n_workers=1, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0"
    ) as cluster:
        where = f"cluster={cluster.scheduler_address}"
        done = here(str(REPO / "workflows" / "19_cluster.toml"), "--smoke", "--set", where)
    assert done.returncode == 0, done.stderr
    output = tmp_path / "runs" / "19_smoke"
    scores, compared = (json.loads((output / f"{name}.json").read_text()) for name in ("scores", "compare"))
    assert scores["outputs"]["RTHCUTEN"]["r2"] > 0.9
    assert compared["dropped"] == []
