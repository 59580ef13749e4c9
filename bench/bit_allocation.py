"""Compare models of the loss for the choice of widths, on small Bi-LSTMs trained on synthetic profiles.

    python bench/bit_allocation.py [--out bit_allocation.json] [--seeds 7 11 23] [--epochs 40]
    python bench/bit_allocation.py --smoke

For each seed a Bi-LSTM of 2 layers learns integrals and products of smooth profiles. Its 10 matrices get random widths,
and the rank correlation of predicted and true increase of the loss is computed on data that no prediction has used.
Then each model of the loss chooses widths for several shares of R2 to retain, with the same search, the same
calibration data and the same confirmation data: once along its front alone, and once with evaluations beside it. "best"
has the fewest bits of all assignments that retain the share on both data (two widths only, by enumeration), and
"repeated" is the rank correlation of the true increases on two halves of the held-out data, the most that a prediction
can reach. --smoke trains one small network for a moment.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from sciml.compress import LossModel, allocate_bits, measured_losses, sensitivity
from sciml.compress.allocation import TRIALS, rounded_copy
from sciml.compress.floor import retained_shares
from sciml.compress.second_order import frozen_copy, mean_loss, replaced_weights
from sciml.compress.widths import round_to_width
from sciml.nn import LSTM
from sciml.tables import aligned

SEEDS = (7, 11, 23)
WIDTH_SETS = ((4, 8, 16), (4, 8), (3, 8))
KEEP = (0.999, 0.997, 0.995, 0.99, 0.98)
ASSIGNMENTS = 150
LEVELS, CHANNELS, OUTPUTS = 32, 5, 4
BASELINES = ("trace, front", "trace", "diagonal", "measured, front", "measured", "measured pairs", "best")
GOAL = 0.95  # least rank correlation of the inter-layer terms

Pair = tuple[Tensor, Tensor]


class Columns(nn.Module):
    """Bi-LSTM over the levels with a hidden layer on each level."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.lstm = LSTM(CHANNELS, hidden, 2, bidirectional=True, batch_first=True)
        self.mixed = nn.Linear(2 * hidden, 32)
        self.level = nn.Linear(32, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """Compute outputs (column, level, output) from channels (column, level, channel)."""
        made: Tensor = self.level(torch.relu(self.mixed(self.lstm(x)[0])))
        return made


def profiles(count: int, seed: int) -> Pair:
    """Draw smooth profiles, and integrals from below and above, a product with a mean, and a local product.

    The targets of all samples have the same normalisation. With their own they would be shifted by the error of their
    mean, so that a trained network had a gradient on them that it does not have on other data.
    """
    x, y = raw_profiles(count, seed)
    mean, std = target_scale()
    return x, (y - mean) / std


@functools.cache
def target_scale() -> Pair:
    """Return mean and standard deviation of each target."""
    y = raw_profiles(8192, 900)[1]
    return y.mean((0, 1)), y.std((0, 1))


def raw_profiles(count: int, seed: int) -> Pair:
    """Draw profiles, and their targets without normalisation."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(count, CHANNELS, LEVELS + 8, generator=generator)
    kernel = torch.hann_window(11, periodic=False)[1:-1].reshape(1, 1, 9)
    x = nn.functional.conv1d(steps.reshape(-1, 1, LEVELS + 8), kernel / kernel.square().sum().sqrt())
    x = x.reshape(count, CHANNELS, LEVELS).transpose(1, 2)
    below = torch.tanh((x[..., 0] * x[..., 1]).relu().cumsum(1) / 6)
    above = torch.tanh(x[..., 2].flip(1).cumsum(1).flip(1) / 8)
    scaled = x[..., 3] * torch.sigmoid(2 * x[..., 0].mean(1, keepdim=True))
    local = x[..., 4] * torch.tanh(x[..., 1])
    return x.contiguous(), torch.stack([below, above, scaled, local], -1)


def batches(pair: Pair, size: int = 256) -> list[Pair]:
    """Split columns into batches."""
    return list(zip(pair[0].split(size), pair[1].split(size), strict=True))


def loss(model: nn.Module, batch: Pair) -> Tensor:
    """Compute the mean squared error."""
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def r2(model: nn.Module, parts: Sequence[Pair]) -> dict[str, float]:
    """Compute R2 by output."""
    with torch.no_grad():
        made = torch.cat([model(x) for x, _ in parts])
    truth = torch.cat([y for _, y in parts])
    error = (made - truth).square().mean((0, 1)) / truth.var((0, 1), correction=0)
    return {f"output {n}": 1.0 - float(value) for n, value in enumerate(error)}


def trained(seed: int, hidden: int, data: Pair, epochs: int) -> nn.Module:
    """Train a network."""
    torch.manual_seed(seed)
    net = Columns(hidden)
    size = 128
    steps = epochs * -(-len(data[0]) // size)
    optimiser = torch.optim.Adam(net.parameters(), 6e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(data[0]))
        for rows in order.split(size):
            optimiser.zero_grad()
            loss(net, (data[0][rows], data[1][rows])).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return net.eval()


def true_losses(
    net: nn.Module, names: Sequence[str], widths: Sequence[int], choices: Any, parts: Sequence[Pair]
) -> Any:
    """Measure the increase of the loss for assignments."""
    fixed = frozen_copy(net)
    base = mean_loss(fixed, parts, loss)
    rounded = {(n, w): round_to_width(n, fixed.get_parameter(n), w) for n in names for w in widths}
    made = []
    for choice in choices:
        weights = {name: rounded[name, widths[w]] for name, w in zip(names, choice, strict=True)}
        with replaced_weights(fixed, weights):
            made.append(mean_loss(fixed, parts, loss) - base)
    return np.array(made)


def compare(seed: int, smoke: bool, widths: tuple[int, ...], net: nn.Module, data: Pair) -> dict[str, Any]:
    """Compare the models of the loss for a network and widths."""
    scale = 4 if smoke else 1
    terms_data = batches((data[0][: 512 // scale], data[1][: 512 // scale]))  # of the training
    parts = [batches(profiles(1536 // scale, s + seed)) for s in (3000, 4000)]
    held_out = batches(profiles(2048 // scale, 5000 + seed))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begun = time.process_time()
        terms = sensitivity(net, terms_data, loss, widths, probes=64)
        seconds = time.process_time() - begun
    models: dict[str, LossModel] = {
        name: terms.model(name) for name in ("inter-layer", "cross", "diagonal", "trace")
    }
    models["measured"] = measured_losses(net, terms_data, loss, widths)
    if not smoke:
        models["measured pairs"] = measured_losses(net, terms_data, loss, widths, pairs=True)
    rng = np.random.default_rng(100 + seed)
    choices = rng.integers(0, len(widths), (20 if smoke else ASSIGNMENTS, len(terms.tensors)))
    halves = [
        true_losses(net, terms.tensors, widths, choices, part) for part in (held_out[::2], held_out[1::2])
    ]
    true = sum(halves) / 2
    ranks = {name: float(spearmanr(model.predict(choices), true)[0]) for name, model in models.items()}
    errors = {
        name: float(np.abs(model.predict(choices) - true).mean() / true.mean())
        for name, model in models.items()
    }
    return {
        "seed": seed,
        "widths": list(widths),
        "tensors": len(terms.tensors),
        "r2": r2(net, held_out),
        "lowest": {"predicted": terms.predicted, "measured": terms.measured, "holds": terms.holds},
        "warned": [str(warning.message) for warning in caught],
        "process_seconds": seconds,
        "spearman": ranks,
        "repeated": float(spearmanr(*halves)[0]),
        "relative_error": errors,
        "allocation": allocations(net, terms_data, models, parts, (0.99,) if smoke else KEEP),
    }


def allocations(
    net: nn.Module,
    terms_data: list[Pair],
    models: dict[str, LossModel],
    parts: list[list[Pair]],
    shares: Sequence[float],
) -> dict[str, dict[str, Any]]:
    """Choose widths with each model of the loss, along its front alone and with evaluations beside it."""
    first = models["inter-layer"]
    sizes = {name: float(net.get_parameter(name).numel()) for name in first.tensors}
    total = sum(sizes.values())
    known: dict[tuple[str, int], dict[str, float]] = {}  # all models evaluate the same networks

    def apply(model: nn.Module, widths: Any) -> nn.Module:
        made = rounded_copy(model, widths)
        made.key = str(sorted(widths.items()))  # type: ignore[assignment]
        return made

    def score(model: nn.Module, batches: Sequence[Pair]) -> dict[str, float]:
        key = (str(getattr(model, "key", "")), id(batches[0]))
        if key not in known:
            known[key] = r2(model, batches)
        return known[key]

    def best(keep: float) -> dict[str, Any]:
        """Return the fewest bits of all assignments."""
        before = [score(net, part) for part in parts]
        every = itertools.product(first.widths, repeat=len(sizes))
        for choice in sorted(every, key=lambda c: sum(s * w for s, w in zip(sizes.values(), c, strict=True))):
            made = apply(net, dict(zip(sizes, choice, strict=True)))
            if all(
                min(retained_shares(b, score(made, p)).values()) >= keep
                for b, p in zip(before, parts, strict=True)
            ):
                bits = sum(s * w for s, w in zip(sizes.values(), choice, strict=True)) / total
                return {"bits": bits, "notes": []}
        return {"bits": None}

    chosen: dict[str, dict[str, Any]] = {}
    for keep in shares:
        made = chosen.setdefault(str(keep), {})
        for name, trials in itertools.product(models, (0, TRIALS)):
            label = f"{name}, front" if trials == 0 else name
            try:
                picked = allocate_bits(
                    net,
                    terms_data,
                    loss,
                    first.widths,
                    keep,
                    calibration=parts[0],
                    confirmation=parts[1],
                    metric=score,
                    cost=lambda name, shape, width: float(np.prod(shape)) * width / total,
                    apply=apply,
                    method=models[name],
                    trials=trials,
                )
            except ValueError as error:
                made[label] = {"bits": None, "error": str(error)}
                continue
            made[label] = {
                "bits": picked.bits,
                "confirmed": min(picked.confirmed.values()),
                "evaluations": picked.evaluations,
                "notes": list(picked.notes),
            }
        if len(first.widths) == 2 and "measured pairs" in models:
            made["best"] = best(keep)
    return chosen


def table(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return the results as lines."""
    lines: list[str] = []
    for result in results:
        low = result["lowest"]
        lines.append(
            f"seed {result['seed']}, widths {result['widths']}: all lowest predicted {low['predicted']:.4g}, measured "
            f"{low['measured']:.4g}{'' if low['holds'] else ' (the expansion does not hold)'}; R2 "
            + " ".join(f"{value:.4f}" for value in result["r2"].values())
        )
        names = list(result["spearman"])
        rows = [("", *names)]
        rows.append(("Spearman", *(f"{result['spearman'][name]:.3f}" for name in names)))
        rows.append(("relative error", *(f"{result['relative_error'][name]:.2f}" for name in names)))
        for keep, made in result["allocation"].items():
            for suffix, what in ((", front", "front"), ("", "with neighbours")):
                bits = ("none" if (b := made[n + suffix]["bits"]) is None else f"{b:.3f}" for n in names)
                rows.append((f"bits at {keep}, {what}", *bits))
            if made.get("best", {}).get("bits") is not None:
                rows.append(
                    (f"bits at {keep}, best", f"{made['best']['bits']:.3f}", *[""] * (len(names) - 1))
                )
        lines += [f"  repeated {result['repeated']:.3f}", *aligned(rows, indent="  ")]
    return lines


def verdict(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return whether the goals are met, for widths where the expansion holds."""
    valid = [result for result in results if result["lowest"]["holds"]]
    chosen = [made for result in valid for made in result["allocation"].values()]

    def against(name: str) -> dict[str, int]:
        """Count the choices with fewer and with more bits than those of a baseline that has the same search."""
        pairs = [
            (made["inter-layer"]["bits"], made[name]["bits"])
            for made in chosen
            if made.get(name, {}).get("bits") is not None and made["inter-layer"]["bits"] is not None
        ]
        fewer = sum(a < b - 1e-9 for a, b in pairs)
        return {"choices": len(pairs), "fewer_bits": fewer, "more_bits": sum(a > b + 1e-9 for a, b in pairs)}

    return {
        "least_spearman": min((result["spearman"]["inter-layer"] for result in valid), default=None),
        "spearman_reaches_goal": all(result["spearman"]["inter-layer"] >= GOAL for result in valid),
        "spearman_above_trace": all(r["spearman"]["inter-layer"] > r["spearman"]["trace"] for r in valid),
        "against": {name: against(name) for name in BASELINES},
        "confirmed_at_once": sum(not made["inter-layer"].get("notes", [1]) for made in chosen),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--smoke", action="store_true", help="one small network, trained for a moment")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for seed in options.seeds[:1] if options.smoke else options.seeds:
        data = profiles(256 if options.smoke else 4096, seed)
        net = trained(seed, 8 if options.smoke else 24, data, 2 if options.smoke else options.epochs)
        for widths in WIDTH_SETS[:1] if options.smoke else WIDTH_SETS:
            results.append(compare(seed, options.smoke, widths, net, data))
            print("\n".join(table(results[-1:])), flush=True)
            if options.out:
                options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(verdict(results)))
    if options.out:
        report = {"verdict": verdict(results), "results": results}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
