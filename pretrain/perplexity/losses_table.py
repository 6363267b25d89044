"""The result of `taixue eval` on a terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table


def show(facts: dict[str, Any]) -> None:
    """What was measured, then a row for each source and loss."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(facts["model"])
    console.print(f"{facts['objective']}, windows of {facts['raw_length']} tokens, {facts['precision']}")
    table = Table(caption="loss: nats per prediction; perplexity: exp(loss)", caption_justify="left")
    for heading in ("source", "part", "windows", "objective", "predictions", "loss", "perplexity"):
        table.add_column(heading, justify="left" if heading in ("source", "objective") else "right")
    for source, found in facts["sources"].items():
        place = (source, f"{100 * found['part']:.1f} %", f"{found['windows']:,}")
        for name, numbers in found["losses"].items():
            measured = (f"{numbers['loss']:.4f}", f"{numbers['perplexity']:,.2f}")
            table.add_row(*place, name, f"{numbers['predictions']:,}", *measured)
            place = ("", "", "")
    for source, tokens in facts["without_a_window"].items():
        table.add_row(source, "", "0", f"holds out {tokens:,} tokens only")
    console.print(table)
    console.print(f"eval_loss {facts['eval_loss']:.4f}: the mean by part")
