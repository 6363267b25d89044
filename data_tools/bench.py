"""`taixue bench corpus`: megabytes of UTF-8 per CPU-second of every native step, beside libraries that do the same.

A speed is a ratio measured in one run: each step and its rival take turns on the same documents, best and median of
several rounds are kept, and the load of the machine is said.
"""

import os
import random
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from taixue import UserError

from . import native, read

SAMPLE = Path(__file__).parent / "sample"
_BATCH = 1000
_MOST_TEXTS = 100_000
Step = Callable[[list[str]], Any]


@dataclass(frozen=True)
class Speed:
    """Of one step, in MB of UTF-8 per CPU-second."""

    step: str
    best: float
    middle: float


def bench(
    inputs: Sequence[str] = (),
    tokenizer: Path | None = None,
    text_field: str = "text",
    megabytes: float = 8.0,
    rounds: int = 3,
) -> str:
    """The table for documents made of inputs (default: the sample text); tokenizer: a folder with spiece.model.

    UserError when the inputs hold no text, the tokenizer has no spiece.model, or a number is not positive.
    """
    if megabytes <= 0 or rounds < 1:
        raise UserError(f"megabytes: {megabytes:g}, rounds: {rounds}; more than 0 and at least 1 are needed")
    spiece_model = tokenizer / "spiece.model" if tokenizer else None
    if spiece_model and not spiece_model.is_file():
        raise UserError(f"{tokenizer}: no spiece.model; the native encoder is for such tokenizers only")
    texts: list[str] = []
    for path in read.find_files(inputs or [str(SAMPLE)]):
        texts += islice(
            read.documents(read.whole(path), text_field, lambda rejected: None), _MOST_TEXTS - len(texts)
        )
    if not any(texts):
        raise UserError(f"inputs {', '.join(inputs)}: 0 documents; at least 1 is needed")
    documents = recombine(texts, megabytes)
    return table(measure(documents, native_steps(spiece_model, frequent_words(documents)), rounds), documents)


def recombine(texts: Sequence[str], megabytes: float, seed: int = 1) -> list[str]:
    """Documents of 200 to 4,000 characters made of whole texts, in random order, again and again until it is enough."""
    choose = random.Random(seed)
    documents, size = [], 0.0
    while size < megabytes * 1e6:
        wanted, parts = choose.randint(200, 1600), list[str]()
        while sum(map(len, parts)) < wanted:
            parts.append(choose.choice(texts))
        documents.append("\n".join(parts))
        size += len(documents[-1].encode())
    return documents


def measure(documents: Sequence[str], steps: dict[str, Step], rounds: int = 3) -> list[Speed]:
    """Speeds of the steps, which take turns."""
    batches = [list(documents[begin : begin + _BATCH]) for begin in range(0, len(documents), _BATCH)]
    megabytes = sum(len(text.encode()) for text in documents) / 1e6
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            begin = time.process_time()
            for batch in batches:
                step(batch)
            seconds[name].append(time.process_time() - begin)
    return [Speed(name, megabytes / min(taken), megabytes / median(taken)) for name, taken in seconds.items()]


def native_steps(spiece_model: Path | None = None, words: Sequence[str] = ()) -> dict[str, Step]:
    """Every step of data_tools.native, and the rivals that are installed, by name."""
    html = native.NormalizeRules(html=True)
    steps: dict[str, Step] = {
        "normalize": native.normalize,
        "normalize, HTML too": lambda batch: native.normalize(batch, html),
        "  unicodedata NFKC": lambda batch: [unicodedata.normalize("NFKC", text) for text in batch],
        "text statistics": native.text_stats,
        "exact hash": native.exact_hash,
        "paragraph hashes": native.paragraph_hashes,
        "MinHash bands": native.minhash_bands,
        "personal data": native.mask_personal,
        "sentences, clauses": native.segment,
    }
    if words:
        matcher = native.KeywordMatcher(words)
        steps["keywords, all"] = matcher.find_all
        steps["keywords, longest"] = matcher.longest
    if spiece_model:
        content = spiece_model.read_bytes()
        unigram = native.Unigram(content)
        steps["unigram ids"] = lambda batch: unigram.encode(
            batch, 1, np.uint16 if unigram.size < 65_500 else np.int32
        )
        steps["  sentencepiece"] = _sentencepiece(content)
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


def table(speeds: Sequence[Speed], documents: Sequence[str]) -> str:
    """For people."""
    megabytes = sum(len(text.encode()) for text in documents) / 1e6
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    head = f"{len(documents):,} documents, {megabytes:.1f} MB; {native.status()}; {os.cpu_count()} cores, load {load}"
    rows = [f"{'MB/s per core':24}{'best':>8}{'median':>8}"]
    rows += [f"{speed.step:24}{speed.best:8.0f}{speed.middle:8.0f}" for speed in speeds]
    return "\n".join([head, *rows])


def _sentencepiece(content: bytes) -> Step:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    return lambda batch: processor.encode(batch, return_type="numpy", num_threads=1)
