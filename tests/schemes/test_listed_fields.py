"""The files that name all profiles of the scheme outside of generated text: what another field must edit."""

from __future__ import annotations

import re

import pytest

from sciml.schemes import MSKF
from sciml.schemes.field import Field
from sciml.storage.packaged import PACKAGE

CHECKOUT = PACKAGE.parent
GENERATED = re.compile(r"generated from sciml/schemes.*?end of the generated part", re.DOTALL)
DECLARATION = {
    "sciml/schemes/mskf.py",
    "sciml/wrf/variables.py",  # units, bounds and descriptions of all variables that are read
}
WRF_INTERFACE = {  # the 100 arguments of MSKF_CPS, whatever an emulator takes
    "sciml/coupling/native/wrf/sciml_mskf_arguments.h",
    "sciml/coupling/native/wrf/sciml_cu_mskf.f90",
}
COMPUTED = {"sciml/convection/response.py"}  # the emulator computes each output
DERIVED = {"sciml/columns/inputs.py"}  # each input is derived from the state in a wrfout
READ = {  # the physics and its baselines read inputs by name
    "sciml/convection/perturbation.py",
    "sciml/convection/sounding.py",
    "sciml/verify/emulator/novelty.py",
}
DESCRIBED = {"sciml/columns/extract.py"}  # a docstring
PROFILES = {True: [f for f in MSKF.inputs if f.is_profile], False: [f for f in MSKF.outputs if f.is_profile]}


def files_that_name(fields: list[Field], *, arguments: bool) -> set[str]:
    """Source files with the name of each field, or with the name of its argument, outside of generated text."""
    result = set()
    for folder in ("sciml", "workflows"):
        for path in (CHECKOUT / folder).rglob("*.*"):
            if path.suffix not in (".py", ".c", ".h", ".f90") or path.name == "fields.h":
                continue
            text = GENERATED.sub("", path.read_text(encoding="utf-8")).replace("ARG_", "")
            words = {word.lower() for word in re.findall(r"\w+", text)}
            if all({f.name.lower(), f.argument if arguments else f.name.lower()} & words for f in fields):
                result.add(path.relative_to(CHECKOUT).as_posix())
    return result


pytestmark = pytest.mark.skipif(not (CHECKOUT / "workflows").is_dir(), reason="no checkout of the sources")


def test_files_that_name_all_output_profiles() -> None:
    assert files_that_name(PROFILES[False], arguments=True) == DECLARATION | WRF_INTERFACE | COMPUTED


def test_files_that_name_all_input_profiles() -> None:
    """In C and Fortran the names of arguments, such as t and pi, are those of other quantities too."""
    assert files_that_name(PROFILES[True], arguments=False) == DECLARATION | DERIVED | READ | DESCRIBED
