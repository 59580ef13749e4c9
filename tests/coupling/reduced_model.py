"""A model in numpy of the networks whose matrices are multiplied in small integers or bfloat16, for the native kernels.

It is written from the definition alone, with loops over blocks and levels, and shares no code with `sciml.compress`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sciml.coupling.weights_file import Weights

Array = npt.NDArray[np.generic]
BITS = {"int8": 8, "int4": 4}


def bfloat16(x: Array, least: float = 2.0**-50) -> Array:
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    kept = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.abs(x) < least, np.float32(0), kept.view(np.float32)).astype(np.float32)


def shift_of(largest: Array, bits: int) -> Array:
    """The largest shift with which codes of `bits` bits hold a number."""
    most = 2.0 ** (bits - 1) - 1
    with np.errstate(divide="ignore"):
        shift = np.floor(np.log2(most) - np.log2(largest.astype(np.float64))) + 1
    shift = np.where(largest == 0, 0, np.minimum(shift, 150))
    for _ in range(3):
        shift = np.where(largest.astype(np.float64) * 2.0**shift > most, shift - 1, shift)
    return np.minimum(shift, 112)


def codes_of(x: Array, bits: int = 8) -> tuple[Array, Array]:
    """Codes of the last axis, a block, and their shift."""
    largest = np.abs(x).max(-1)
    shift = shift_of(np.where(np.isfinite(largest), largest, 0), bits)
    scaled = np.nan_to_num(x.astype(np.float64) * 2.0 ** shift[..., None], posinf=0, neginf=0)
    return np.clip(np.rint(scaled), -127, 127), shift


def product(x: Array, w: Array, kind: str, block: int, planes: int, total: Array) -> Array:
    """Add x w^T (column, row) to float32 sums."""
    one = np.float32
    if kind == "bf16":
        a, b = bfloat16(x), bfloat16(w)
        width = -(-x.shape[1] // 32) * 32
        a, b = (np.pad(m, ((0, 0), (0, width - m.shape[1]))) for m in (a, b))
        sums = np.zeros(total.shape, one)
        for at in range(0, width, 32):
            even, odd = np.zeros_like(sums), np.zeros_like(sums)
            for k in range(at, at + 32, 2):
                even = even + a[:, k, None] * b[None, :, k]
                odd = odd + a[:, k + 1, None] * b[None, :, k + 1]
            sums = sums + (even + odd)
        return total + sums
    mean = bfloat16(np.abs(w.astype(np.float64)).mean(1).astype(one), 0.0)
    for at in range(0, x.shape[1], block):
        part = slice(at, at + block)
        if kind == "sign":
            q, scale = np.where(w[:, part] >= 0, 1.0, -1.0), mean
        else:
            q, shift = codes_of(w[:, part], BITS[kind])
            scale = np.float32(2.0**-shift)
        codes, shift = codes_of(x[:, part])
        inputs = [(codes, shift)]
        if planes == 2:
            rest = x[:, part].astype(np.float64) * 2.0 ** shift[:, None] - codes
            inputs.append((np.clip(np.rint(np.nan_to_num(rest, posinf=0, neginf=0) * 128), -127, 127), shift + 7))
        for a, s in inputs:
            sums = (a @ q.T).astype(one) * np.float32(2.0**-s)[:, None]
            total = total + sums * scale
    return total


@dataclass(frozen=True)
class Tables:
    """Coefficients of tanh in 64 intervals."""

    c0: Array
    c1: Array
    c2: Array

    def tanh(self, s: Array, scale: float) -> Array:
        """tanh in units of 2^-15 of float32 sums in units of 1 / scale."""
        z = np.clip(np.rint(np.nan_to_num(s * np.float32(scale), nan=-4e4)), -32767, 32767).astype(np.int64)
        k, d = np.abs(z) >> 9, ((np.abs(z) & 511) - 256) << 6
        inner = self.c1[k] + (d * self.c2[k] + 2**14 >> 15)
        return np.where(z < 0, -1, 1) * (self.c0[k] + (d * inner + 2**14 >> 15))

    def sigmoid(self, s: Array) -> Array:
        return (self.tanh(s, 2.0**11) >> 1) + 2**14


def unit(codes: Array) -> Array:
    return codes.astype(np.float32) * np.float32(2.0**-15)


@dataclass(frozen=True)
class Reduced:
    """The network of a weights file, with the kinds of its matrices."""

    weights: Weights
    tables: Tables

    def _direction(self, x: Array, layer: int, suffix: str, kinds: tuple[str, str]) -> Array:
        w = {
            name: np.asarray(self.weights.arrays[f"lstm.{name}_l{layer}{suffix}"], np.float32)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        block = int(self.weights.attributes["arithmetic_block"])
        planes = int(self.weights.attributes["input_planes"]) if layer == 0 else 1
        columns, levels, hidden = len(x), x.shape[1], w["weight_hh"].shape[1]
        bias = np.broadcast_to(w["bias_ih"] + w["bias_hh"], (columns, 4 * hidden))
        states = np.zeros((columns, levels, hidden), np.int64)
        cell = np.zeros((columns, hidden), np.float32)
        steps = range(levels - 1, -1, -1) if suffix else range(levels)
        for n, k in enumerate(steps):
            s = product(x[:, k], w["weight_ih"], kinds[0], block, planes, bias)
            if n:
                s = product(unit(h), w["weight_hh"], kinds[1], block, 1, s)
            i, f, g, o = np.split(s, 4, 1)
            written = unit(self.tables.sigmoid(i)) * unit(self.tables.tanh(g, 2.0**12))
            cell = unit(self.tables.sigmoid(f)) * cell + written
            h = self.tables.sigmoid(o) * self.tables.tanh(cell, 2.0**12) + 2**14 >> 15
            states[:, k] = h
        return states

    def run(self, x: Array) -> tuple[Array, Array]:
        """Outputs (column, level, output) and pooled outputs (column, pooled)."""
        w, about = self.weights.arrays, self.weights.attributes
        kinds = str(about["arithmetic"]).split()
        x = np.asarray(x, np.float32)
        poison = (x - x).sum((1, 2))
        for layer in range(int(about["layers"])):
            both = [
                self._direction(x, layer, suffix, (kinds[4 * layer + 2 * n], kinds[4 * layer + 2 * n + 1]))
                for n, suffix in enumerate(("", "_reverse"))
            ]
            x = unit(np.concatenate(both, 2))
        weight, bias = np.asarray(w["head.weight"], np.float32), np.asarray(w["head.bias"], np.float32)
        flat = x.reshape(-1, x.shape[2])
        sums = np.broadcast_to(bias, (len(flat), len(bias)))
        head = product(flat, weight, kinds[-1], int(about["arithmetic_block"]), 1, sums)
        head = head.reshape(*x.shape[:2], -1) + poison[:, None, None]
        outputs = int(about["outputs"])
        if not about["pooled"]:
            return head, np.zeros((len(x), 0), np.float32)
        pool, offset = np.asarray(w["pool.weight"], np.float32), np.asarray(w["pool.bias"], np.float32)
        pooled = np.broadcast_to(offset, (len(x), len(offset)))
        for c in range(pool.shape[1]):
            for k in range(pool.shape[2]):
                pooled = pooled + pool[None, :, c, k] * head[:, k, outputs + c, None]
        return head[..., :outputs], pooled


def reduced_weights(weights: Weights, kinds: list[str], block: int = 64, planes: int = 1) -> Weights:
    """The weights of a network of floats with the attributes of a reduced one."""
    about = {"weight_format": "reduced", "arithmetic": " ".join(kinds)}
    numbers = {"arithmetic_block": block, "input_planes": planes}
    return replace(weights, attributes={**weights.attributes, **about, **numbers})
