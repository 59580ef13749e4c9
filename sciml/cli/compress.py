"""`sciml compress`: write a smaller checkpoint that retains a share of the accuracy."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.checks import check_fraction
from sciml.cli.data_options import DataOptions
from sciml.cli.help_pages import examples
from sciml.cli.option_groups import expand_options
from sciml.cli.output import Json, Output, Quiet
from sciml.cli.targets import check_targets, expand_inputs, hold, total_size
from sciml.errors import InputError
from sciml.progress import StageProgress

if TYPE_CHECKING:
    from torch import nn

    from sciml.compress import Allocation, CostTable, Plan
    from sciml.compress.allocation import Cost
    from sciml.verify.compression.subject import Subject

__all__ = ["EXAMPLES", "compress"]

EXAMPLES = examples(
    "sciml compress mskf.sciml columns.zarr --keep 0.999 -o small.sciml",
    "sciml compress darcy.sciml test.zarr --bits 8 -o small.sciml",
    "sciml compress mskf.sciml columns.zarr --cost time -o fast.sciml",
)


class MetricChoice(enum.StrEnum):
    """Metrics of the retained accuracy."""

    r2 = "r2"
    loss = "loss"


class CostChoice(enum.StrEnum):
    """Costs of an assignment of widths."""

    bytes = "bytes"
    time = "time"


@expand_options
def compress(
    model: Annotated[str, typer.Argument(help="Checkpoint of an emulator or operator, or its name.")],
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Columns with the scheme's outputs, pairs, or a dataset as in 'sciml pde verify'."
        ),
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write (*.sciml).")],
    keep: Annotated[
        float, typer.Option("--keep", metavar="X", help="Share of each score to retain, such as 0.999.")
    ] = 0.999,
    bits: Annotated[
        str | None,
        typer.Option(
            "--bits",
            metavar="N",
            help="One width for the whole network: 16, 8, 4, 1, or a format such as mxint8.",
        ),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(
            "--widths", metavar="N,N", help="Widths to choose from for each tensor; default: 4,8,16."
        ),
    ] = None,
    block: Annotated[
        int | None,
        typer.Option(
            "--block",
            metavar="N",
            min=1,
            help="Number of values that share a shift; default: 64, 32 or 16, chosen on the data.",
        ),
    ] = None,
    cost: Annotated[
        CostChoice,
        typer.Option(
            "--cost",
            metavar="NAME",
            help="Cost to minimise: bytes, or the time of the native kernels, measured on this processor.",
        ),
    ] = CostChoice.bytes,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan", metavar="FILE", help="Plan to apply: JSON of an earlier 'sciml compress --json'."
        ),
    ] = None,
    metric: Annotated[
        MetricChoice,
        typer.Option(
            "--metric", metavar="NAME", help="Scores to retain: r2, of each output (and F1), or loss."
        ),
    ] = MetricChoice.r2,
    samples: Annotated[
        int,
        typer.Option(
            "--samples", metavar="N", min=1, help="Largest number of samples for the second-order terms."
        ),
    ] = 768,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Seed of the split of the data.")
    ] = 7,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            metavar="FILE",
            help="Output of the true scheme for a wrfout (mskf_offline_*); may be repeated, in order.",
        ),
    ] = None,
    data_options: DataOptions,
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Compress a trained emulator or operator, without training.

    The data are split in three parts. One gives the increase of the loss by the rounding of each tensor and of each
    pair of tensors. The second is used to choose the cheapest widths that retain the share --keep of each score, and
    the third to confirm them. With --bits or --plan nothing is chosen, and the third part measures what is retained.
    """
    check_fraction("--keep", keep)
    given = [
        name
        for name, value in (("--bits", bits), ("--widths", widths), ("--plan", plan))
        if value is not None
    ]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)}: give one of them")
    if cost is CostChoice.time and (bits or plan):
        raise InputError(f"--cost time with {given[0]}: nothing is chosen then; leave one of them out")
    if plan is not None and block is not None:
        raise InputError(f"--block {block} with --plan {plan}: the plan has its own block; leave --block out")
    from sciml.train import checkpoint

    source = checkpoint.resolve(model)
    inputs = [source, *data, *(reference or []), *([plan] if plan else [])]
    checkpoint.check_target(output, inputs)
    check_targets({"--json": json_file}, [*expand_inputs(inputs), output])
    hold(output)
    selected = _Selection(bits, _parse_widths(widths), block, plan, keep, metric.value, cost.value)
    fixed = selected.read_plan()
    described = data_options.given()
    if described and len(data) > 1:
        raise InputError(f"{described[0]} with {len(data)} datasets: give one")
    from sciml.compress import quantize
    from sciml.verify.compression.subjects import subject_of

    with StageProgress() if quiet else StageProgress.automatic(transient=True) as stages:
        subject = subject_of(
            model,
            data,
            reference=reference or (),
            dataset=partial(data_options.open, data[0]) if described else None,
            samples=samples,
            seed=seed,
        )
        made, allocation = selected.choose(subject, fixed, stages)
        small = quantize(subject.network, made)
        retained = selected.retained(subject, small, allocation)
    subject.save(output, small)
    _report(Output(json_file, quiet), subject, small, made, retained, allocation, selected, (source, output))


