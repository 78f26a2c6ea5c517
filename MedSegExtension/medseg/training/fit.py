"""Training one network: epochs, validation, checkpoints, and going on after an interruption."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save as as_safetensors

from medseg.inference.device import Device
from medseg.progress import Cancelled, Progress, part, with_time_left
from medseg.training import checkpoint, schedule, validation
from medseg.training.batches import batches
from medseg.training.building import optimiser
from medseg.training.checkpoint import CHECKPOINT_FILE, Checkpoint, Epoch
from medseg.training.config import TrainingConfig
from medseg.training.hardware import hardware
from medseg.training.objectives import objective
from medseg.training.records import Recorder
from medseg.training.registration import scores as pair_scores
from medseg.training.samples import Data
from medseg.training.seeds import seed_of
from medseg.training.stepping import Place, Stepper

_Report = Callable[[str], None]
BEST_FILE = "best.safetensors"


@dataclass(frozen=True, eq=False)
class Task:
    """One network to train, on which data, where, and into which folder."""

    config: TrainingConfig
    data: Data
    network: torch.nn.Module
    device: Device
    folder: Path
    member: int = 0


class Training:
    """A training under way. All that it needs to go on is in its checkpoint and in the task."""

    def __init__(self, task: Task) -> None:
        """Begin a training, or go on where the folder's checkpoint ends."""
        self._task, self._config = task, task.config
        self._seed = seed_of(task.config.seed, "member", task.member)
        self._hardware = hardware(task.device, task.config.precision)
        network = task.network.to(task.device.device)
        chosen = task.config.optimiser
        goal = objective(task.config.loss)
        self._stepper = Stepper(network, optimiser(chosen, network), goal, self._hardware, chosen.clip)
        self._steps = task.config.steps_per_epoch or -(-len(task.data.training) // task.config.batch)
        self._step, self._loss_sum = 0, 0.0
        self.history: tuple[Epoch, ...] = ()
        self._began = time.monotonic()
        if self._path.is_file():
            self._restore(checkpoint.load(self._path))

    def is_over(self) -> bool:
        """Whether all epochs are done, or early stopping ended them."""
        return len(self.history) >= self._config.epochs or schedule.is_over(self._goodness(), self._config.patience)

    def run(self, progress: Progress) -> tuple[Epoch, ...]:
        """Train to the end.

        Raises:
            Cancelled: if `progress` raised it, after a checkpoint.
            NotANumber: if the loss is none; the last checkpoint stays.
            Failed: if a checkpoint cannot be written; the one before stays.
        """
        before = self._done()
        report = with_time_left(part(progress, before, 1.0))
        with Recorder(self._task.folder, self._config, len(self.history)) as recorder:
            try:
                self._run(lambda message: report((self._done() - before) / max(1 - before, 1e-9), message), recorder)
            except Cancelled:
                self._save()
                raise
        return self.history

    def _run(self, report: _Report, recorder: Recorder) -> None:
        if self._step == self._steps:  # interrupted while validating
            self._end_epoch(report, recorder)
        if self.is_over():
            return
        places = list(self._places_left())
        config = self._config
        made = batches(self._task.data.training, self._seed, places, config.batch, config.workers)
        for (epoch, step), batch in zip(places, made, strict=True):
            report(f"epoch {epoch + 1} of {config.epochs}, step {step + 1} of {self._steps}{self._last()}")
            self._loss_sum += self._stepper.step(batch, self._rate(), self._seed, Place(epoch, step, self._done()))
            self._step = step + 1
            if self._step == self._steps:
                self._end_epoch(report, recorder)
                if self.is_over():
                    break

    def _places_left(self) -> Iterator[tuple[int, int]]:
        for epoch in range(len(self.history), self._config.epochs):
            first = self._step if epoch == len(self.history) else 0
            yield from ((epoch, step) for step in range(first, self._steps))

    def _end_epoch(self, report: _Report, recorder: Recorder) -> None:
        rate = self._rate()
        epoch = Epoch(len(self.history) + 1, self._loss_sum / self._steps, rate, 0.0)
        if epoch.number % self._config.validate_every == 0 or epoch.number == self._config.epochs:
            epoch = self._validated(epoch, report)
        epoch = replace(epoch, seconds=self._seconds())
        if self._is_best(epoch):
            self._keep_best()
        self.history = (*self.history, epoch)
        self._step, self._loss_sum, self._began = 0, 0.0, time.monotonic()
        self._save()
        recorder.add(self.history)

    def _validated(self, epoch: Epoch, report: _Report) -> Epoch:
        network, cases = self._stepper.network, validation.Fixed(self._task.data.validation, self._seed, "validation")
        prefix = f"epoch {epoch.number} of {self._config.epochs}, validation: "

        def tell(_fraction: float, message: str) -> None:
            report(prefix + message)

        if self._config.registers:
            mean = pair_scores.mean(pair_scores.scored(network, cases, self._hardware, tell))
            return replace(epoch, dice=mean["dice"], dice_of=mean["dice_of"], similarity=mean["similarity"])
        seen = validation.judged(network, cases, self._config.card().inference, self._hardware, tell)
        found = validation.scores(seen, [segment.value for segment in self._config.segments])
        return replace(epoch, dice=found.dice, dice_of=found.dice_of, cross_entropy=found.cross_entropy)

    def _is_best(self, epoch: Epoch) -> bool:
        known = [found for found in self._goodness() if found is not None]
        if epoch.goodness is None or not known:
            return not known  # a last resort, until a Dice is known
        return epoch.goodness > max(known)

    def _keep_best(self) -> None:
        state = {key: value.detach().cpu().contiguous() for key, value in self._stepper.network.state_dict().items()}
        checkpoint.write(as_safetensors(state), self._task.folder / BEST_FILE)

    def _save(self) -> None:
        stepper = self._stepper
        state = Checkpoint(
            network=stepper.network.state_dict(),
            optimiser=stepper.optimiser.state_dict(),
            scaler=stepper.scaler.state_dict(),
            history=self.history,
            step=self._step,
            loss_sum=self._loss_sum,
            at_once=stepper.at_once,
            seconds=self._seconds(),
        )
        checkpoint.save(state, self._path)

    def _restore(self, saved: Checkpoint) -> None:
        self._stepper.network.load_state_dict(saved.network)
        self._stepper.optimiser.load_state_dict(dict(saved.optimiser))
        self._stepper.scaler.load_state_dict(dict(saved.scaler))
        self._stepper.at_once = saved.at_once
        self.history, self._step, self._loss_sum = saved.history, saved.step, saved.loss_sum
        self._began = time.monotonic() - saved.seconds

    @property
    def _path(self) -> Path:
        return self._task.folder / CHECKPOINT_FILE

    def _goodness(self) -> list[float | None]:
        return [epoch.goodness for epoch in self.history]

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)

    def _rate(self) -> float:
        config, done = self._config, len(self.history) + self._step / self._steps
        return schedule.learning_rate(
            config.schedule, config.optimiser.learning_rate, done, config.epochs, self._goodness()
        )

    def _done(self) -> float:
        return min(1.0, (len(self.history) + self._step / self._steps) / self._config.epochs)

    def _last(self) -> str:
        if not self.history:
            return ""
        last = self.history[-1]
        name = "similarity" if last.dice is None else "Dice"
        return f", loss {last.loss:.3f}" + (f", {name} {last.goodness:.3f}" if last.goodness is not None else "")
