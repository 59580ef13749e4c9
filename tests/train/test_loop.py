"""The loop: the same bits after any interruption, and the ways in which it ends."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sciml.errors import InputError, SciMLError
from sciml.train import Fit, History, Quiet, TensorSource, fit
from sciml.train.environment import ONE_THREAD, thread_count
from sciml.train.loop import NotFinite
from sciml.train.state import discard, resume_path
from tests.paths import REPO
from tests.train.curve import SETTINGS, STEPS, TRAINING, VALIDATION, Stopping, network, objective


def train(settings: Fit = SETTINGS, objective=objective, validation=VALIDATION, model=None, **options):
    model = network() if model is None else model
    history = fit(model, objective, TRAINING, validation, settings, progress=Quiet(), **options)
    return model.state_dict(), history


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def numbers(history: History) -> list:
    """A history without its times."""
    return [replace(epoch, seconds=0.0) for epoch in history.epochs]


@pytest.fixture(scope="module")
def uninterrupted():
    return train()


def test_training_reduces_the_loss_and_reports(uninterrupted):
    _, history = uninterrupted
    assert history.stopped == "finished"
    assert len(history.epochs) == SETTINGS.epochs
    assert history.losses()[-1] < history.losses()[0]
    assert set(history.epochs[0].training) == {"loss", "sine", "product"}
    assert history.epochs[-1].step == SETTINGS.epochs * STEPS


def test_a_time_budget_ends_the_training_with_the_schedule_at_its_end(monkeypatch):
    """The clock gains a second whenever it is read, so that the budget is used up long before the epochs."""
    seconds = itertools.count()
    monkeypatch.setattr("sciml.train.loop.time.monotonic", lambda: float(next(seconds)))
    settings = replace(SETTINGS, epochs=500, schedule="onecycle", warmup=0.25, time_budget_s=300.0)
    _, history = train(settings)
    assert history.stopped == "time budget"
    assert 1 < len(history.epochs) < 500
    spent = sum(epoch.seconds for epoch in history.epochs)
    assert 300 <= spent < 300 + 2 * history.epochs[-1].seconds
    rates = [epoch.learning_rate for epoch in history.epochs]
    assert max(rates) == pytest.approx(settings.learning_rate, rel=0.2)
    assert rates[-1] < 0.01 * settings.learning_rate


def test_a_large_time_budget_changes_nothing(uninterrupted):
    weights, history = train(replace(SETTINGS, time_budget_s=1e6))
    assert history.stopped == "finished"
    assert same(weights, uninterrupted[0])


@pytest.mark.parametrize(("size", "threads"), [(ONE_THREAD / 2, 1), (ONE_THREAD * 2, 3)])
def test_a_small_network_takes_one_thread(size, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        cpu = torch.device("cpu")
        assert thread_count(Fit(), cpu, size) == threads
        assert thread_count(Fit(threads=2), cpu, size) == 2
    finally:
        torch.set_num_threads(before)


def test_threads_are_restored_after_a_training():
    before, during = torch.get_num_threads(), []
    torch.set_num_threads(3)

    def counted(model, batch):
        during.append(torch.get_num_threads())
        return objective(model, batch)

    try:
        train(objective=counted)
        assert set(during) == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_weights_depend_on_the_seed_only(uninterrupted):
    torch.manual_seed(99)
    before = torch.get_rng_state()
    weights, history = train()
    assert torch.equal(torch.get_rng_state(), before), "fit must not disturb the caller's generator"
    assert same(weights, uninterrupted[0])
    assert numbers(history) == numbers(uninterrupted[1])
    assert not same(train(replace(SETTINGS, seed=12))[0], weights)


# calls 1-5 train epoch 1, 6-7 validate it, 8-12 train epoch 2, ...
@pytest.mark.parametrize(
    "call", [1, 3, 5, 6, 7, 8, 12, 14, 28], ids=lambda call: f"in call {call} of the objective"
)
def test_a_signal_anywhere_and_a_resumption_give_the_same_bits(tmp_path, call, uninterrupted):
    output = tmp_path / "curve.sciml"
    stopping = Stopping(call, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="run the same command again"):
        train(objective=stopping, output=output)
    assert stopping.calls == call
    weights, history = train(output=output, model=network(seed=6))
    assert same(weights, uninterrupted[0])
    assert numbers(history) == numbers(uninterrupted[1])


@pytest.mark.parametrize("settings", [SETTINGS, replace(SETTINGS, ema_decay=None, schedule="plateau")])
def test_a_crash_resumes_from_the_last_saved_step(tmp_path, settings):
    output, settings = tmp_path / "curve.sciml", replace(settings, checkpoint_every=0.0)

    def crash() -> None:
        raise RuntimeError("the power is gone")

    for call in (2, 9, 4):
        with pytest.raises(RuntimeError, match="power"):
            train(settings, Stopping(call, crash), output=output)
    assert same(train(settings, output=output)[0], train(settings)[0])


def test_trainings_split_by_a_time_limit_give_the_same_bits(tmp_path, uninterrupted):
    limited = replace(SETTINGS, time_limit_s=1e-6)
    for _piece in range(30):
        weights, history = train(limited, output=tmp_path / "curve.sciml")
        if history.stopped == "finished":
            break
        assert history.stopped == "time limit"
    assert same(weights, uninterrupted[0])
    assert numbers(history) == numbers(uninterrupted[1])


def test_a_finished_training_is_not_repeated(tmp_path, uninterrupted):
    output = tmp_path / "curve.sciml"
    train(output=output)
    never = Stopping(1, lambda: pytest.fail("trained again"))
    assert same(train(objective=never, output=output, model=network(seed=6))[0], uninterrupted[0])
    discard(output)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_in_a_program(tmp_path, uninterrupted):
    output = tmp_path / "curve.sciml"
    command = [sys.executable, "-m", "tests.train.curve", str(output), "0.02"]
    program = subprocess.Popen(command, cwd=REPO, text=True, stderr=subprocess.PIPE)
    assert program.stderr is not None
    for line in program.stderr:
        if "epoch 2/4 step 3/5" in line:
            break
    program.send_signal(signal.SIGINT)
    message = program.communicate(timeout=60)[1]
    assert program.returncode == 130, message
    assert "stopped after 1 epochs and" in message
    assert "run the same command again" in message
    assert "Traceback" not in message
    assert same(train(output=output, model=network(seed=6))[0], uninterrupted[0])


def test_sigterm_ends_the_training(tmp_path, uninterrupted):
    output = tmp_path / "curve.sciml"
    with pytest.raises(SystemExit) as ended:
        train(objective=Stopping(9, lambda: os.kill(os.getpid(), signal.SIGTERM)), output=output)
    assert ended.value.code == 143
    assert same(train(output=output)[0], uninterrupted[0])


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the step went on")

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="at once"):
        train(objective=Stopping(9, twice), output=tmp_path / "curve.sciml")
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.gpu
def test_the_same_bits_on_a_gpu(tmp_path):
    settings = replace(SETTINGS, device="cuda", precision="bfloat16")
    straight = train(settings)[0]
    stopping = Stopping(10, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(settings, stopping, output=tmp_path / "curve.sciml")
    resumed = train(settings, output=tmp_path / "curve.sciml")[0]
    assert straight["0.weight"].device.type == "cuda"
    assert same(resumed, straight)


def test_early_stopping_returns_the_best_weights(tmp_path):
    values = iter([5.0, 2.0, 3.0, 4.0, 9.0])
    seen = []

    def metrics(model: nn.Module) -> dict[str, float]:
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return {"score": next(values)}

    settings = replace(SETTINGS, epochs=20, patience=2, monitor="score")
    weights, history = train(settings, metrics=metrics)
    assert (history.stopped, history.best, history.best_value, len(history.epochs)) == ("patience", 2, 2.0, 4)
    assert same(weights, seen[1])


def test_without_validation_the_last_weights_stay():
    weights, history = train(replace(SETTINGS, ema_decay=None), validation=None)
    assert history.best is None
    assert history.epochs[0].validation == {}
    again, _ = train(replace(SETTINGS, ema_decay=None, validate_every=3))
    assert not same(weights, network().state_dict())
    assert weights.keys() == again.keys()


@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_not_finite(tmp_path, poison):
    output = tmp_path / "curve.sciml"

    def broken(model: nn.Module, batch: dict) -> dict:
        losses = objective(model, batch)
        broken.calls += 1
        if broken.calls == 9:  # the second step of epoch 2
            broken.before = [p.detach().clone() for p in model.parameters()]
            zero = 0.0 * losses["loss"]
            losses["loss"] = losses["loss"] / 0.0 if poison == "loss" else losses["loss"] + zero.sqrt()
        return losses

    broken.calls = 0
    model = network()
    with pytest.raises(
        NotFinite, match=r"epoch 2, step 2 of 5.*lower learning_rate.*last good state"
    ) as caught:
        train(objective=broken, output=output, model=model)
    assert isinstance(caught.value, SciMLError)
    assert all(torch.equal(a, b) for a, b in zip(broken.before, model.parameters(), strict=True))
    assert resume_path(output).is_file()


def test_a_state_of_another_training_is_an_error(tmp_path):
    output = tmp_path / "curve.sciml"
    train(output=output)
    model = network()
    with pytest.raises(InputError, match=r"learning_rate=0\.01, now it is 0\.5.*resume=False"):
        train(replace(SETTINGS, learning_rate=0.5), output=output, model=model)
    assert same(model.state_dict(), network().state_dict()), "what is refused changes nothing"
    with pytest.raises(InputError, match="another model"):
        train(output=output, model=nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(InputError, match="113 samples, now there are 50"):
        fit(
            network(),
            objective,
            TRAINING.take(np.arange(50)),
            None,
            SETTINGS,
            output=output,
            progress=Quiet(),
        )
    train(replace(SETTINGS, learning_rate=0.5), output=output, resume=False)


def test_bad_arguments():
    with pytest.raises(InputError, match=r"Fit\(epochs=0\)"):
        Fit(epochs=0)
    with pytest.raises(InputError, match="onecycle, cosine"):
        Fit(schedule="triangle")  # type: ignore[arg-type]  # that is the test
    with pytest.raises(InputError, match="name the total 'loss'"):
        train(objective=lambda model, batch: {"mse": model(batch["x"]).mean()})
    with pytest.raises(InputError, match=r"'loss': \(24, 2\)}: average each over the samples"):
        train(objective=lambda model, batch: {"loss": model(batch["x"])})
    with pytest.raises(InputError, match="not measured: choose among loss, product, sine"):
        train(replace(SETTINGS, monitor="r2"))
    with pytest.raises(InputError, match="no trainable parameters"):
        train(model=nn.Tanh())
    with pytest.raises(InputError, match="device 'abacus'"):
        train(replace(SETTINGS, device="abacus"))


def test_a_source_with_too_few_batches():
    class Short(TensorSource):
        def batches_from(self, batch_size, generator, start):
            return iter(list(super().batches_from(batch_size, generator, start))[:-1])

    with pytest.raises(InputError, match="gave 4 batches of 24, its length 113 promises 5"):
        fit(network(), objective, Short(TRAINING.tensors), None, SETTINGS, progress=Quiet())


def test_bfloat16_on_the_processor_when_asked():
    weights, history = train(replace(SETTINGS, precision="bfloat16"))
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights.values())
    assert np.isfinite(history.losses()[-1])
