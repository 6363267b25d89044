"""The training loop: steps, and what happens between them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from math import isfinite
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from taixue.parallel.engine import Update
from taixue.parallel.stop import StopRequest
from taixue.parallel.transfer import Readback

from ..checkpoint import Saver
from ..data import Data, Loader
from ..observe import Evaluation, Meter, Progress, Record, Sink
from ..optim import learning_rate
from .agreement import Agreement, not_finite, summed
from .evaluation import evaluate
from .history import Diverged
from .predictions import as_batch, loss_weights, predictions
from .state import TrainState

SMALLEST_SCALE = 2.0**-10
"""fp16: overflow at a loss scale below this is not a matter of scale."""

ASK_EVERY = 8
"""Micro-batches between two questions whether to stop: each is an all_reduce that all ranks wait for, and a scheduler's
warning leaves minutes.
"""


class _Found(NamedTuple):
    """What step number `step` (from 0) has found. numbers: mean losses and gradient norm, on their way to the host."""

    step: int
    counts: Tensor
    lr: float
    update: Update
    numbers: Readback


@dataclass
class Loop:
    """Runs the steps of a run from any step on. All ranks call every method together.

    progress: the evaluations before. show: called with the steps done and the time after each evaluation, on all ranks,
    to look at the model.
    done: steps done so far, also when an error has ended run(). early: why the run ended before its last step, unasked;
    else empty.
    """

    state: TrainState
    data: Data
    loader: Loader
    saver: Saver
    sinks: list[Sink]
    meter: Meter
    stop: StopRequest
    progress: Progress = field(default_factory=Progress)
    show: Callable[[int, float], None] | None = None
    done: int = field(default=0, init=False)
    early: str = field(default="", init=False)

    def dry_run(self, step: int) -> None:
        """Forward and backward on a step's batch, gradients thrown away: what cannot work fails before step 1.

        Leaves no trace: every step seeds its own random numbers.
        """
        batch = as_batch(self.state.run, self.data.batch(self.loader.samples(step)))
        engine = self.state.engine
        engine.rehearse(batch, summed(engine, predictions(batch, self.state.losses)))

    def run(self, start: int) -> int:
        """Train from `start` steps done. The steps done at the end: all, or fewer when asked to stop or done early.

        Everything done is saved, though the last save may still be on its way.

        The host is a step ahead of the device: while the device computes a step, the next batch is fetched, the ranks
        agree on it, and what the step before has found is reported. Evaluating and saving wait for the device.
        """
        run, saved = self.state.run, start
        late: _Found | None = None
        done = self.done = start
        if self.state.evaluation_due:
            self._evaluate(done)  # its checkpoint is there
        if done < run.steps:
            batch, agreement = self._next()
        while done < run.steps:
            self.meter.begin()
            with self.meter.waiting("ranks_wait"):
                counts = agreement.wait()
            if self.stop.decided or self.early:
                break
            found = self._step(done, batch, counts)
            if found is None:
                break
            done += 1
            if done < run.steps:
                batch, agreement = self._next()
            self._report(late)
            evaluating = run.eval_every and (done % run.eval_every == 0 or done == run.steps)
            saving = done % run.checkpoint.every == 0
            waiting = evaluating or saving or done == run.steps
            late = None if waiting else found
            if waiting:
                with self.meter.waiting("device_wait"):
                    found.numbers.read()
            self.meter.end()
            self.done = done
            if waiting:
                self._report(found)
            improved = evaluating and self._evaluate(done)
            if saving or (improved and run.checkpoint.best):
                self._save(saved := done)
            self.saver.poll()
        self._report(late)
        if done > saved:
            self._save(done)
        return done

    def _next(self) -> tuple[dict[str, Tensor], Agreement]:
        """The batch of the next step, and what the ranks are about to agree on."""
        with self.meter.waiting("data_wait"):
            _, arrays = next(self.loader)
        batch = as_batch(self.state.run, arrays)
        return batch, Agreement(self.state.engine, predictions(batch, self.state.losses), self.stop)

    def _step(self, step: int, batch: dict[str, Tensor], counts: Tensor) -> _Found | None:
        """One update, or None if it was given up because of a request to stop. counts: predictions in the global batch,
        by loss."""
        run, engine = self.state.run, self.state.engine
        weights = torch.tensor(list(self._weights().values()), dtype=torch.float64)
        lr = learning_rate(run.schedule, run.optimizer.lr, step, run.steps)
        engine.seed(run.seed, step)
        update = engine.update(batch, counts, weights, lr, self._should_stop())
        if update is None:
            return None
        numbers = Readback(torch.cat((update.means, update.grad_norm.view(1))))
        return _Found(step, counts, lr, update, numbers)

    def _weights(self) -> dict[str, float]:
        return loss_weights(self.state.run.objective, self.state.engine.loss_names)

    def _should_stop(self) -> Callable[[], bool]:
        """The question a step may ask before each of its micro-batches; every ASK_EVERY-th reaches the ranks, but not
        the first: they have just agreed."""
        asked = count()

        def should_stop() -> bool:
            number = next(asked)
            return number > 0 and number % ASK_EVERY == 0 and self.stop.agreed()

        return should_stop

    def _report(self, found: _Found | None) -> None:
        """Read what a step has found, which waits for it, and write it when it is its turn. Raises Diverged where
        nothing more can be learned."""
        if found is None:
            return
        every, done, update = self.state.run.logging.every, found.step + 1, found.update
        with self.meter.waiting("device_wait"):
            *means, norm = found.numbers.read().tolist()
        predicted = zip(self.state.engine.loss_names, means, found.counts, strict=True)
        values = {name: mean for name, mean, count in predicted if count}
        weights = self._weights()
        record: Record = {"loss": sum(weights[name] * value for name, value in values.items())}
        record |= {f"loss/{name}": value for name, value in values.items()}
        record |= {"grad_norm": norm, "lr": found.lr}
        if not (isfinite(record["loss"]) and isfinite(norm)) and (update.loss_scale or 0.0) < SMALLEST_SCALE:
            self.done = found.step
            raise self._diverged(found.step, record, update.own_losses)
        if update.loss_scale is not None:
            record |= {"loss_scale": update.loss_scale, "skipped": int(not update.applied)}
        if done % every == 0 or done in (1, self.state.run.steps) or not update.applied:
            self._write({"step": done} | record | self.meter.report(done))

    def _diverged(self, step: int, record: Record, own_losses: Tensor | None) -> Diverged:
        """Why, and whether all ranks are to blame. Collective."""
        run, engine = self.state.run, self.state.engine
        size, block = run.batch.global_size, run.batch.global_size // engine.data_ranks
        found = "loss" if not isfinite(record["loss"]) else "gradient (all losses are finite)"
        said = (
            f"step {step + 1} (samples {step * size} to {(step + 1) * size - 1}): loss {record['loss']}, gradient norm "
            f"{record['grad_norm']}: training stops; earlier checkpoints are untouched. "
        )
        places = not_finite(engine, own_losses)
        if 0 < len(places) < engine.data_ranks:
            told = ", ".join(
                f"rank {place.rank} on {place.host} (data rank {data_rank}, samples {step * size + data_rank * block} "
                f"to {step * size + (data_rank + 1) * block - 1})"
                for data_rank, place in sorted(places.items())[:3]
            )
            return Diverged(
                f"{said}Only {len(places)} of {engine.data_ranks} data ranks found such a {found}: {told}. Look at "
                "these samples and that machine; the same command takes the steps since the last checkpoint again"
            )
        return Diverged(
            f"{said}It is the {found} of {'all ranks' if places else 'their sum'}: training has diverged. Lower "
            f"optimizer.lr (now {run.optimizer.lr:g}) or optimizer.clip_norm (now {run.optimizer.clip_norm:g}), or "
            "lengthen schedule.warmup_steps"
        )

    def _evaluate(self, done: int) -> bool:
        """Whether it is the best so far; decides whether it is the last."""
        began = perf_counter()
        found = evaluate(self.state, self.data, self.stop)
        self.state.evaluation_due = found is None
        if found is None:
            return False
        if self.show is not None:
            self.show(done, self.meter.now())
        self._write({"step": done} | found | {"evaluation_seconds": perf_counter() - began})
        improved = self.progress.add(Evaluation(done, found["eval_loss"], int(found["eval_samples"])))
        early_stop = self.state.run.early_stop
        if done < self.state.run.steps:
            self.early = self.progress.standstill(early_stop.patience, early_stop.min_delta)
        return improved

    def _save(self, done: int) -> None:
        began = perf_counter()
        kept = self.progress.kept if self.state.run.checkpoint.best else None
        state = self.state.describe(done)
        self.saver.save(done, self.state.engine.tensors(), state, None if kept is None else kept.step)
        self._write({"step": done, "save_seconds": perf_counter() - began})

    def _write(self, record: Record) -> None:
        """Tell the sinks, and what time it is."""
        told = {"step": record["step"], "time": self.meter.now()} | record
        with self.meter.waiting("report_wait"):
            for sink in self.sinks:
                sink.write(told)
