"""Measure the files of emulators in each precision, and what their bytes are.

    python bench/file_sizes.py [MODEL ...] [--data DATA ... --held-out RUN] [--json OUT]
    python bench/file_sizes.py --train EPOCHS [--data DATA ...] [--seed 7] [--hidden 64]

MODEL are trained emulators. Without them, the packaged `mskf-convrad` and networks of the classes published and bilstm
with normal weights of the seed are measured; they have the sizes of trained ones, whose codes are alike.

--train trains two networks of the class bilstm first, with `sciml convection train`: one with `--hypercomplex 4` and
padded inputs, and one with `--binary periodic`. Without DATA they learn from the sample.

The sizes are those of the file system (`os.path.getsize`), of the checkpoint and of the weights file; a ratio is the
size of the same network in float32 over it. The recurrent weights are the matrices from the states of an LSTM; their
bytes are those of their blobs, with shifts, scales and headers, as they are and in a bundle of their own. The parts of
a weights file are the bytes of its streams. With DATA and a held-out run, R2 is that of the native library in the run.
Each file is opened by the library, and its outputs for random inputs are compared bit by bit with those of torch.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import torch
from compress import FORMS, SAMPLE, TRUTH, forms, scored_columns, scores

from sciml.compress.bundle import bundle_tensors, unbundle_tensors
from sciml.compress.quantization import compression_of
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.published_bilstm import AbsoluteScaling, PublishedBiLSTM, PublishedShape
from sciml.coupling.build import build
from sciml.coupling.export import emulator_weights
from sciml.coupling.library import Library
from sciml.coupling.weights_file import write_weights
from sciml.nn.state_dict import materialise
from sciml.storage.packaged import packaged
from sciml.tables import aligned

LAYERS, LEVELS = 40, 44


def normal_emulators(seed: int) -> dict[str, Emulator[Any]]:
    """Return emulators with normal weights, and with scalings of as many different numbers as those of training."""
    generator = torch.Generator().manual_seed(seed)
    about: dict[str, Any] = {name: [1e4, 1e4] for name in ("dx", "dt", "cudt")}
    about |= {"log_error": -3.6, "runs": [1, 2], "columns": 51968, "seed": seed, "epochs": 20}
    edges = tuple(np.linspace(0.0, 0.95, LAYERS + 1).tolist())
    networks: tuple[Any, ...] = (
        PublishedBiLSTM(PublishedShape(LEVELS)),
        ColumnBiLSTM(ColumnShape(edges=edges)),
    )
    made = {}
    for network in networks:
        for parameter in network.parameters():
            spread = 0.8 / max(parameter.shape[-1], 1) ** 0.5
            parameter.data = spread * torch.randn(parameter.shape, generator=generator)
        shape = network.shape
        sizes = {
            "": (LAYERS, len(getattr(shape, "channels", ()))),
            "scalar_": (len(getattr(shape, "scalars", ())),),
        }
        parts = {
            f"{kind}{name}": torch.randn(sizes[kind], generator=generator).abs() + 0.1
            for kind in sizes
            for name in ("mean", "scale", "middle", "reach")
        }
        scaling: Any = FeatureScaling(**parts)
        if network.command == "published":
            scaling = AbsoluteScaling(torch.rand(27, generator=generator) + 0.1)
        made[f"{network.command}, normal weights"] = Emulator(network.eval(), scaling, about)
    return made


def train(given: argparse.Namespace, folder: Path) -> list[Path]:
    """Train a hypercomplex and a binary network, and return their checkpoints."""
    data = [str(path) for path in given.data] or [str(packaged(SAMPLE)), "--reference", str(packaged(TRUTH))]
    made = []
    for name, words, setting in (
        ("hypercomplex", ["--hypercomplex", "4"], "pad_inputs = true"),
        ("binary", ["--binary", "periodic"], ""),
    ):
        settings = folder / f"{name}.toml"
        fit = f"[fit]\nepochs = {given.train}\nbatch_size = 256\nlearning_rate = 5e-3\nseed = {given.seed}\nthreads = 1"
        settings.write_text(f"{fit}\n[network]\nhidden = {given.hidden}\n{setting}\n")
        command = [sys.executable, "-m", "sciml", "convection", "train", *data, "--network", "bilstm", *words]
        if given.data:
            command += ["--exclude", str(given.held_out)]
        made.append(folder / f"{name}.sciml")
        subprocess.run([*command, "--config", str(settings), "-o", str(made[-1])], check=True)
    return made


def recurrent(emulator: Emulator[Any]) -> dict[str, int]:
    """Return the bytes of the recurrent weights: in float32, as blobs, and as a bundle of them alone."""
    state = materialise(emulator.network)
    names = [name for name in state if "weight_hh" in name]
    floats = sum(4 * state[name].numel() for name in names)
    compression = compression_of(emulator)
    if compression is None:
        return {"floats": floats, "blobs": floats, "bundle": floats}
    stored = {name: compression.packed[name] for name in names}
    storage = compression.plan.storage
    described = {name: {"format": storage[name], "shape": state[name].shape, "parts": [""]} for name in names}
    blobs = sum(array.nbytes for array in stored.values())
    return {"floats": floats, "blobs": blobs, "bundle": bundle_tensors(stored, described).nbytes}


def parts(path: Path) -> dict[str, int]:
    """Return the bytes of the streams of a weights file with a bundle: the list, and the arrays by format."""
    with netCDF4.Dataset(path) as file:
        if list(file.variables) != ["bundle"]:
            return {}
        blob = np.asarray(file["bundle"][...]).view(np.uint8)
    stored, described, _ = unbundle_tensors(blob)
    numbers = struct.unpack_from(f">{2 * int(blob[1])}I", blob.tobytes(), 2)
    made = {"list": numbers[1], "container": os.path.getsize(path) - sum(numbers[1::2])}
    names = [described[name]["format"] if name in described else "floats" for name in stored]
    ends = np.cumsum([array.nbytes for array in stored.values()])
    begin = 0
    for size, packed in zip(numbers[2::2], numbers[3::2], strict=True):
        part = names[int(np.searchsorted(ends, begin, side="right"))]  # of the first array in the stream
        made[part] = made.get(part, 0) + packed
        begin += size
    return made


def same_bits(library: Library, path: Path, emulator: Emulator[Any]) -> bool:
    """Return whether the library and torch have the same outputs of a reduced network for random inputs."""
    network: Any = emulator.network
    with library.open(path) as native:
        content = native.description
        levels = content.pool_levels or LAYERS
        x = np.random.default_rng(29).standard_normal((256, levels, content.channels)).astype(np.float32)
        outputs = native.network(x)[0]
    with torch.no_grad():
        states = network.lstm(torch.from_numpy(x))[0]
        wanted = torch.cat([getattr(network, head)(states) for head in network.lstm_heads], -1).numpy()
    return np.array_equal(outputs, wanted[..., : outputs.shape[-1]])


def measure(name: str, emulator: Emulator[Any], given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the numbers of an emulator by form."""
    path = build(fortran=False)
    library = Library(path)
    test = calibration = None
    if given.data and "normal" not in name:
        test, calibration = scored_columns(given.data, given.held_out, given.every)
    rows: dict[str, Any] = {}
    for form, made in forms(emulator, calibration, given.forms).items():
        file = folder / "w.nc"
        write_weights(file, emulator_weights(made))
        rows[form] = {
            "checkpoint": os.path.getsize(made.save(folder / "m.sciml")),
            "weights file": os.path.getsize(file),
            "recurrent": recurrent(made),
            "parts": parts(file),
            "same bits": None if form == "float32" else same_bits(library, file, made),
            "r2": None if test is None else scores(test, path, file, emulator),
        }
    count = sum(parameter.numel() for parameter in emulator.network.parameters())
    return {"class": emulator.network.command, "parameters": count, "forms": rows}


