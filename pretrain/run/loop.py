"""The training loop: steps, and what happens between them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import torch
from torch import Tensor

from taixue.parallel.engine import Update
from taixue.parallel.stop import StopRequest

from ..checkpoint import Saver
from ..data import Data, Loader
from ..observe import Meter, Record, Sink
from ..optim import learning_rate
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


@dataclass
class Loop:
    """Runs the steps of a run from any step on. All ranks call every method together.

    done: steps done so far, also when an error has ended run().
    """

    state: TrainState
    data: Data
    loader: Loader
    saver: Saver
    sinks: list[Sink]
    meter: Meter
    stop: StopRequest
    done: int = field(default=0, init=False)

    def dry_run(self, step: int) -> None:
        """Forward and backward on a step's batch, gradients thrown away: what cannot work fails before step 1.

        Leaves no trace: every step seeds its own random numbers.
        """
        batch = as_batch(self.state.run, self.data.batch(self.loader.samples(step)))
        self.state.engine.rehearse(batch, self._counts(batch))

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
            record = self._step(done, as_batch(run, arrays))
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
        run, engine = self.state.run, self.state.engine
        counts = self._counts(batch)
        weights = loss_weights(run.objective, engine.loss_names)
        factors = torch.tensor(list(weights.values()), dtype=torch.float64)
        lr = learning_rate(run.schedule, run.optimizer.lr, step, run.steps)
        engine.seed(run.seed, step)
        update = engine.update(batch, counts, factors, lr, self._should_stop())
        if update is None:
            return None
        found = zip(engine.loss_names, update.means.tolist(), counts, strict=True)
        values = {name: mean for name, mean, predicted in found if predicted}
        record: Record = {"loss": sum(weights[name] * value for name, value in values.items())}
        record |= {f"loss/{name}": value for name, value in values.items()}
        record |= {"grad_norm": update.grad_norm, "lr": lr}
        if _hopeless(update):
            raise self._diverged(step, record)
        if update.loss_scale is not None:
            record |= {"loss_scale": update.loss_scale, "skipped": int(not update.applied)}
        return record

    def _counts(self, batch: dict[str, Tensor]) -> Tensor:
        """Predictions in the global batch, by loss. Collective: one all_reduce."""
        return self.state.engine.summed(predictions(batch, self.state.losses))

    def _should_stop(self) -> Callable[[], bool]:
        """The question a step may ask before each of its micro-batches; the first and every ASK_EVERY-th reach the
        ranks.
        """
        asked = count()

        def should_stop() -> bool:
            if next(asked) % ASK_EVERY:
                return False
            return self.stop.agreed()

        return should_stop

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
        self.saver.save(done, self.state.engine.tensors(), self.state.describe(done))

    def _write(self, record: Record) -> None:
        for sink in self.sinks:
            sink.write(record)


def _hopeless(update: Update) -> bool:
    """Whether nothing was learned and no smaller loss scale can help."""
    return not update.applied and (update.loss_scale is None or update.loss_scale < SMALLEST_SCALE)
