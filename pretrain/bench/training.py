"""`taixue bench train`: full training steps of one T5, ours beside Hugging Face's.

Every rival is a process of its own that starts from the same weights and takes the same steps on the same random
tokens: forward, backward, clipping at norm 1 and AdamW, bf16 computation on fp32 master weights, no dropout. Losses
must agree; transformers rounds its own to bf16.
A rival that runs out of memory tries again with half the micro-batch, accumulating gradients.

MFU counts model FLOPs, 3 x forward, causal attention half, nothing recomputed:
3 [Le (8 S d I + 6 S d f) + Ld (8 T d I + 4 T d I + 4 S d I + 6 T d f) + 2 T d V + 4 I (Le S^2 + Ld (T^2 / 2 + T S))]
per sample, with I = heads x head dim, over the peak that the device's maker states.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from taixue.base import files
from taixue.base.charts import grouped, standalone
from taixue.base.load import load

from ..config.schema import RunConfig, T5Config
from ..observe.peak import lookup
from .clock import GIB
from .rivals import RIVALS, Outcome, run

CASES = (("t5-v1_1-large", 64, 512, 114), ("t5-v1_1-large", 16, 2048, 512), ("t5-v1_1-base", 128, 512, 114))
"""(preset, samples of a step, source and target length), the headline first."""

AGREE = 1e-2
"""Largest relative difference of losses at the last step, bf16."""

SHARE = 0.4
"""Most of the remaining time that one rival may take."""


@dataclass(frozen=True)
class Case:
    """One comparison: a model, a batch, and how many steps are taken.

    nanot5: its t5_model.py. weights: a safetensors file of the first weights, made where it is not there yet.
    """

    name: str
    model: T5Config
    samples: int
    source: int
    target: int
    warmup: int
    steps: int
    device: str
    nanot5: str = ""
    weights: str = ""

    @property
    def flops(self) -> float:
        """Model FLOPs of a step."""
        m, s, t = self.model, self.source, self.target
        d, f, inner = m.d_model, m.d_ff * (3 if m.ffn == "gated-gelu" else 2) / 3, m.num_heads * m.d_kv
        encoder = 8 * s * d * inner + 6 * s * d * f + 4 * inner * s * s
        decoder = 12 * t * d * inner + 4 * s * d * inner + 6 * t * d * f + 4 * inner * (t * t / 2 + t * s)
        head = 2 * t * d * m.vocab_size
        return 3 * self.samples * (m.num_encoder_layers * encoder + m.num_decoder_layers * decoder + head)


@dataclass
class Row:
    """One rival of one case."""

    case: str
    rival: str
    outcome: Outcome | None
    tokens_per_second: float = 0.0
    mfu: float | None = None
    agrees: bool | None = None
    note: str = ""


def bench_train(
    out: Path,
    *,
    minutes: float = 9.0,
    dry_run: bool = False,
    rivals: Sequence[str] = tuple(RIVALS),
    nanot5: str = "",
) -> list[Row]:
    """Measure, print a table, and write train.json and train.svg into `out`.

    minutes: all processes end by then; what was left out is said. dry_run: a tiny model on the CPU, in this process.
    nanot5: path of nanoT5's t5_model.py, where it is to be run too.
    """
    end = time.monotonic() + 60 * minutes
    console = Console(width=None if Console().is_terminal else 160)
    rows: list[Row] = []
    for case in [tiny_case()] if dry_run else [preset_case(*numbers) for numbers in CASES]:
        case = replace(case, nanot5=nanot5)
        first: Outcome | None = None
        for rival in rivals:
            left = end - time.monotonic()
            row = Row(case.name, rival, None)
            rows.append(row)
            if left < 20:
                row.note = "left out: time is up"
                continue
            with console.status(f"{case.name}: {rival}"):
                try:
                    limit = left if rival == "taixue" else max(60.0, SHARE * left)
                    row.outcome = run(rival, case) if dry_run else _isolated(rival, case, min(limit, left))
                except Exception as error:  # a rival may be missing, fail to compile, or take too long
                    row.note = f"{type(error).__name__}: {error}".splitlines()[0][:90]
                    continue
            first = first or row.outcome
            _judge(row, case, first)
    console.print(_table(rows))
    _write(rows, out)
    return rows


def preset_case(preset: str, samples: int, source: int, target: int) -> Case:
    model = T5Config.model_validate(load(RunConfig, f"model/{preset}").model.model_dump())
    name = f"{preset} {samples} x {source}/{target}"
    return Case(name, model, samples, source, target, warmup=5, steps=20, device="cuda")


def tiny_case() -> Case:
    model = T5Config(
        vocab_size=96, d_model=32, d_kv=16, d_ff=48, num_heads=2, num_encoder_layers=2, num_decoder_layers=2
    )
    return Case("tiny 4 x 12/6", model, 4, 12, 6, warmup=1, steps=2, device="cpu")


def _isolated(rival: str, case: Case, seconds: float) -> Outcome:
    """run(rival, case) in a process of its own, ended after `seconds`. Raises RuntimeError with its last words."""
    words = json.dumps({"rival": rival, "case": asdict(case) | {"model": case.model.model_dump()}})
    command = [sys.executable, "-m", "taixue.pretrain.bench.training", words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done in {seconds:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(lines[-1])
    return Outcome(**json.loads(done.stdout.strip().splitlines()[-1]))


def _judge(row: Row, case: Case, first: Outcome) -> None:
    """Turn seconds into rates, and compare losses with the first rival's."""
    outcome = row.outcome
    assert outcome is not None
    row.tokens_per_second = case.samples * (case.source + case.target) / outcome.seconds
    peak = lookup(outcome.device, "bf16")
    row.mfu = None if peak is None else case.flops / outcome.seconds / peak
    row.agrees = abs(outcome.losses[-1] - first.losses[-1]) <= AGREE * abs(first.losses[-1])
    if outcome.micro_batch < case.samples:
        row.note = f"micro-batch {outcome.micro_batch}"


