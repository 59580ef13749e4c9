from __future__ import annotations

import hashlib

import pytest

from sciml.errors import InputError
from sciml.storage.packaged import packaged
from tests.paths import DATA, SAMPLE_WRFOUT


def test_a_file_of_the_package() -> None:
    assert packaged(SAMPLE_WRFOUT.name) == SAMPLE_WRFOUT


@pytest.mark.parametrize("name", ["no-such.sciml", "../README.md", "/etc/hostname"])
def test_a_file_that_does_not_exist(name: str) -> None:
    with pytest.raises(InputError, match=r"no data file .* holds .*wrfout_d01"):
        packaged(name)


def test_the_checksums_are_those_of_the_files() -> None:
    lines = (DATA / "checksums.sha256").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split() for line in lines)}
    actual = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in DATA.iterdir()
        if path.suffix in (".nc", ".sciml")
    }
    assert listed == actual, "a data file changed: cd data && sha256sum *.nc *.sciml > checksums.sha256"
