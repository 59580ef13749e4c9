"""The fuzz targets: the readers of weights files and of namelists, under sanitizers of addresses and behaviour.

    python -m tests.coupling.fuzzing --seconds 600

With clang there (``$CLANG``, else ``clang``) libFuzzer drives them, guided by what they reach; without it files are
damaged at random. Stops with exit code 1 at the first fault, whose input stays in the corpus folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import sciml
from sciml.compress import quantize
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.network import Architecture, Closure
from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE
from sciml.convection.published_bilstm import AbsoluteScaling, PublishedBiLSTM, PublishedShape
from sciml.coupling.build import Compiler, c_compiler, compilations, sources
from sciml.coupling.export import emulator_weights
from sciml.coupling.instruction_sets import DEFINITIONS
from sciml.coupling.scheme_export import scheme_weights
from sciml.coupling.weights_file import Weights, write_weights
from sciml.emulation.emulator import SchemeEmulator
from sciml.emulation.network import SchemeNetwork, Sizes
from sciml.emulation.scaling import InputScaling
from sciml.schemes import load_scheme
from tests.coupling.published import Net
from tests.coupling.reduced import reduced_weights
from tests.paths import SAMPLE_WRFOUT
from workflows.kessler.soundings import SCHEME, pairs

SANITIZERS = ("-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
#: Flags that a sanitized build leaves out.
NATIVE_FLAGS = ("-O3", *DEFINITIONS.values(), "-fvisibility=hidden")
TARGETS = ("fuzz.c", "fuzz_namelist.c")
#: Files of bare networks and of emulators with a plume.
NETWORKS = ("small.nc", "reduced.nc", "bundle.nc", "emulator.nc", "quantized.nc", "layers.nc")
#: The objects that read a file.
READERS = (
    "bundle.o",
    "emulator.o",
    "column_scheme.o",
    "handle.o",
    "inflate.o",
    "netcdf_file.o",
    "netcdf_reader.o",
    "network_weights.o",
    "packed_tensor.o",
    "reduced_weights.o",
    "settings.o",
    "tables.o",
)


class NoSanitizers(Exception):
    """Raised if the compiler has no sanitizers."""


def _run(words: Sequence[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "cannot find" in done.stderr:
        raise NoSanitizers(done.stderr)
    assert done.returncode == 0, done.stderr


def sanitized_objects(
    folder: Path, compiler: Compiler, flags: Sequence[str], readers: Sequence[str] = ()
) -> list[Path]:
    """Compile the C part of the library with its baseline kernels, and return the objects.

    `readers` are more flags of the objects that read a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    objects = []
    for name, words in compilations(compiler).items():
        if "_avx" in name or "_amx" in name:
            continue
        command = [word for word in words if word not in NATIVE_FLAGS]
        _run([*command, *flags, *(readers if name in READERS else ()), "-o", str(folder / name)])
        objects.append(folder / name)
    return objects


def link_targets(
    folder: Path, compiler: Compiler, objects: Sequence[Path], extra: Sequence[str] = ()
) -> dict[str, Path]:
    """Compile the targets and link them to objects of the library.

    Raises
    ------
    NoSanitizers
        When the compiler cannot link them.
    """
    made = {target: folder / target.removesuffix(".c") for target in TARGETS}
    for target, program in made.items():
        words = [*compiler.command, "-std=gnu11", *SANITIZERS, *extra, f"-I{sources()}"]
        words += [str(Path(__file__).with_name(target)), *map(str, objects)]
        _run([*words, "-lm", "-ldl", "-lpthread", "-o", str(program)])
    return made


def build_targets(folder: Path, compiler: Compiler, extra: Sequence[str] = ()) -> dict[str, Path]:
    """Compile the targets, and the sources of the library that they need, without optimisation."""
    # The kernels read no file, and coverage of their long vectors takes clang minutes.
    coverage = ("-fsanitize=fuzzer-no-link",) if extra else ()
    return link_targets(folder, compiler, sanitized_objects(folder, compiler, SANITIZERS, coverage), extra)


