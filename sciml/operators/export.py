"""Export of networks: ONNX, torch.export, torch.compile, and fast inference on a CPU."""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor, nn

from sciml.checks import is_whole
from sciml.compress.arithmetic import BlockIntegers
from sciml.compress.blobs import integer_parts
from sciml.compress.formats import format_named, pack, unpack
from sciml.compress.onnx_integers import OPSET, check_onnx, store_integers
from sciml.compress.quantization import compression_of
from sciml.errors import InputError, SciMLError
from sciml.nn.parametrize import dense_copy
from sciml.storage.atomic import check_replaceable, replaced
from sciml.train.settings import Precision

if TYPE_CHECKING:
    from sciml.operators.trained_operator import TrainedOperator

__all__ = ["Inference", "compiled", "export_onnx", "export_program", "inference"]

PIECE = 7 << 20
"""Bytes of hidden fields computed at once on a CPU, so that they stay in its cache and memory is reused."""


class Inference(nn.Module):
    """A network prepared for inference, see `inference`."""

    def __init__(self, network: nn.Module, dtype: torch.dtype, *, channels_last: bool, piece: int) -> None:
        super().__init__()
        self.network = network
        self.dtype, self.piece = dtype, piece
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.width = max(
            (part.out_channels for part in network.modules() if isinstance(part, nn.Conv2d)), default=1
        )

    def forward(self, *fields: Tensor) -> Tensor:
        """Evaluate the network on fields (sample, channel, y, x), in their precision, without gradients."""
        with torch.inference_mode():
            given = [value.to(self.dtype, memory_format=self.layout) for value in fields]
            samples = max(len(value) for value in given)
            pieces = self.pieces(samples, fields[-1])
            if pieces == 1 or any(len(value) != samples for value in given):
                answer: Tensor = self.network(*given)
                return answer.to(fields[-1].dtype)
            size = math.ceil(samples / pieces)
            parts = zip(*(torch.split(value, size) for value in given), strict=True)
            return torch.cat([self.network(*part).to(fields[-1].dtype) for part in parts])

    def pieces(self, samples: int, x: Tensor) -> int:
        """Return the number of parts into which a batch is split."""
        if x.device.type != "cpu":
            return 1
        held = samples * self.width * x.shape[-1] * x.shape[-2] * self.dtype.itemsize
        return min(samples, math.ceil(held / self.piece)) or 1


def inference(
    network: nn.Module,
    dtype: Precision = "float32",
    *,
    channels_last: bool | None = None,
    piece: int = PIECE,
) -> Inference:
    """Copy a network for fast inference; the network itself is not changed.

    Parameters
    ----------
    network
        Network of a class in `sciml.operators.registry`.
    dtype
        ``bfloat16`` stores weights and fields in half the memory, with three digits.
    channels_last
        Whether the channels of a point are contiguous in memory. The default is True, except for the FNO, whose
        transforms need contiguous points.
    piece
        Bytes of hidden fields to compute at once on a CPU.

    Returns
    -------
    Inference
        Module with the arguments of the network. Its result has the precision of the argument and no gradients.

    Raises
    ------
    InputError
        The precision is unknown, or the network does not support it.

    Examples
    --------
    >>> from sciml.operators.published.network import PublishedMgNO
    >>> from sciml.operators.published.benchmarks import PublishedArchitecture
    >>> fast = inference(PublishedMgNO(PublishedArchitecture(layers=1, channels=4)), "bfloat16")
    >>> fast(torch.ones(3, 1, 32, 32)).dtype
    torch.float32
    """
    if dtype not in get_args(Precision):
        raise InputError(f"inference(dtype={dtype!r}): give one of {', '.join(get_args(Precision))}")
    system = getattr(network, "takes", "fields") == "system"
    if system and dtype != "float32":
        raise InputError(
            f"{type(network).__name__} solves systems in physical units, and {dtype} has three digits for "
            "them: give dtype='float32'"
        )
    if channels_last is None:
        channels_last = not system and bool(getattr(network, "channels_last", True))
    prepared = dense_copy(network).eval().requires_grad_(False)
    prepared = prepared.to(getattr(torch, dtype))
    if channels_last:
        prepared = prepared.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Inference(prepared, getattr(torch, dtype), channels_last=channels_last, piece=piece).eval()


