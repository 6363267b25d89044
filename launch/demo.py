"""The end of `make demo`: the curves of a finished run, and what its exported model knows, in stock transformers.

python -m taixue.launch.demo RUN_FOLDER HF_FOLDER BLANKS
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

WIDTH = 50
SHOWN = 3  # blanks


class Blank(NamedTuple):
    """A line of blanks.jsonl (data_tools/sample/generate.py)."""

    kind: str
    relation: str
    text: str
    answer: str
    most_frequent: str


KINDS = {"wording": "wordings no training text has", "pair": "wordings training text has for other facts"}


def main(run: Path, exported: Path, file: Path) -> None:
    """Print curves, scores, some blanks and where everything is."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for title, key in (("Training loss", "loss"), ("Held-out loss", "eval/")):
        console.print(f"[bold]{title}[/] (nats per target token)")
        console.print(curve(read_losses(run / "metrics.jsonl", key)), markup=False)
    blanks = [Blank(**json.loads(line)) for line in file.read_text("utf-8").splitlines()]
    filled = fill(exported, [blank.text for blank in blanks])
    console.print("\n[bold]transformers fills blanks[/] whose sentences were held out")
    for kind, meaning in KINDS.items():
        chosen = [(blank, answer) for blank, answer in zip(blanks, filled, strict=True) if blank.kind == kind]
        console.print(f"  {score(*zip(*chosen, strict=True))}  ({meaning})", markup=False)
    for blank, answer in list(zip(blanks, filled, strict=True))[:SHOWN]:
        right = "" if answer == blank.answer else f"  ({blank.answer})"
        console.print(
            f"  {blank.text}  ->  {blank.text.replace('<extra_id_0>', f'[{answer}]')}{right}", markup=False
        )
    console.print(f"\nThe model is in {exported}, the run in {run}.", markup=False)
    page = run / "index.html"
    if page.is_file():
        console.print(f"The run's page: {page}", markup=False)


def read_losses(metrics: Path, key: str) -> list[tuple[int, float]]:
    """(step, value) of every line of metrics.jsonl with a number under a key that is `key`, or begins with it where
    it ends in /; null stands for what was no number."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    return [
        (row["step"], value)
        for row in rows
        for name, value in row.items()
        if (name == key or (key.endswith("/") and name.startswith(key))) and value is not None
    ]


def curve(losses: Sequence[tuple[int, float]], lines: int = 12) -> str:
    """A bar per line, at most `lines` of them, evenly over the run; first and last are always there."""
    count = min(lines, len(losses))
    picked = [losses[index * (len(losses) - 1) // max(1, count - 1)] for index in range(count)]
    top = max((loss for _, loss in losses), default=1.0)
    return "\n".join(
        f"  step {step:>6}  {loss:7.3f}  {'█' * round(WIDTH * loss / top)}" for step, loss in picked
    )


def score(blanks: Sequence[Blank], filled: Sequence[str]) -> str:
    """How many answers are exactly right, beside always giving the relation's most frequent one."""
    right = sum(blank.answer == answer for blank, answer in zip(blanks, filled, strict=True))
    baseline = sum(blank.answer == blank.most_frequent for blank in blanks)
    return f"{right} of {len(blanks)} exactly right; the most frequent answer of each relation: {baseline}"


def fill(folder: Path, texts: Sequence[str]) -> list[str]:
    """What the exported T5 puts in the place of <extra_id_0>, greedily, with nothing but transformers."""
    from transformers import AutoTokenizer, T5ForConditionalGeneration
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # transformers 5 warns about every T5 v1.1 whose LM head is its own
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = T5ForConditionalGeneration.from_pretrained(folder).eval()
    inputs = tokenizer(list(texts), return_tensors="pt", padding=True)
    decoded = model.generate(**inputs, max_new_tokens=16, do_sample=False)
    return [_answer(str(text)) for text in tokenizer.batch_decode(decoded)]


def _answer(decoded: str) -> str:
    """The first span of a target."""
    span = decoded.split("<extra_id_0>")[-1].split("<extra_id_1>")[0].split("</s>")[0]
    return span.replace("<pad>", "").strip()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
