"""Pretraining of the column transformer on profiles without outputs of the scheme: it reconstructs masked layers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from torch import Tensor, nn

from sciml.checks import is_number
from sciml.columns.open import open_columns
from sciml.convection.feature_scaling import FeatureScaling, joined_inputs
from sciml.convection.layer_targets import fitted_edges
from sciml.convection.physics import sounding_of
from sciml.convection.preparation import prepared
from sciml.convection.prepared_profiles import profiles
from sciml.convection.pretrained import Pretrained
from sciml.convection.problem import Convection
from sciml.convection.training import DEFAULTS
from sciml.convection.transformer import ColumnTransformer
from sciml.convection.transformer_shape import TransformerShape
from sciml.errors import InputError
from sciml.train import Batch, TensorSource
from sciml.train.environment import chosen_device
from sciml.train.processes import joined
from sciml.train.progress import Progress, automatic
from sciml.train.run import alone, check_output, fit_settings, run, save_finished

__all__ = ["MaskedReconstruction", "pretrain"]

MASKED = 0.3  # share of the layers


class MaskedReconstruction(nn.Module):
    """A column transformer that reconstructs the channels of masked pressure layers from the others.

    A masked layer has trained channels that are the same in all columns; the scalars of a column stay visible.

    Parameters
    ----------
    network
        The network, of which only the modules before its heads are trained.
    share
        Probability that a layer is masked.

    Raises
    ------
    InputError
        The share is not between 0 and 1.

    Notes
    -----
    Our form: BiPFT masks words of a text (Devlin et al., NAACL 2019).
    """

    def __init__(self, network: ColumnTransformer, share: float = MASKED) -> None:
        super().__init__()
        if not is_number(share) or not 0 < share < 1:
            raise InputError(
                f"MaskedReconstruction(share={share!r}): give a number between 0 and 1, such as 0.3"
            )
        self.network, self.share = network, float(share)
        channels = len(network.shape.channels)
        self.blank = nn.Parameter(torch.zeros(channels))
        self.rebuild = nn.Linear(network.shape.hidden, channels)

    def forward(self, channels: Tensor, scalars: Tensor, masked: Tensor) -> Tensor:
        """Reconstruct channels (column, layer, channel), of which masked (column, layer) are not seen."""
        seen = torch.where(masked.unsqueeze(-1), self.blank, channels)
        rebuilt: Tensor = self.rebuild(self.network.states(joined_inputs(seen, scalars)))
        return rebuilt

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the mean square error of the masked channels, in standard deviations."""
        x, y = batch["x"], batch["y"]
        masked = torch.rand(x.shape[:2], device=x.device) < self.share
        error = (self(x, y, masked) - x).square().mean(-1)
        return {"loss": (error * masked).sum() / masked.sum().clamp_min(1)}


class _Inputs:
    """What `prepared` needs to compute the inputs of columns without targets."""

    targets: tuple[str, ...] = ()

    @staticmethod
    def prepare(columns: xr.Dataset, shape: TransformerShape, levels: int) -> dict[str, Tensor] | None:
        seen = profiles(sounding_of(columns), shape.edges)
        if seen is None:
            return None
        parts = {"channels": seen.channels.permute(2, 0, 1), "scalars": seen.scalars.T}
        return {**{k: x.float().contiguous() for k, x in parts.items()}, "row": seen.index}


