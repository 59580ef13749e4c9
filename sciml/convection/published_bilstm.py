"""The published emulator as a baseline, which maps raw profiles to profiles without the physics of the scheme.

Zhong, Yu and Li, GMD 17, 3667 (2024): 27 channels scaled by the largest absolute value of each variable, three layers
of 32, and as loss the binary cross-entropy of the trigger plus absolute errors of triggered columns. Its inputs here
are those of its authors for a column that the scheme evaluates at this call: no held precipitation, counter or
tendencies. Its outputs are NCA, PRATEC and six tendencies. The published weight of 1e4 on RQSCUTEN is not used, because
that output is zero in these data and the weight would dominate the loss.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from sciml.checks import is_int
from sciml.columns.extract import check_finite
from sciml.convection import thermodynamics as td
from sciml.convection.network import BiLSTM
from sciml.convection.problem import (
    INPUT_PROFILES,
    INPUT_SURFACE,
    Convection,
    ConvectionSolution,
    between,
    solution_of,
)
from sciml.convection.response import NCA_NONE
from sciml.convection.targets import take_in
from sciml.convection.training import opened
from sciml.errors import InputError, SchemaError
from sciml.nn.state_dict import load_weights, materialise
from sciml.train import Batch, History, TensorSource, checkpoint
from sciml.train.progress import Progress
from sciml.train.run import fit_settings, run, save_finished

__all__ = ["PUBLISHED_KIND", "PublishedEmulator", "train_published"]

PUBLISHED_KIND = "published-convection-emulator"
OUTPUTS = ("NCA", "PRATEC", "RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN")
WEIGHT = 10.0  # of every output's absolute error
SETTINGS: Mapping[str, Any] = {
    "epochs": 20,
    "batch_size": 256,
    "learning_rate": 3e-3,
    "schedule": "cosine",
    "weight_decay": 0.0,
    "seed": 7,
}


def channels(columns: xr.Dataset) -> Tensor:
    """Return the 27 channels of the published emulator, unscaled: (column, level, channel), float32."""
    a = {name: np.asarray(columns[name].transpose("column", "level").values) for name in INPUT_PROFILES}
    surface = {name: np.asarray(columns[name].values)[:, None] for name in INPUT_SURFACE}
    t, p, qv = a["T_PHY"], a["P_HYD"], a["QVAPOR"]
    nothing = np.zeros_like(t)
    saturated = td.saturation(torch.from_numpy(p).double(), torch.from_numpy(t).double()).numpy()
    dt = columns["DT"].values[:, None] if "DT" in columns.variables else float(columns.attrs["DT"])
    counter = nothing + np.asarray(NCA_NONE / dt, np.float32)
    over = [surface[name] + nothing for name in ("HFX", "UST", "PBLH")]
    profiles = [a["U_PHY"], a["V_PHY"], a["W0AVG"], t, qv, p, t / a["PI_PHY"]]
    profiles += [a[name] for name in ("DZ8W", "RHO", "PI_PHY", "W0AVG")]
    difference = np.diff(p, axis=1, append=p[:, -1:])
    derived = [nothing, a["W0AVG"], difference, saturated, qv / saturated]
    stacked = [nothing, counter, *over, *profiles, *([nothing] * 6), *derived]
    return torch.from_numpy(np.stack(stacked, -1).astype(np.float32))


def _targets(columns: xr.Dataset) -> Tensor:
    """NCA and PRATEC spread over the levels, and the six tendencies: (column, level, output)."""
    levels = columns.sizes["level"]

    def profile(name: str) -> np.ndarray[Any, Any]:
        if name not in columns:
            return np.zeros((columns.sizes["column"], levels), np.float32)
        values = np.asarray(columns[name].values)
        return values if values.ndim == 2 else np.repeat(values[:, None], levels, 1)

    return torch.from_numpy(np.stack([profile(name) for name in OUTPUTS], -1).astype(np.float32))


@dataclass(frozen=True, eq=False)
class PublishedEmulator:
    """The published network with its scales; an algorithm for `Convection`."""

    network: BiLSTM
    scale: Tensor
    target_scale: Tensor
    about: Mapping[str, Any]
    block: int = 4096

    @classmethod
    def load(cls, path: str | Path) -> PublishedEmulator:
        """Load a checkpoint that `train_published` wrote."""
        stored = checkpoint.load(checkpoint.resolve(path), kind=PUBLISHED_KIND)
        tensors = stored.state_dict(torch.float32)
        about = stored.config.get("about")
        levels = about.get("levels") if isinstance(about, dict) else None
        if not is_int(levels, 1) or not {"scale", "target_scale"} <= tensors.keys():
            raise SchemaError(f"{stored.path} has about {about!r}, no levels or no scales: train it again")
        network = BiLSTM.published(levels)
        load_weights(network, {k: v for k, v in tensors.items() if "scale" not in k}, stored.path)
        return cls(network.eval(), tensors["scale"], tensors["target_scale"], stored.config["about"])

    def save(self, path: str | Path, history: History | None = None) -> Path:
        """Write a checkpoint, with the history of its training if given."""
        tensors = {**materialise(self.network), "scale": self.scale, "target_scale": self.target_scale}
        return checkpoint.save(
            path, {"kind": PUBLISHED_KIND, "about": dict(self.about)}, tensors, history=history
        )

    def init(self, problem: Convection) -> BiLSTM:
        """Return the network after a check of the number of levels."""
        trained = int(self.about["levels"])
        longest = int(problem.columns.sizes["level"])
        if not problem.levels == longest == trained:
            raise InputError(
                f"the emulator was trained on {trained} levels, these columns have "
                f"{between((float(problem.levels), float(longest)))}"
            )
        return self.network

    @torch.no_grad()
    def run(self, problem: Convection, state: BiLSTM) -> ConvectionSolution:
        """Compute the outputs of the published emulator."""
        begun = time.perf_counter()
        parts: list[dict[str, np.ndarray[Any, Any]]] = []
        for start in range(0, len(problem), self.block):
            columns = problem.columns.isel(column=slice(start, start + self.block))
            profiles, logit = state(channels(columns) / self.scale)
            assert logit is not None
            on = (logit > 0)[:, None]
            values = profiles * self.target_scale
            nca = values[..., 0].mean(1)
            mixed = "CUDT" in columns.variables
            cudt = torch.from_numpy(columns["CUDT"].values) if mixed else float(columns.attrs["CUDT"])
            deep = on[:, 0] & (nca > 1.5 * 60.0 * cudt)
            out = {name: torch.where(on, values[..., i], 0.0) for i, name in enumerate(OUTPUTS) if i > 1}
            out["PRATEC"] = torch.where(deep, values[..., 1].mean(1).clamp_min(0.0), 0.0)
            out["NCA"] = torch.where(on[:, 0], nca, NCA_NONE)
            out["P_TRIGGER"] = torch.sigmoid(logit)
            out["NOVELTY"] = torch.zeros_like(nca)
            out["KIND"] = (on[:, 0].to(torch.int8) + deep.to(torch.int8)).to(torch.int8)
            parts.append({name: value.numpy() for name, value in out.items()})
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return solution_of(problem, arrays, time.perf_counter() - begun, source="the published emulator")


def _losses(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    profiles, logit = network(batch["x"])
    trigger = nn.functional.binary_cross_entropy_with_logits(logit, batch["triggered"])
    error = (profiles - batch["y"]).abs() * batch["triggered"][:, None, None]
    profile = WEIGHT * error.mean((0, 1)).sum()
    return {"loss": trigger + profile, "trigger": trigger, "profiles": profile}


def train_published(
    columns: xr.Dataset | str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    exclude: Sequence[int] = (),
    settings: Mapping[str, Any] | None = None,
    resume: bool = True,
    progress: Progress | None = None,
) -> PublishedEmulator:
    """Train the baseline on all runs but those excluded, in memory, and save it."""
    chosen = fit_settings({**SETTINGS, **(settings or {})})
    chosen.check_measured(False)
    dataset = opened(columns, Path(output))
    dataset = dataset.isel(column=np.flatnonzero(~np.isin(dataset["RUN"].values, list(exclude)))).load()
    least, longest = Convection(dataset).levels, int(dataset.sizes["level"])
    if least != longest:
        raise InputError(
            f"the columns have {least} to {longest} levels, this network takes one number: give one grid"
        )
    check_finite(dataset)
    digest = hashlib.blake2b(digest_size=6)
    take_in(digest, dataset)
    of = {"the columns of digest": digest.hexdigest()}
    x, y = channels(dataset), _targets(dataset)
    scale = x.abs().amax((0, 1)).clamp_min(1e-30)
    triggered = torch.from_numpy((dataset["KIND"].values > 0).astype(np.float32))
    target_scale = y[triggered > 0].abs().amax((0, 1)).clamp_min(1e-30)
    torch.manual_seed(chosen.seed)
    network = BiLSTM.published(dataset.sizes["level"])
    source = TensorSource({"x": x / scale, "y": y / target_scale, "triggered": triggered})
    history = run(
        network, _losses, source, None, chosen, output=output, resume=resume, progress=progress, identity=of
    )
    about = {"levels": int(dataset.sizes["level"]), "columns": len(triggered), "seed": chosen.seed}
    emulator = PublishedEmulator(network.eval(), scale, target_scale, about)
    save_finished(emulator, output, history)
    return emulator
