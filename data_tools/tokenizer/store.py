"""Tokenizer folders: train one, load one.

A folder that Taixue wrote holds taixue_tokenizer.json (kind, digest, special ids) beside the files that
transformers.AutoTokenizer reads. Plain Hugging Face folders of T5 and BERT load as well.
"""

import hashlib
import heapq
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from taixue.base import UserError, files

from .. import read
from .base import SpecialIds, Tokenizer
from .config import TokenizerTrainConfig

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SpecialIds", "Tokenizer", "load_tokenizer", "train"]

DESCRIPTION = "taixue_tokenizer.json"
REPORT = "vocabulary.json"
QUARANTINE = "quarantine.jsonl"
_MOST_SENTINELS = 100_000
_PROBE = 5000  # documents of the sample that the report is about


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Load a tokenizer folder of Taixue, or a plain Hugging Face T5 or BERT folder.

    UserError when the folder is missing, holds no known tokenizer, or its files differ from its recorded digest.
    """
    from . import sentencepiece as tokenizer_sentencepiece
    from . import wordpiece as tokenizer_wordpiece

    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"tokenizer folder {str(folder)!r} does not exist (working folder {os.getcwd()})")
    description, settings = _json(folder / DESCRIPTION), _json(folder / "tokenizer_config.json")
    tokenizer: Tokenizer
    if (folder / tokenizer_sentencepiece.MODEL_FILE).is_file():
        extra = settings.get("extra_ids", 100)
        if type(extra) is not int or not 0 <= extra <= _MOST_SENTINELS:
            raise UserError(
                f"{folder / 'tokenizer_config.json'}: extra_ids is {extra!r:.40}; legal: 0 to {_MOST_SENTINELS:,}"
            )
        tokenizer = tokenizer_sentencepiece.load(folder, extra)
    elif (folder / tokenizer_wordpiece.VOCABULARY_FILE).is_file():
        tokenizer = tokenizer_wordpiece.load_bert(folder, settings)
    elif (folder / tokenizer_wordpiece.HUB_FILE).is_file():
        model = _json(folder / tokenizer_wordpiece.HUB_FILE).get("model")
        is_bert = isinstance(model, dict) and model.get("type") == "WordPiece"
        tokenizer = (
            tokenizer_wordpiece.load_bert(folder, settings)
            if is_bert
            else tokenizer_wordpiece.load_t5(folder)
        )
    else:
        raise UserError(f"{folder}: no tokenizer: none of spiece.model, vocab.txt, tokenizer.json is there")
    recorded = str(description.get("sha256", tokenizer.sha256))
    if recorded != tokenizer.sha256:
        raise UserError(
            f"{folder}: the tokenizer's files have changed since it was trained: digest "
            f"{tokenizer.sha256[:12]}, {DESCRIPTION} says {recorded[:12]}; restore the folder"
        )
    return tokenizer


def train(config: TokenizerTrainConfig) -> Path:
    """Learn a tokenizer and write its folder; return the folder. The same input gives the same bytes.

    vocabulary.json in the folder says what the vocabulary is made of and what it covers (coverage.py).
    A folder that was made from the same text and settings is kept. UserError when the folder holds something
    else, the inputs hold no document, or vocab_size does not fit the text.
    """
    from rich.console import Console

    from . import coverage as vocabulary_report
    from . import sentencepiece as tokenizer_sentencepiece
    from . import wordpiece as tokenizer_wordpiece

    console = Console()
    output = Path(config.output)
    if config.kind == "t5" and config.vocab_size <= config.sentinels + 3:
        raise UserError(
            f"vocab_size {config.vocab_size} counts the {config.sentinels} sentinels and 3 special tokens; "
            f"it must be larger than {config.sentinels + 3}"
        )
    sample = _Sample(config)
    stamp = sample.stamp()
    if output.is_dir() and any(output.iterdir()):
        if _json(output / DESCRIPTION).get("stamp") == stamp:
            console.print(f"{output}: up to date, made from the same text and settings")
            return output
        raise UserError(
            f"{output}: exists and was not made from this text and these settings; remove it or "
            "choose another output"
        )
    size = sum(len(text.encode()) for text in sample.texts)
    what = f"{config.kind} vocabulary of {config.vocab_size:,}"
    what += f" from {len(sample.texts):,} documents, {size / 1e6:.1f} MB"
    kind = tokenizer_sentencepiece if config.kind == "t5" else tokenizer_wordpiece
    with _learning(console, f"learning a {what}"):
        contents = kind.learn(sample.texts, config)
    contents |= quarantined(sample.rejected, sample.found)
    say_unread(sample.rejected, sample.found, output)
    tokenizer = _write(output, contents, config, stamp)
    facts = vocabulary_report.describe(tokenizer, sample.texts[:_PROBE])
    files.write(output / REPORT, files.readable_json(facts))
    console.print(
        f"{output}: {what}; a model's vocab_size must be at least {tokenizer.vocab_size:,}, or "
        f"{_padded(tokenizer.vocab_size):,} to be a multiple of 128",
        soft_wrap=True,
    )
    console.print(vocabulary_report.table(facts))
    return output


def quarantined(rejected: list[read.Rejected], found: read.Found) -> dict[str, bytes]:
    """The file that lists what of a vocabulary's inputs was not read, where there is such a thing."""
    lines = [*rejected, *(read.Rejected(path, 0, f"not read, {reason}") for path, reason in found.left)]
    return {QUARANTINE: b"".join(orjson.dumps(line) + b"\n" for line in lines)} if lines else {}


