"""Settings of the entry of the scheme, and failures, after which the scheme of the model runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sciml.coupling.build import sources
from sciml.coupling.weights_file import read_weights
from tests.coupling.scheme.conftest import WHOLE

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("packaged")]


BAD = [
    ("mode = 'emulat'", {}, "give one of: original capture shadow emulate guard"),
    ("mood = 'emulate'", {}, "no setting is called mood; there are mode, on_failure, weights"),
    ("mode = 'guard', novelty = -1", {}, "give a number from 0 to"),
    ("mode = 'capture', capture_every = 1.5", {}, "give a whole number from 1"),
    ("mode = 'capture'\n mode = 'shadow'", {}, "mode is set twice"),
    ("mode 'capture'", {}, "give = and one value"),
    ("mode = 'capture", {}, "a string does not end"),
    ("mode = 'shadow', directory = '/nowhere/at/all'", {}, "cannot write into directory"),
    ("mode = 'emulate'\n weights_ = 1", {}, "weights_"),
    ("mode = 'emulate'", {"numbers": {"aercu_opt": 1}}, "aercu_opt = 1"),
    ("mode = 'emulate'", {"numbers": {"warm_rain": 1}}, "warm_rain T"),
    ("mode = 'emulate'", {"numbers": {"f_qi": None}}, "F_QI F"),
    ("mode = 'emulate'", {"numbers": {"wide": 1}}, "REAL of 8 bytes"),
    ("mode = 'emulate'", {"numbers": {"g": 3.7}}, "constants are not WRF's"),
    ("mode = 'emulate'", {"numbers": {"kte": 19}}, "the columns have 19 levels"),
]


@pytest.mark.parametrize(("settings", "given", "message"), BAD)
def test_after_a_failure_the_scheme_of_the_model_runs(
    run: Any, alone: Any, settings: str, given: dict[str, Any], message: str
) -> None:
    """There is one message, and every call runs the scheme of the model, as without the library."""
    done = run(settings, calls=[{"step": step, "tiles": WHOLE} for step in (6, 12)][:1], **given)
    assert done.same(alone)
    assert all(status != 0 and message in text for status, text in done.statuses), done.statuses
    assert done.log.count(message) == 1
    assert not list(done.folder.glob("sciml_mskf_*_*.nc"))


def test_weights_that_are_missing_or_damaged(run: Any, alone: Any, weights: Path, tmp_path: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.nc").write_bytes(content)
    for n, (path, message) in enumerate(
        (("nowhere.nc", "nowhere.nc"), (f"{tmp_path}/damaged.nc", "damaged"))
    ):
        nml = tmp_path / f"{n}.nml"
        nml.write_text(f"&sciml_mskf mode = 'guard', weights = '{path}' /")
        done = run(None, env={"SCIML_MSKF_NAMELIST": str(nml)}, name=f"bad{n}")
        assert done.same(alone) and message in done.log and "own scheme" in done.log


def test_other_settings_than_in_training_give_one_warning(run: Any) -> None:
    calls = [{"step": step, "tiles": WHOLE} for step in (6, 12)]
    done = run("mode = 'emulate'", calls=calls, numbers={"dx": 3000.0, "dt": 20.0})
    assert done.log.count("DX is 3000, the emulator was trained with 10000") == 1
    assert done.log.count("DT is 20, the emulator was trained with 50") == 1
    assert done.log.count("CUDT") == 1  # in the line of the training's values only


def test_fewer_levels_give_no_warning(run: Any) -> None:
    done = run("mode = 'emulate'", numbers={"kte": 40})
    assert all(status == 0 for status, _ in done.statuses), done.statuses
    assert "WARNING" not in done.log and "for any number of levels" in done.log
    assert not done.own_calls


def test_every_setting_is_documented_with_its_default(run: Any) -> None:
    """The installed namelist has the defaults of the library."""
    documented = (sources() / "sciml_mskf.nml").read_text()
    nml = run("mode = 'original'", name="bare").log
    settings = [
        line.split("sciml: ")[1].split() for line in nml.splitlines() if " = " in line or "= " in line
    ]
    settings = [(words[0], words[-1]) for words in settings if words[1].startswith("=")]
    assert len(settings) == 18
    stated = dict(
        line.split("!")[0].split("=") for line in documented.splitlines() if "=" in line.split("!")[0]
    )
    assert {name.strip(): value.strip() for name, value in stated.items()}.keys() == {n for n, _ in settings}
    for name, value in settings:
        if name == "weights":
            continue
        theirs = {x.strip(): y.strip() for x, y in stated.items()}[name]
        assert theirs == value or float(theirs) == float(value), name


def test_weights_have_the_settings_of_the_training(weights: Path) -> None:
    attributes = read_weights(weights).attributes
    trained = {name: attributes[f"trained_{name}"] for name in ("dx_low", "dx_high", "dt_low", "cudt_high")}
    assert trained == {"dx_low": 1e4, "dx_high": 1e4, "dt_low": 50.0, "cudt_high": 5.0}