@joined()
@alone
def pretrain(
    columns: xr.Dataset | str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    exclude: Sequence[int] = (),
    fit: Mapping[str, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    share: float = MASKED,
    resume: bool = True,
    progress: Progress | None = None,
) -> Pretrained:
    """Pretrain a column transformer on profiles and save it; no output of the scheme is read.

    Parameters
    ----------
    columns
        wrfouts, stores or other files (see `sciml.columns.open.open_columns`), or a columns dataset.
    output
        Checkpoint to write. The state of an unfinished pretraining is stored in the same folder.
    exclude
        Values of RUN that are left out, such as those of a test.
    fit
        Settings that differ from `sciml.convection.training.DEFAULTS` (fields of `Fit`).
    network
        Settings of `sciml.convection.transformer_shape.TransformerShape`.
    share
        Probability that a layer is masked.
    resume
        Whether to resume an interrupted pretraining, which must have the same columns and settings.
    progress
        Display of the progress.

    Returns
    -------
    Pretrained
        The pretrained network, as saved.

    Raises
    ------
    InputError
        No parcel rises in any column, a setting or value is invalid, or the output is a file of another kind.
    """
    settings = fit_settings({**DEFAULTS, **(fit or {})})
    chosen_device(settings.device)
    given = {name: value for name, value in (network or {}).items() if name != "kind"}
    unknown = sorted(set(given) - set(ColumnTransformer.settings))
    if unknown:
        raise InputError(f"[network] {', '.join(unknown)}: it has {', '.join(ColumnTransformer.settings)}")
    shape = ColumnTransformer.shape_of(given)
    data = _opened(columns, Path(output), exclude)
    Convection(data).check_levels(ColumnTransformer.least_levels)
    shape = replace(shape, edges=fitted_edges(data))
    progress = automatic() if progress is None else progress
    digest, parts = hashlib.blake2b(digest_size=6), []
    for done, part in prepared(data, _Inputs, shape, digest=digest):
        progress.say(f"prepared {done} of {data.sizes['column']} columns")
        parts += [] if part is None else [part]
    if not parts:
        raise InputError(f"no parcel rises in any of {len(data['column'])} columns: give other files")
    raw = {name: torch.cat([part[name] for part in parts]) for name in ("channels", "scalars")}
    features = raw["channels"].double().permute(1, 2, 0), raw["scalars"].double().T
    normalisation = FeatureScaling.of(*features)
    x, y = (value.float() for value in normalisation.standardise(*features))
    torch.manual_seed(settings.seed)
    made = MaskedReconstruction(ColumnTransformer(shape), share)
    with torch.no_grad():
        made.network.states(joined_inputs(x[:256], y[:256]))  # starts the steps of binary attention
    identity = {
        "the network": ", ".join(f"{name} {getattr(shape, name)}" for name in ColumnTransformer.settings),
        "the masked share": f"{share:g}",
        "the columns of digest": digest.hexdigest(),
    }
    history = run(
        made,
        _losses,
        TensorSource({"x": x, "y": y}),
        None,
        settings,
        output=output,
        resume=resume,
        progress=progress,
        identity=identity,
    )
    rows = torch.cat([part["row"] for part in parts]).numpy()
    about = {
        "runs": sorted({int(number) for number in data["RUN"].values[rows]}),
        "excluded": [int(number) for number in exclude],
        "columns": len(x),
        "masked": float(share),
        "seed": settings.seed,
        "epochs": settings.epochs,
    }
    pretrained = Pretrained(made.network.eval(), normalisation, about)
    save_finished(pretrained, output, history)
    return pretrained


def _opened(columns: Any, output: Path, exclude: Sequence[int]) -> xr.Dataset:
    """Open the inputs of the scheme in all columns; what is known of its outputs is left out."""
    paths = []
    if not isinstance(columns, xr.Dataset):
        paths = [columns] if isinstance(columns, str | Path) else list(columns)
    check_output(output, paths)
    data = columns if isinstance(columns, xr.Dataset) else open_columns(paths, keep="all")
    if exclude:
        data = data.isel(column=[i for i, number in enumerate(data["RUN"].values) if number not in exclude])
    nothing = xr.zeros_like(data["RUN"], dtype="int8").drop_vars(list(data["RUN"].coords), errors="ignore")
    return data.assign_coords(KIND=nothing).assign(CUTOP=nothing.astype("float32"))


def _losses(module: Any, batch: Batch) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = module.losses(batch)
    return losses
