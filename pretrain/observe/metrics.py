"""What a run reports: one flat dict per report, every name and unit listed in METRICS."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, perf_counter, time
from typing import TYPE_CHECKING

from .peak import peak_flops

if TYPE_CHECKING:
    import torch

METRICS = {
    "step": "updates done so far; a checkpoint of that number holds the weights after it",
    "time": "when it was reported: seconds since 1970 (UTC), never falling within a start",
    "samples": "samples learned from so far",
    "tokens": "raw tokens (before the objective cut or masked them) learned from so far",
    "loss": "sum of the losses below, nats",
    "loss/<objective>": "mean over the predictions of the step's global batch, nats",
    "grad_norm": "global L2 norm of the gradient before clipping",
    "lr": "learning rate of the step",
    "loss_scale": "fp16 only: factor on the loss",
    "skipped": "fp16 only: 1 when the step overflowed and was left out",
    "step_seconds": "wall time of a step, mean since the last report, evaluation and saving excluded",
    "data_wait": "part of step_seconds spent waiting for data, seconds",
    "ranks_wait": "part of step_seconds spent waiting for other ranks to have their batch, seconds",
    "device_wait": "part of step_seconds spent waiting for the device to be done with a step, seconds",
    "report_wait": "part of step_seconds spent writing reports such as this one, seconds",
    "evaluation_seconds": "wall time of an evaluation",
    "save_seconds": "wall time that training stood still for a save; the step is that of the checkpoint",
    "samples_per_second": "over all ranks, since the last report",
    "tokens_per_second": "raw tokens, over all ranks, since the last report",
    "mfu": "model FLOPs (3 x forward, recomputation not counted) / peak FLOPs of all devices; known devices only",
    "memory": "GiB: most that was allocated on rank 0's GPU, or resident in rank 0's process on CPU",
    "eval_loss": "the held-out loss of a run: the losses below added up as in loss, each the mean over the sources by "
    "their part of the mixture, nats",
    "eval_samples": "held-out samples that eval_loss was measured on",
    "eval/<source>/<objective>": "loss on held-out windows, nats per prediction",
    "eval/<source>/<objective>-without-tags": "the same without linguistic inputs, as an exported model has it",
}


WAITS = ("data_wait", "ranks_wait", "device_wait", "report_wait")
"""Parts of a step's time that the loop tells apart; what is left is the step's own work."""


@dataclass
class Meter:
    """Times steps and turns them into metrics.

    raw_length: raw tokens of a sample; forward_flops: of the model for one sample; world: number of ranks.
    """

    batch_size: int
    raw_length: int
    forward_flops: float
    world: int
    device: "torch.device"
    precision: str
    _steps: int = 0
    _seconds: float = 0.0
    _waited: dict[str, float] = field(default_factory=lambda: dict.fromkeys(WAITS, 0.0))
    _began: float = field(default_factory=perf_counter)
    _inside: bool = False
    _epoch: float = field(default_factory=lambda: time() - monotonic())

    def now(self) -> float:
        """Seconds since 1970, to the millisecond; never falling, whatever is done to the clock."""
        return round(self._epoch + monotonic(), 3)

    def begin(self) -> None:
        """A step begins."""
        self._began, self._inside = perf_counter(), True

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Inside, the step, if one has begun, waits for one of WAITS."""
        if not self._inside:
            yield
            return
        began = perf_counter()
        yield
        self._waited[what] += perf_counter() - began

    def end(self) -> None:
        """It is done: the device is at most a step behind, and before evaluation and saving it is not."""
        self._steps += 1
        self._seconds += perf_counter() - self._began
        self._inside = False

    def report(self, done: int) -> dict[str, float]:
        """Counters after `done` updates, and speeds since the last report."""
        steps, seconds = max(self._steps, 1), max(self._seconds, 1e-9)
        samples_per_second = steps * self.batch_size / seconds
        metrics: dict[str, float] = {
            "samples": done * self.batch_size,
            "tokens": done * self.batch_size * self.raw_length,
            "step_seconds": seconds / steps,
            **{name: waited / steps for name, waited in self._waited.items()},
            "samples_per_second": samples_per_second,
            "tokens_per_second": samples_per_second * self.raw_length,
            "memory": memory(self.device),
        }
        peak = peak_flops(self.device, self.precision)
        if peak is not None:
            metrics["mfu"] = 3 * self.forward_flops * samples_per_second / (peak * self.world)
        self._steps, self._seconds, self._waited = 0, 0.0, dict.fromkeys(WAITS, 0.0)
        return metrics


def memory(device: "torch.device") -> float:
    """GiB: peak allocated on a CUDA device, peak resident size of this process otherwise."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
