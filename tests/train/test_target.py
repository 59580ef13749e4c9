"""Files that a checkpoint may replace, and files that must remain."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from sciml.errors import ChecksumError, InputError
from sciml.storage.atomic import check_apart, replaced
from sciml.train import Epoch, History, checkpoint

CONFIG, TENSORS = {"kind": "line"}, {"w": np.linspace(0, 1, 5, dtype=np.float32)}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(path: Path, match: str) -> None:
    with pytest.raises(InputError, match=match):
        checkpoint.save(path, CONFIG, TENSORS)
    with pytest.raises(InputError, match=match):
        checkpoint.check_target(path)


@pytest.mark.parametrize("name", ["results", "results.sciml"])
def test_a_folder_of_something_else_is_unchanged(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("precious")
    before = tree(tmp_path)
    refused(tmp_path / name, "is a folder")
    assert tree(tmp_path) == before


def test_a_folder_that_only_looks_like_a_checkpoint_stays(tmp_path):
    foreign = tmp_path / "model"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"architecture": "another library\'s"}')
    refused(foreign, "no checkpoint")
    ours = checkpoint.save(tmp_path / "ours", CONFIG, TENSORS)
    (ours / "notes.txt").write_text("precious")
    refused(ours, "no checkpoint")


@pytest.mark.parametrize("name", ["data.nc", "data.sciml", "data"])
def test_a_file_of_something_else_stays(tmp_path, name):
    (tmp_path / name).write_bytes(b"CDF\x05 and columns")
    refused(tmp_path / name, "is a file")
    assert tree(tmp_path) == {name: b"CDF\x05 and columns"}


def test_a_device_or_pipe_stays(tmp_path):
    os.mkfifo(tmp_path / "m.sciml")
    refused(tmp_path / "m.sciml", "a device, a pipe or a socket")
    with pytest.raises(InputError, match="a device, a pipe"):
        checkpoint.check_target("/dev/null")
    with pytest.raises(InputError, match="a device"), replaced(tmp_path / "m.sciml"):
        pytest.fail("the block began")
    assert (tmp_path / "m.sciml").is_fifo()


def test_a_path_through_a_file_or_without_a_name(tmp_path):
    (tmp_path / "a").write_text("a file")
    refused(tmp_path / "a" / "b" / "m.sciml", "is a file, not a folder")
    for path in (".", ".."):
        with pytest.raises(InputError, match="no name of its own"):
            checkpoint.check_target(path)


def test_a_damaged_checkpoint_or_an_empty_folder_is_replaced(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "touched.sciml").touch()
    damaged = checkpoint.save(tmp_path / "damaged.sciml", CONFIG, TENSORS)
    damaged.write_bytes(damaged.read_bytes()[:200])
    folder = checkpoint.save(tmp_path / "folder", CONFIG, TENSORS)
    (folder / "weights.safetensors").unlink()
    for path in (tmp_path / "empty", tmp_path / "touched.sciml", damaged, folder, tmp_path / "new"):
        assert checkpoint.load(checkpoint.save(path, CONFIG, TENSORS)).kind == "line"
        checkpoint.save(path, {"kind": "other"}, {})
        assert checkpoint.load(path).kind == "other"
    assert not list(tmp_path.glob(".*"))


def test_an_output_apart_from_the_inputs(tmp_path):
    store, plain = tmp_path / "in.zarr", tmp_path / "runs"
    for folder in (store, plain):
        folder.mkdir()
    (store / "zarr.json").write_text("{}")
    (tmp_path / "link.nc").symlink_to(plain / "a.nc")
    with pytest.raises(InputError, match="is one of the inputs"):
        checkpoint.check_target(store, [tmp_path / "b.nc", store])
    with pytest.raises(InputError, match="is one of the inputs"):
        check_apart(plain / "a.nc", [tmp_path / "link.nc"])
    with pytest.raises(InputError, match="lies in the input"):
        checkpoint.check_target(store / "deep" / "m.sciml", [store])
    with pytest.raises(InputError, match="contains the input"):
        checkpoint.check_target(plain, [plain / "a.nc"])
    checkpoint.check_target(plain / "m.sciml", [plain])


def test_a_file_does_not_replace_a_folder(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is a folder"), replaced(tmp_path / "page"):
        pytest.fail("the block began")
    assert (tmp_path / "page" / "thesis.txt").read_text() == "precious"


def test_a_flipped_bit_in_the_archives_own_fields(tmp_path):
    """For example the compression method, whose decompressor then raises another exception."""
    history = History().add(Epoch(1, 5, 1e-3, {"loss": 0.25}))
    path = checkpoint.save(
        tmp_path / "m.sciml", CONFIG, {f"w{n}": np.full(5, n) for n in range(9)}, history=history
    )
    whole = path.read_bytes()
    records = [match.start() for match in re.finditer(b"PK\x01\x02", whole)]
    assert len(records) == 4
    refusals = 0
    for place in [place for record in records for place in range(record + 4, record + 24)]:
        for bit in range(8):
            content = bytearray(whole)
            content[place] ^= 1 << bit
            path.write_bytes(content)
            try:
                checkpoint.load(path)
            except ChecksumError:
                refusals += 1
    assert refusals > 100
