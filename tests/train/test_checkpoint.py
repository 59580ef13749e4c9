"""Checkpoints are read as they were written, or raise an error."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
import zipfile

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import ChecksumError, InputError, SchemaError, SciMLError
from sciml.storage import packaged as data_files
from sciml.train import Epoch, History, checkpoint
from tests.paths import REPO

CONFIG = {
    "kind": "line",
    "levels": 44,
    "variables": {"T_PHY": "K", "QVAPOR": "kg kg-1"},
    "scale": [0.1, 1e-30],
}
TENSORS = {
    "w": np.linspace(-3, 4, 21, dtype=np.float32).reshape(3, 7),
    "b": np.float16([1, 2]),
    "n": np.array(9),
}
HISTORY = History().add(Epoch(1, 5, 1e-3, {"loss": 0.25}, {"loss": 0.3}, seconds=1.5))

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
configs = st.dictionaries(
    st.text().filter(lambda key: key not in (*checkpoint.RESERVED, "kind")), values, max_size=4
)
kinds = [np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, np.uint8, np.bool_, np.complex64]
arrays = st.sampled_from(kinds).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)


def write(path, **options):
    return checkpoint.save(path, CONFIG, TENSORS, history=HISTORY, **options)


@settings(max_examples=25, deadline=None)
@given(config=configs, tensors=st.dictionaries(st.text(max_size=9), arrays, max_size=4), folder=st.booleans())
def test_round_trip(tmp_path_factory, config, tensors, folder):
    path = tmp_path_factory.mktemp("c") / ("model" if folder else "model.sciml")
    checkpoint.save(path, {"kind": "any", **config}, tensors)
    back = checkpoint.load(path, kind="any")
    assert {name: back.config[name] for name in config} == config
    assert list(back.config)[3:-1] == list(config), "the order of variables matters"
    assert back.tensors.keys() == tensors.keys()
    for name, array in tensors.items():
        assert back.tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(back.tensors[name], array)
    once_more = checkpoint.save(path.with_name("again.sciml"), back.config, back.tensors)
    assert checkpoint.load(once_more).config == back.config


def test_the_bytes_depend_on_the_content_only(tmp_path):
    first, second = write(tmp_path / "a.sciml"), write(tmp_path / "b.sciml")
    assert first.read_bytes() == second.read_bytes()
    names = ["config.json", "weights.safetensors", "history.json", "provenance.json"]
    assert zipfile.ZipFile(first).namelist() == names
    assert checkpoint.load(first).history == HISTORY
    config, tensors = checkpoint.load(first)
    assert (config["levels"], set(tensors)) == (44, set(TENSORS))


def test_torch_tensors_and_back(tmp_path):
    model = torch.nn.LSTM(3, 4, bidirectional=True)
    strided = {"t": torch.arange(6.0).reshape(2, 3).T, "half": torch.ones(2, dtype=torch.bfloat16)}
    path = checkpoint.save(tmp_path / "m.sciml", {"kind": "lstm"}, {**model.state_dict(), **strided})
    back = checkpoint.load(path).state_dict()
    assert back["half"].dtype == torch.float32
    assert torch.equal(back.pop("t"), strided["t"])
    del back["half"]
    torch.nn.LSTM(3, 4, bidirectional=True).load_state_dict(back)
    assert all(torch.equal(back[name], tensor) for name, tensor in model.state_dict().items())
    assert checkpoint.load(path).state_dict(torch.float64)["weight_ih_l0"].dtype == torch.float64


@settings(max_examples=80, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_detected_or_harmless(tmp_path_factory, place, bit):
    path = write(tmp_path_factory.mktemp("c") / "m.sciml")
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        back = checkpoint.load(path)
    except SciMLError:
        return
    assert all(np.array_equal(back.tensors[name], TENSORS[name]) for name in TENSORS)
    assert {name: back.config[name] for name in CONFIG} == CONFIG


@pytest.mark.parametrize("part", ["config.json", "weights.safetensors", "history.json"])
@pytest.mark.parametrize("folder", [False, True])
def test_a_flipped_bit_in_the_content(tmp_path, part, folder):
    path = write(tmp_path / ("model" if folder else "model.sciml"))
    file = path / part if folder else path
    content = bytearray(file.read_bytes())
    sought = {
        "config.json": b"1e-30",
        "weights.safetensors": TENSORS["w"].tobytes(),
        "history.json": b"0.25",
    }[part]
    content[content.index(sought) + len(sought) - 1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ChecksumError, match="fetch or train it again"):
        checkpoint.load(path)


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity"])
def test_a_config_that_python_reads_though_it_is_not_json(tmp_path, number):
    path = write(tmp_path / "model")
    text = (path / "config.json").read_bytes()
    assert b"1e-30" in text
    (path / "config.json").write_bytes(text.replace(b"1e-30", number))
    with pytest.raises(ChecksumError, match=r"config\.json is damaged"):
        checkpoint.load(path)


def test_a_missing_part(tmp_path):
    path = write(tmp_path / "model")
    (path / "history.json").unlink()
    with pytest.raises(ChecksumError, match=r"history\.json"):
        checkpoint.load(path)


def test_newer_and_older_schemas(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SCHEMA", 3)
    newer = write(tmp_path / "newer.sciml")
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SCHEMA", 1)
    with pytest.raises(SchemaError, match="schema 3, this version reads schema 1: upgrade"):
        checkpoint.load(newer)
    older = write(tmp_path / "older.sciml")
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SCHEMA", 3)
    with pytest.raises(SchemaError, match="schema 1, this version reads schema 3: train it again"):
        checkpoint.load(older)
    monkeypatch.setitem(checkpoint.MIGRATIONS, 1, lambda c, t: ({**c, "level": c["levels"]}, t))
    monkeypatch.setitem(checkpoint.MIGRATIONS, 2, lambda c, t: (c, {f"net.{n}": a for n, a in t.items()}))
    back = checkpoint.load(older)
    assert back.config["schema"] == 3
    assert back.config["level"] == 44
    assert set(back.tensors) == {"net.w", "net.b", "net.n"}


@pytest.mark.parametrize("folder", [False, True])
def test_a_full_disk_leaves_the_existing_file(tmp_path, monkeypatch, folder):
    path = write(tmp_path / ("model" if folder else "model.sciml"))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SciMLError, match=r"No space left on device.*is unchanged"):
        checkpoint.save(path, {"kind": "other"}, {})
    assert checkpoint.load(path).kind == "line"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_file_size_limit(tmp_path):
    path = write(tmp_path / "m.sciml")
    program = (
        "import numpy, sys; from sciml.train import checkpoint\n"
        "try: checkpoint.save(sys.argv[1], {'kind': 'big'}, {'w': numpy.zeros(100_000)})\n"
        "except Exception as error: sys.exit(f'{type(error).__name__}: {error}')"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=REPO, preexec_fn=limit, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("SciMLError: cannot write")
    assert checkpoint.load(path).kind == "line"
    assert [file.name for file in tmp_path.iterdir()] == ["m.sciml"]


def test_a_directory_replaces_a_directory(tmp_path):
    write(tmp_path / "model")
    checkpoint.save(tmp_path / "model", {"kind": "other"}, {})
    back = checkpoint.load(tmp_path / "model")
    assert (back.kind, back.tensors, back.history) == ("other", {}, None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_packaged_names(tmp_path, monkeypatch):
    monkeypatch.setattr(data_files, "folder", lambda: tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    write(tmp_path / "mskf-line.sciml")
    assert checkpoint.load("mskf-line").kind == "line"
    assert checkpoint.resolve("mskf-line.sciml") == tmp_path / "mskf-line.sciml"
    with pytest.raises(InputError, match=r"'mskf-other': it does not exist.*packaged name \(mskf-line\)"):
        checkpoint.resolve("mskf-other")
    with pytest.raises(InputError, match=r"directory without a config\.json"):
        checkpoint.resolve(tmp_path)


def test_bad_input(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no zip")
    with pytest.raises(InputError, match="is no checkpoint"):
        checkpoint.load(text)
    with pytest.raises(InputError, match="kind 'line', wanted 'emulator'"):
        checkpoint.load(write(tmp_path / "m.sciml"), kind="emulator")
    for config, tensors, match in [
        ({}, {}, "names the family"),
        ({"kind": "a", "schema": 12}, {}, "reserved"),
        ({"kind": "a", "x": float("nan")}, {}, "cannot be written as JSON"),
        ({"kind": "a", "x": {"y": {3: 4}}}, {}, r"config\['x'\]\['y'\] has the key 3"),
        ({"kind": "a", "x": object()}, {}, "object"),
        ({"kind": "a"}, {"t": "text"}, "tensor 't' is a str"),
        ({"kind": "a"}, {"t": np.array(["text"])}, "dtype <U4"),
    ]:
        with pytest.raises(InputError, match=match):
            checkpoint.save(tmp_path / "new.sciml", config, tensors)
    assert not (tmp_path / "new.sciml").exists()


def test_numpy_numbers_in_the_config(tmp_path):
    config = {"kind": "a", "mean": np.float32(0.1), "shape": np.array([1, 2]), "pair": (1, 2)}
    back = checkpoint.load(checkpoint.save(tmp_path / "m.sciml", config, {}))
    assert back.config["mean"] == float(np.float32(0.1))
    assert (back.config["shape"], back.config["pair"]) == ([1, 2], [1, 2])


def test_the_repr_is_a_table(tmp_path):
    text = repr(checkpoint.load(write(tmp_path / "m.sciml")))
    assert text.startswith("Checkpoint: line\n")
    for part in ("levels", "44", "sciml 0", "3 (24 values, float16, float32, int64", "1 epochs", "T_PHY"):
        assert part in text


def test_neither_reading_nor_writing_needs_torch(tmp_path):
    path = write(tmp_path / "m.sciml")
    program = (
        "import sys; from sciml.train import checkpoint; c = checkpoint.load(sys.argv[1]);"
        "checkpoint.save(sys.argv[1], c.config, c.tensors); print('torch' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=REPO, capture_output=True, text=True
    )
    assert ended.stdout.strip() == "False", ended.stderr
    assert json.loads(zipfile.ZipFile(path).read("config.json"))["levels"] == 44
