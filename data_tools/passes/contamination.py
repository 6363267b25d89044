"""Which documents share a long n-gram with an evaluation set (native.Ngrams says what a unit is)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from taixue.base import UserError

from .. import native, read
from ..config import DecontaminateConfig

_FEWCLUE_FIELDS = ("sentence", "sentence1", "sentence2", "content", "text", "abst")
_FEWCLUE_EXCLUDE = ("unlabeled",)
_READ_BATCH = 4096


class EvaluationSets:
    """The n-grams of evaluation files. UserError when a file cannot be used, or no text is long enough."""

    def __init__(self, config: DecontaminateConfig) -> None:
        fields = config.fields or (_FEWCLUE_FIELDS if config.preset == "fewclue" else ())
        exclude = config.exclude + (_FEWCLUE_EXCLUDE if config.preset == "fewclue" else ())
        paths = [
            path for path in read.find_files(config.inputs) if not any(part in path.name for part in exclude)
        ]
        self.files = [str(path) for path in paths]
        owned = (
            (texts, number) for number, path in enumerate(paths) for texts in _batches(_strings(path, fields))
        )
        self._ngrams = native.Ngrams(config.ngram, owned)
        if not self._ngrams:
            raise UserError(
                f"decontaminate: no text of {config.ngram} units in {', '.join(config.inputs)}; lower "
                "decontaminate.ngram or look at decontaminate.fields"
            )

    def find(self, texts: native.Texts) -> list[tuple[int, str, int, int]]:
        """Of each text that shares an n-gram, its number, the evaluation file, and the first character and the last + 1
        of the first shared part."""
        return [
            (text, self.files[owner], begin, end)
            for text, begin, end, owner in self._ngrams.find(texts).tolist()
        ]


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    waiting: list[str] = []
    for text in texts:
        waiting.append(text)
        if len(waiting) == _READ_BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _strings(path: Path, fields: tuple[str, ...]) -> Iterator[str]:
    """Every string of a .jsonl, .json or .txt file, or only those in these fields."""
    if read.is_whole(path) or path.suffix not in (".jsonl", ".json", ".txt"):
        raise UserError(f"{path}: decontaminate reads plain .jsonl, .json and .txt files")
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if path.suffix == ".txt":
        yield from content.decode("utf-8", "replace").splitlines()
        return
    try:
        yield from _walk(orjson.loads(content), fields, not fields)
    except orjson.JSONDecodeError:
        for number, line in enumerate(content.split(b"\n"), 1):
            try:
                if line.strip():
                    yield from _walk(orjson.loads(line), fields, not fields)
            except orjson.JSONDecodeError as error:
                raise UserError(f"{path}: line {number}: not JSON: {error}") from None


def _walk(value: Any, fields: tuple[str, ...], wanted: bool) -> Iterator[str]:
    if isinstance(value, str):
        if wanted:
            yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _walk(part, fields, wanted or key in fields)
    elif isinstance(value, list):
        for part in value:
            yield from _walk(part, fields, wanted)