def small_emulator(below: int = 2, cloud: int = 5) -> Emulator:
    """A network of the smallest size on `below` + `cloud` layers, with rows of the packaged normalisation."""
    packaged = Emulator.load("mskf-convrad")
    torch.manual_seed(17)
    network = Closure(Architecture(hidden=2, pooled=3, below=below, cloud=cloud))
    known = packaged.normalisation
    rows = torch.linspace(0, len(known.mean) - 1, below + cloud).long()
    some = {name: getattr(known, name)[rows] for name in ("mean", "scale", "middle", "reach")}
    return Emulator(network.eval(), replace(known, **some), packaged.about)


def small_networks() -> dict[str, Emulator]:
    """The networks without a plume, of the smallest size that the class allows."""
    torch.manual_seed(17)
    pure = ColumnBiLSTM(ColumnShape(hidden=2, layers=1, width=3, pooled=3, edges=(0.0, 0.1, 0.4, 0.9)))
    shape = pure.shape
    scaling = FeatureScaling.of(
        torch.rand(3, len(shape.channels), 9).double(), torch.rand(len(shape.scalars), 9).double()
    )
    about = {"dx": [1e4, 1e4], "dt": [50.0, 50.0], "cudt": [5.0, 5.0], "log_error": 0.3}
    raw = AbsoluteScaling(torch.ones(27))
    return {
        "pure.nc": Emulator(pure.eval(), scaling, about),
        "published.nc": Emulator(PublishedBiLSTM(PublishedShape(44)).eval(), raw, about),
    }


def small_reduced() -> Weights:
    """A bare network of all kinds of arithmetic, whose matrices are stored in all layouts of packed tensors."""
    torch.manual_seed(17)
    weights = reduced_weights(Net(4, 2, 1, 2, 4, 1).weights(), ("int8", "int4", "sign", "bf16", "int8"), 3, 2)
    layouts = ("int8-2", "int4", "sign", "hypercomplex2", "mxint8")
    matrices = [name for name in weights.arrays if "weight" in name]
    formats = dict(zip(matrices, layouts, strict=False)) | {"head.bias": "bfloat16", "pool.weight": "int16"}
    return replace(weights, formats=formats)


def small_scheme() -> SchemeEmulator:
    """An emulator of the warm-rain scheme, of the smallest size, with random weights."""
    scheme, columns = load_scheme(SCHEME), pairs(20, 20, seed=3)
    scaling = InputScaling.of(
        scheme, {name: torch.from_numpy(columns[name].values) for name in scheme.input_names}
    )
    torch.manual_seed(17)
    return SchemeEmulator(SchemeNetwork(scheme, Sizes(hidden=2, layers=1)).eval(), scaling, {})


def write_columns(path: Path, step: int = 24) -> None:
    """Write a few columns of each class: every `step`-th of the first frame."""
    columns = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT))).isel(column=slice(0, 576, step))
    with path.open("wb") as file:
        for name in (*INPUT_PROFILES, *INPUT_SURFACE):
            file.write(np.asarray(columns[name].values, np.float32).tobytes())


def write_seeds(folder: Path) -> dict[str, Path]:
    """Valid initial files: bare networks, emulators, one of a declared scheme, columns, and the namelist.

    The emulator of layers.nc has more layers than the columns have levels.
    """
    names = (*NETWORKS, "columns", "few", "settings.nml")
    made = {name: folder / name for name in names}
    write_weights(made["small.nc"], Net(3, 2, 1, 2, 4, 1).weights())
    write_weights(made["reduced.nc"], small_reduced(), deflate=False)
    write_weights(made["bundle.nc"], small_reduced())
    write_weights(made["emulator.nc"], emulator_weights(small_emulator()))
    write_weights(made["layers.nc"], emulator_weights(small_emulator(20, 40)))
    write_weights(made["quantized.nc"], emulator_weights(quantize(small_emulator(), 8, block=3)))
    for name, emulator in small_networks().items():
        made[name] = folder / name
        write_weights(made[name], emulator_weights(emulator))
    made["scheme.nc"] = folder / "scheme.nc"
    write_weights(made["scheme.nc"], scheme_weights(small_scheme()))
    write_columns(made["columns"])
    write_columns(made["few"], 144)  # of the published network, whose size is fixed
    shutil.copyfile(sources() / "sciml_mskf.nml", made["settings.nml"])
    return made


