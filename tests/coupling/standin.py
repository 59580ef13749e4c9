"""The stand-in host: its initial state from the sample, its builds, its runs, and its history.

>>> host = compile_host(folder)  # doctest: +SKIP
>>> write_state(initial_state(), folder / "state")  # doctest: +SKIP
>>> done = run(host, folder / "a", state=folder / "state", steps=12, tile=(7, 5), threads=2)  # doctest: +SKIP
>>> done.history["RAINC"], done.stdout  # doctest: +SKIP
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import xarray as xr

import sciml
from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE
from sciml.coupling.build import fortran_compiler, rpath
from sciml.coupling.replay import Grid
from tests.paths import SAMPLE_WRFOUT

SOURCES = Path(__file__).with_name("standin")
SCHEME = "__module_cu_mskf_MOD_mskf_cps"
#: Symbols that a library uses of the program: the scheme, and WRF's routines to print and to stop.
EXPORTED = (SCHEME, "wrf_message_", "wrf_error_fatal_", "wrf_get_myproc_")
ORDER = (
    *("standin_adjustment.f90", "module_cu_mskf.f90", "standin_fields.f90", "standin_ranks.F90"),
    *("host_messages.f90", "standin_history.f90", "standin_domain.f90", "standin_steps.f90"),
    *("standin_forecast.f90", "standin.f90"),
)
# Bits must not depend on the processor. The scheme has WRF's arguments, used or not.
FLAGS = ("-O2", "-ffp-contract=off", "-fopenmp", "-Wall", "-Wno-unused-dummy-argument")
CHECKS = ("-g", "-O1", "-fcheck=all", "-ffpe-trap=invalid,zero,overflow", "-fbacktrace")

# The fields of a state file, in its order (standin_fields.f90).
PROFILES = (
    *("U_PHY", "V_PHY", "TH_PHY", "QVAPOR", "QCLOUD", "QRAIN", "QICE", "QSNOW", "P_HYD", "DZ8W", "RHO"),
    *("PI_PHY", "W", "W_MEAN", "W0AVG", "RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN"),
    *("RQSCUTEN", "RUCUTEN", "RVCUTEN", "CLDFRA_DP", "CLDFRA_SH", "QC_CU", "QI_CU"),
    *("UDR_KF", "DDR_KF", "UER_KF", "DER_KF"),
)
SURFACE = (
    *("ZOL", "HFX", "UST", "PBLH", "XLAND", "NCA", "PRATEC", "RAINCV", "CUTOP", "CUBOT"),
    *("RAINC", "RAIN_LATE", "MOISTENED", "CU_ACT_FLAG", "TIMEC_KF", "AINC_FRAC"),
)
#: Optional arguments; microphysics whose rain, ice or snow has no flag (f_qr, f_qi, f_qs) has none.
OPTIONS = ("adapt_step_flag", "f_qv", "f_qc", "f_qr", "f_qi", "f_qs", "aerocu")
#: Number of steps of the run that the tests compare others with.
STEPS = 24
_MAGIC = 1396919628


@lru_cache
def mpi_compiler() -> str | None:
    """Return the Fortran compiler of MPI if it compiles a program with its module, else None."""
    if not (shutil.which("mpif90") and shutil.which("mpiexec")):
        return None
    words = ["mpif90", "-x", "f95", "-fsyntax-only", "-"]
    program = "use mpi\nend\n"
    done = subprocess.run(words, input=program, text=True, capture_output=True, check=False)
    return "mpif90" if done.returncode == 0 else None


def initial_state(time: int = 3, moister: float = 1.0) -> xr.Dataset:
    """The sample at one of its times, on the map; missing fields are zero, and no column is held.

    `moister`: the factor of the vapour in every second row, which makes columns that no emulator was trained on.

    Profiles are (south_north, level, west_east), W and W_MEAN on faces; DX, DT and CUDT are attributes.
    """
    everything = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    grid = Grid.of(everything)
    record, j, i = grid.place
    here = record == time
    along = ("south_north", "level", "west_east")
    fields: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for name in INPUT_PROFILES:
        profile = np.empty((grid.nj, grid.levels, grid.ni), np.float32)
        profile[j[here], :, i[here]] = everything[name].values[here]
        fields[name] = (along, profile)
    for name in INPUT_SURFACE:
        surface = np.empty((grid.nj, grid.ni), np.float32)
        surface[j[here], i[here]] = everything[name].values[here]
        fields[name] = (("south_north", "west_east"), surface)
    pi = fields["PI_PHY"][1]
    fields["QVAPOR"][1][::2] *= np.float32(moister)
    fields["TH_PHY"] = (along, fields.pop("T_PHY")[1] / pi)
    with xr.open_dataset(SAMPLE_WRFOUT) as file:
        w = file["W"].isel(Time=time).values.transpose(1, 0, 2)
        fields["W_MEAN"] = (("south_north", "face", "west_east"), w)
        fields["XLAND"] = (("south_north", "west_east"), file["XLAND"].isel(Time=time).values)
    settings = {name: float(everything.attrs[name]) for name in ("DX", "DT", "CUDT")}
    return xr.Dataset(fields, attrs=settings)


def write_state(state: xr.Dataset, path: Path) -> Path:
    """Write a state of no steps, for `run`."""
    nj, nk, ni = (state.sizes[name] for name in ("south_north", "level", "west_east"))
    calm = {"NCA": -100.0, "CUTOP": 1.0, "CUBOT": nk + 1.0}
    with path.open("wb") as file:
        file.write(np.array([_MAGIC, 1, ni, nj, nk, len(PROFILES), len(SURFACE), 0], np.int32).tobytes())
        file.write(np.array([state.attrs[name] for name in ("DX", "DT", "CUDT")], np.float32).tobytes())
        file.write("".join(f"{name:12}" for name in (*PROFILES, *SURFACE)).encode())
        for name in PROFILES:
            faces = name in ("W", "W_MEAN")
            profile = np.full((nj, nk + 1, ni), np.nan, np.float32)
            profile[:, : nk + faces] = state[name].values if name in state else 0.0
            file.write(profile.tobytes())
        for name in SURFACE:
            values = state[name].values if name in state else calm.get(name, 0.0)
            file.write(np.broadcast_to(np.asarray(values, np.float32), (nj, ni)).tobytes())
    return path


def _run_compiler(words: Sequence[str | Path], where: Path) -> str:
    done = subprocess.run(list(map(str, words)), cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(map(str, words))}\n{done.stderr[-3000:]}"
    return done.stderr


def _compiler(mpi: bool) -> tuple[str, ...]:
    return ("mpif90", "-DUSE_MPI") if mpi else fortran_compiler().command


def compile_objects(directory: Path, *, mpi: bool = False, extra: Sequence[str] = ()) -> str:
    """Compile the host's objects into a directory, with more flags, and return the compiler's warnings."""
    directory.mkdir(parents=True, exist_ok=True)
    words = [*_compiler(mpi), *FLAGS, *extra, "-c", *(SOURCES / name for name in ORDER)]
    return _run_compiler(words, directory)


def link(
    directory: Path, *, library: Path | None = None, mpi: bool = False, extra: Sequence[str] = ()
) -> Path:
    """Link the objects in a directory; with a library, its entry replaces the scheme."""
    host = directory / ("plain" if library is None else f"wrapped_{library.stem}")
    words: list[str | Path] = [*_compiler(mpi), "-fopenmp", *extra]
    words += [directory / Path(name).with_suffix(".o") for name in ORDER]
    if library is not None:
        words += [f"-Wl,--wrap={SCHEME}", *(f"-Wl,--export-dynamic-symbol={name}" for name in EXPORTED)]
        words += [library.resolve(), *rpath(library.resolve().parent)]
    _run_compiler([*words, "-o", host.name], directory)
    return host


def compile_host(
    directory: Path, *, library: Path | None = None, mpi: bool = False, extra: Sequence[str] = ()
) -> Path:
    """Compile and link the host, optionally wrapped by a library, with MPI, and with more flags (`CHECKS`)."""
    compile_objects(directory, mpi=mpi, extra=extra)
    return link(directory, library=library, mpi=mpi, extra=extra)


@dataclass(frozen=True)
class Run:
    """The results of a run: its history (Time, ..., south_north, west_east), its output, its exit code."""

    directory: Path
    stdout: str
    stderr: str
    code: int

    @property
    def history(self) -> xr.Dataset:
        """The history of all ranks, and of all runs in the same directory, one after the other."""
        return read_history(self.directory)

    @property
    def microseconds(self) -> float:
        """Time of the scheme, or of its replacement, for a column of rank 0."""
        line = next(text for text in self.stdout.splitlines() if text.strip().startswith("cumulus:"))
        return float(line.split()[1])


def _namelist(group: str, settings: Mapping[str, str | int | float | bool]) -> str:
    def value(x: str | int | float | bool) -> str:
        if isinstance(x, bool):
            return f".{str(x).lower()}."
        return f"'{x}'" if isinstance(x, str) else str(x)

    lines = [f"  {name} = {value(x)}" for name, x in settings.items()]
    return "\n".join([f"&{group}", *lines, "/", ""])


def run(
    host: Path,
    directory: Path,
    namelist: Mapping[str, str | int | float | bool] | None = None,
    *,
    state: Path,
    steps: int = 12,
    tile: tuple[int, int] = (0, 0),
    threads: int = 1,
    ranks: int = 1,
    history_interval: int = 6,
    state_out: Path | None = None,
    kf_edrates: bool = False,
    absent: Sequence[str] = (),
    adapt_step: bool = False,
    warm_rain: bool = False,
    ice: bool = True,
    abort_step: int = 0,
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    check: bool = True,
) -> Run:
    """Run a host in a directory.

    Parameters
    ----------
    namelist
        The group ``&sciml_mskf``, written to ``sciml_mskf.nml`` there.
    state
        Initial state, from `write_state` or the `state_out` of another run.
    steps
        Number of steps.
    tile
        Maximum number of columns (i, j) of a call; 0 for all of a rank.
    ranks
        More than one needs a host with MPI.
    absent
        Optional arguments that are not passed: see `OPTIONS`.
    abort_step
        Step after which the host aborts (`MPI_Abort` on ranks); 0 for none.
    prefix
        Words before the command, such as ``("valgrind", "-q")``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if namelist is not None:
        (directory / "sciml_mskf.nml").write_text(_namelist("sciml_mskf", namelist))
    settings: dict[str, str | int | float | bool] = {
        **dict(state_in=str(state.resolve()), steps=steps, tile_i=tile[0], tile_j=tile[1], threads=threads),
        **dict(history_interval=history_interval, kf_edrates=int(kf_edrates), absent=" ".join(absent)),
        **dict(adapt_step=adapt_step, warm_rain=warm_rain, ice=ice, abort_step=abort_step),
    }
    if state_out is not None:
        settings["state_out"] = str(state_out.resolve())
    (directory / "standin.nml").write_text(_namelist("standin", settings))
    words = [*prefix, str(host.resolve()), "standin.nml"]
    known = {**os.environ, **(environment or {})}
    if ranks > 1:
        words = ["mpiexec", "-n", str(ranks), *words]
        # Open MPI asks; MPICH does not
        for name in ("ALLOW_RUN_AS_ROOT", "ALLOW_RUN_AS_ROOT_CONFIRM", "MCA_rmaps_base_oversubscribe"):
            known[f"OMPI_{name}"] = "1"
    for stale in directory.glob("rsl.*"):
        stale.unlink()
    done = subprocess.run(words, cwd=directory, env=known, capture_output=True, text=True, check=False)
    # Several ranks write to files, as WRF's do.
    out, error = (
        "".join(path.read_text() for path in sorted(directory.glob(f"rsl.{name}.*")))
        for name in ("out", "error")
    )
    result = Run(directory, done.stdout + out, done.stderr + error, done.returncode)
    assert not check or result.code == 0, result
    return result


