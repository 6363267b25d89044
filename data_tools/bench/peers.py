"""What others have for the same work: each peer's own chain, run by a small script (chains/) in a process of its own.

A script is started as `python SCRIPT INPUT FOLDER TOKENIZER TEXT_FIELD`, imports nothing of ours, and prints one line
of JSON at the end: {"version", "documents", "kept", "stages": {name: CPU-seconds}}. So a peer may live in another
Python environment, with versions of things that ours does not have.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from taixue.base import UserError

from . import processes
from .made_documents import File
from .table import Row

GROUP = "peers, each with its own chain"
_START_UP_MB = 0.2
_LIMIT = 1800  # seconds


@dataclass(frozen=True)
class Peer:
    """modules: what must be importable. megabytes: how much of the file it gets; slow ones get its beginning."""

    name: str
    modules: tuple[str, ...]
    install: str
    megabytes: float
    does: str

    @property
    def script(self) -> Path:
        return Path(__file__).parent / f"chains/{self.name.replace('-', '_')}_chain.py"


PEERS = (
    Peer("sentencepiece", ("sentencepiece",), "sentencepiece", 1000, "json, ids, .bin"),
    Peer(
        "megatron",
        ("megatron.core", "torch", "sentencepiece"),
        "megatron-core sentencepiece torch",
        1000,
        "json, SentencePiece, IndexedDatasetBuilder",
    ),
    Peer(
        "datatrove",
        ("datatrove", "spacy", "jieba", "tokenizers", "orjson", "nltk"),
        "'datatrove[processing,io]' spacy jieba tokenizers nltk",
        4,
        "Gopher, C4, MinHash, tokens",
    ),
    Peer(
        "data-juicer",
        ("data_juicer",),
        "py-data-juicer aiohttp",
        10,
        "8 Chinese operators, MinHash; no tokens",
    ),
    Peer("rjieba", ("rjieba",), "rjieba", 16, "words, parts of speech"),
    Peer("jieba", ("jieba",), "jieba", 2, "words"),
)
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": "",  # ours is none of theirs
    "PYTHONWARNINGS": "ignore",
}


def rows(
    chosen: Sequence[Peer],
    file: File,
    tokenizer: Path,
    folder: Path,
    pythons: Sequence[str],
    say: Callable[[str], None],
) -> list[Row]:
    """One row for each peer, and one for each stage that it tells; a peer that is missing or fails is said to be."""
    folder.mkdir(parents=True, exist_ok=True)
    out: list[Row] = []
    for peer in chosen:
        python = _interpreter(peer, [sys.executable, *pythons])
        if python is None:
            out.append(Row(GROUP, peer.name, note=f"not installed: pip install {peer.install}"))
            continue
        say(f"{peer.name}, at most {peer.megabytes:g} MB")
        try:
            out += _measured(peer, python, file, tokenizer, folder / peer.name)
        except UserError as error:
            out.append(Row(GROUP, peer.name, note=f"failed: {error}"))
    return out


def _measured(peer: Peer, python: str, file: File, tokenizer: Path, folder: Path) -> list[Row]:
    folder.mkdir(parents=True, exist_ok=True)
    small, _ = file.part(_START_UP_MB, folder / "small.jsonl")
    part, megabytes = file.part(peer.megabytes, folder / "part.jsonl")
    start_up, _ = _run(peer, python, small, folder / "small", tokenizer, file.text_field)
    used, told = _run(peer, python, part, folder / "whole", tokenizer, file.text_field)
    short = "" if part == file.path else f", first {megabytes:.0f} MB"
    note = f"{told['version']}: {peer.does}{short}"
    if told["kept"] != told["documents"]:
        note += f"; keeps {told['kept']:,} of {told['documents']:,}"
    # The start-up run did a little work, too.
    first = min(start_up.seconds, 0.9 * used.seconds)
    whole = Row(GROUP, peer.name, megabytes, used.seconds, first, used.peak_mb, note)
    stages = told["stages"] if len(told["stages"]) > 1 else {}
    return [whole, *(Row(GROUP, f"  {name}", megabytes, seconds) for name, seconds in stages.items())]


def _run(
    peer: Peer, python: str, part: Path, folder: Path, tokenizer: Path, text_field: str
) -> tuple[processes.Used, dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    log = folder.with_suffix(".log")
    words = [
        python,
        str(peer.script),
        *map(str, (part.resolve(), folder.resolve(), tokenizer.resolve())),
        text_field,
    ]
    caches = {"HF_HOME": str(folder / "hf"), "DATA_JUICER_CACHE_HOME": str(folder / "cache")}
    used = processes.run(words, log, _ENVIRONMENT | caches, _LIMIT)
    told: dict[str, Any] = orjson.loads(log.read_bytes().strip().splitlines()[-1])
    return used, told


def _interpreter(peer: Peer, pythons: Sequence[str]) -> str | None:
    """The first that has all modules. UserError for one that does not start."""
    check = (
        "import sys; from importlib.util import find_spec as f; sys.exit(not all(f(m) for m in sys.argv[1:]))"
    )
    for python in pythons:
        words = [python, "-c", check, *(module.split(".")[0] for module in peer.modules)]
        try:
            if subprocess.run(words, capture_output=True, timeout=60).returncode == 0:
                return python
        except OSError as error:
            raise UserError(f"peer-python {python!r} does not start: {error.strerror}") from None
    return None
