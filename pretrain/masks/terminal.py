"""The report of `taixue masks` on a terminal."""

from typing import Any

import numpy as np
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from taixue.data_tools.tokenizer.base import Tokenizer

from ..data import TrainingData
from ..data.preview import shown

ROWS = (
    ("mask_rate", "tokens masked"),
    ("mean_span", "mean span"),
    ("entities_in_one_span", "entities in one span, of those touched"),
    ("entities_masked_whole", "entities masked whole, of all"),
    ("connectives_masked", "connectives masked, of all"),
    ("idioms_in_one_span", "idioms in one span, of those touched"),
    ("words_cut", "words cut, of those touched"),
)


def show(
    facts: dict[str, Any], batch: dict[str, np.ndarray], data: TrainingData, tokenizer: Tokenizer
) -> None:
    """Samples of a batch as the model sees them, then the numbers."""
    console = Console()
    samples = len(next(iter(batch.values())))
    for sample, index in enumerate(data.sources_of(range(samples)).tolist()):
        row = {name: values[sample] for name, values in batch.items()}
        title = f"sample {sample} from {data.source_names[index]}"
        console.print(Panel(shown(row, tokenizer), title=title, title_align="left"))
    maskers = facts["maskers"]
    counted = maskers["this run"]
    table = Table(title=f"{counted['windows']:,} windows, {counted['tokens']:,} tokens", title_justify="left")
    table.add_column("")
    for name in maskers:
        table.add_column(name, justify="right")
    for key, label in ROWS:
        if key in counted:
            table.add_row(label, *(_number(key, found[key]) for found in maskers.values()))
    for name in counted.get("masked_of_type", ()):
        shares = (found["masked_of_type"][name] for found in maskers.values())
        table.add_row(
            f"P(masked | token of {_article(name)})".replace("a word", "another word"),
            *(f"{share:.1%}" for share in shares),
        )
    console.print(table)
    packing = facts["packing"]
    console.print(
        f"windows with random spans instead of units: {counted['windows_with_random_spans_instead']:,}; positions "
        f"filled: {packing['filled']:.1%} (one document a window: {packing['one_document_a_window']:.1%})"
    )
    if not facts["annotated"]:
        console.print("the corpus has no annotation: nothing is known of words and entities")


def _number(key: str, value: float) -> str:
    return f"{value:.2f}" if key == "mean_span" else f"{value:.1%}"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aei' else 'a'} {name}"
