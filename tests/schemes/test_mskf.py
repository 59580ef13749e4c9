"""The C and Fortran sources are as generated from the declaration of MSKF, and the compiler sees its lists in them."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

from sciml.columns.classes import KINDS
from sciml.columns.fields import needed
from sciml.coupling.build import c_compiler, sources
from sciml.coupling.generated_sources import COMMAND, generated
from sciml.schemes import MSKF
from sciml.schemes.field import Field
from sciml.wrf.variables import TABLE
from tests.coupling import caller, host

INPUT_PROFILES = [field for field in MSKF.inputs if field.is_profile]
INPUT_SCALARS = [field for field in MSKF.inputs if not field.is_profile]
OUTPUT_PROFILES = [field for field in MSKF.outputs if field.is_profile]
OUTPUT_SCALARS = [field for field in MSKF.outputs if not field.is_profile]
NOT_OF_THE_SCHEME = "NOVELTY"  # the emulator's own output, after those of the scheme


def read(path: str) -> str:
    return (sources() / path).read_text()


@lru_cache
def preprocessed(path: str) -> str:
    """A C source as the compiler sees it, without its includes of system headers."""
    options = ["-E", "-P", "-std=gnu11", "-DSCIML_ISA=baseline", "-DSCIML_BITS=64", f"-I{sources()}"]
    command = [*c_compiler().command, *options, str(sources() / path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def enumerators(name: str) -> list[tuple[str, str]]:
    """Enumerators of an enumeration in the public header, without prefix, with the comment beside each."""
    body = re.search(rf"enum {name} \{{(.*?)\}};", read("sciml_mskf.h"), re.DOTALL)
    assert body is not None
    lines = re.findall(r"SCIML_(\w+),?[ \t]*(?:/\*(.*?)\*/)?[ \t]*$", body[1], re.MULTILINE)
    return [(symbol, comment.strip()) for symbol, comment in lines][:-1]  # the last is the count


def strings(path: str, name: str) -> list[str]:
    """The string literals of a table in a C source."""
    body = re.search(rf"\b{name}\[\w*\] = \{{(.*?)\}};", preprocessed(path), re.DOTALL)
    assert body is not None
    return re.findall(r'"([^"]*)"', body[1])


def arguments(name: str) -> list[str]:
    """Names of the arguments in a table of wrf_patch.c."""
    body = re.search(rf"\b{name}\[\] = \{{(.*?)\}};", preprocessed("wrf/wrf_patch.c"), re.DOTALL)
    assert body is not None
    return re.findall(r"ARG_(\w+)", body[1])


ENUMERATIONS = {
    "sciml_input_profile": INPUT_PROFILES,
    "sciml_input_surface": INPUT_SCALARS,
    "sciml_output_profile": OUTPUT_PROFILES,
    "sciml_output_surface": OUTPUT_SCALARS,
}


@pytest.mark.parametrize(
    ("path", "text"), list(generated()), ids=lambda x: x.name if isinstance(x, Path) else ""
)
def test_the_sources_are_as_generated(path: Path, text: str) -> None:
    assert path.read_text() == text, f"the declaration has changed: run `{COMMAND}`"


@pytest.mark.parametrize(("name", "fields"), ENUMERATIONS.items())
def test_enumerators_of_the_header(name: str, fields: list[Field]) -> None:
    symbols = [symbol for symbol, _ in enumerators(name) if symbol != NOT_OF_THE_SCHEME]
    assert symbols == [field.symbol for field in fields]


@pytest.mark.parametrize(("name", "fields"), ENUMERATIONS.items())
def test_units_of_the_header(name: str, fields: list[Field]) -> None:
    units = ""
    for (_, comment), field in zip(enumerators(name), fields, strict=False):
        units = re.split(r"[,;]", comment)[0] or units  # a comment holds for the enumerators after it
        assert units == field.unit_label, field.name


@pytest.mark.native
@pytest.mark.parametrize(("name", "fields"), ENUMERATIONS.items())
def test_arguments_of_the_wrf_patch(name: str, fields: list[Field]) -> None:
    assert arguments(f"{name}_arguments") == [field.argument for field in fields]


@pytest.mark.native
def test_arguments_of_the_rates() -> None:
    assert arguments("sciml_rate_arguments") == [rate.argument for rate in MSKF.rates]
    assert strings("wrf/capture.c", "rate_name") == [rate.name for rate in MSKF.rates]


def test_every_argument_is_one_of_the_scheme() -> None:
    every = (*MSKF.inputs, *MSKF.outputs, *MSKF.optional_outputs, *MSKF.rates)
    assert {field.argument for field in every} <= set(caller.NAMES)


@pytest.mark.native
@pytest.mark.parametrize(
    ("path", "names", "units", "fields"),
    [
        ("wrf/capture.c", "profile_name", "profile_units", [*INPUT_PROFILES, *OUTPUT_PROFILES]),
        ("wrf/capture.c", "surface_name", "surface_units", [*INPUT_SCALARS, *OUTPUT_SCALARS]),
        ("wrf/statistics.c", "profile_name", "", OUTPUT_PROFILES),
        ("wrf/statistics.c", "surface_name", "", OUTPUT_SCALARS),
    ],
)
def test_tables_of_the_c_writers(path: str, names: str, units: str, fields: list[Field]) -> None:
    assert strings(path, names) == [field.name for field in fields]
    if units:
        assert strings(path, units) == [field.unit_label for field in fields]


@pytest.mark.native
def test_capture_writes_the_number_of_the_scheme() -> None:
    assert f'"CU_PHYSICS", {MSKF.cu_physics}, 1' in preprocessed("wrf/capture.c")


@pytest.mark.native
def test_classes_are_numbered_alike_in_c_and_python() -> None:
    names = re.search(r"enum \{ (\w+), (\w+), (\w+), SCIML_CLASSES \};", read("mskf/fields.h"))
    assert names is not None
    in_c = {name.lower(): number for number, name in enumerate(names.groups())}
    assert in_c == {name: number for number, name in enumerate(MSKF.classes)}
    assert in_c.items() <= KINDS.items()
    assert strings("wrf/statistics.c", "count_name")[-3:] == [name.upper() for name in MSKF.classes]


LIMITED = {"U": "u", "V": "v", "W0AVG": "w", "ZOL": "zol", "HFX": "hfx", "UST": "ust", "PBLH": "pblh"}


@pytest.mark.native
@pytest.mark.parametrize(("symbol", "member"), LIMITED.items())
def test_limits_are_those_of_the_native_library(symbol: str, member: str) -> None:
    source = preprocessed("mskf/sounding.c")
    expressions = (rf"absolute\(s->{member}(?:\[k\])?\) <= (\S+?)\)*[;\s]", rf"s->{member} <= (\S+?)\)*[;\s]")
    values = [value for expression in expressions for value in re.findall(expression, source)]
    (field,) = (field for field in MSKF.inputs if field.symbol == symbol)
    assert [float(value) for value in values] == [field.limits[1]]
    assert field.limits[0] in (-field.limits[1], 0.0)


@pytest.mark.native
@pytest.mark.parametrize(("name", "symbol"), [("T_PHY", "t"), ("DZ8W", "s->dz[k]"), ("PI_PHY", "s->pi[k]")])
def test_limits_of_profiles_are_those_of_the_native_library(name: str, symbol: str) -> None:
    symbol = re.escape(symbol)
    limits = re.search(rf"\({symbol} > (\S+)\) & \({symbol} < (\S+)\)", preprocessed("mskf/sounding.c"))
    assert limits is not None
    (field,) = (field for field in MSKF.inputs if field.name == name)
    assert field.limits == (float(limits[1]), float(limits[2]))


def test_the_host_of_the_tests_has_the_same_lists() -> None:
    assert tuple(host.PROFILES) == MSKF.output_profiles
    assert tuple(host.SURFACE) == (*MSKF.output_scalars, NOT_OF_THE_SCHEME)
    assert caller.INPUTS[:-1] == tuple(field.argument for field in INPUT_PROFILES)
    assert caller.PROFILES[: len(OUTPUT_PROFILES)] == tuple(field.argument for field in OUTPUT_PROFILES)
    assert tuple(field.argument for field in INPUT_SCALARS) == caller.SURFACES
    assert {field.argument for field in (*OUTPUT_SCALARS, *MSKF.optional_outputs)} <= set(caller.OUTPUTS)


def test_the_roles_of_the_variables_are_those_of_the_scheme() -> None:
    assert {name for name, row in TABLE.items() if row.role == "input"} == set(MSKF.input_names)
    targets = {name for name, row in TABLE.items() if row.role == "target"}
    assert targets == {*MSKF.output_names, *MSKF.optional_names}


def test_columns_of_pairs_take_every_field_of_the_scheme() -> None:
    every = {*MSKF.input_names, *MSKF.output_names, *MSKF.optional_names}
    assert set(needed("pairs", every)) == every
