"""The native physics and the native emulator, compared with torch; bits for all tiles; invalid columns."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import xarray as xr

import sciml
from sciml.convection import adjustment, momentum, plume, pressure, response
from sciml.convection.emulator import Emulator, physics, sounding_of
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.network import Architecture, Closure
from sciml.convection.problem import Convection
from sciml.coupling.build import build, c_compiler, sources
from sciml.coupling.export import emulator_weights
from sciml.coupling.library import Library
from sciml.coupling.weights_file import write_weights
from sciml.solve import solve
from tests.coupling.host import PROFILES, SURFACE, Host, probe
from tests.paths import SAMPLE_WRFOUT

pytestmark = pytest.mark.native

ENTHALPY = (-0.03, 0.06)
# In the order of probe.h.
PLUME = (
    *("flux", "entrained", "detrained", "t", "q_undiluted", "q", "liquid", "ice", "rain", "snow"),
    *("detrained_liquid", "detrained_ice"),
)
DOWN = ("flux", "entrained", "detrained", "t", "q")
NUMBERS = (
    *("kind", "base", "source_top", "source_depth", "t_mix", "q_mix", "z_mix", "p_mix", "cloud_base"),
    *("buoyancy_top", "top", "t_lcl", "z_lcl", "height", "least_height", "cape", "flux_lcl"),
)
DECISIONS = (0, 1, 2, 8, 9, 10, 17, 27, 28)


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    """A third of the sample: 1344 columns, 29 % of which convect."""
    everything: xr.Dataset = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    return everything.isel(column=slice(None, None, 3)).load()


@pytest.fixture(scope="module")
def emulator(columns: xr.Dataset) -> Emulator:
    """An emulator with random weights, which use the whole network."""
    torch.manual_seed(17)
    network = Closure(Architecture())
    with torch.no_grad():
        network.level.weight.normal_(0.0, 0.3)
        network.column.weight.normal_(0.0, 0.5)
    known = physics(sounding_of(columns), network.shape)
    assert known is not None
    about = {
        "dx": [1e4, 1e4],
        "dt": [50.0, 50.0],
        "cudt": [5.0, 5.0],
        "enthalpy": list(ENTHALPY),
        "log_error": 0.3,
    }
    return Emulator(network.eval(), FeatureScaling.of(known.channels, known.scalars), about, "float64")


@pytest.fixture
def host(library: Library, emulator: Emulator, tmp_path: Path) -> Iterator[Host]:
    write_weights(tmp_path / "emulator.nc", emulator_weights(emulator))
    opened = Host(library.path, tmp_path / "emulator.nc")
    yield opened
    opened.close()


def test_mathematics(library: Library, tmp_path: Path) -> None:
    """Exponential, logarithm and power to two units in the last place."""
    flags = {"baseline": [], "avx2": ["-mavx2", "-mfma"], "avx512": ["-mavx512f", "-mavx2", "-mfma"]}[
        library.isa
    ]
    (tmp_path / "m.c").write_text(
        '#include "mskf/vector_math.h"\n'
        "void run(int which, long n, const double *x, double *y) {\n"
        "    for (long i = 0; i < n; i += LANES) {\n"
        "        const vreal v = *(const vloose *)(x + i);\n"
        "        *(vloose *)(y + i) = which == 0 ? exp_of(v) : which == 1 ? log_of(v) : power_of(v, 0.333);\n"
        "    }\n"
        "}\n"
    )
    words = [*c_compiler().command, "-std=gnu11", "-O2", "-ffp-contract=off", "-shared", "-fPIC", *flags]
    words += [f"-I{sources()}", "-DSCIML_ISA=test", str(tmp_path / "m.c"), "-o", str(tmp_path / "m.so")]
    subprocess.run(words, check=True, capture_output=True)
    run = ctypes.CDLL(str(tmp_path / "m.so")).run
    rng = np.random.default_rng(5)
    wide = np.exp(rng.uniform(-600, 600, 80_000))
    near = 1.0 + rng.normal(0, 0.2, 80_000).clip(-0.9, 5)
    cases = (
        (0, np.concatenate([rng.uniform(-700, 700, 80_000), rng.normal(0, 1, 80_000)]), np.exp, 1.0),
        (1, np.concatenate([wide, near]), np.log, 2.0),
        (2, np.exp(rng.uniform(-8, 8, 160_000)), lambda x: x ** np.longdouble(0.333), 4.0),
    )
    for which, x, exact, most in cases:
        y = np.empty_like(x)
        run(which, ctypes.c_long(x.size), ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data))
        truth = exact(x.astype(np.longdouble))
        units = np.abs(y - truth) / np.spacing(np.abs(truth).astype(np.float64))
        assert units.max() <= most


def _close(mine: npt.NDArray[np.float64], truth: npt.NDArray[np.float64], name: str) -> None:
    """Check the median relative difference, and that nearly all columns agree relative to the range of the profile."""
    some = truth != 0
    if not some.any():
        assert not mine.any(), name
        return
    assert np.median(np.abs(mine - truth)[some] / np.abs(truth)[some]) <= 1e-9, name
    worst = np.abs(mine - truth).reshape(len(truth), -1).max(1)
    reach = np.abs(truth).reshape(len(truth), -1).max(1) + 1e-300
    assert np.mean(worst <= 1e-7 * reach) >= 0.999, name


def test_physics(library: Library, columns: xr.Dataset, isa: str) -> None:
    """Every stage agrees with the definition, for given strength and push."""
    s = sounding_of(columns)
    known = physics(s, Architecture())
    assert known is not None
    rng, n = np.random.default_rng(23), columns.sizes["column"]
    index = known.index.numpy()
    strength, push = np.exp(rng.normal(0, 0.5, n)), rng.normal(0, 1, (n, 44))
    s, up, down, times = known.sounding, known.plume, known.down, known.times
    most = adjustment.greatest_strength(s, up, down, times)
    strength[index] = np.minimum(strength[index], most.numpy())
    profiles, scalars = probe(build(probe=True), columns, ENTHALPY, strength, push, isa)
    assert np.array_equal(np.nonzero(scalars[:, 0] > 0)[0], index)
    profiles, scalars = profiles[index], scalars[index]
    given = torch.from_numpy(strength[index]), torch.from_numpy(push[index].T.copy())
    active = torch.ones(len(index), dtype=torch.bool)
    answer = response.respond(s, up, down, times, *given, active, ENTHALPY)
    numbers = [getattr(up, name) for name in NUMBERS]
    numbers += [down.start, down.evaporated, times.adjustment, times.counter]
    numbers += [adjustment.shallow_strength(s, up, times), most, *momentum.turned(s, up)]
    numbers += [answer.fields[name] for name in response.SCALARS]
    same = np.ones(len(index), bool)
    for i in DECISIONS:
        same &= scalars[:, i] == numbers[i].numpy()
    closed = known.closed
    energy = [closed.strength, closed.convects.double(), closed.removed, closed.rounds.double()]
    for i in (1, 3):
        same &= scalars[:, 30 + i] == energy[i].numpy()
    assert same.mean() >= 0.9999
    for i, number in enumerate(numbers):
        _close(scalars[same, i], number.double().numpy()[same], f"scalar {i}")
    for i, number in enumerate(energy):
        _close(scalars[same, 30 + i], number.numpy()[same], f"closure {i}")
    for i, feature in enumerate(known.scalars.numpy()):
        _close(scalars[same, 34 + i], feature[same], f"feature {i}")
    stages = [getattr(up, name) for name in PLUME] + [getattr(down, name) for name in DOWN]
    stages += [answer.fields[name] for name in response.PROFILES]
    stages += list(pressure.pressure_push(s, up, down, up.cloud_base))
    layers, levels = len(known.channels), s.levels
    stages += list(torch.nn.functional.pad(known.channels, (0, 0, 0, 0, 0, levels - layers)).transpose(0, 1))
    assert len(stages) == profiles.shape[1]
    for i, stage in enumerate(stages):
        _close(profiles[same, i], stage.numpy().T[same], f"profile {i}")


def test_emulator(host: Host, emulator: Emulator, columns: xr.Dataset, isa: str) -> None:
    truth = solve(Convection(columns), emulator).outputs
    for kind, median, range_ in ((np.float64, 1e-9, 1e-7), (np.float32, 1e-5, 1e-4)):
        mine = host.run(columns, kind).fields
        assert np.array_equal(mine["KIND"], truth["KIND"])
        convects = mine["KIND"] > 0
        assert 0.2 < convects.mean() < 0.4
        for name in (*PROFILES, *SURFACE):
            x, y = mine[name].astype(np.float64), truth[name].values.astype(np.float64)
            assert np.all(x[~convects] == y[~convects]) or name == "NOVELTY"
            some = (y != 0) & (convects if y.ndim == 1 else convects[:, None])
            if some.any():
                assert np.median(np.abs(x - y)[some] / np.abs(y)[some]) <= median, name
            worst = np.abs(x - y).reshape(len(y), -1).max(1)
            assert np.mean(worst <= range_ * (np.ptp(y) + 1e-300)) >= 0.999, name


def test_bits(host: Host, columns: xr.Dataset, isa: str) -> None:
    """Outputs do not depend on tiles, threads, and the order of columns and memory."""
    some = columns.isel(column=slice(0, 500))
    whole = host.run(some)
    assert len(np.unique(whole.fields["KIND"])) == 3
    for tile in (1, 7, 32, 100):
        assert whole.same(host.run(some, tile=tile)), tile
    assert whole.same(host.run(some, threads=2))
    assert whole.same(host.run(some, wrf_order=True))
    assert whole.same(host.run(some, wrf_order=True, tile=7))
    order = np.random.default_rng(3).permutation(500)
    mixed = host.run(some.isel(column=order))
    for name, values in whole.fields.items():
        assert values[order].tobytes() == np.ascontiguousarray(mixed.fields[name]).tobytes(), name
    doubles = host.run(some, np.float64)
    assert doubles.same(host.run(some, np.float64, tile=7))


def test_invalid_columns(host: Host, columns: xr.Dataset) -> None:
    """A column that is not finite or not physical is marked, has no tendencies, and does not change others."""
    some = columns.isel(column=slice(0, 400))
    well, spoilt = host.run(some), some.copy(deep=True)
    rng = np.random.default_rng(9)
    bad = np.sort(rng.choice(400, 60, replace=False))
    for number, column in enumerate(bad):
        name = ("T_PHY", "QVAPOR", "P_HYD", "U_PHY", "W0AVG", "RHO", "PI_PHY", "DZ8W")[number % 8]
        spoilt[name].values[column, rng.integers(44)] = (np.nan, np.inf, -np.inf)[number % 3]
    for number, name in enumerate(("HFX", "UST", "ZOL", "PBLH")):
        spoilt[name].values[bad[number]] = np.nan
    answer = host.run(spoilt)
    assert answer.message.startswith("60 columns are not finite or not physical")
    others = np.setdiff1d(np.arange(400), bad)
    assert well.same(answer, others)
    assert np.all(answer.fields["KIND"][bad] == -1)
    assert np.all(np.isinf(answer.fields["NOVELTY"][bad]))
    for name in PROFILES:
        assert not answer.fields[name][bad].any()
    assert np.all(answer.fields["NCA"][bad] == -100)


def test_held_columns(host: Host, columns: xr.Dataset) -> None:
    some = columns.isel(column=slice(0, 20))
    for nca, held in ((25.0, True), (24.9, False)):
        answer = host.run(some, nca=nca)
        assert np.all((answer.fields["KIND"] == 3) == held)
        assert np.all((answer.fields["RTHCUTEN"] == 7e7) == held)


def test_no_columns(host: Host, columns: xr.Dataset) -> None:
    answer = host.run(columns.isel(column=slice(0, 0)))
    assert answer.message == ""
    assert answer.fields["KIND"].size == 0


def test_calm(host: Host, columns: xr.Dataset) -> None:
    calm = columns.isel(column=slice(0, 300)).copy(deep=True)
    calm["U_PHY"].values[:] = 0.0
    calm["V_PHY"].values[:] = 0.0
    answer = host.run(calm)
    assert answer.message == ""
    assert all(np.isfinite(x).all() for x in answer.fields.values())
    assert not answer.fields["RVCUTEN"].any()


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.02])
def test_light_wind(host: Host, emulator: Emulator, columns: xr.Dataset, share: float) -> None:
    """If air needs more than a day to cross the cell, the column is held for a day, and the counter decreases."""
    light = columns.isel(column=slice(0, 300)).copy(deep=True)
    for name in ("U_PHY", "V_PHY"):
        light[name].values *= share
    truth = solve(Convection(light), emulator).outputs
    mine = host.run(light).fields
    deep = mine["KIND"] == plume.DEEP
    assert np.array_equal(mine["KIND"], truth["KIND"])
    assert np.array_equal(mine["NCA"], truth["NCA"])
    assert mine["NCA"][deep].max() == 86400.0
    assert not (mine["NCA"][deep] % 50).any()
    assert np.all(mine["NCA"] - np.float32(50) < mine["NCA"])


@pytest.mark.parametrize(
    ("name", "most", "least"),
    [
        ("U_PHY", 500.0, -500.0),
        ("V_PHY", 500.0, -500.0),
        ("W0AVG", 500.0, -500.0),
        ("HFX", 1e5, -1e5),
        ("UST", 1e3, 0.0),
        ("PBLH", 1e5, 0.0),
        ("ZOL", 1e8, -1e8),
    ],
)
def test_unphysical_columns(host: Host, columns: xr.Dataset, name: str, most: float, least: float) -> None:
    """Values outside the physical bounds are marked like NaN; the bounds themselves are valid."""
    some = columns.isel(column=slice(0, 60))
    well = host.run(some)
    for value in (most, least):
        spoilt = some.copy(deep=True)
        spoilt[name].values[(7, 5) if spoilt[name].ndim == 2 else 7] = value
        answer = host.run(spoilt)
        assert answer.message == ""
        assert answer.fields["KIND"][7] >= 0
    for value in (1.001 * most, least - 0.001 * most, 1e30, -1e30):
        spoilt = some.copy(deep=True)
        spoilt[name].values[(7, 5) if spoilt[name].ndim == 2 else 7] = value
        answer = host.run(spoilt)
        assert answer.message.startswith("1 columns are not finite or not physical"), value
        assert answer.fields["KIND"][7] == -1
        assert np.isinf(answer.fields["NOVELTY"][7])
        assert well.same(answer, np.setdiff1d(np.arange(60), 7))


def test_unusual_columns(host: Host, columns: xr.Dataset) -> None:
    """Random disturbances, small to extreme: the outputs are finite or marked, without a crash."""
    some = columns.isel(column=slice(0, 300))
    rng = np.random.default_rng(31)
    seen: set[int] = set()
    for _ in range(25):
        strange = some.copy(deep=True)
        size = 10.0 ** rng.uniform(-3, 0.3)
        for name in ("U_PHY", "V_PHY", "T_PHY", "QVAPOR", "W0AVG", "ZOL", "HFX", "UST", "PI_PHY", "DZ8W"):
            values = strange[name].values
            values *= np.exp(rng.normal(0, size, values.shape) * (rng.random(values.shape) < rng.random()))
        strange["T_PHY"].values[:] = strange["T_PHY"].values.clip(105, 395)
        answer = host.run(strange)
        seen |= set(np.unique(answer.fields["KIND"]).tolist())
        assert all(np.isfinite(x).all() for name, x in answer.fields.items() if name != "NOVELTY")
    assert seen >= {plume.NONE, plume.SHALLOW, plume.DEEP}


def test_outputs_beyond_single_precision(
    library: Library, emulator: Emulator, columns: xr.Dataset, tmp_path: Path
) -> None:
    """A column is invalid if its outputs are finite in double but not in the float of the host."""
    strange = replace(emulator, about={**emulator.about, "enthalpy": [1e50, 1e51]})
    write_weights(tmp_path / "strange.nc", emulator_weights(strange))
    host = Host(library.path, tmp_path / "strange.nc")
    answer = host.run(columns)
    host.close()
    assert (answer.fields["KIND"] == -1).sum() > 5
    for name in (*PROFILES, "PRATEC"):
        assert np.isfinite(answer.fields[name]).all(), name
    assert "not finite" in answer.message
