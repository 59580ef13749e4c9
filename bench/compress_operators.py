"""Measure operators with weights of few bits: error, bytes on disk, and time in torch and in ONNX Runtime.

    python bench/compress_operators.py [--smoke] [--json OUT] [--work DIR]

Operators: the packaged `darcy-any`, and an MgNO and an FNO that are trained here on darcy-smooth (some minutes on one
core; trained ones in DIR are used again). Errors are relative L2 errors on problems of other seeds. ``int4-16`` has
blocks of 16 weights instead of 64; ``mixed`` has the widths of 4 and 8 bits that `allocate_bits` chooses to retain 99 %
of the loss, in blocks that the outputs on calibration problems give. Times are the least processor time of one thread,
of forms that run in turn in one process. Peers: torch's quantize_dynamic, which changes linear layers only, and that of
ONNX Runtime, which also rounds activations.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from sciml.compress import Plan, quantize
from sciml.compress.allocation import allocate_bits
from sciml.compress.blocks import BLOCKS
from sciml.compress.quantization import compression_of
from sciml.compress.width_plan import plan_of_widths, plan_tensors
from sciml.compress.widths import round_to_width
from sciml.operators.export import export_onnx
from sciml.operators.neural import Neural
from sciml.operators.trained_operator import TrainedOperator, answer
from sciml.operators.training import train
from sciml.pde import generate
from sciml.train.progress import Quiet
from sciml.verify.compression.subjects import operator_subject

HELD_OUT = 90_001  # first seed of the problems for the errors
CALIBRATION = 80_001
KEEP = 0.99
SEED = 7
TERMS = 4  # samples for the second-order terms
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "MgNO": {"class": "MgNO"},
    "FNO": {"class": "FNO"},
}


def trained(name: str, work: Path, smoke: bool) -> TrainedOperator:
    """Return an operator of darcy-smooth, trained at the first call."""
    path = work / f"{name}-{'smoke' if smoke else 'full'}.sciml"
    if not path.exists():
        settings = dict(NETWORKS[name]) | ({"channels": 8, "layers": 2} if smoke and name == "MgNO" else {})
        settings |= {"width": 12, "layers": 2, "modes": 6} if smoke and name == "FNO" else {}
        count, resolution, epochs = (16, 15, 1) if smoke else (256, 63, 8)
        fit = {"epochs": epochs, "batch_size": 8, "seed": 7, "threads": 1, "device": "cpu"}
        data = generate("darcy-smooth", count, resolution, seed=7)
        train(data, path, network=settings, fit=fit, progress=Quiet())
    return TrainedOperator.load(path)


def mixed_plan(operator: TrainedOperator, data: xr.Dataset, block: int) -> Plan:
    """Return a plan of 4 and 8 bits, which retains a share of the loss in float32 on calibration samples."""
    subject = operator_subject(operator, data, 8 * TERMS, SEED)
    metric, calibration, confirmation = subject.floor("loss")
    chosen = allocate_bits(
        subject.network,
        subject.terms,
        subject.loss,
        (4, 8),
        KEEP,
        calibration=calibration,
        confirmation=confirmation,
        metric=metric,
        tensors=plan_tensors(subject.network),
        quantiser=partial(round_to_width, block=block),
        apply=lambda network, widths: quantize(network, plan_of_widths(network, widths, block)),
    )
    return plan_of_widths(subject.network, chosen.widths, block)


def chosen_block(operator: TrainedOperator, data: xr.Dataset) -> int:
    """Return the block of 4 bits that the outputs on calibration samples give."""
    fields = {name: torch.from_numpy(data[name].values) for name in operator.inputs}
    grid = replace(operator.grid, shape=tuple(data["u"].shape[1:]))
    small = quantize(operator, 4, run=lambda net: answer(net, fields, operator.normalisation, grid))
    compression = compression_of(small)
    assert compression is not None
    return compression.plan.block


def errors(operator: TrainedOperator, data: xr.Dataset, reference: np.ndarray | None) -> dict[str, Any]:
    """Return the errors of the predictions, and the predictions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of problems outside of the training
        prediction = Neural(operator).predict(data).values
    truth = data["u"].values
    made = {"prediction": prediction, "relative_l2": relative(prediction, truth)}
    return made | ({} if reference is None else {"from_float32": relative(prediction, reference)})


