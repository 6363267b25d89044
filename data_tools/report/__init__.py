"""`taixue corpus report`: what a corpus holds and what became of its inputs, as report.json and report.html."""

from pathlib import Path

from taixue.base import UserError, files

from .corpus_page import page
from .facts import gather

__all__ = ["report"]


def report(corpus: str | Path, output: str | Path | None = None, tokenizer: str = "") -> Path:
    """Write report.html and report.json into output (default: the corpus folder); return the page's path.

    tokenizer: its folder; with it, languages and characters per token are measured on a sample of the documents.
    UserError when the corpus is not finished or damaged, or output cannot be written.
    """
    folder = Path(corpus)
    target = Path(output) if output else folder
    facts = gather(folder, tokenizer)
    try:
        target.mkdir(parents=True, exist_ok=True)
        files.write(target / "report.json", files.readable_json(facts))
        files.write(target / "report.html", page(facts).encode())
    except OSError as error:
        raise UserError(f"report folder {str(target)!r} cannot be written: {error.strerror}") from None
    return target / "report.html"
