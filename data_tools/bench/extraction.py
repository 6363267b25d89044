"""Main text of pages: what extractors find of it, and how fast. `python -m taixue.data_tools.bench.extraction`

Precision and recall over bags of four characters in a row, white space left out; means over the pages of made_pages.
"""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

from rich.console import Console
from rich.table import Table

from ..read import pages as ours
from .made_pages import Page, pages

_LEAST_SECONDS = 2.0
_GRAM = 4


def extractors() -> dict[str, Callable[[str], str]]:
    """By name; those that are installed."""
    out: dict[str, Callable[[str], str]] = {
        "main text of read/pages.py": ours.main_text,
        "all text": ours.all_text,
    }
    try:
        import trafilatura
    except ImportError:
        return out
    name = f"trafilatura {version('trafilatura')}"
    usual = partial(trafilatura.extract, include_comments=False)
    out[name] = lambda page: usual(page) or ""
    out[f"{name}, favor_recall"] = lambda page: usual(page, favor_recall=True) or ""
    out[f"{name}, fast"] = lambda page: usual(page, fast=True) or ""
    return out


def scores(found: str, wanted: str) -> tuple[float, float]:
    """(precision, recall)."""
    one, two = (_grams("".join(text.split())) for text in (found, wanted))
    common = sum((one & two).values())
    return common / max(sum(one.values()), 1), common / max(sum(two.values()), 1)


def _grams(text: str) -> Counter[str]:
    return Counter(text[k : k + _GRAM] for k in range(len(text) - _GRAM + 1))


def _speed(extract: Callable[[str], str], made: list[Page]) -> float:
    """MB of page per CPU-second."""
    decoded = [page.content.decode(page.encoding) for page in made]
    size = sum(len(text.encode()) for text in decoded)
    rounds, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < _LEAST_SECONDS:
        for text in decoded:
            extract(text)
        rounds += 1
    return rounds * size / spent / 1e6


def main() -> None:
    console = Console(width=160)
    made = pages()
    table = Table("extractor", "precision", "recall", "F1", "MB/s per core", title=f"{len(made)} pages")
    by_page = Table("page", *extractors())
    cells: dict[str, list[str]] = {page.name: [] for page in made}
    for name, extract in extractors().items():
        found = [scores(extract(page.content.decode(page.encoding)), page.wanted) for page in made]
        for page, (precision, recall) in zip(made, found, strict=True):
            cells[page.name].append(f"{precision:.2f} {recall:.2f}")
        precision, recall = (sum(values) / len(found) for values in zip(*found, strict=True))
        f1 = sum(2 * p * r / (p + r) if p + r else 0.0 for p, r in found) / len(found)
        table.add_row(name, f"{precision:.3f}", f"{recall:.3f}", f"{f1:.3f}", f"{_speed(extract, made):.2f}")
    for name, row in cells.items():
        by_page.add_row(name, *row)
    console.print(by_page)
    console.print(table)


if __name__ == "__main__":
    main()