def compiled(network: nn.Module) -> nn.Module:
    """Compile a network with torch.compile; without a C++ compiler, warn and return the network.

    The first call with each shape takes tens of seconds; later calls are faster.

    Parameters
    ----------
    network
        Network, or the attribute ``network`` of an `Inference`.
    """
    compilers = [name for name in ("g++", "c++", "clang++") if shutil.which(name)]
    on_cpu = all(p.device.type == "cpu" for p in network.parameters())
    if on_cpu and not compilers:
        warnings.warn(
            "torch.compile needs a C++ compiler for the CPU (apt-get install g++): the network is not compiled",
            RuntimeWarning,
            stacklevel=2,
        )
        return network
    made: nn.Module = torch.compile(network)  # type: ignore[assignment]
    return made


def export_program(
    network: nn.Module | TrainedOperator,
    shape: Sequence[Sequence[int]] | Sequence[int],
    path: str | Path | None = None,
) -> torch.export.ExportedProgram:
    """Export a network as a graph that needs no source code (torch.export), for any number of samples.

    Parameters
    ----------
    network
        Network, or operator that contains one. Inputs and outputs of the graph are normalised fields.
    shape
        Shape (sample, channel, y, x) of the field, or one shape for each field of a network with several. The number of
        samples stays free; the other sizes are fixed.
    path
        File to write for ``torch.export.load``; None writes no file.

    Returns
    -------
    torch.export.ExportedProgram
        The graph.

    Raises
    ------
    InputError
        The network does not accept the shape, or the path cannot be written.

    Examples
    --------
    >>> from sciml.operators.published.network import PublishedMgNO
    >>> from sciml.operators.published.benchmarks import PublishedArchitecture
    >>> program = export_program(PublishedMgNO(PublishedArchitecture(layers=1, channels=4)), (2, 1, 32, 32))
    >>> program.module()(torch.ones(5, 1, 32, 32)).shape
    torch.Size([5, 1, 32, 32])
    """
    target = None if path is None else Path(path)
    if target is not None:
        check_replaceable(target)
    graph, fields = _example(network, shape)
    program = _program(graph, fields)
    if target is not None:
        with replaced(target) as temporary:
            # torch.export.save requires its own suffix
            written = temporary.with_name(temporary.name + ".pt2")
            torch.export.save(program, written)
            written.replace(temporary)
    return program