def _table(rows: Sequence[Row]) -> Table:
    device = next((row.outcome.device for row in rows if row.outcome), "no device")
    table = Table(title=f"Full training steps, {device}, torch {torch.__version__}")
    for name in ("case", "rival", "ms", "tokens/s", "MFU", "GiB", "taixue is", "loss", "agrees", "note"):
        words = name in ("case", "rival", "note")
        table.add_column(name, justify="left" if words else "right", no_wrap=name != "note")
    ours = {row.case: max(row.tokens_per_second, 1e-9) for row in rows if row.rival.startswith("taixue")}
    for row in rows:
        if row.rival.startswith("taixue"):
            ours[row.case] = max(ours[row.case], row.tokens_per_second)
    previous = ""
    for row in rows:
        if row.case != previous:
            table.add_section()
        label, previous = (row.case if row.case != previous else ""), row.case
        cells = [""] * 7
        if row.outcome is not None:
            ratio = ours.get(row.case, 0.0) / row.tokens_per_second
            cells = [
                f"{1e3 * row.outcome.seconds:,.1f}",
                f"{row.tokens_per_second:,.0f}",
                "" if row.mfu is None else f"{row.mfu:.1%}",
                f"{row.outcome.bytes / GIB:.1f}",
                "" if row.rival.startswith("taixue") else f"{ratio:.2f}x",
                f"{row.outcome.losses[-1]:.4f}",
                "yes" if row.agrees else "NO",
            ]
        table.add_row(
            label, row.rival, *cells, row.note, style="bold" if row.rival.startswith("taixue") else ""
        )
    return table


def _write(rows: Sequence[Row], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    files.write(out / "train.json", files.readable_json([asdict(row) for row in rows]))
    groups: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.outcome:
            groups.setdefault(row.case, {})[row.rival] = row.tokens_per_second
    chart = grouped("Tokens per second, full step", groups, "tokens/s", "taixue")
    files.write(out / "train.svg", standalone(chart).encode())


def main(words: str) -> None:
    """In the process of one rival: run it with smaller micro-batches until it fits; the outcome as a last line."""
    given = json.loads(words)
    case = Case(**given["case"] | {"model": T5Config(**given["case"]["model"])})
    print(json.dumps(asdict(run(given["rival"], case))))


if __name__ == "__main__":
    main(sys.argv[1])