def say_unread(rejected: list[read.Rejected], found: read.Found, folder: Path) -> None:
    """The same in a line, with the reasons."""
    from rich.console import Console

    reasons = Counter(line.reason for line in rejected) + Counter(
        f"not read, {left.reason}" for left in found.left
    )
    if reasons:
        often = "; ".join(f"{count:,}: {reason}" for reason, count in reasons.most_common(3))
        Console(stderr=True).print(
            f"{len(rejected):,} lines were no documents, {len(found.left):,} files were not read ({often}): "
            f"{folder / QUARANTINE}",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


@contextmanager
def _learning(console: "Console", what: str) -> Iterator[None]:
    """A line with the time gone by while the library learns, which tells nothing itself; off a terminal, before and
    after."""
    from rich import progress

    began = time.monotonic()
    if not console.is_terminal:
        console.print(what, soft_wrap=True)
    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        bar.add_task(what, total=None)
        yield
    console.print(f"learned in {time.monotonic() - began:.0f} s")


class _Sample:
    """At most sample_bytes of the inputs' documents, drawn evenly by a keyed hash of their number, in input order."""

    def __init__(self, config: TokenizerTrainConfig) -> None:
        self._config = config
        self.rejected: list[read.Rejected] = []
        self.found = read.find(config.inputs)
        self.texts: list[str] = []
        # The documents with the smallest hashes, largest on top of the heap.
        heap: list[tuple[int, int, str]] = []
        size = 0
        for number, text in enumerate(self._documents()):
            size += len(text.encode())
            heapq.heappush(heap, (-self._rank(number), number, text))
            while len(heap) > 1 and size > config.sample_bytes:
                size -= len(heapq.heappop(heap)[2].encode())
        self.texts = [text for _, _, text in sorted(heap, key=lambda item: item[1])]
        if not self.texts:
            raise UserError(f"inputs {', '.join(config.inputs)}: 0 documents; at least 1 is needed")

    def stamp(self) -> str:
        """Digest of what the result depends on."""
        settings = self._config.model_dump(exclude={"output", "inputs"})
        digest = hashlib.sha256(files.canonical_json(settings))
        for text in self.texts:
            digest.update(hashlib.sha256(text.encode()).digest())
        return digest.hexdigest()

    def _rank(self, number: int) -> int:
        key = f"{self._config.seed}:{number}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")

    def _documents(self) -> Iterator[str]:
        from rich.progress import track

        for path in track(self.found.files, "reading", transient=True):
            yield from read.documents(read.whole(path), self._config.text_field, self.rejected.append)


def _write(output: Path, contents: dict[str, bytes], config: TokenizerTrainConfig, stamp: str) -> Tokenizer:
    """Write all files beside the output, load them once, and give the folder its name."""
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = files.temporary_name(output)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        for name, content in contents.items():
            files.write(temporary / name, content)
        tokenizer = load_tokenizer(temporary)
        files.write(temporary / DESCRIPTION, files.readable_json(_description(tokenizer, config, stamp)))
        files.publish(temporary, output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return tokenizer


def _description(tokenizer: Tokenizer, config: TokenizerTrainConfig, stamp: str) -> dict[str, Any]:
    names: dict[str, int | Sequence[int]] = {
        "pad": tokenizer.pad_id,
        "eos": tokenizer.eos_id,
        "unk": tokenizer.unk_id,
    }
    if tokenizer.kind == "bert":
        names |= {"mask": tokenizer.mask_id, "cls": tokenizer.cls_id, "sep": tokenizer.sep_id}
    return {
        "format": "taixue-tokenizer",
        "version": 1,
        "kind": tokenizer.kind,
        "sha256": tokenizer.sha256,
        "library": tokenizer.library,
        "vocab_size": tokenizer.vocab_size,
        "padded_vocab_size": _padded(tokenizer.vocab_size),
        **names,
        "sentinels": tokenizer.sentinel_ids,
        "settings": config.model_dump(exclude={"inputs", "output"}),
        "stamp": stamp,
    }


def _padded(vocab_size: int) -> int:
    return -(-vocab_size // 128) * 128


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; {} when the file is not there. UserError when it is damaged."""
    if not path.is_file():
        return {}
    try:
        value = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: a JSON object is expected, not {type(value).__name__}")
    return value
