"""The training loop: deterministic by seed, interruptible at every step, resumable to the same bits."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.parallel.launch import restarts
from sciml.storage.lock import owned
from sciml.train import checkpoint, schedule
from sciml.train.adaptive import Adaptive
from sciml.train.agreement import Agreement
from sciml.train.batches import Batch, BatchSource, Share, epoch_generator
from sciml.train.environment import chosen_device, environment, set_threads
from sciml.train.history import Epoch, History, Stopped
from sciml.train.losses import NotFinite, check_finite, check_losses, scalars
from sciml.train.optimizer import optimizer
from sciml.train.processes import Objective, Processes, is_first, joined
from sciml.train.progress import Progress, Quiet, Report, automatic
from sciml.train.settings import Fit
from sciml.train.signals import Interrupt, Interrupted
from sciml.train.state import Origin, Position, State, resume_path
from sciml.train.weight_average import Average

__all__ = ["Fit", "Metrics", "NotFinite", "Objective", "Prepare", "fit"]

Metrics = Callable[[nn.Module], Mapping[str, float]]
Prepare = Callable[[nn.Module, float], None]


def fit(
    model: nn.Module,
    objective: Objective,
    training: BatchSource,
    validation: BatchSource | None = None,
    settings: Fit | None = None,
    *,
    output: str | Path | None = None,
    progress: Progress | None = None,
    resume: bool = True,
    metrics: Metrics | None = None,
    identity: Mapping[str, str] | None = None,
    prepare: Prepare | None = None,
) -> History:
    """Train a model in place with AdamW.

    Parameters
    ----------
    model
        Any module. It ends in evaluation mode, with the best validated weights (averaged if ``ema_decay`` is
        set), or, without validation, with the last ones.
    objective
        Function ``objective(model, batch)`` that returns named scalar losses, each a mean over the samples of
        the batch. ``loss`` is minimised; the others are shown and recorded. The function may use the random
        generators of torch. It may have variables of its own (`sciml.train.adaptive.Adaptive`).
    training, validation
        Sources of batches. The validation losses are averaged over its samples.
    settings
        Settings.
    output
        Path at which the caller will save the trained model. The resumable state is saved next to it (see
        `resume_path`); call ``discard(output)`` after saving the model. None saves no state.
    progress
        Display; None shows a live display in a terminal and plain lines elsewhere, on standard error.
    resume
        Continue from the state beside ``output`` if there is one; a restart by torchrun always does.
    metrics
        ``metrics(model)`` is called after each validation, with the weights validated; its numbers are recorded.
    identity
        Descriptions by name, such as ``{"files": "a.nc, b.nc"}``; a state with others is not resumed.
    prepare
        ``prepare(model, fraction)`` is called before each step with the completed fraction of the training, and
        before a validation and at the end with 1.

    Returns
    -------
    History
        History, with the reason for the end in ``stopped``; after ``time limit`` the same call continues.

    Raises
    ------
    InputError
        There are no samples, the losses do not include ``loss``, or the state belongs to another training.
    NotFinite
        The loss or its gradient is not finite; the message names epoch and step.
    KeyboardInterrupt
        Ctrl-C was pressed; the step was completed and the state saved, and the message describes how to
        continue. SIGTERM does the same and raises `SystemExit` with status 143. A second Ctrl-C acts at once.

    Notes
    -----
    A resumed training gives the same bits as one that was never interrupted, on the same machine with the
    same number of threads and of processes. The order of epoch e depends only on (seed, e). Resuming checks the
    numbers of samples and ``identity``, not the data themselves.

    The processes of `torch.distributed` share each batch, see `sciml.train.processes.Processes`.

    Examples
    --------
    >>> from sciml.train.progress import Quiet
    >>> from sciml.train.batches import TensorSource
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> line = nn.Linear(1, 1)
    >>> def squares(model, batch):
    ...     return {"loss": (model(batch["x"]) - batch["y"]).square().mean()}
    >>> settings = Fit(epochs=60, batch_size=16, learning_rate=0.1, seed=3, device="cpu")
    >>> data = TensorSource({"x": x, "y": 2 * x + 1})
    >>> history = fit(line, squares, data, settings=settings, progress=Quiet())
    >>> round(line.weight.item(), 1), round(line.bias.item(), 1), history.stopped
    (2.0, 1.0, 'finished')
    """
    settings = settings or Fit()
    for name, source in (("training", training), ("validation", validation)):
        if source is not None and len(source) < 1:
            raise InputError(f"the {name} source has {len(source)} samples: give at least 1")
    settings.check_measured(validation is not None or metrics is not None)
    path = None if output is None else resume_path(output)
    if path is not None:
        checkpoint.check_target(path)
    origin = Origin(settings, len(training), 0 if validation is None else len(validation), identity or {})
    device = chosen_device(settings.device)
    shown = (automatic() if progress is None else progress) if is_first() else Quiet()
    with (
        environment(settings, device),
        Interrupt() as interrupt,
        contextlib.closing(shown),
        joined() as processes,
        contextlib.nullcontext() if output is None or not is_first() else owned(output, nested=True),
    ):
        loop = (shown, metrics, device, interrupt, processes, prepare)
        run = _Run(model, objective, training, validation, origin, path, *loop)
        if resume or restarts():
            run.resume()
        try:
            return run.go()
        finally:
            model.eval()


class _Run:
    """One call of `fit`."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        training: BatchSource,
        validation: BatchSource | None,
        origin: Origin,
        path: Path | None,
        progress: Progress,
        metrics: Metrics | None,
        device: torch.device,
        interrupt: Interrupt,
        processes: Processes,
        prepare: Prepare | None,
    ) -> None:
        self.model, self.metrics, self.processes = model.to(device), metrics, processes
        self.objective, self.adaptive = objective, objective if isinstance(objective, Adaptive) else None
        self.shared = processes.shared(model, objective, device, origin.settings.communication)
        self.training, self.validation = training, validation
        settings = origin.settings
        self.settings, self.progress, self.device, self.interrupt = settings, progress, device, interrupt
        self.origin, self.path = origin, path
        self.steps = math.ceil(len(training) / settings.batch_size)
        average = None if settings.ema_decay is None else Average(model, settings.ema_decay)
        self.state = State(model, optimizer(model, settings), average, device)
        self.state.history = History(monitor=settings.monitor)
        self.threads = 0  # chosen at the first step
        self.prepared = partial(prepare or _unprepared, model)
        self.clock = time.monotonic()
        self.agreement = Agreement(processes, interrupt, settings, device)

    def resume(self) -> None:
        """Continue an earlier call, if it left a state."""
        path = self.path
        if path is None or not self.processes.of_first(path.is_file):
            return
        restored: dict[str, Tensor] = {}
        self.processes.together(lambda: restored.update(self.state.restore(path, self.origin)))
        if self.shared.exchange is not None:
            self.shared.exchange.restore(restored, self.device)
        if self.adaptive is not None:
            self.adaptive.restore(self.state.objective)
        at = self.state.position
        self.progress.say(f"resumed from {self.path}: {at.epoch} epochs and {at.step} steps are done")

    def go(self) -> History:
        """Run epochs until the training stops."""
        self.state.history = replace(self.state.history, stopped="running")
        while (stopped := self.stopped()) == "running":
            if not self.epoch():
                stopped = "time limit"
                self.progress.say(
                    f"the time limit of {self.settings.time_limit_s} s is reached; {self.how()}"
                )
                break
        self.state.history = replace(self.state.history, stopped=stopped)
        self.save()
        self.model.load_state_dict(self.state.best or self.state.evaluated())
        self.prepared(1.0)
        if self.agreement.interrupted():
            self.leave()
        return self.state.history

    def stopped(self) -> Stopped:
        """Return the state of the training, and the reason for its end; a function of history and settings."""
        history, patience = self.state.history, self.settings.patience
        if patience is not None and history.best is not None:  # so there are epochs
            waited = history.epochs[-1].number - history.best
            if waited >= patience:
                return "patience"
        if self.state.position.epoch >= self.settings.epochs:
            return "finished"
        budget = self.settings.time_budget_s
        if budget is None or not history.epochs:
            return "running"
        return "time budget" if self.spent() >= budget else "running"

    def epoch(self) -> bool:
        """Run the rest of the current epoch; return False if the time is up."""
        position = self.state.position
        generator = epoch_generator(self.settings.seed, position.epoch)
        self.clock = time.monotonic()
        self.model.train()
        if position.step < self.steps:
            size = self.settings.batch_size
            for share in self.shared.among.shares(self.training, size, generator, position.step):
                self.step(share)
                if self.agreement.signalled:
                    self.leave()
                if position.step < self.steps and self.agreement.late:
                    return False
                if self.agreement.due:
                    self.save()
                if self.progress.due():
                    self.report()
        if position.step != self.steps:
            raise InputError(
                f"the training source gave {position.step} batches of {self.settings.batch_size}, "
                f"its length {len(self.training)} promises {self.steps}: correct its __len__ or batches"
            )
        self.close_epoch()
        return not (self.stopped() == "running" and self.agreement.late)

    def step(self, share: Share) -> None:
        """Do one step of the optimiser."""
        position, settings = self.state.position, self.settings
        if not self.threads:
            most = math.ceil(min(settings.batch_size, len(self.training)) / self.processes.size)
            self.threads = set_threads(self.model, share.batch, most, settings, self.device)
        number, total = self.schedule_step(), settings.epochs * self.steps
        rate = schedule.learning_rate(settings, number, total, self.state.history.monitored())
        for group in self.state.optimizer.param_groups:
            group["lr"] = rate
            group["betas"] = (schedule.momentum(settings, number, total), settings.betas[1])
        self.prepared(number / total)
        self.processes.seed(settings.seed, position.epoch, position.step)
        self.state.optimizer.zero_grad(set_to_none=True)
        losses, flags = self.processes.backward(
            self.losses, self.shared, share, settings.accumulate, self.device, self.agreement.flags
        )
        self.agreement.take(flags)
        if position.epoch == position.step == 0:  # the first call of a network may set weights by its rows
            self.processes.copy_from_first(self.model.state_dict().values())
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_clip or math.inf)
        named = {**losses, **scalars({"gradient norm": norm})}
        where = f"epoch {position.epoch + 1}, step {position.step + 1} of {self.steps}"
        check_finite(named, where, rate, self.path)
        self.state.optimizer.step()
        if self.adaptive is not None:
            self.adaptive.update(named)
        if self.state.average:
            self.state.average.update(self.model)
        size = share.total
        position.gradient_norm += named.pop("gradient norm")
        position.sums = {name: position.sums.get(name, 0.0) + size * value for name, value in named.items()}
        position.samples += size
        position.step += 1
        position.learning_rate = rate
        position.seconds, self.clock = position.seconds + time.monotonic() - self.clock, time.monotonic()

    def schedule_step(self) -> float:
        """Return the step of the schedule: that of the optimiser, or a later one if the time budget is short."""
        position, budget = self.state.position, self.settings.time_budget_s
        last = self.settings.epochs * self.steps - 1
        number = float(position.epoch * self.steps + position.step)
        return number if budget is None else max(number, min(self.spent() / budget, 1.0) * last)

    def spent(self) -> float:
        """Return the seconds of training so far, including those of interrupted calls, in the first process."""
        seconds = self.state.history.seconds + self.state.position.seconds
        return self.processes.sums([seconds if self.processes.rank == 0 else 0.0], self.device)[0]

    def losses(self, batch: Batch, objective: Objective) -> Mapping[str, Tensor]:
        """Compute the named losses of a batch, on the device and in the precision of the settings."""
        moved = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        bfloat16 = self.settings.precision == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bfloat16):
            losses = objective(self.model, moved)
        check_losses(losses)
        return losses

    def close_epoch(self) -> None:
        """Validate, record the epoch, copy the best weights, and save."""
        state, position = self.state, self.state.position
        number = position.epoch + 1
        random = state.random()
        self.processes.seed(self.settings.seed, position.epoch, self.steps)
        self.processes.copy_from_first(self.model.buffers())
        validation: dict[str, float] = {}
        measured: dict[str, float] = {}
        due = number % self.settings.validate_every == 0 or number == self.settings.epochs
        if due and (self.validation is not None or self.metrics is not None):
            try:
                validation, measured = self.validate(number)
            except Interrupted:
                self.leave(random)
        seconds, norm = position.seconds + time.monotonic() - self.clock, position.gradient_norm / self.steps
        rate, means = position.learning_rate, position.means()
        epoch = Epoch(number, number * self.steps, rate, means, validation, measured, norm, seconds)
        if due and (validation or measured) and epoch.value(self.settings.monitor) is None:
            names = ", ".join(sorted({*validation, *measured}))
            raise InputError(f"monitor={self.settings.monitor!r} is not measured: choose among {names}")
        state.history = state.history.add(epoch)
        if best := state.history.best == number:
            state.best = state.evaluated()
        state.position = Position(epoch=number, learning_rate=position.learning_rate)
        self.save()
        self.progress.epoch(epoch, best)
        if self.agreement.interrupted():
            self.leave()

    def validate(self, number: int) -> tuple[dict[str, float], dict[str, float]]:
        """Compute losses and metrics of the weights that are evaluated."""
        sums: dict[str, float] = {}
        samples = 0
        measured: dict[str, float] = {}
        applied = self.state.average.applied(self.model) if self.state.average else contextlib.nullcontext()
        self.model.eval()
        self.prepared(1.0)
        with applied, torch.no_grad():
            size = self.settings.batch_size
            for share in self.processes.shares(self.validation, size, None) if self.validation else ():
                for name, value in scalars(self.losses(share.batch, self.objective)).items():
                    sums[name] = sums.get(name, 0.0) + (share.count * value if share.count else 0.0)
                samples += share.total
                if self.agreement.interrupted():
                    raise Interrupted
            if self.metrics is not None:
                metrics, model = self.metrics, self.model
                measured = self.processes.of_first(
                    lambda: {name: float(value) for name, value in metrics(model).items()}
                )
        totals = self.processes.sums(list(sums.values()), self.device)
        means = {name: value / samples for name, value in zip(sums, totals, strict=True)}
        rate = self.state.optimizer.param_groups[0]["lr"]
        check_finite({**means, **measured}, f"the validation after epoch {number}", rate, self.path)
        return means, measured

    def report(self) -> None:
        """Show the position within the epoch."""
        position = self.state.position
        speed = position.samples / max(position.seconds, 1e-9)
        done = (position.epoch + 1, self.settings.epochs, position.step, self.steps)
        self.progress.step(Report(*done, position.means(), position.learning_rate, speed))

    def save(self, random: Mapping[str, Tensor] | None = None) -> None:
        """Write the resumable state, if there is an output."""
        if self.path is not None:
            if self.adaptive is not None:
                self.state.objective = self.adaptive.tensors()
            exchanged = {} if self.shared.exchange is None else self.shared.exchange.state()
            if self.processes.rank == 0:
                self.state.save(self.path, self.origin, random, exchanged)
        self.agreement.saved = time.monotonic()

    def leave(self, random: Mapping[str, Tensor] | None = None) -> None:
        """Save, and act on the signal."""
        self.save(random)
        at = self.state.position
        where = f"stopped after {at.epoch} epochs and {at.step} of {self.steps} steps"
        self.interrupt.act(f"{where}; {self.how()}")

    def how(self) -> str:
        """Describe how to resume after a stop."""
        saved = f"the state is in {self.path}: run the same command again to go on"
        return saved if self.path else "no output was given, so nothing is saved"


def _unprepared(_model: nn.Module, _fraction: float) -> None: ...
