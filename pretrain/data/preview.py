"""`taixue data preview`: samples as the model will see them, decoded and coloured."""

from collections.abc import Iterable

import numpy as np
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from taixue.data_tools.tokenizer.store import Tokenizer, load_tokenizer

from ..config.schema import RunConfig
from ..objectives import build_objective
from ..objectives.base import IGNORED
from .dataset import open_data

_COLOURS = ("cyan", "magenta", "yellow", "green", "bright_blue", "bright_red")
_END = "dim"
_CHANGED, _KEPT = "bold black on yellow", "bold black on green"


def preview(run: RunConfig, samples: int) -> None:
    """Print the first `samples` samples of a run and what it reads. UserError as open_data."""
    console = Console()
    tokenizer = load_tokenizer(run.data.tokenizer)
    objective = build_objective(run.objective, tokenizer)
    data = open_data(run, tokenizer, objective)
    for source in data.sources:
        share = source.weight / sum(other.weight for other in data.sources)
        console.print(
            f"{source.name}: {len(source.train):,} windows of {objective.raw_length} tokens, {share:.1%} of the "
            f"samples, {len(source.held_out):,} held out",
            soft_wrap=True,
        )
    batch = data.batch(range(samples))
    for sample, index in enumerate(data.sources_of(range(samples))):
        row = {name: values[sample] for name, values in batch.items()}
        title = f"sample {sample} from {data.source_names[index]}"
        console.print(Panel(shown(row, tokenizer), title=title, title_align="left"))


def shown(row: dict[str, np.ndarray], tokenizer: Tokenizer) -> Group:
    """The arrays of one sample, for people."""
    return _spans(row, tokenizer) if tokenizer.kind == "t5" else _masks(row, tokenizer)


def _spans(row: dict[str, np.ndarray], tokenizer: Tokenizer) -> Group:
    """Input with coloured sentinels, target with every span in its sentinel's colour."""
    colour = {number: _COLOURS[k % len(_COLOURS)] for k, number in enumerate(tokenizer.sentinel_ids)}
    source, target = Text(), Text()
    for number, piece in _pieces(row["input_ids"], tokenizer):
        style = f"bold {colour[number]}" if number in colour else _END if number == tokenizer.eos_id else ""
        source.append(f" {piece} " if number in colour else piece, style)
    style = ""
    for number, piece in _pieces(row["labels"], tokenizer):
        if number in colour:
            style = colour[number]
            target.append(f" {piece} ", f"bold {style}")
        else:
            target.append(piece, _END if number == tokenizer.eos_id else style)
    return Group(
        Text(f"input, {len(row['input_ids'])} tokens", "bold"),
        source,
        Text(f"\ntarget, {len(row['labels'])} tokens", "bold"),
        target,
    )


def _masks(row: dict[str, np.ndarray], tokenizer: Tokenizer) -> Group:
    """Input with every predicted position highlighted, and what belongs there behind it."""
    shown = Text()
    truth = tokenizer.pieces(np.maximum(row["labels"], 0))
    for place, (number, piece) in enumerate(_pieces(row["input_ids"], tokenizer)):
        label = int(row["labels"][place])
        if label == IGNORED:
            special = number in (tokenizer.cls_id, tokenizer.sep_id)
            shown.append(f" {piece} " if special else piece, "bold cyan" if special else "")
        elif label == number:
            shown.append(piece, _KEPT)
        else:
            shown.append(piece, _CHANGED)
            shown.append(truth[place], "bold green")
    predicted = int((row["labels"] != IGNORED).sum())
    heading = f"input, {len(row['input_ids'])} tokens, {predicted} to predict"
    if "sop_labels" in row:
        heading += f", segments {'swapped' if row['sop_labels'] else 'in order'}"
    legend = Text.assemble(("changed", _CHANGED), ("truth", "bold green"), "  ", ("kept", _KEPT))
    return Group(Text(heading, "bold"), shown, legend)


def _pieces(ids: Iterable[int], tokenizer: Tokenizer) -> list[tuple[int, str]]:
    """(id, what to print) with SentencePiece's space mark as a space."""
    numbers = [int(number) for number in ids]
    return [
        (number, piece.replace("▁", " "))
        for number, piece in zip(numbers, tokenizer.pieces(numbers), strict=True)
    ]
