"""The training loop: steps, and what happens between them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from math import isfinite

import torch
from torch import Tensor

from taixue.parallel.stop import StopRequest

from ..checkpoint import Saver
from ..data import Loader, TrainingData
from ..observe import Meter, Record, Sink
from ..optim import learning_rate
from .evaluation import evaluate
from .history import Diverged
from .predictions import as_tensors, loss_weights, predictions, summed_over_data
from .state import TrainState

SMALLEST_SCALE = 2.0**-10
"""fp16: overflow at a loss scale below this is not a matter of scale."""

ASK_EVERY = 8
"""Micro-batches between two questions whether to stop: each is an all_reduce that all ranks wait for, and a scheduler's
warning leaves minutes.
"""


@dataclass
class Loop:
    """Runs the steps of a run from any step on. All ranks call every method together.

    done: steps done so far, also when an error has ended run().
    """

    state: TrainState
    data: TrainingData
    loader: Loader
    saver: Saver
    sinks: list[Sink]
    meter: Meter
    stop: StopRequest
    done: int = field(default=0, init=False)

    def dry_run(self, step: int) -> None:
        """Forward and backward on a step's batch, gradients thrown away: what cannot work fails before
        step 1.

        Leaves no trace: every step seeds its own random numbers.
        """
        runtime = self.state.runtime
        batch = as_tensors(self.data.batch(self.loader.samples(step)))
        counts = summed_over_data(predictions(batch, self.state.losses), runtime)
        runtime.forward_backward(batch, counts)
        runtime.zero_grad()

    def run(self, start: int) -> int:
        """Train from `start` steps done. The steps done at the end: all, or fewer when asked to stop.

        Everything done is saved, though the last save may still be on its way.
        """
        run, saved = self.state.run, start
        done = self.done = start
        if self.state.evaluation_due:
            self._evaluate(done)
        while done < run.steps:
            self.meter.begin()
            _, arrays = next(self.loader)
            self.meter.got_data()
            record = self._step(done, as_tensors(arrays))
            if record is None:
                break
            self.meter.end()
            done = self.done = done + 1
            self._report(record, done)
            if run.eval_every and (done % run.eval_every == 0 or done == run.steps):
                self._evaluate(done)
            if done % run.checkpoint.every == 0:
                self._save(saved := done)
            self.saver.poll()
            if self.stop.agreed():
                break
        if done > saved:
            self._save(done)
        return done

    def _step(self, step: int, batch: dict[str, Tensor]) -> Record | None:
        """One update; its metrics, or None if the step was given up because of a request to stop."""
        run, runtime, scaler = self.state.run, self.state.runtime, self.state.scaler
        scale = 1.0 if scaler is None else scaler.scale
        runtime.seed(run.seed, step)
        names = runtime.spec.loss_names
        counts = summed_over_data(predictions(batch, self.state.losses), runtime)
        weights = loss_weights(run.objective, names)
        factors = torch.tensor(list(weights.values()), dtype=torch.float64)
        means = runtime.forward_backward(batch, counts, factors, scale=scale, should_stop=self._should_stop())
        if means is None:
            return None
        values = {
            name: mean for name, mean, count in zip(names, means.tolist(), counts, strict=True) if count
        }
        norm = runtime.grad_norm().item() / scale
        lr = learning_rate(run.schedule, run.optimizer.lr, step, run.steps)
        record: Record = {"loss": sum(weights[name] * value for name, value in values.items())}
        record |= {f"loss/{name}": value for name, value in values.items()} | {"grad_norm": norm, "lr": lr}
        finite = isfinite(norm) and isfinite(record["loss"])
        if finite:
            self._update(norm, scale, lr)
        elif scaler is None or scale < SMALLEST_SCALE:
            raise self._diverged(step, record)
        if scaler is not None:
            record |= {"loss_scale": scale, "skipped": int(not finite)}
            scaler.succeeded() if finite else scaler.overflowed()
        runtime.zero_grad()
        return record

    def _should_stop(self) -> Callable[[], bool] | None:
        """The question a step asks before each of its micro-batches; the first and every ASK_EVERY-th reach the ranks.

        None in a pipeline: there nobody can turn back between micro-batches, requests wait for the end of the step.
        """
        if self.state.runtime.layout.pp > 1:
            return None
        asked = count()
        return lambda: next(asked) % ASK_EVERY == 0 and self.stop.agreed()

    def _update(self, norm: float, loss_scale: float, lr: float) -> None:
        """Let the optimizer step on gradients that are clipped and free of the loss scale."""
        optimizer = self.state.optimizer
        clip = self.state.run.optimizer.clip_norm
        factor = (min(1.0, clip / (norm + 1e-6)) if clip else 1.0) / loss_scale
        scale = torch.tensor(factor, dtype=torch.float64, device=self.state.runtime.device)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step(scale=None if factor == 1.0 else scale)

    def _diverged(self, step: int, record: Record) -> Diverged:
        size = self.state.run.batch.global_size
        return Diverged(
            f"step {step + 1} (samples {step * size} to {(step + 1) * size - 1}): loss {record['loss']}, gradient norm "
            f"{record['grad_norm']}: training has diverged and stops; earlier checkpoints are untouched. "
            f"Lower optimizer.lr (now {self.state.run.optimizer.lr:g}) or optimizer.clip_norm (now "
            f"{self.state.run.optimizer.clip_norm:g}), or lengthen schedule.warmup_steps"
        )

    def _report(self, record: Record, done: int) -> None:
        every = self.state.run.logging.every
        if done % every == 0 or done in (1, self.state.run.steps) or record.get("skipped"):
            self._write({"step": done} | record | self.meter.report(done))

    def _evaluate(self, done: int) -> None:
        found = evaluate(self.state, self.data, self.stop)
        self.state.evaluation_due = found is None
        if found is not None:
            self._write({"step": done} | found)

    def _save(self, done: int) -> None:
        self.saver.save(done, self.state.tensors(), self.state.describe(done))

    def _write(self, record: Record) -> None:
        for sink in self.sinks:
            sink.write(record)
