"""`solve` accepts problems and algorithms defined outside of the package, and mypy checks which match."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import sciml as sm
from sciml.solve import Problem, Solution, SolveFailed
from tests.interface.newton import Newton, Root, RootSolution
from tests.paths import REPO


def test_solve_accepts_external_problems_and_algorithms() -> None:
    solution = sm.solve(Root(17.0), Newton())
    assert solution.x == pytest.approx(17.0**0.5)
    assert solution.result is sm.Result.SUCCESS
    assert isinstance(solution, Solution)
    assert isinstance(Root(17.0), Problem)


def test_a_state_is_reused() -> None:
    state = sm.init(Root(17.0), Newton())
    assert state == 17.0
    near = sm.solve(Root(17.0), Newton(), state=17.0**0.5)
    assert near.stats["iterations"] == 0


def test_a_state_that_is_false_is_used() -> None:
    @dataclass(frozen=True)
    class Echo:
        def init(self, problem: Root) -> float:
            raise AssertionError("a state was given")

        def run(self, problem: Root, state: float) -> RootSolution:
            return RootSolution(state, sm.Result.SUCCESS)

    assert sm.solve(Root(3.0), Echo(), state=0.0).x == 0.0


def test_failure_raises_with_its_remedy_and_the_solution() -> None:
    with pytest.raises(
        SolveFailed, match="MAX_ITERATIONS: tolerance not reached: raise max_iterations"
    ) as failed:
        sm.solve(Root(17.0), Newton(max_iterations=2))
    assert failed.value.solution.stats["iterations"] == 2
    assert isinstance(failed.value, sm.SciMLError)


def test_failure_can_be_returned_instead() -> None:
    solution = sm.solve(Root(17.0), Newton(max_iterations=2), throw=False)
    assert not solution.result.ok


@pytest.mark.parametrize("result", sm.Result)
def test_every_result_but_success_has_a_remedy(result: sm.Result) -> None:
    assert bool(result.value) == (result is not sm.Result.SUCCESS)
    assert result.ok == (result.name in ("SUCCESS", "NOVEL"))


TYPED = """
from sciml.solve import init, solve
from tests.interface.newton import Newton, Root

solution = solve(Root(17.0), Newton())
x: float = solution.x
state: float = init(Root(17.0), Newton())
"""
MISTYPED = 'solve("seventeen", Newton())\n'


@pytest.mark.slow
def test_mypy_accepts_valid_and_rejects_invalid_protocols(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    script = tmp_path / "typed.py"
    script.write_text(TYPED + MISTYPED)
    # Only the files that matter: the rest of the package would take mypy half a minute.
    files = [script, "tests/interface/newton.py", "sciml/solve.py", "sciml/errors.py"]
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--follow-imports", "skip"]
    command += ["--cache-dir", str(tmp_path / "cache"), *map(str, files)]
    output = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False).stdout
    errors = [line for line in output.splitlines() if "typed.py" in line and "error:" in line]
    assert len(errors) == 1, output
    assert f"typed.py:{TYPED.count(chr(10)) + 1}:" in errors[0]
