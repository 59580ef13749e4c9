"""The generator of C and Fortran text: other schemes, structures of ctypes, and files without its comments."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from sciml.coupling.build import c_compiler, fortran_compiler, sources
from sciml.coupling.generated_sources import COMMAND, generated, main, replace_parts, source_files
from sciml.coupling.library import Description, _Description
from sciml.coupling.structures import Domain, columns_structure
from sciml.errors import BuildError, InputError
from sciml.schemes import MSKF, ColumnScheme, Field
from sciml.schemes.c_header import enumerations, field_tables
from sciml.schemes.fortran_module import module_parts
from tests.schemes.test_scheme import SECOND

STRUCTURES = {
    "sciml_mskf_description": _Description,
    "sciml_mskf_domain": Domain,
    "sciml_columns": columns_structure(MSKF),
}


def compile_and_run(program: str, native: Path, where: Path) -> list[str]:
    (where / "program.c").write_text(program)
    command = [
        *c_compiler().command,
        "-std=gnu11",
        "-Wall",
        "-Werror",
        f"-I{native}",
        "program.c",
        "-o",
        "program",
    ]
    subprocess.run(command, cwd=where, check=True)
    return subprocess.run([where / "program"], capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.native
def test_structures_have_the_layout_of_the_header(tmp_path: Path) -> None:
    lines = ["#include <stdio.h>", '#include "mskf/column_arrays.h"', "int main(void) {"]
    expected = []
    for name, structure in STRUCTURES.items():
        lines.append(f'printf("%zu\\n", sizeof({name}));')
        expected.append(ctypes.sizeof(structure))
        for member, _ in structure._fields_:
            lines.append(f'printf("%zu\\n", offsetof({name}, {member}));')
            expected.append(getattr(structure, member).offset)
    numbers = compile_and_run("\n".join([*lines, "}"]), sources(), tmp_path)
    assert [int(number) for number in numbers] == expected


def test_the_layout_that_hosts_were_compiled_with() -> None:
    """9 + 4 input and 12 + 5 output pointers: another number needs another version of the interface."""
    assert ctypes.sizeof(Domain) == 96
    assert ctypes.sizeof(STRUCTURES["sciml_columns"]) == 8 + 96 + (9 + 4 + 12 + 5 + 1 + 4 + 1) * 8
    assert [name for name, _ in _Description._fields_] == [member.name for member in fields(Description)]


def test_a_second_scheme_has_names_of_its_own() -> None:
    assert SECOND.prefix == "sciml_dry"
    assert enumerations(SECOND).split("enum sciml_dry_output_surface")[1] == (
        " {\n    SCIML_DRY_CUTOP,   /* level */\n"
        "    SCIML_DRY_NOVELTY, /* 1, above 1 in columns unlike those of the training */\n"
        "    SCIML_DRY_OUTPUT_SURFACES\n};\n"
    )
    assert '#define SCIML_DRY_INPUT_SURFACE_FIELDS(X) \\\n    X(HFX, "HFX", "W m-2", hfx)\n' in field_tables(
        SECOND
    )
    columns = columns_structure(SECOND)()
    assert [len(getattr(columns, name)) for name in ("in3", "in2", "out3", "out2", "rate")] == [2, 1, 1, 2, 0]


@pytest.mark.native
def test_both_schemes_compile_in_one_c_program(tmp_path: Path) -> None:
    dry = replace(SECOND, classes=("dry_none", "dry_adjusted"))
    (tmp_path / "dry.h").write_text(enumerations(dry) + field_tables(dry))
    program = """
        #include "mskf/fields.h"
        #include "sciml_mskf.h"
        #include "dry.h"
        #include <stdio.h>
        #define NAME(symbol, name, units, argument) name " [" units "] " #argument
        int main(void) {
            const char *names[] = {SCIML_DRY_INPUT_PROFILE_FIELDS(NAME), SCIML_INPUT_PROFILE_FIELDS(NAME)};
            puts(names[SCIML_DRY_P_HYD]);
            puts(names[SCIML_DRY_INPUT_PROFILES + SCIML_P_HYD]);
            printf("%d %d %g\\n", SCIML_DRY_CU_PHYSICS, SCIML_CU_PHYSICS, SCIML_MOST_DZ8W);
            printf("%d %d\\n", DRY_ADJUSTED, DEEP);
        }
    """
    program = program.replace('"dry.h"', f'"{tmp_path / "dry.h"}"')
    assert compile_and_run(program, sources(), tmp_path) == [
        "P_HYD [Pa] p",
        "P_HYD [Pa] pcps",
        "99 11 20000",
        "1 2",
    ]


@pytest.mark.native
def test_the_fortran_of_a_second_scheme_compiles(tmp_path: Path) -> None:
    """More arguments than fit into one line, and a member without fields."""
    profiles = ("T_PHY", "P_HYD", "U_PHY", "V_PHY", "QVAPOR", "DZ8W", "RHO", "PI_PHY", "W0AVG")
    scheme = replace(SECOND, inputs=tuple(Field(name, f"A_LONG_NAME_OF_{name}", "x") for name in profiles))
    parts = module_parts(scheme)
    assert max(len(line) for text in parts.values() for line in text.splitlines()) <= 110
    (tmp_path / "dry.f90").write_text(f"""