def table(name: str, result: dict[str, Any]) -> list[str]:
    """Return the lines of the table of an emulator."""
    head = [
        "",
        "checkpoint",
        "ratio",
        "weights file",
        "ratio",
        "recurrent",
        "ratio",
        "in a bundle",
        "ratio",
        "bits",
    ]
    cells = [head]
    first = result["forms"]["float32"]
    for form, row in result["forms"].items():
        cells.append([form])
        for kind in ("checkpoint", "weights file"):
            cells[-1] += [f"{row[kind]:,}", f"{first[kind] / row[kind]:.2f}"]
        own = row["recurrent"]
        for kind in ("blobs", "bundle"):
            cells[-1] += [f"{own[kind]:,}", f"{own['floats'] / own[kind]:.2f}"]
        cells[-1].append({None: "-", True: "same", False: "differ"}[row["same bits"]])
    lines = [
        f"\n{name} ({result['class']}), {result['parameters']:,} parameters; bytes",
        *aligned(cells, align="<"),
    ]
    for form, row in result["forms"].items():
        if row["parts"]:
            own = ", ".join(f"{part} {size:,}" for part, size in row["parts"].items())
            lines.append(f"weights file of {form}: {own}")
        if row["r2"]:
            lines.append(
                f"R2 of {form}: " + ", ".join(f"{output} {r2:.4f}" for output, r2 in row["r2"].items())
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="trained emulators")
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="pairs to train on, and for the R2")
    parser.add_argument("--held-out", type=int, default=3, metavar="RUN", help="run of the R2 (default: 3)")
    parser.add_argument(
        "--train", type=int, metavar="EPOCHS", help="train a hypercomplex and a binary network"
    )
    parser.add_argument("--hidden", type=int, default=64, help="their hidden size (default: 64)")
    parser.add_argument(
        "--seed", type=int, default=7, help="seed of the training and of the weights (default: 7)"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="use every Nth column (default: 1)")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS), help="precisions")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    torch.set_num_threads(1)
    numbers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="sciml-files-") as temporary:
        folder = Path(temporary)
        paths = [*given.models, *(train(given, folder) if given.train else [])]
        chosen = {path.stem: Emulator.load(path) for path in paths}
        if not chosen:
            chosen = {"mskf-convrad": Emulator.load("mskf-convrad"), **normal_emulators(given.seed)}
        for name, emulator in chosen.items():
            numbers[name] = measure(name, emulator, given, folder)
            print("\n".join(table(name, numbers[name])), flush=True)
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
