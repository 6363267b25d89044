"""A folder with another vocabulary, written whole or not at all."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from taixue.base import UserError, files

from .. import read
from . import weights
from .base import Tokenizer
from .pieces import Change, described, extended, trimmed
from .store import DESCRIPTION, QUARANTINE, load_tokenizer, quarantined, say_unread

_BATCH = 1000
CHANGE_FILE = "vocabulary_change.json"


def extend(folder: str | Path, words: Sequence[str], output: str | Path, multiple: int = 128) -> Change:
    """Write output: folder with words added to its vocabulary; return what was changed.

    The embeddings get a multiple of so many rows. UserError when folder cannot be changed, no word is new, or output
    exists.
    """
    source = Path(folder)
    tokenizer = load_tokenizer(source)
    change = extended(source, tokenizer, words)
    if not change.added:
        why = "; ".join(f"{word}: {reason}" for word, reason in list(change.skipped.items())[:3])
        raise UserError(f"{source}: none of the {len(words)} words is new ({why or 'the list is empty'})")
    _write(source, Path(output), tokenizer, change, multiple)
    return change


def trim(
    folder: str | Path,
    inputs: Sequence[str],
    output: str | Path,
    least: int = 1,
    text_field: str = "text",
    multiple: int = 128,
) -> Change:
    """Write output: folder without the pieces that occur less than `least` times in the documents of inputs.

    What of the inputs was no document is listed in its quarantine.jsonl. UserError when folder cannot be changed, the
    inputs hold no document, or output exists.
    """
    source = Path(folder)
    tokenizer = load_tokenizer(source)
    rejected: list[read.Rejected] = []
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    batch: list[str] = []

    def count() -> None:
        for ids in tokenizer.encode(batch):
            np.add.at(counts, ids, 1)
        batch.clear()

    found = read.find(inputs)
    for path in found.files:
        for text in read.documents(read.whole(path), text_field, rejected.append):
            batch.append(text)
            if len(batch) == _BATCH:
                count()
    count()
    if not counts.any():
        raise UserError(f"inputs {', '.join(inputs)}: 0 documents; at least 1 is needed")
    change = trimmed(source, tokenizer, counts, least)
    change.files.update(quarantined(rejected, found))
    _write(source, Path(output), tokenizer, change, multiple)
    say_unread(rejected, found, Path(output))
    return change


def _write(source: Path, output: Path, tokenizer: Tokenizer, change: Change, multiple: int) -> None:
    if output.exists() and any(output.iterdir()):
        raise UserError(f"{output}: exists and is not empty; choose another output")
    config_path = source / "config.json"
    config: dict[str, Any] = orjson.loads(config_path.read_bytes()) if config_path.is_file() else {}
    rows = int(config.get("vocab_size", tokenizer.vocab_size))
    if rows < tokenizer.vocab_size:
        raise UserError(
            f"{source}: the tokenizer has {tokenizer.vocab_size:,} ids, config.json's vocab_size is {rows:,}; "
            "it must be at least as large"
        )
    if (source / "pytorch_model.bin").is_file() and not any(source.glob("*.safetensors")):
        raise UserError(
            f"{source}: weights as pytorch_model.bin; with transformers, load the model there and save it again "
            "(from_pretrained, save_pretrained), which makes safetensors of them"
        )
    padded = -(-len(change.origin) // multiple) * multiple
    # Rows without a token: the old ones as long as there are any, so that a copy stays a copy.
    spare = [[k] for k in range(tokenizer.vocab_size, rows)][: padded - len(change.origin)]
    origin = [*change.origin, *spare]
    origin += [[] for _ in range(padded - len(origin))]
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = files.temporary_name(output)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    changed: list[str] | None = None
    try:
        for path in sorted(source.iterdir()):
            if path.suffix == ".safetensors":
                changed = (changed or []) + weights.rewrite(path, temporary / path.name, rows, origin)
            elif path.is_file() and path.name not in (
                *change.files,
                DESCRIPTION,
                QUARANTINE,
                "added_tokens.json",
            ):
                shutil.copyfile(path, temporary / path.name)
        if changed == []:
            raise UserError(
                f"{source}: no tensor of {rows:,} rows in its weights; config.json says vocab_size {rows:,}"
            )
        for name, content in change.files.items():
            files.write(temporary / name, content)
        if config:
            files.write(temporary / "config.json", files.readable_json(config | {"vocab_size": padded}))
        made = load_tokenizer(temporary)
        if made.vocab_size != len(change.origin):
            raise RuntimeError(f"{made.vocab_size} ids made, {len(change.origin)} rows")
        files.write(temporary / CHANGE_FILE, described(change, tokenizer.vocab_size, made.vocab_size))
        if (source / DESCRIPTION).is_file():
            files.write(temporary / DESCRIPTION, files.readable_json(_description(source, made)))
        if output.is_dir():
            output.rmdir()
        files.publish(temporary, output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _description(source: Path, made: Tokenizer) -> dict[str, Any]:
    """taixue_tokenizer.json of the new tokenizer."""
    description: dict[str, Any] = orjson.loads((source / DESCRIPTION).read_bytes())
    ids = {"pad": made.pad_id, "eos": made.eos_id, "unk": made.unk_id}
    ids |= {"mask": made.mask_id, "cls": made.cls_id, "sep": made.sep_id}
    moved: dict[str, Any] = {name: number for name, number in ids.items() if name in description}
    if "sentinels" in description:
        moved["sentinels"] = list(made.sentinel_ids)
    if "padded_vocab_size" in description:
        moved["padded_vocab_size"] = -(-made.vocab_size // 128) * 128
    return description | moved | {"sha256": made.sha256, "vocab_size": made.vocab_size, "stamp": ""}
