"""Invalid settings: one line each, with key, value and remedy."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.train import Fit, Quiet, StoreSource, TensorSource, fit
from sciml.train.environment import chosen_device
from tests.train.curve import SETTINGS, TRAINING, network, objective


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", None),
        ("epochs", True),
        ("epochs", 2.0),
        ("batch_size", None),
        ("learning_rate", "x"),
        ("learning_rate", float("nan")),
        ("learning_rate", 10**400),
        ("learning_rate", True),
        ("betas", [0.9]),
        ("betas", [0.9, 1.5]),
        ("betas", "ab"),
        ("betas", None),
        ("plateau_factor", 5),
        ("plateau_patience", 1.5),
        ("deterministic", "no"),
        ("cycle_momentum", 1),
        ("gradient_clip", float("inf")),
        ("seed", 99999999999999999999999),
        ("seed", -1),
        ("seed", False),
        ("schedule", ["onecycle"]),
        ("device", 3),
        ("monitor", ""),
        ("warmup", 1),
        ("weight_decay", None),
    ],
)
def test_an_invalid_setting_is_named_with_its_value(name, value):
    with pytest.raises(InputError) as caught:
        Fit(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"Fit({name}={value!r}): give ")
    assert "\n" not in message


def test_settings_of_files_are_valid():
    assert Fit(betas=[0.8, 0.9]).betas == (0.8, 0.9)  # type: ignore[arg-type]  # TOML has lists
    optional = Fit(gradient_clip=None, ema_decay=None, patience=None, time_limit_s=None, threads=None)
    assert optional.trajectory()["gradient_clip"] is None
    assert Fit(learning_rate=np.float32(0.25), seed=2**64 - 1, time_limit_s=float("inf")).epochs == 50


def test_the_meta_device_is_an_error():
    with pytest.raises(InputError, match="device 'meta' cannot be used"):
        chosen_device("meta")


def test_a_monitor_without_validation_is_an_error():
    from dataclasses import replace

    with pytest.raises(InputError, match=r"Fit\(monitor='r2'\): give validation"):
        fit(network(), objective, TRAINING, None, replace(SETTINGS, monitor="r2"), progress=Quiet())


def test_empty_batches(tmp_path):
    import xarray as xr

    with pytest.raises(InputError, match="batch_size=0"):
        list(TensorSource({"x": torch.arange(5.0)}).batches(0))
    store = StoreSource(xr.Dataset({"x": ("column", np.arange(5.0))}), ("x",))
    with pytest.raises(InputError, match="batch_size=-1"):
        list(store.batches(-1))


def test_the_docstring_of_fit_has_its_sections():
    assert "\nNotes\n-----\n" in (inspect.getdoc(fit) or "")
