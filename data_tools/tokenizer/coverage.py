"""What a vocabulary is made of and how well it covers a text."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from ..native.plain import characters as c
from .base import Tokenizer

_EXAMPLES = 30
_MARKS = ("▁", "##")
_CLASSES = {
    c.HANZI: "hanzi",
    c.LATIN: "latin",
    c.DIGIT: "digits",
    c.KANA: "kana and hangul",
    c.HANGUL: "kana and hangul",
    c.PUNCTUATION: "punctuation and symbols",
    c.SYMBOL: "punctuation and symbols",
}


def describe(tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, Any]:
    """Facts as JSON values.

    pieces: ordinary pieces by class and length in characters ("5" stands for 5 and more). sample: bytes, characters,
    tokens, bytes_per_token, characters_per_token, unknown (share of the tokens), unused (ordinary pieces that the
    texts never need). characters: distinct, without_token, covered (share of the text's characters that are not
    unknown), missing (the most frequent of the unknown, with their counts). frequent: the pieces of several characters
    that occur most.
    """
    ids = np.concatenate([np.zeros(0, np.int32), *tokenizer.encode(texts)])
    uses = np.bincount(ids, minlength=tokenizer.vocab_size)
    special = set(tokenizer.special_ids)
    ordinary = [number for number in range(tokenizer.vocab_size) if number not in special]
    pieces = dict(zip(ordinary, map(_bare, tokenizer.pieces(ordinary)), strict=True))
    by_class: dict[str, Counter[str]] = {}
    for piece in pieces.values():
        by_class.setdefault(_class(piece), Counter())[str(min(len(piece), 5))] += 1
    found = Counter(character for text in texts for character in text if not character.isspace())
    alone = tokenizer.encode(list(found))
    missing = {
        character: found[character]
        for character, row in zip(found, alone, strict=True)
        if tokenizer.unk_id in row
    }
    characters, size = sum(map(len, texts)), sum(len(text.encode()) for text in texts)
    longer = sorted((n for n in ordinary if len(pieces[n]) > 1), key=lambda n: (-uses[n], n))
    return {
        "pieces": {name: dict(sorted(lengths.items())) for name, lengths in sorted(by_class.items())},
        "sample": {
            "bytes": size,
            "characters": characters,
            "tokens": len(ids),
            "bytes_per_token": size / max(len(ids), 1),
            "characters_per_token": characters / max(len(ids), 1),
            "unknown": int(uses[tokenizer.unk_id]) / max(len(ids), 1),
            "unused": int((uses[ordinary] == 0).sum()),
        },
        "characters": {
            "distinct": len(found),
            "without_token": len(missing),
            "covered": 1 - sum(missing.values()) / max(found.total(), 1),
            "missing": dict(Counter(missing).most_common(_EXAMPLES)),
        },
        "frequent": {pieces[number]: int(uses[number]) for number in longer[:_EXAMPLES] if uses[number]},
    }


def table(facts: dict[str, Any]) -> Table:
    """Pieces by class and length, with what the sample says below."""
    lengths = ["1", "2", "3", "4", "5"]
    sample, characters = facts["sample"], facts["characters"]
    caption = (
        f"{sample['characters_per_token']:.2f} characters and {sample['bytes_per_token']:.2f} bytes per token; "
        f"{sample['unknown']:.3%} of the tokens unknown, {characters['covered']:.3%} of the characters covered, "
        f"{characters['without_token']:,} of {characters['distinct']:,} kinds are not: "
        f"{' '.join(list(characters['missing'])[:10]) or 'none'}; {sample['unused']:,} pieces never used"
    )
    made = Table(title="Pieces by characters", caption=caption, caption_justify="left", title_justify="left")
    made.add_column("class")
    for length in [*lengths[:-1], "5 and more", "all"]:
        made.add_column(length, justify="right")
    rows = facts["pieces"].items()
    total: Counter[str] = sum((Counter(counts) for _, counts in rows), Counter())
    for name, counts in sorted(rows, key=lambda row: -sum(row[1].values())):
        made.add_row(name, *_cells(counts, lengths))
    made.add_section()
    made.add_row("all", *_cells(total, lengths))
    return made


def _cells(counts: dict[str, int], lengths: Iterable[str]) -> list[str]:
    return [f"{counts.get(length, 0):,}" for length in lengths] + [f"{sum(counts.values()):,}"]


def _bare(piece: str) -> str:
    """The piece without the mark of a word's start or inside; a mark alone stays."""
    for mark in _MARKS:
        if len(piece) > len(mark):
            piece = piece.removeprefix(mark)
    return piece


def _class(piece: str) -> str:
    table = c.classes()
    names = {_CLASSES.get(int(table[ord(character)]) & 15, "other") for character in piece}
    return names.pop() if len(names) == 1 else "mixed"
