"""Measure emulators in each precision: time by class of column, bytes on disk and in memory, and R2.

    python bench/compress.py [MODEL ...] [--data DATA --held-out RUN] [--json OUT] [--figure PNG]
    python bench/compress.py --smoke

MODEL are trained emulators. Of the classes plume-closure, bilstm and published, those without a MODEL are the packaged
`mskf-convrad` and untrained networks of the usual sizes, which have no R2. Precisions: bf16, int8 with two planes of
input codes (the default of `sciml.compress.quantize`) and with one, int4, and signs; hypercomplex weights too if MODEL
has them. The integers of trained networks are calibrated on columns of other runs than the scored ones.

DATA is a store or file of pairs as for `sciml convection train`; the R2 are those of run RUN, with the native library.
Without DATA, the last of the seven times of the sample is scored, and the others calibrate.

All forms run in turn, round after round, with the columns of the sample, 256 per call, on one thread. Times are medians
of the thread's processor time in microseconds per column; a speed-up is the median of the ratios in the same rounds.
Peers run the layers of the bare network and its head: torch, its quantize_dynamic, ONNX Runtime, its quantize_dynamic,
and torchao if it is installed. The figure shows the time of
the whole emulator against bytes and against the mean of 1 - R2 over the outputs. The memory is the increase of the
resident set of a process by an open weights file.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import importlib.util
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import xarray as xr
from compress_page import GROUPS, figure, table
from native import CALL, LEVELS, SAMPLE, seconds, shuffled_sample

from sciml.columns.open import open_columns
from sciml.compress import quantize
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator, sounding_of
from sciml.convection.problem import Convection
from sciml.convection.published_bilstm import PublishedBiLSTM, PublishedShape
from sciml.convection.source_layer import parcel_test
from sciml.coupling.build import build
from sciml.coupling.export import emulator_weights
from sciml.coupling.fortran_emulator import FortranEmulator, NativeColumns
from sciml.coupling.library import Library, NativeNetwork
from sciml.coupling.onnx_oracle import bilstm_onnx, onnx_session
from sciml.coupling.weights_file import write_weights
from sciml.errors import InputError
from sciml.plot.style import png
from sciml.storage.packaged import packaged
from sciml.verify.emulator.evaluate import assess

TRUTH = "mskf_offline_convrad_24x24_5min.nc"
CLASSES = ("plume-closure", "bilstm", "published")
FORMS: Mapping[str, tuple[int | str, int]] = {
    "bf16": (16, 2),
    "int8": (8, 2),
    "int8, 1 plane": (8, 1),
    "int4": (4, 2),
    "sign": (1, 2),
    "hypercomplex4": ("hypercomplex4", 2),
}
"""Width and planes of each precision."""
CALIBRATION = 4096  # largest number of columns
HANDLES = 16  # opened of each file to measure the memory of one
MEMORY = """
import sys
from sciml.coupling.library import Library
def resident():
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))
library, opened = Library(sys.argv[1]), []
library.open(sys.argv[3]).close()
for file in sys.argv[3:]:
    before = resident()
    opened += [library.open(file) for _ in range(int(sys.argv[2]))]
    print((resident() - before) / int(sys.argv[2]))
