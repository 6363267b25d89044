"""Steps of the real training loop on one batch, for benches: all that a run does between two steps but saving."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch

from taixue.parallel import group
from taixue.parallel.stop import StopRequest

from ..checkpoint import Saver
from ..config.schema import RunConfig
from ..data import Data, Loader
from ..models import model_spec
from ..objectives.summary import ObjectiveFacts
from ..observe import Meter, Record
from ..run.build import build_engine
from ..run.loop import Loop
from ..run.state import TrainState


class _Batches:
    """The same batch for every step; tells before each that it is asked for."""

    def __init__(self, batch: Mapping[str, np.ndarray], at: Callable[[int], None]) -> None:
        self._batch, self._at, self._next = dict(batch), at, 0

    def __next__(self) -> tuple[int, dict[str, np.ndarray]]:
        step, self._next = self._next, self._next + 1
        self._at(step)
        return step, self._batch


class _Nowhere:
    """Saves nothing."""

    def poll(self) -> None: ...
    def save(self, *checkpoint: object) -> None: ...


class _Kept:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def write(self, record: Record) -> None:
        self.records.append(record)

    def close(self) -> None: ...


def run_steps(
    run: RunConfig,
    batch: Mapping[str, np.ndarray],
    steps: int,
    at: Callable[[int], None],
    device: torch.device,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> list[Record]:
    """Take `steps` steps of `run`'s model, engine and loop on `batch`, all samples of a step; what the sinks were told.

    Alone on `device`: starts and ends a process group of one. at(k) is called when the loop asks for the batch of step
    k = 0, 1, ... steps - 1, while the device is at work on the step before, and at(steps) when all are done: the time
    between two calls is that of a whole step, once the host is ahead. weights: to start from, by name; None: the run's
    own.
    """
    source = batch["input_ids"].shape[1]
    target = batch["decoder_input_ids"].shape[1] if "decoder_input_ids" in batch else 0
    run = run.model_copy(update={"steps": steps, "eval_every": 0, "dry_run": False})
    sink, stop = _Kept(), StopRequest()
    group.start(None, device, 600)
    try:
        spec = model_spec(run.model, run.seed, (source, target))
        engine = build_engine(run, spec, device)
        engine.set_weights(spec.init if weights is None else lambda name, shape: weights[name])
        facts = ObjectiveFacts(words="", raw_length=source, shapes={})
        meter = Meter(run.batch.global_size, source, sum(spec.layer_costs), 1, device, run.compute.precision)
        loop = Loop(
            TrainState(run, engine, "", facts),
            cast(Data, None),
            cast(Loader, _Batches(batch, at)),
            cast(Saver, _Nowhere()),
            [sink],
            meter,
            stop,
        )
        loop.run(0)
        at(steps)
    finally:
        group.stop()
    return sink.records


def bench_run(model: Any, samples: int, micro: int, **compute: Any) -> RunConfig:
    """A run as benches take it: AdamW as in rivals.py at a constant rate, its loss told after every step."""
    return RunConfig.model_validate(
        {
            "model": model.model_dump(),
            "batch": {"global_size": samples, "micro_size": micro},
            "optimizer": {"name": "adamw", "lr": 1e-4, "betas": (0.9, 0.98), "eps": 1e-8, "clip_norm": 1.0},
            "schedule": {"name": "constant", "warmup_steps": 0},
            "compute": compute,
            "logging": {"every": 1},
        }
    )
