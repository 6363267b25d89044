"""Every step of ours by itself, each beside a library that does the same in this process; they take turns."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .. import native, read
from ..annotate import Annotator, words
from ..annotate.config import AnnotateConfig
from ..annotate.layered_text import Characters
from ..clean.cleaner import Cleaner
from ..clean.config import FilterConfig, NormalizeConfig
from ..tokenizer.store import load_tokenizer
from .libraries import RIVALS, Lists, Rival, Step
from .made_documents import File, size_of
from .table import Row

GROUP = "steps of ours (indented: a library)"
_BATCH = 1000
_MOST_MEGABYTES = 24.0  # more would take longer and say the same


def rows(file: File, tokenizer: Path, rounds: int, say: Callable[[str], None]) -> list[Row]:
    """The best of several rounds of every step, on the first megabytes of the file."""
    documents = file.first(_MOST_MEGABYTES)
    lists = Lists((tokenizer / "spiece.model").read_bytes(), frequent_words(documents))
    steps = native_steps(lists) | whole_steps(tokenizer)
    steps |= {rival.name: rival.make(lists) for rival in RIVALS if rival.is_installed}
    measured = {row.name: row for row in measure(documents, steps, rounds, say)}
    out = [_reading(file)]
    for name in [name for name in steps if not name.startswith(" ")]:
        out.append(measured[name])
        for rival in RIVALS:
            if rival.step == name:
                out.append(_beside(rival, measured.get(rival.name)))
    return out


def _beside(rival: Rival, row: Row | None) -> Row:
    if row is None:
        return Row(GROUP, rival.name, note=f"not installed: pip install {rival.install}")
    return replace(row, note=f"differs: {rival.differs}" if rival.differs else "the same result")


def measure(
    documents: Sequence[str],
    steps: dict[str, Step],
    rounds: int,
    say: Callable[[str], None] = lambda text: None,
) -> list[Row]:
    """A row of each step; a step gets batches of documents."""
    batches = [list(documents[begin : begin + _BATCH]) for begin in range(0, len(documents), _BATCH)]
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        say(f"steps, round {number + 1} of {rounds}")
        for name, step in steps.items():
            begin = time.process_time()
            for batch in batches:
                step(batch)
            seconds[name].append(time.process_time() - begin)
    megabytes = size_of(documents)
    return [Row(GROUP, name, megabytes, max(min(taken), 1e-9)) for name, taken in seconds.items()]


def _reading(file: File) -> Row:
    begin = time.process_time()
    for _ in read.documents(read.whole(file.path), file.text_field, lambda rejected: None):
        pass
    return Row(GROUP, "read", file.megabytes, time.process_time() - begin)


def native_steps(lists: Lists) -> dict[str, Step]:
    """The steps of data_tools.native, by name."""
    html = native.NormalizeRules(html=True)
    unigram, matcher = native.Unigram(lists.spiece_model), native.KeywordMatcher(lists.words)
    dtype = np.uint16 if unigram.size < 65_500 else np.int32
    return {
        "normalize": native.normalize,
        "normalize, HTML too": lambda batch: native.normalize(batch, html),
        "text statistics": native.text_stats,
        "exact hash": native.exact_hash,
        "paragraph hashes": native.paragraph_hashes,
        "MinHash bands": native.minhash_bands,
        "personal data": native.mask_personal,
        "sentences, clauses": native.segment,
        "keywords, all": matcher.find_all,
        "keywords, longest": matcher.longest,
        "unigram ids": lambda batch: unigram.encode(batch, 1, dtype),
    }


def whole_steps(tokenizer: Path) -> dict[str, Step]:
    """Cleaning and annotation as a build does them."""
    normalize = NormalizeConfig(html=True, mask=("email", "mobile", "landline", "id"))
    cleaner = Cleaner(normalize, FilterConfig(presets=("pangu-alpha",)))
    steps: dict[str, Step] = {"clean (normalize, mask, filter)": cleaner.clean}
    if find_spec("jieba"):
        loaded = load_tokenizer(str(tokenizer))
        annotator = Annotator(AnnotateConfig())
        words.words(Characters(["一"]))  # loads the dictionary

        def annotate(batch: list[str]) -> Any:
            _, lengths, starts = loaded.encode_with_starts(batch)
            return annotator.annotate(batch, lengths, starts)

        steps["words, parts of speech"] = lambda batch: words.words(Characters(batch))
        steps["tokenize and annotate"] = annotate
    return steps


def frequent_words(documents: Iterable[str], count: int = 20_000, seed: int = 1) -> list[str]:
    """Pieces of 2 to 4 characters that the documents hold: a lexicon that finds something."""
    choose = random.Random(seed)
    found: dict[str, None] = {}
    for text in documents:
        for begin, end in pairwise(sorted(choose.sample(range(len(text) + 1), min(12, len(text) + 1)))):
            if word := text[begin : min(end, begin + choose.randint(2, 4))].strip():
                found[word] = None
        if len(found) >= count:
            break
    return list(found)[:count]