def relative(result: np.ndarray, wanted: np.ndarray) -> float:
    axes = tuple(range(1, wanted.ndim))
    return float((np.sqrt(((result - wanted) ** 2).sum(axes) / (wanted**2).sum(axes))).mean())


def least(forms: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Run the forms in turn, and return the least milliseconds of the thread's processor time."""
    for work in forms.values():
        work()
    best = dict.fromkeys(forms, float("inf"))
    for _ in range(rounds):
        for name, work in forms.items():
            begin = time.thread_time()
            work()
            best[name] = min(best[name], 1e3 * (time.thread_time() - begin))
    return best


def peers(network: nn.Module, graph: Path, folder: Path) -> tuple[nn.Module, int, Path | None]:
    """Return torch's dynamic form, the number of layers that it changes, and the graph of ONNX Runtime's."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dynamic = torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(network), {nn.Linear}, dtype=torch.qint8
        )
    changed = sum("quantized" in type(part).__module__ for part in dynamic.modules())
    path = folder / "dynamic.onnx"
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(graph, path, weight_type=QuantType.QUInt8)
    except Exception as error:  # of the peer, which has no common class of errors
        print(f"  onnxruntime quantize_dynamic: {str(error).splitlines()[0][:100]}")
        return dynamic, changed, None
    finally:
        logging.disable(logging.NOTSET)
    return dynamic, changed, path


def speed(forms: Mapping[str, TrainedOperator], x: Tensor, folder: Path, rounds: int) -> dict[str, Any]:
    """Return bytes of graphs, milliseconds, and differences from float32 in torch, for fields x."""
    import onnxruntime

    from sciml.compress.onnx_integers import open_onnx

    works: dict[str, Callable[[], Any]] = {}
    size: dict[str, int] = {}
    feed = {"x0": x.numpy()}
    for name, operator in forms.items():
        network = copy.deepcopy(operator.network).eval()
        works[f"torch {name}"] = lambda network=network: network(x)
        path = export_onnx(operator, folder / f"{name}.onnx", tuple(x.shape))
        size[f"onnx {name}"] = path.stat().st_size
        session = open_onnx(path)
        works[f"onnx {name}"] = lambda session=session: session.run(["u"], feed)[0]
        if name != "float32":
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            default = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            works[f"onnx {name}, converted at each call"] = lambda s=default: s.run(["u"], feed)[0]
    network = forms["float32"].network
    dynamic, changed, path = peers(network, folder / "float32.onnx", folder)
    works["peer torch dynamic"] = lambda: dynamic(x)
    if path is not None:
        size["peer onnx dynamic"] = path.stat().st_size
        try:
            other = open_onnx(path)
            works["peer onnx dynamic"] = lambda: other.run(["u"], feed)[0]
        except Exception as error:
            print(f"  onnxruntime cannot run its dynamic form: {str(error)[:100]}")
    with torch.inference_mode():
        wanted = np.asarray(works["torch float32"]())
        differences = {name: relative(np.asarray(work()), wanted) for name, work in works.items()}
        times = least(works, rounds)
    return {
        "ms": times,
        "bytes": size,
        "difference": differences,
        "layers changed by torch dynamic": changed,
        "fields": list(x.shape),
    }


def measure(work: Path, smoke: bool = False) -> dict[str, Any]:
    """Return the numbers of each operator: errors, bytes and times by form.

    Parameters
    ----------
    work
        Folder of the trained operators and files.
    smoke
        Whether to use small networks and few samples.
    """
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    count, resolution, rounds = (4, 15, 2) if smoke else (32, 63, 10)
    results: dict[str, Any] = {}
    for name in ("darcy-any", *NETWORKS):
        own = name in NETWORKS
        operator = trained(name, work, smoke) if own else TrainedOperator.load(name)
        family = "darcy-smooth" if own else "darcy-any"
        data = generate(family, count, resolution, seed=HELD_OUT)
        calibration = generate(family, 15 if smoke else 48, resolution, seed=CALIBRATION)
        block = chosen_block(operator, calibration.isel(sample=slice(8)))
        plan = mixed_plan(operator, calibration, block)
        forms = {
            "float32": operator,
            "int8": quantize(operator, 8),
            "int4": quantize(operator, 4),
            **{f"int4-{size}": quantize(operator, 4, size) for size in BLOCKS[1:]},
            "mixed": quantize(operator, plan),
        }
        rows: dict[str, Any] = {}
        reference = None
        with tempfile.TemporaryDirectory() as folder:
            for form, made in forms.items():
                row = errors(made, data, reference)
                prediction = row.pop("prediction")
                reference = prediction if reference is None else reference
                row["checkpoint"] = made.save(Path(folder) / f"{form}.sciml").stat().st_size
                row["weights"] = weight_bytes(made)
                rows[form] = row
            # The graph of a HierarchyNet has thousands of nodes for 8,000 weights: integers gain nothing there.
            timed = {form: forms[form] for form in ("float32", "int8", "int4")}
            x = torch.rand(8 if not smoke else 2, len(operator.inputs), resolution, resolution)
            results[name] = {"forms": rows} | (
                {"speed": speed(timed, x, Path(folder), rounds)} if own else {}
            )
        results[name]["parameters"] = operator.parameters
        results[name]["block of mixed"] = block
        results[name]["int8 tensors of mixed"] = sorted(
            n for n, f in plan.storage.items() if f.startswith("int8")
        )
        print("\n".join(table(name, results[name])), flush=True)
    return results


def weight_bytes(operator: TrainedOperator) -> int:
    """Return the bytes of the weights in a file, without its headers."""
    compression = compression_of(operator)
    if compression is None:
        return sum(x.nbytes for x in operator.network.state_dict().values())
    return sum(array.nbytes for array in compression.packed.values())


def table(name: str, result: Mapping[str, Any]) -> list[str]:
    """Return the lines of the table of an operator."""
    lines = [f"\n{name}, {result['parameters']:,} parameters"]
    lines.append(
        f"  {'form':<10}{'error':>10}{'from f32':>11}{'weights':>10}{'ratio':>7}{'file':>10}{'ratio':>7}"
    )
    first = result["forms"]["float32"]
    for form, row in result["forms"].items():
        lines.append(
            f"  {form:<10}{row['relative_l2']:10.5f}{row.get('from_float32', 0.0):11.2e}"
            f"{row['weights']:10,}{first['weights'] / row['weights']:7.2f}"
            f"{row['checkpoint']:10,}{first['checkpoint'] / row['checkpoint']:7.2f}"
        )
    fast = result.get("speed")
    if fast:
        lines.append(
            f"  fields {fast['fields']}; torch dynamic changes {fast['layers changed by torch dynamic']} layers"
        )
        for form, ms in fast["ms"].items():
            size = fast["bytes"].get(form)
            lines.append(
                f"  {form:<38}{ms:9.2f} ms{fast['difference'][form]:11.2e}"
                + (f"{size:12,} bytes" if size else "")
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--smoke", action="store_true", help="small networks, to test that the benchmark runs"
    )
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    parser.add_argument(
        "--work", type=Path, default=Path("bench-output/compress_operators"), help="folder of the files"
    )
    given = parser.parse_args()
    results = measure(given.work, given.smoke)
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