def export_onnx(
    network: nn.Module | TrainedOperator,
    path: str | Path,
    shape: Sequence[Sequence[int]] | Sequence[int],
    *,
    formats: Mapping[str, str] | None = None,
) -> Path:
    """Write the network as an ONNX graph with its weights inside, for any number of samples.

    Inputs are named ``x0``, ``x1``, ... and the output ``u``. The transforms of the FNO are written as products with
    real matrices, which every ONNX runtime supports.

    Parameters
    ----------
    network, shape
        As for `export_program`.
    path
        Path of the file to write.
    formats
        Format of a weight in the file by the name of the weight in the network, see `sciml.compress.formats`; by
        default the formats of a compressed network (`sciml.compress.quantize`), and floats for other networks; ``{}``
        writes floats. Weights in integers of 4, 8 or 16 bits stay integers in the file, and DequantizeLinear (opset
        21) converts them; the factors of a hypercomplex weight are multiplied. Weights in other formats are written as
        the floats that they decode to. `sciml.compress.onnx_integers.open_onnx` opens such a file so that each weight
        is converted once.

    Raises
    ------
    InputError
        As for `export_program`; or there is no such format or weight.
    SciMLError
        The extra ``onnx`` is not installed, or too old for integers.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise SciMLError("this needs onnx and onnxscript: pip install onnx onnxscript onnxruntime") from error
    target = Path(path)
    check_replaceable(target)
    graph, fields = _example(network, shape)
    inner = network if isinstance(network, nn.Module) else network.network
    integers = _integers(graph, *_formats_of(inner, formats))
    if integers:
        check_onnx()
    names = [f"x{number}" for number in range(len(fields))]
    with warnings.catch_warnings(), _Quiet("torch.onnx"), _Quiet("onnxscript"):
        warnings.simplefilter("ignore")  # the exporter warns about its own code
        program = torch.onnx.export(
            _program(graph, fields),
            input_names=names,
            output_names=["u"],
            dynamo=True,
            verbose=False,
            optimize=not integers,
            opset_version=OPSET if integers else None,
        )
        assert program is not None
        if integers:
            _optimize(program.model, frozenset(integers))
        with replaced(target) as temporary:
            temporary.write_bytes(_serialized(program, integers))
    return target


def _formats_of(
    network: nn.Module, formats: Mapping[str, str] | None
) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """Return the formats of weights in a file, and the stored arrays of a compressed network."""
    compression = compression_of(network)
    if compression is None:
        return formats or {}, {}
    return compression.plan.storage if formats is None else formats, compression.packed


def _integers(
    graph: nn.Module, formats: Mapping[str, str], packed: Mapping[str, Any]
) -> dict[str, tuple[BlockIntegers, ...]]:
    """Round the weights of a network to their formats, and return the integers of those that have some."""
    if not formats:
        return {}
    tensors = {name: tensor.numpy() for name, tensor in graph.state_dict().items()}
    stored, described = pack(tensors, formats, packed)
    graph.load_state_dict({name: torch.from_numpy(x.copy()) for name, x in unpack(stored, described).items()})
    blobs = {name: format_named(chosen) for name, chosen in formats.items() if format_named(chosen).of_rows}
    parts = {
        name: integer_parts(stored[name], known.matrix(tensors[name].shape)) for name, known in blobs.items()
    }
    return {name: codes for name, codes in parts.items() if codes}


def _optimize(model: Any, weights: frozenset[str]) -> None:
    """Simplify a graph as the exporter does, without computing constants from the weights in integers."""
    import onnxscript.optimizer

    def should_fold(node: Any) -> bool | None:
        return False if any(value is not None and value.name in weights for value in node.inputs) else None

    onnxscript.optimizer.optimize_ir(model, should_fold=should_fold)


def _serialized(program: Any, integers: Mapping[str, Sequence[BlockIntegers]]) -> bytes:
    """Return the bytes of a graph, without the exporter's notes on its source code, which outweigh the nodes."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "graph.onnx"
        program.save(str(made), external_data=False)
        model = onnx.load(str(made))
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for field in ("metadata_props", "value_info", "doc_string"):
        model.graph.ClearField(field)
    if integers:
        store_integers(model, integers)
    return bytes(model.SerializeToString())


def _program(graph: nn.Module, fields: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    samples = torch.export.Dim("samples", min=1)
    free = [{0: samples} for _ in fields]
    try:
        with torch.no_grad():
            return torch.export.export(graph, fields, dynamic_shapes=tuple(free))
    except (torch._dynamo.exc.UserError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise SciMLError(
            f"torch.export cannot follow this {type(graph).__name__} ({first}): give another shape"
        ) from error


def _example(
    network: nn.Module | Any, shape: Sequence[Sequence[int]] | Sequence[int]
) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Return the network prepared for tracing, and fields of the shapes."""
    inner = network if isinstance(network, nn.Module) else network.network
    whole = all(is_whole(n) for n in shape)
    shapes: list[tuple[int, ...]] = [tuple(value) for value in ([shape] if whole else shape)]  # type: ignore[arg-type]
    if not shapes or any(len(value) != 4 or min(value) < 1 for value in shapes):
        raise InputError(f"shape={shape!r}: give (sample, channel, y, x) for each field")
    graph = dense_copy(inner).cpu().float().eval().requires_grad_(False)
    graph = graph.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for part in graph.modules():
        if hasattr(part, "dft"):
            part.dft = True
    drawn = torch.Generator().manual_seed(7)
    # torch.export treats a size of 1 as a constant
    fields = tuple(torch.rand(max(2, value[0]), *value[1:], generator=drawn) + 0.5 for value in shapes)
    try:
        with torch.no_grad():
            graph(*fields)
    except SciMLError:
        raise
    except (RuntimeError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise InputError(
            f"{type(inner).__name__} cannot take shape={shape!r} ({first}): give the shapes it was made for"
        ) from error
    return graph, fields


class _Quiet:
    """Context manager that limits a logger to errors."""

    def __init__(self, name: str) -> None:
        self.logger = logging.getLogger(name)

    def __enter__(self) -> None:
        self.level = self.logger.level
        self.logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        self.logger.setLevel(self.level)
