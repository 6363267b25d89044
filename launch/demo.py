"""The end of `make demo`: the curve of a finished run, and its exported model at work in stock transformers.

python -m taixue.launch.demo RUN_FOLDER HF_FOLDER
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

BLANKS = ("中国的首都是<extra_id_0>。", "今天天气很<extra_id_0>，我们一起去公园散步。")
WIDTH = 50


def main(run: Path, exported: Path) -> None:
    """Print both."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print("[bold]Training loss[/] (nats per target token)")
    console.print(curve(read_losses(run / "metrics.jsonl")), markup=False)
    console.print("\n[bold]transformers fills the blank[/] (a few minutes of training teach form, not facts)")
    for blank, filled in zip(BLANKS, fill(exported, BLANKS), strict=True):
        console.print(f"  {blank}  ->  {filled}", markup=False)
    console.print(f"\nThe model is in {exported}, the run in {run}.", markup=False)


def read_losses(metrics: Path) -> list[tuple[int, float]]:
    """(step, loss) of every training line of metrics.jsonl; null stands for one that was no number."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    return [(row["step"], row["loss"]) for row in rows if row.get("loss") is not None]


def curve(losses: Sequence[tuple[int, float]], lines: int = 12) -> str:
    """A bar per line, at most `lines` of them, evenly over the run; first and last are always there."""
    count = min(lines, len(losses))
    picked = [losses[index * (len(losses) - 1) // max(1, count - 1)] for index in range(count)]
    top = max((loss for _, loss in losses), default=1.0)
    return "\n".join(
        f"  step {step:>6}  {loss:7.3f}  {'█' * round(WIDTH * loss / top)}" for step, loss in picked
    )


def fill(folder: Path, texts: Sequence[str]) -> list[str]:
    """What the exported T5 puts in the place of <extra_id_0>: its best beam that is not empty, with nothing but
    transformers."""
    from transformers import AutoTokenizer, T5ForConditionalGeneration
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # transformers 5 warns about every T5 v1.1 whose LM head is its own
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = T5ForConditionalGeneration.from_pretrained(folder).eval()
    filled = []
    for text in texts:
        beams = model.generate(
            **tokenizer(text, return_tensors="pt"),
            max_new_tokens=16,
            num_beams=8,
            num_return_sequences=8,
            no_repeat_ngram_size=1,
        )
        answers = [_answer(str(tokenizer.decode(beam))) for beam in beams]
        best = next(filter(None, answers), "")
        filled.append(text.replace("<extra_id_0>", f"[{best}]"))
    return filled


def _answer(decoded: str) -> str:
    """The first span of a target."""
    span = decoded.split("<extra_id_0>")[-1].split("<extra_id_1>")[0]
    return span.replace("<pad>", "").replace("</s>", "").strip()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