def read_history(directory: Path) -> xr.Dataset:
    """Join the ranks' parts of the domain, then the runs that followed one another, in memory."""
    runs: dict[str, list[xr.Dataset]] = {}
    for path in sorted(directory.glob("history_*.nc")):
        with xr.open_dataset(path, mask_and_scale=False) as file:
            part = file.load()
        first = [int(part.attrs[f"{name}_PATCH_START_UNSTAG"]) for name in ("SOUTH-NORTH", "WEST-EAST")]
        along = ("south_north", "west_east")
        here = {d: np.arange(n - 1, n - 1 + part.sizes[d]) for d, n in zip(along, first, strict=True)}
        runs.setdefault(path.name.split("_")[1], []).append(part.assign_coords(here))
    whole = [
        xr.combine_by_coords(
            parts, data_vars="minimal", coords="minimal", compat="equals", combine_attrs="drop_conflicts"
        )
        for parts in runs.values()
    ]
    return xr.concat(whole, "Time", data_vars="minimal", coords="minimal", compat="equals")


def same_bits(first: xr.Dataset, second: xr.Dataset) -> list[str]:
    """Return the fields that differ in any bit."""
    assert set(first.data_vars) == set(second.data_vars)
    return [
        str(name)
        for name, field in first.data_vars.items()
        if field.values.tobytes() != second[name].values.tobytes()
    ]


def water_gap(history: xr.Dataset) -> float:
    """Largest difference between the water of a column and the host's input less the rain, in mm."""
    mass = (history["RHO"] * history["DZ8W"]).isel(Time=0).astype(np.float64)
    species = ("QVAPOR", "QCLOUD", "QRAIN", "QICE", "QSNOW")
    water = sum((history[name] * mass for name in species), xr.zeros_like(mass)).sum("bottom_top")
    rain = history["RAINC"] - history["RAIN_LATE"]
    return float(np.abs(water - water.isel(Time=0) - (history["MOISTENED"] - rain)).max())
