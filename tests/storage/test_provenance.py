"""Records of provenance: what they contain, their checksum, and the checksums of inputs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sciml.errors import ChecksumError, InputError, SchemaError
from sciml.storage import digests
from sciml.storage.digests import PIECE, SAMPLE, digest_paths
from sciml.storage.provenance import (
    PROVENANCE,
    Command,
    Given,
    Provenance,
    current,
    note,
    parse,
    recorded,
    resumed,
    seal_store,
)


def command(path: Path, *more: str) -> Command:
    words = ("pde", "train", "--epochs=3", "fno", path.name)
    return Command((*words, *more), {"epochs": 3}, (Given("data", path.name, (path,)),), ("pde", "train"))


def test_a_record_is_the_same_for_equal_commands_and_inputs(tmp_path: Path) -> None:
    data = tmp_path / "d.nc"
    data.write_bytes(b"numbers")
    texts = []
    for _ in range(2):
        with recorded(command(data)):
            note("fit", {"seed": 23, "learning_rate": 1e-3})
            texts.append(current().text())
    assert texts[0] == texts[1]
    record = parse(texts[0], "x")
    assert record.line() == "sciml pde train --epochs=3 fno d.nc"
    assert record.seeds == {"fit.seed": 23}
    assert record.options["fit"]["learning_rate"] == 1e-3
    assert record.inputs[0].sha256 == digest_paths([data])[0].sha256
    assert record.versions["sciml"] and record.versions["python"].count(".") == 2
    assert str(tmp_path) not in texts[0]


def test_without_a_command_the_software_is_recorded() -> None:
    record = parse(current().text(), "x")
    assert record.command == () and record.versions == current().versions
    assert record.line() == "functions of sciml, in Python"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("epochs=3", "epochs=4"),
        lambda text: text[:-20],
        lambda text: "[" * 100_000,
        lambda text: "{}" * (1 << 20),
        lambda text: json.dumps({**json.loads(text), "more": 1}),
        lambda text: json.dumps({**json.loads(text), "inputs": 3}),
    ],
)
def test_a_damaged_record_is_one_error(tmp_path: Path, damage: object) -> None:
    with recorded(command(tmp_path / "absent")):
        text = current().text()
    with pytest.raises((ChecksumError, SchemaError), match=r"^m\.sciml"):
        parse(damage(text), "m.sciml")  # type: ignore[operator]


def test_a_record_of_a_later_version_is_refused() -> None:
    later = {**json.loads(current().text()), "schema": 2}
    with pytest.raises(SchemaError, match="upgrade sciml"):
        parse(later, "m.sciml")


def test_a_record_with_values_of_other_types_is_damaged() -> None:
    made = Provenance(command=("pde",), versions={"sciml": 3})  # type: ignore[dict-item]
    with pytest.raises(ChecksumError, match="a text is expected"):
        parse(made.text(), "m.sciml")


def test_other_software_of_an_earlier_call_is_recorded(tmp_path: Path) -> None:
    other = Provenance(("pde", "train"), versions={"sciml": "0.0.7"}, commit="ab" * 20)
    with recorded(command(tmp_path)):
        resumed(other.text(), "m.resume.sciml")
        resumed(current().text(), "m.resume.sciml")
        record = parse(current().text(), "x")
    assert [each["versions"] for each in record.earlier] == [{"sciml": "0.0.7"}]


def test_a_store_that_other_software_began_records_both(tmp_path: Path) -> None:
    def attribute() -> str:
        return str(json.loads((tmp_path / "zarr.json").read_text())["attributes"][PROVENANCE])

    other = Provenance((), versions={"sciml": "0.0.7"})
    (tmp_path / "zarr.json").write_text(json.dumps({"attributes": {PROVENANCE: other.text()}}))
    seal_store(tmp_path)
    once = attribute()
    assert parse(once, "x").earlier[0]["versions"] == {"sciml": "0.0.7"}
    seal_store(tmp_path)
    assert attribute() == once
    assert os.listdir(tmp_path) == ["zarr.json"]


def test_the_checksum_of_a_store_depends_on_names_and_bytes(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    (store / "u").mkdir(parents=True)
    (store / "u" / "c0").write_bytes(b"1")
    (store / "zarr.json").write_bytes(b"{}")
    first = digest_paths([store])[0]
    assert first.size == 3 and not first.sampled
    (store / "u" / "c0").rename(store / "u" / "c1")
    second = digest_paths([store])[0]
    (store / "u" / "c1").write_bytes(b"2")
    assert len({first.sha256, second.sha256, digest_paths([store])[0].sha256}) == 3


def test_large_files_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "FULL", 1 << 20)
    large, small = tmp_path / "large", tmp_path / "small"
    content = bytearray(os.urandom(1 << 10)) * (2 * SAMPLE >> 10)
    large.write_bytes(content)
    small.write_bytes(b"all of it")
    before, other = digest_paths([large, small])
    assert before.sampled and before.size == 2 * SAMPLE
    assert other.sha256 == digest_paths([small], sampled=False)[0].sha256 and not other.sampled
    for at, seen in ((0, True), (len(content) - 1, True), (PIECE + 7, False)):
        changed = bytearray(content)
        changed[at] ^= 1
        large.write_bytes(changed)
        assert (digest_paths([large])[0] != before) is seen


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        digest_paths([tmp_path / "pipe"])