def guided(seconds: float, clang: Compiler, folder: Path, seeds: Mapping[str, Path]) -> int:
    """Let libFuzzer drive both targets, one after the other."""
    made = build_targets(folder, clang, ("-fsanitize=fuzzer", "-DLIBFUZZER"))
    columns = {"SCIML_COLUMNS": str(seeds["columns"]), "SCIML_LEVELS": "44"}
    runs: tuple[tuple[str, float, dict[str, str], tuple[str, ...]], ...] = (
        ("fuzz_namelist.c", 0.25, {}, ("settings.nml",)),
        ("fuzz.c", 0.2, {}, ("scheme.nc",)),
        (
            "fuzz.c",
            0.55,
            columns,
            (*NETWORKS, "pure.nc", "published.nc"),
        ),
    )
    for target, share, given, begin in runs:
        corpus = folder / f"corpus-{begin[0].partition('.')[0]}"
        corpus.mkdir(exist_ok=True)
        for name in begin:
            shutil.copyfile(seeds[name], corpus / name)
        words = [
            str(made[target]),
            str(corpus),
            f"-max_total_time={max(1, int(share * seconds))}",
            "-rss_limit_mb=4096",
        ]
        words += [f"-artifact_prefix={folder}/", "-print_final_stats=1", "-max_len=65536"]
        print(f"== {target}: {' '.join(words)}", flush=True)
        done = subprocess.run(words, env={**os.environ, **given}, check=False)
        if done.returncode:
            return 1
    return 0


def blind(
    made: Mapping[str, Path], seeds: Mapping[str, Path], rounds: int
) -> list[subprocess.CompletedProcess[str]]:
    """Damage `rounds` whole emulators at random, more bare networks, and namelists."""
    columns = [str(seeds["columns"]), "44"]
    calls = (
        [str(made["fuzz.c"]), str(seeds["small.nc"]), str(8 * rounds)],
        [str(made["fuzz.c"]), str(seeds["reduced.nc"]), str(4 * rounds)],
        [str(made["fuzz.c"]), str(seeds["bundle.nc"]), str(2 * rounds)],
        [str(made["fuzz.c"]), str(seeds["scheme.nc"]), str(2 * rounds)],
        [str(made["fuzz.c"]), str(seeds["emulator.nc"]), str(rounds), *columns],
        [str(made["fuzz.c"]), str(seeds["quantized.nc"]), str(rounds), *columns],
        [str(made["fuzz.c"]), str(seeds["layers.nc"]), str(rounds // 4), *columns],
        [str(made["fuzz.c"]), str(seeds["pure.nc"]), str(rounds // 4), *columns],
        [str(made["fuzz.c"]), str(seeds["published.nc"]), str(rounds // 4), str(seeds["few"]), "44"],
        [str(made["fuzz_namelist.c"]), str(seeds["settings.nml"]), str(100 * rounds)],
    )
    return [subprocess.run(words, capture_output=True, text=True, check=False) for words in calls]


def main() -> int:
    """Run the targets for the given time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--corpus", type=Path, help="Folder for the corpus and failing inputs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sciml-fuzz-") as temporary:
        folder = given.corpus or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        seeds = write_seeds(folder)
        name = shutil.which(os.environ.get("CLANG", "clang"))
        if name is not None:
            gcc = c_compiler()
            return guided(given.seconds, Compiler((name,), "clang", gcc.machine), folder, seeds)
        print("no clang: damaging at random, not guided by what is reached", flush=True)
        made = build_targets(folder, c_compiler())
        for done in blind(made, seeds, int(20 * given.seconds)):
            print(done.stdout.strip() or done.stderr[-3000:], flush=True)
            if done.returncode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