"""


def emulators(models: list[str], columns: xr.Dataset) -> dict[str, tuple[Emulator[Any], bool]]:
    """Return the emulators by name, and whether each is trained."""
    made = {Path(model).stem: (Emulator.load(model), True) for model in models}
    given = {emulator.network.command for emulator, _ in made.values()}
    if CLASSES[0] not in given:
        made["mskf-convrad"] = Emulator.load("mskf-convrad"), True
    torch.manual_seed(17)
    everything = sounding_of(columns)
    about = {name: [1e4, 1e4] for name in ("dx", "dt", "cudt")} | {"log_error": 0.0}
    networks: dict[str, Callable[[], Any]] = {
        "bilstm": lambda: ColumnBiLSTM(ColumnBiLSTM.fitted(ColumnShape(), columns)),
        "published": lambda: PublishedBiLSTM(PublishedShape(LEVELS)),
    }
    for name in (name for name in networks if name not in given):
        network = networks[name]()
        seen = network.observe(everything)
        scaling = network.scaling.of(seen.channels, seen.scalars)
        made[f"{name}, untrained"] = Emulator(network.eval(), scaling, about), False
    return made


def scored_columns(data: list[Path], held_out: int, step: int) -> tuple[xr.Dataset, xr.Dataset]:
    """Return the columns to score, and those for the calibration."""
    if data:
        columns = open_columns(data).load()
        unseen = columns["RUN"].values == held_out
    else:
        columns = open_columns(packaged(SAMPLE), truth=packaged(TRUTH)).load()
        unseen = columns["XTIME"].values == columns["XTIME"].values.max()
    if not unseen.any():
        runs = ", ".join(map(str, np.unique(columns["RUN"].values)))
        raise SystemExit(f"error: --held-out {held_out}: the data have the runs {runs}")
    rest = np.flatnonzero(~unseen)
    rest = rest[:: max(1, -(-rest.size // CALIBRATION))]
    return columns.isel(column=np.flatnonzero(unseen)[::step]), columns.isel(column=rest[::step])


def forms(
    emulator: Emulator[Any], calibration: xr.Dataset | None, names: Collection[str] = tuple(FORMS)
) -> dict[str, Emulator[Any]]:
    """Return an emulator in float32, and in each named precision that its weights can have."""
    run = None
    if calibration is not None and calibration.sizes["column"]:
        seen = emulator.network.observe(sounding_of(calibration))
        x, y = emulator.normalisation.standardise(seen.channels, seen.scalars)
        given = (x.float(),) if emulator.network.command == "published" else (x.float(), y.float())

        def run(network: torch.nn.Module) -> object:
            return network(*given)

    made = {"float32": emulator}
    for name, (bits, planes) in ((name, FORMS[name]) for name in FORMS if name in names):
        try:
            made[name] = quantize(emulator, bits, 64, planes, run)
        except InputError:
            if name != "hypercomplex4":  # which a plain network cannot have
                raise
    return made


def resident(library: Path, files: list[Path]) -> list[float | None]:
    """Return the resident bytes of each open weights file, measured in another process; None without /proc."""
    if not Path("/proc/self/status").exists():
        return [None] * len(files)
    words = [sys.executable, "-c", MEMORY, str(library), str(HANDLES), *map(str, files)]
    printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return [float(line) for line in printed.split()]


def scores(
    columns: xr.Dataset, library: Path, weights: Path, emulator: Emulator[Any]
) -> dict[str, float | None]:
    """Return the R2 of each output over the columns that the scheme triggers, and F1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of outputs that the network does not have
        score_table = assess(columns, FortranEmulator(library, weights), block=4096).to_json()
    absent = set(emulator.network.absent)
    outputs = {
        name: (row or {}).get("r2") for name, row in score_table["outputs"].items() if name not in absent
    }
    return {
        **{name: r2 for name, r2 in outputs.items() if r2 is not None},
        "F1": score_table["trigger"]["f1"],
    }


class Stock(torch.nn.Module):
    """The layers of a bare network and its head, in classes of torch."""

    def __init__(self, emulator: Emulator[Any]) -> None:
        super().__init__()
        weights = emulator_weights(emulator)
        channels, layers, hidden = (
            int(np.asarray(weights.attributes[n])) for n in ("channels", "layers", "hidden")
        )
        self.lstm = torch.nn.LSTM(channels, hidden, layers, batch_first=True, bidirectional=True)
        self.lstm.load_state_dict(
            {k: v.detach().float() for k, v in emulator.network.lstm.state_dict().items()}
        )
        self.head = torch.nn.Linear(2 * hidden, len(weights.arrays["head.weight"]))
        for name, parameter in self.head.named_parameters():
            parameter.data.copy_(torch.from_numpy(np.array(weights.arrays[f"head.{name}"])))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.head(self.lstm(x)[0])
        return outputs