module dry
   use, intrinsic :: iso_c_binding, only: c_float, c_int32_t, c_loc, c_ptr
   implicit none
   type :: sciml_emulator
      integer :: handle
   end type
   type, bind(C) :: c_fields
{parts["structure"]}   end type
contains
{parts["arguments"]}
      type(sciml_emulator), intent(in) :: emulator
      integer, intent(in) :: ims, ime, jms, jme, kms, kme, its, ite, jts, jte, kts, kte
      real(c_float), intent(in) :: dx, dt, cudt
{parts["declarations"]}
      integer(c_int32_t), intent(inout), target :: kind(ims:ime, jms:jme)
      integer, intent(out) :: status
      character(len=*), intent(out) :: message
      type(c_fields) :: fields
{parts["pointers"]}
      fields%kind = c_loc(kind(its, jts))
      status = 0
      message = ""
   end subroutine
end module
""")
    command = [*fortran_compiler().command, "-std=f2008", "-Werror", "-fsyntax-only", "dry.f90"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"symbol": "DX"}, "uses the symbol dx twice, or an argument of the Fortran interface has that name"),
        ({"symbol": "novelty"}, "uses the symbol novelty twice"),
        ({"symbol": "hfx"}, "uses the symbol hfx twice"),
        ({"symbol": "2M"}, "'2M' is no name of a variable in C and Fortran"),
        ({"argument": "th-phy"}, "'th-phy' is no name of a variable"),
        ({"argument": ""}, "'' is no name of a variable"),
    ],
)
def test_symbols_that_no_source_can_have_are_errors(change: dict[str, str], match: str) -> None:
    with pytest.raises(InputError, match=match):
        replace(SECOND, inputs=(replace(SECOND.inputs[0], **change), *SECOND.inputs[1:]))


def test_parts_that_are_not_in_the_file_are_an_error() -> None:
    source = (sources() / "sciml_mskf.h").read_text()
    with pytest.raises(
        BuildError, match=r"has the generated parts enumerations, not limits: restore the comments"
    ):
        replace_parts(source, {"limits": ""})
    with pytest.raises(BuildError, match=r"parts \(none\), not enumerations"):
        replace_parts(source.replace("do not edit", "edit"), {"enumerations": ""})


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Copies of the sources of the library and of the hosts, which the command writes into."""
    files = {}
    for name, path in source_files().items():
        top = sources() if path.is_relative_to(sources()) else path.parent
        shutil.copytree(top, tmp_path / top.name, dirs_exist_ok=True)
        files[name] = tmp_path / top.name / path.relative_to(top)
    monkeypatch.setattr("sciml.coupling.generated_sources.source_files", lambda: files)
    return files


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["generated_sources", *options])
    with pytest.raises(SystemExit) as end:
        main()
    return int(str(end.value.code))


def test_the_command_repairs_a_changed_file(
    copied: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--check") == 0
    header, before = copied["sciml_mskf.h"], copied["sciml_mskf.h"].read_text()
    header.write_text(before.replace("SCIML_RHO,  ", "SCIML_DENSITY,"))
    copied["mskf/fields.h"].unlink()
    assert run(monkeypatch, "--check") == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{name} differs from the declaration in sciml/schemes: run `{COMMAND}`"
        for name in ("fields.h", "sciml_mskf.h")
    ]
    assert not copied["mskf/fields.h"].exists()
    assert run(monkeypatch) == 0
    assert header.read_text() == before
    assert run(monkeypatch, "--check") == 0


def with_field(group: str, name: str, argument: str) -> ColumnScheme:
    """MSKF with another input or output, before the others of its shape, so that every later one is moved."""
    every = (Field(name, name, argument), *getattr(MSKF, group))
    return replace(MSKF, **{group: tuple(sorted(every, key=lambda field: not field.is_profile))})


@pytest.mark.native
@pytest.mark.parametrize(
    ("group", "name", "argument"),
    [("inputs", "W", "w"), ("inputs", "RAINCV", "raincv"), ("outputs", "QRAIN", "qr_cu")],
)
def test_another_field_changes_the_generated_text_alone(
    group: str, name: str, argument: str, copied: dict[str, Path]
) -> None:
    """Every source that lists the fields compiles with it, so that only the declaration must be edited."""
    for path, text in generated(with_field(group, name, argument), copied):
        assert (path.read_text() != text) == (path.name != "gate_table.h")  # the table has no fields
        path.write_text(text)
    native = copied["sciml_mskf.h"].parent
    command = [*c_compiler().command, "-std=gnu11", "-Wall", "-Werror", "-fsyntax-only", f"-I{native}"]
    physics = [native / "mskf" / f"{name}.c" for name in ("columns", "response", "sounding")]
    for source in (*sorted((native / "wrf").glob("*.c")), *physics):
        defines = ("-DSCIML_ISA=baseline", "-DSCIML_BITS=64")
        subprocess.run([*command, *defines, source], check=True)
    columns = copied["column_steps.f90"].parent
    modules = (
        copied["sciml_mskf.f90"],
        *(columns / f"column_{part}.f90" for part in ("physics", "domain", "steps")),
    )
    for source in (*modules, copied["replay.f90"]):
        subprocess.run([*fortran_compiler().command, "-fsyntax-only", source], cwd=native, check=True)