@dataclass(frozen=True)
class _Selection:
    """How the plan is made: one width, a plan of a file, or widths to choose from."""

    bits: str | None
    widths: tuple[int, ...]
    block: int | None
    file: Path | None
    keep: float
    metric: Any
    cost: str

    def read_plan(self) -> Plan | None:
        """Read the plan of the file."""
        if self.file is None:
            return None
        import json

        from sciml.compress import Plan

        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
        except (ValueError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self.file} is no JSON ({error}): give what 'sciml compress --json' wrote"
            ) from error
        return Plan.from_json(
            content.get("plan", content) if isinstance(content, dict) else content, self.file
        )

    def choose(
        self, subject: Subject, fixed: Plan | None, stages: StageProgress
    ) -> tuple[Plan, Allocation | None]:
        """Return the plan, and the allocation if widths were chosen."""
        from sciml.compress import Plan, allocate_bits, quantize
        from sciml.compress.width_plan import plan_of_widths, plan_tensors
        from sciml.compress.widths import round_to_width

        if fixed is not None:
            fixed.check(subject.network)
            return fixed, None
        if self.bits is not None:
            width: int | str = int(self.bits) if self.bits.isdigit() else self.bits
            block = self.chosen_block(subject, width)
            return Plan.of(subject.network, width, block), None
        metric, calibration, confirmation = subject.floor(self.metric)
        block = self.chosen_block(subject, self.widths[0])

        def apply(model: nn.Module, widths: Mapping[str, int]) -> nn.Module:
            return quantize(model, plan_of_widths(model, widths, block))

        allocation = allocate_bits(
            subject.network,
            subject.terms,
            subject.loss,
            self.widths,
            self.keep,
            calibration=calibration,
            confirmation=confirmation,
            metric=metric,
            cost=self.costs(subject, block),
            tensors=plan_tensors(subject.network),
            quantiser=partial(round_to_width, block=block),
            apply=apply,
            progress=stages.stage,
        )
        return plan_of_widths(subject.network, allocation.widths, block), allocation

    def chosen_block(self, subject: Subject, width: int | str) -> int:
        """Return the block that was given, or the one that the calibration data show to be sufficient."""
        from sciml.compress import Plan, quantize
        from sciml.compress.blocks import BLOCKS, score_block
        from sciml.compress.floor import retained_shares, scores_of

        if self.block is not None:
            return self.block
        if width not in (4, 8):
            return BLOCKS[0]
        metric, calibration, _ = subject.floor(self.metric)
        before = scores_of(metric, subject.network, calibration)

        def lost(block: int) -> float:
            small = quantize(subject.network, Plan.of(subject.network, width, block))
            return 1.0 - min(retained_shares(before, scores_of(metric, small, calibration)).values())

        return score_block(lost, self.keep)

    def costs(self, subject: Subject, block: int) -> CostTable | Cost:
        """Return the cost of the widths; times are measured here."""
        from sciml.compress.allocation import byte_cost
        from sciml.compress.costs import kernel_matrices
        from sciml.compress.plan import WIDTH_KINDS

        if self.cost == "bytes":
            return partial(byte_cost, block=block)
        matrices = kernel_matrices(subject.network)
        if not matrices:
            raise InputError(
                f"--cost time: {type(subject.network).__name__} has no matrix that the kernels multiply; leave it out"
            )
        from sciml.coupling.matrix_costs import measure_costs

        return measure_costs([WIDTH_KINDS[width] for width in self.widths], matrices.values(), block=block)

    def retained(self, subject: Subject, small: nn.Module, allocation: Allocation | None) -> dict[str, float]:
        """Return the share of each score that is retained on the confirmation data."""
        from sciml.compress.floor import retained_shares, scores_of

        if allocation is not None:
            return dict(allocation.confirmed)
        metric, _, confirmation = subject.floor(self.metric)
        before = scores_of(metric, subject.network, confirmation)
        return retained_shares(before, scores_of(metric, small, confirmation))


