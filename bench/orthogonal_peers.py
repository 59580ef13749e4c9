"""Singular values of the orthogonal convolutions of orthogonium beside those of `sciml.nn.orthogonalize`.

    pip install orthogonium==0.0.4
    python bench/orthogonal_peers.py --json bench-output/orthogonal_peers.json

AdaptiveOrthoConv2d (Boissin et al., 2025) offers convolutions with circular padding as orthogonal. `spectrum` computes
all singular values exactly; of an orthogonal convolution all are 1. Each case is drawn with three seeds, in float32,
and the range is that over the seeds. After that the original tensors move at random, as in a training.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sciml.nn import dense_copy, orthogonalize, spectrum
from sciml.tables import aligned

SEEDS = (3, 5, 11)
CASES = ((8, 4, 3, 1), (4, 8, 3, 1), (6, 6, 3, 1), (8, 4, 3, 2), (16, 4, 3, 2), (20, 4, 4, 2), (4, 20, 4, 2))
"""Channels out and in, kernel and stride."""
POINTS = 16
PACKAGE = "orthogonium"


def ours(out: int, inputs: int, kernel: int, stride: int) -> nn.Module:
    """Make an orthogonal convolution of this package."""
    conv = nn.Conv2d(inputs, out, kernel, stride, kernel // 2, padding_mode="circular", bias=False)
    return orthogonalize(conv)


def theirs(out: int, inputs: int, kernel: int, stride: int) -> nn.Module:
    """Make an orthogonal convolution of orthogonium."""
    layers = importlib.import_module(f"{PACKAGE}.layers.conv.AOC")
    made: nn.Module = layers.AdaptiveOrthoConv2d(
        inputs, out, kernel, stride, padding=kernel // 2, padding_mode="circular", bias=False
    )
    return made


def extremes(layer: nn.Module) -> tuple[float, float]:
    """Return the smallest and the largest singular value of the weight that the layer uses."""
    out, inputs, kernel, _ = layer.weight.shape  # type: ignore[misc]
    plain = nn.Conv2d(inputs, out, kernel, layer.stride, bias=False)  # type: ignore[arg-type]
    with torch.no_grad():
        plain.weight.copy_(layer.weight)  # type: ignore[arg-type]
    values = spectrum(plain, POINTS)
    return float(values[-1]), float(values[0])


def measured(case: tuple[int, int, int, int]) -> dict[str, Any]:
    """Compute the range of the singular values over the seeds, at the start and after a random move."""
    row: dict[str, Any] = dict(zip(("out", "in", "kernel", "stride"), case, strict=True))
    for name, make in (("sciml", ours), (PACKAGE, theirs)):
        for moved in (False, True):
            ranges = []
            for seed in SEEDS:
                torch.manual_seed(seed)
                layer = make(*case)
                if moved:
                    with torch.no_grad():
                        for p in layer.parameters():
                            p.add_(0.3 * p.std() * torch.randn_like(p))
                ranges.append(extremes(layer if name == PACKAGE else dense_copy(layer)))
            key = f"{name}, moved" if moved else name
            row[key] = [min(low for low, _ in ranges), max(high for _, high in ranges)]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if importlib.util.find_spec(PACKAGE) is None:
        sys.exit(f"{PACKAGE} is not installed: pip install {PACKAGE}==0.0.4")
    rows = [measured(case) for case in CASES]
    names = [name for name in rows[0] if name.startswith(("sciml", PACKAGE))]
    lines: list[tuple[str, ...]] = [("out, in, kernel, stride", *names)]
    for row in rows:
        sizes = f"{row['out']}, {row['in']}, {row['kernel']}, {row['stride']}"
        lines.append((sizes, *(f"{row[name][0]:.5f} to {row[name][1]:.5f}" for name in names)))
    print("\n".join(aligned(lines)))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
