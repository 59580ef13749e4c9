"""A state is resumed only by the training that saved it."""

from __future__ import annotations

import pytest

from sciml.errors import ChecksumError, InputError
from sciml.train import Fit, Quiet, checkpoint, fit
from sciml.train.state import resume_path
from tests.train.curve import SETTINGS, TRAINING, VALIDATION, curve, network, objective

LIMITED = Fit(**{**vars(SETTINGS), "time_limit_s": 1e-6})


def train(output, validation=VALIDATION, **options):
    return fit(
        network(), objective, TRAINING, validation, LIMITED, output=output, progress=Quiet(), **options
    )


def test_another_identity_is_an_error_with_its_name(tmp_path):
    output = tmp_path / "m.sciml"
    train(output, identity={"the files": "a.nc", "digest": "12"})
    for other, message in [
        ({"the files": "b.nc", "digest": "12"}, r"the files a\.nc, now it is b\.nc"),
        ({"the files": "a.nc", "digest": "34"}, "digest 12, now it is 34"),
        ({"the files": "a.nc"}, "digest 12, now it is not given"),
        ({"the files": "a.nc", "digest": "12", "more": "x"}, "more not given, now it is x"),
    ]:
        with pytest.raises(InputError, match=f"{message}.*resume=False \\(--restart\\)$"):
            train(output, identity=other)
    train(output, identity={"the files": "a.nc", "digest": "12"})
    train(output, identity={"the files": "b.nc"}, resume=False)


def test_another_validation_is_an_error(tmp_path):
    train(tmp_path / "m.sciml")
    with pytest.raises(InputError, match=r"validated with 40 samples, now there are 12.*--restart"):
        train(tmp_path / "m.sciml", curve(12, 5))
    with pytest.raises(InputError, match=r"validated with 40 samples, now there are 0"):
        train(tmp_path / "m.sciml", None)


def test_a_state_without_its_identity_is_an_error(tmp_path):
    path = resume_path(tmp_path / "m.sciml")
    train(tmp_path / "m.sciml")
    saved = checkpoint.load(path)
    bare = {name: value for name, value in saved.config.items() if name not in ("identity", "validated")}
    checkpoint.save(path, bare, saved.tensors, history=saved.history)
    with pytest.raises(InputError, match=r"earlier version.*resume=False \(--restart\)"):
        train(tmp_path / "m.sciml")


def test_the_error_of_a_damaged_state_has_a_remedy(tmp_path):
    path = resume_path(tmp_path / "m.sciml")
    train(tmp_path / "m.sciml")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ChecksumError, match="--restart"):
        train(tmp_path / "m.sciml")
    path.write_bytes(b"")
    with pytest.raises(InputError, match="--restart"):
        train(tmp_path / "m.sciml")
    train(tmp_path / "m.sciml", resume=False)


def test_a_file_at_the_path_of_the_state_is_an_error(tmp_path):
    path = resume_path(tmp_path / "m.sciml")
    path.write_text("a diary")
    with pytest.raises(InputError, match="no checkpoint"):
        train(tmp_path / "m.sciml", resume=False)
    assert path.read_text() == "a diary"