def _parse_widths(text: str | None) -> tuple[int, ...]:
    """Parse ``--widths``."""
    from sciml.compress.width_plan import check_plan_widths

    if text is None:
        return (4, 8, 16)
    try:
        widths = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise InputError(f"--widths {text}: give whole numbers, such as 4,8,16") from None
    check_plan_widths(widths)
    if len(widths) < 2:
        raise InputError(f"--widths {text}: give two or more, or --bits {text} for one width")
    return widths


def _report(
    report: Output,
    subject: Subject,
    small: nn.Module,
    plan: Plan,
    retained: Mapping[str, float],
    allocation: Allocation | None,
    selected: _Selection,
    files: tuple[Path, Path],
) -> None:
    """Print the tensors, the sizes and what is retained."""
    from sciml.tables import aligned

    rows = tensor_rows(small, plan)
    before, after = map(total_size, files)
    total = sum(row["bytes"] for row in rows)
    order = sorted(retained, key=lambda name: retained[name])
    low, least = order[0], ", ".join(f"{name} {retained[name]:.5f}" for name in order[:3])
    notes = list(allocation.notes) if allocation else []
    if retained[low] < selected.keep:
        notes.append(f"{low} retains less than --keep {selected.keep:g}: the plan was given, not chosen")
    report.write_json(
        {
            "checkpoint": str(files[1]),
            "bytes_before": before,
            "bytes": after,
            "ratio": before / after,
            "retained": dict(retained),
            "keep": selected.keep,
            "bits": allocation.bits if allocation else None,
            "block": plan.block,
            "cost": {"name": selected.cost, "chosen": allocation.cost, "largest": allocation.largest_cost}
            if allocation
            else None,
            "evaluations": allocation.evaluations if allocation else 0,
            "samples": list(subject.samples),
            "notes": notes,
            "tensors": rows,
            "plan": plan.to_json(),
        }
    )
    cells = [
        (row["tensor"], row["arithmetic"], row["storage"], str(row["bytes"]), f"{row['bytes'] / total:.1%}")
        for row in rows
    ]
    report.print(*aligned([("tensor", "arithmetic", "storage", "bytes", "share"), *cells], align="<<<>>"))
    report.print(
        f"{files[0].name}: {before} bytes; {files[1]}: {after} bytes, {before / after:.2f} times smaller",
        f"least retained of {len(retained)} scores on the confirmation data: {least}",
        *notes,
    )
    report.print_files()


def tensor_rows(network: nn.Module, plan: Plan) -> list[dict[str, Any]]:
    """Return name, arithmetic, storage and bytes of each tensor of a network."""
    from sciml.compress import stored_bytes
    from sciml.nn import materialise

    rows = []
    for name, tensor in materialise(network).items():
        array = tensor.detach().cpu().numpy()
        chosen = plan.storage.get(name)
        size = stored_bytes({name: array}, {name: chosen} if chosen else {})
        stored = chosen or str(array.dtype)
        rows.append(
            {
                "tensor": name,
                "arithmetic": plan.kinds.get(name, "float32"),
                "storage": stored,
                "bytes": int(size),
            }
        )
    return rows
