"""Taixue with kinds of our own: `python my_run.py train my.yaml`, and every other command. See docs/extending.md."""

from dataclasses import replace
from math import cos, pi
from typing import Literal

import taixue
import taixue.extend as own
from taixue.pretrain.models import t5
from taixue.pretrain.objectives import span

class CalmT5(t5.T5Config):
    family: Literal["calm-t5"] = "calm-t5"
    tie_embeddings: bool = True

class LongSpans(span.SpanCorruptionConfig):
    kind: Literal["long-spans"] = "long-spans"
    mean_span_length: float = 6.0

class LionConfig(own.OptimizerSection):
    name: Literal["lion"] = "lion"
    lr: float = 1e-4

def lion(config, groups):  # Chen et al. 2023
    from taixue.pretrain.optim.elementwise import Elementwise
    def update(weight, gradient, lr, decay, number, average):
        weight.mul_(1 - lr * decay).sub_(average.lerp(gradient, 0.1).sign_(), alpha=lr)
        average.lerp_(gradient, 0.01)
    return Elementwise(groups, config.lr, update, "average")

class Restarts(own.ScheduleSection):
    name: Literal["restarts"] = "restarts"
    period: int = 1000

def restarts(config, peak, step, steps):  # Loshchilov & Hutter 2017
    part = (step - config.warmup_steps) % config.period / config.period
    return peak * (config.min_ratio + (1 - config.min_ratio) * (1 + cos(pi * part)) / 2)

class TableConfig(own.Section):
    kind: Literal["table"] = "table"
    file: str = "losses.tsv"

class Table(own.Sink):
    def __init__(self, config, start):
        self.file = (start.folder / config.file).open("a")
    def write(self, record):
        if "loss" in record:
            print(record["step"], record["loss"], sep="\t", file=self.file, flush=True)

CALM = replace(t5.FAMILY, name="calm-t5", config=CalmT5, init=lambda *what: t5.FAMILY.init(*what) / 2)
taixue.register(CALM)
taixue.register(own.ObjectiveKind("long-spans", LongSpans, span.SpanCorruption, ("encoder-decoder",)))
taixue.register(own.OptimizerKind("lion", LionConfig, lion))
taixue.register(own.ScheduleKind("restarts", Restarts, restarts))
taixue.register(own.SinkKind("table", TableConfig, Table))
taixue.register(own.MeasureKind("questions", "1", lambda texts: [text.count("？") for text in texts]))

if __name__ == "__main__":
    raise SystemExit(taixue.main())