def peers(emulator: Emulator[Any], x: np.ndarray[Any, Any], folder: Path) -> dict[str, Callable[[], object]]:
    """Return the peers of a bare network on inputs (column, level, channel)."""
    stock, tensor = Stock(emulator).eval(), torch.from_numpy(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dynamic = torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(stock), {torch.nn.LSTM, torch.nn.Linear}, dtype=torch.qint8
        )
    made: dict[str, Callable[[], object]] = {
        "torch": lambda: stock(tensor),
        "torch quantize_dynamic": lambda: dynamic(tensor),
    }
    if importlib.util.find_spec("torchao"):
        from torchao.quantization import Int8WeightOnlyConfig, quantize_

        other = copy.deepcopy(stock)
        quantize_(other, Int8WeightOnlyConfig())  # it changes linear layers, not LSTMs
        made["torchao int8 weights"] = lambda: other(tensor)
    if not importlib.util.find_spec("onnxruntime") or not importlib.util.find_spec("onnx"):
        print("onnxruntime is not installed: pip install onnx onnxruntime")
        return made
    import onnx
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    weights, turned = emulator_weights(emulator), np.ascontiguousarray(x.swapaxes(0, 1))
    session = onnx_session(weights)
    made["onnxruntime"] = lambda: session.run(None, {"x": turned})
    source, target = folder / "network.onnx", folder / "dynamic.onnx"
    onnx.save(bilstm_onnx(weights), source)
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(source, target, weight_type=QuantType.QInt8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        eight = onnxruntime.InferenceSession(target, options, providers=["CPUExecutionProvider"])
    finally:
        logging.disable(logging.NOTSET)
    made["onnxruntime quantize_dynamic"] = lambda: eight.run(None, {"x": turned})
    return made


class Calls:
    """Calls of the library by class of column: all columns in their mix, and each class."""

    def __init__(self, library: Library, folder: Path, columns: xr.Dataset, most: int) -> None:
        write_weights(folder / "classes.nc", emulator_weights(Emulator.load("mskf-convrad")))
        tested = parcel_test(sounding_of(columns)).numpy()
        with library.open(folder / "classes.nc") as state:
            kind = NativeColumns(Convection(columns)).run(state)["KIND"]
        members = (~tested, tested & (kind == 0), kind == 1, kind == 2)
        self.shares = {name: float(where.mean()) for name, where in zip(GROUPS, members, strict=True)}
        self._run = library._dll.sciml_mskf_run_any
        self._alive: list[Any] = []  # the memory that the calls point to
        self.calls: dict[str, list[Any]] = {}
        for name, where in {
            "all": np.ones(len(kind), bool),
            **dict(zip(GROUPS, members, strict=True)),
        }.items():
            count = min(int(where.sum()) // CALL * CALL, most if name == "all" else 4 * CALL)
            if where.any():  # columns of a rare class are repeated to fill a call
                chosen = np.resize(np.flatnonzero(where), max(CALL, count))
                cells = NativeColumns(Convection(columns.isel(column=chosen)))
                calls = [cells.call(start, start + CALL) for start in range(0, len(chosen), CALL)]
                self._alive.append((cells, calls))
                self.calls[name] = [ctypes.byref(arguments) for arguments in calls]

    def job(self, group: str, handle: int) -> Callable[[], object]:
        """Return a function that runs the columns of a group with an open weights file."""
        run, address, none = self._run, ctypes.c_void_p(handle), ctypes.c_size_t(0)
        return lambda: [run(address, arguments, None, none) for arguments in self.calls[group]]


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the numbers of each emulator by form, and of its peers."""
    path = build(fortran=False)
    library, sample = Library(path), shuffled_sample()
    test, calibration = scored_columns(given.data, given.held_out, 8 if given.smoke else 1)
    calls = Calls(library, folder, sample, 2 * CALL if given.smoke else sample.sizes["column"])
    states: list[NativeNetwork] = []
    rounds: dict[tuple[str, str, str], Callable[[], object]] = {}
    columns: dict[tuple[str, str, str], int] = {}
    results: dict[str, Any] = {}
    for name, (emulator, trained) in emulators(given.models, sample).items():
        rows: dict[str, Any] = {}
        for form, made in forms(emulator, calibration if trained else None).items():
            file = folder / f"{len(states)}.nc"
            write_weights(file, emulator_weights(made))
            checkpoint = made.save(folder / f"{len(states)}.sciml")
            rows[form] = {
                "checkpoint": os.path.getsize(checkpoint),
                "weights_file": os.path.getsize(file),
                "r2": scores(test, path, file, emulator) if trained else None,
            }
            states.append(library.open(file))
            content = states[-1].description
            levels = content.pool_levels or _levels(emulator)
            x = np.random.default_rng(23).standard_normal((CALL, levels, content.channels)).astype(np.float32)
            rounds[name, form, "network"] = lambda state=states[-1], x=x: state.network(x)
            columns[name, form, "network"] = CALL
            for group, arguments in calls.calls.items():
                rounds[name, form, group] = calls.job(group, states[-1].handle)
                columns[name, form, group] = CALL * len(arguments)
        for form, job in peers(emulator, x, folder).items():
            rounds[name, form, "network"], columns[name, form, "network"] = job, CALL
            rows[form] = {"peer": True}
        ours = {form: row for form, row in rows.items() if not row.get("peer")}
        files = [folder / f"{number}.nc" for number in range(len(states) - len(ours), len(states))]
        for row, size in zip(ours.values(), resident(path, files), strict=True):
            row["resident"] = size
        parameters = sum(weight.numel() for weight in emulator.network.parameters())
        results[name] = {"class": emulator.network.command, "parameters": parameters, "forms": rows}
    with torch.inference_mode():
        taken = interleaved(rounds, 2 if given.smoke else given.rounds)
    for (name, form, group), times in taken.items():
        row = results[name]["forms"][form]
        row.setdefault("us", {})[group] = median(times) / columns[name, form, group] * 1e6
        first = taken[name, "float32", group]
        row.setdefault("speed-up", {})[group] = median(a / b for a, b in zip(first, times, strict=True))
    return {
        "emulators": results,
        "shares": calls.shares,
        "scored columns": test.sizes["column"],
        "calibration columns": calibration.sizes["column"],
        "isa": library.isa,
        "torch": torch.__version__,
        "load": os.getloadavg()[0],
    }


def _levels(emulator: Emulator[Any]) -> int:
    sizes = emulator_weights(emulator).attributes
    return sum(
        int(np.asarray(sizes[n])) for n in ("layers_below", "layers_cloud", "layers_pressure") if n in sizes
    )


def interleaved(rounds: Mapping[Any, Callable[[], object]], count: int) -> dict[Any, list[float]]:
    """Run all jobs in turn, and return their seconds in each round."""
    taken: dict[Any, list[float]] = {name: [] for name in rounds}
    for job in rounds.values():
        job()
    for _ in range(count):
        for name, job in rounds.items():
            taken[name].append(seconds(job))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="trained emulators (default: mskf-convrad)"
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], help="pairs for the R2 and the calibration"
    )
    parser.add_argument("--held-out", type=int, default=3, metavar="RUN", help="run of the R2 (default: 3)")
    parser.add_argument("--rounds", type=int, default=11, help="rounds of the times (default: 11)")
    parser.add_argument("--smoke", action="store_true", help="few rounds and columns, to test that it runs")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    parser.add_argument("--figure", type=Path, help="PNG to write")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="sciml-compress-") as folder:
        numbers = measure(given, Path(folder))
    print(
        f"{platform.processor() or platform.machine()}, {numbers['isa']}; torch {numbers['torch']}; one thread; "
        f"load {numbers['load']:.1f} on {os.cpu_count()} cores; R2 on {numbers['scored columns']:,} columns"
    )
    print(
        "shares of the columns: "
        + ", ".join(f"{name} {share:.1%}" for name, share in numbers["shares"].items())
    )
    for name, result in numbers["emulators"].items():
        print("\n".join(table(name, result)))
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    if given.figure:
        given.figure.write_bytes(png(figure(numbers["emulators"])))


if __name__ == "__main__":
    main()
