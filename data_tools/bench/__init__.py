"""`taixue bench corpus`: MB of UTF-8 per CPU-second of corpus work, ours and that of others, on one file in one run.

    documents.py   the file: the user's own, or made of sentences of the user's texts, with planted copies
    steps.py       every step of ours by itself, beside libraries that do the same in this process
    libraries.py   those libraries
    builds.py       whole `taixue corpus build` runs, in processes of their own
    where.py       in which of our modules the time of a build goes
    recall.py      which planted copies the deduplication finds
    peers/         what others have for the same work, each in a process, where it is installed
    table.py       the results for people and for programs

A speed is a ratio measured in one run. CPU-seconds are user and system time of a process and all its children.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from taixue.base import UserError

from .. import native, read
from ..tokenizer.config import TokenizerTrainConfig
from ..tokenizer.store import load_tokenizer, train
from . import builds, peers, recall, steps
from .made_documents import File, from_file, recombine
from .table import Results

SAMPLE = Path(__file__).parents[1] / "sample/*.jsonl"
_MOST_TEXTS = 1_000_000


def bench(
    inputs: Sequence[str] = (),
    megabytes: float | None = None,
    tokenizer: Path | None = None,
    text_field: str = "text",
    rounds: int = 3,
    chosen: Sequence[str] | None = None,
    peer_pythons: Sequence[str] = (),
    folder: Path | None = None,
    json: Path | None = None,
) -> Results:
    """Measure everything; progress goes to stderr.

    inputs: one plain .jsonl file is used as it is, unless megabytes says how much to make of it; anything else
    (default: the sample text) is recombined to megabytes (default 8). tokenizer: a T5 folder (default: one learned from
    the sample text). chosen: names of peers (default: all). peer_pythons: interpreters to look for peers in, after this
    one. folder: keeps the file, corpora and logs; new or empty (default: a temporary one). json: file to write.

    UserError when the inputs hold no text, the tokenizer has no spiece.model, a number is not positive, the folder
    is not empty, or a build of ours fails.
    """
    if rounds < 1 or (megabytes is not None and megabytes <= 0):
        size = 8 if megabytes is None else megabytes
        raise UserError(f"megabytes: {size:g}, rounds: {rounds}; more than 0 and at least 1 are needed")
    if tokenizer and not (tokenizer / "spiece.model").is_file():
        raise UserError(f"{tokenizer}: no spiece.model; the native encoder is for such tokenizers only")
    if folder and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"folder {folder}: not empty; a build would find there what an earlier one made")
    wanted = [peer for peer in peers.PEERS if chosen is None or peer.name in chosen]
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taixue-bench-")))
        place.mkdir(parents=True, exist_ok=True)
        say("the file")
        file = _file(inputs, megabytes, text_field, place)
        tokenizer = tokenizer or _tokenizer(place / "tokenizer")
        results = Results(file.facts(), _machine())
        results.rows += steps.rows(file, tokenizer, rounds, say)
        built = builds.Builds(file, tokenizer, place / "build", say)
        results.rows += built.rows()
        results.where = built.where()
        if file.planted:
            say("recall of planted copies")
            results.recall = recall.recall(file, load_tokenizer(str(tokenizer)), built.deduplicated())
        results.rows += peers.rows(wanted, file, tokenizer, place / "peers", peer_pythons, say)
    if json:
        results.write(json)
    return results


def say(text: str) -> None:
    """Where the run is."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _file(inputs: Sequence[str], megabytes: float | None, text_field: str, folder: Path) -> File:
    paths = read.find_files(inputs or [str(SAMPLE)])
    if inputs and len(paths) == 1 and paths[0].suffix == ".jsonl" and megabytes is None:
        file = from_file(paths[0], text_field)
        if file.documents:
            return file
    sources: list[list[str]] = []
    for path in paths:
        texts = read.documents(read.whole(path), text_field, lambda rejected: None)
        sources.append(list(islice(texts, _MOST_TEXTS - sum(map(len, sources)))))
    if not any(sources):
        raise UserError(f"inputs {', '.join(inputs)}: 0 documents; at least 1 is needed")
    return recombine(sources, megabytes or 8.0, folder / "documents.jsonl")


def _tokenizer(folder: Path) -> Path:
    """As `make demo` learns it: small, but from text that is always there."""
    say("a vocabulary from the sample text")
    settings = {"vocab_size": 3200, "character_coverage": 0.9999, "threads": 2}
    if not (folder / "spiece.model").is_file():
        train(TokenizerTrainConfig(kind="t5", inputs=(str(SAMPLE),), output=str(folder), **settings))
    return folder


def _machine() -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{native.status()}; {os.cpu_count()} cores, load {load}"
