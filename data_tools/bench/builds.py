"""Whole builds: `taixue corpus build` on the file in a process of its own, and what it used."""

import random
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from taixue.base import files

from ..shards import manifest
from . import processes
from .made_documents import File, write
from .steps import frequent_words
from .table import Row

GROUP = "whole builds of ours"
_EVALUATION = 1000  # texts to decontaminate against, made of the file's characters: nothing is found
_START_UP_MB = 0.2


class Builds:
    """Builds of one file, all steps on: HTML and personal data, PanGu's rules, exact, near and paragraph copies,
    decontamination, tokens, a shuffle; one worker."""

    def __init__(self, file: File, tokenizer: Path, folder: Path, say: Callable[[str], None]) -> None:
        self._file, self._tokenizer, self._folder, self._say = file, tokenizer, folder, say
        folder.mkdir(parents=True, exist_ok=True)
        self._small = file.part(_START_UP_MB, folder / "small.jsonl")[0]
        evaluation, lexicon = folder / "evaluation.jsonl", folder / "lexicon.txt"
        write(evaluation, _strange(file.documents), "text")
        words = frequent_words(file.documents)
        lexicon.write_text("".join(f"{word}\n" for word in words if not word.startswith("#")), "utf-8")
        self._every: dict[str, Any] = {
            "normalize": {"html": True, "mask": ["email", "mobile", "landline", "id"]},
            "filters": {"presets": ["pangu-alpha"]},
            "deduplicate": {"paragraphs": True},
            "decontaminate": {"inputs": [str(evaluation)]},
            "shuffle": True,
        }
        self._annotated = self._every | {"annotate": {"lexicons": [{"path": str(lexicon), "type": "term"}]}}

    def rows(self) -> list[Row]:
        """Without and with annotation."""
        out = [self._measured("all steps, no annotation", self._every)]
        if missing := _cannot_annotate():
            return [*out, Row(GROUP, "all steps, annotation", note=missing)]
        return [*out, self._measured("all steps, annotation", self._annotated)]

    def where(self) -> dict[str, float]:
        """CPU-seconds by module of one more build with annotation (where there can be)."""
        self._say("where the time of a build goes")
        settings = self._every if _cannot_annotate() else self._annotated
        config = self._config(self._file.path, settings, "where")
        out = self._folder / "where.json"
        words = [sys.executable, "-m", "taixue.data_tools.bench.where", str(config), str(out)]
        processes.run(words, self._folder / "where.log")
        found: dict[str, float] = orjson.loads(out.read_bytes())
        return found

    def deduplicated(self) -> Path:
        """A corpus of the file in its order, with nothing done but deduplication."""
        config = self._config(self._file.path, {"deduplicate": {}, "validation_fraction": 0}, "deduplicated")
        self._run(config, "deduplicated")
        return self._folder / "deduplicated"

    def _measured(self, name: str, settings: dict[str, Any]) -> Row:
        self._say(f"build: {name}")
        label = name.replace(",", "").replace(" ", "-")
        start_up = self._run(self._config(self._small, settings, f"{label}-small"), f"{label}-small")
        used = self._run(self._config(self._file.path, settings, label), label)
        kept = manifest.read_corpus(self._folder / label).shards
        note = (
            f"keeps {sum(shard.documents for shard in kept):,} documents, "
            f"{sum(shard.bytes for shard in kept) / 1e6:.1f} MB"
        )
        return Row(GROUP, name, self._file.megabytes, used.seconds, start_up.seconds, used.peak_mb, note)

    def _config(self, inputs: Path, settings: dict[str, Any], label: str) -> Path:
        config = {
            "tokenizer": str(self._tokenizer),
            "sources": [{"name": "file", "inputs": [str(inputs)], "text_field": self._file.text_field}],
            "output": str(self._folder / label),
            "validation_fraction": 0.005,
            "workers": 1,
        }
        path = self._folder / f"{label}.yaml"  # JSON is YAML
        files.write(path, files.readable_json(config | settings))
        return path

    def _run(self, config: Path, label: str) -> processes.Used:
        words = [sys.executable, "-m", "taixue.launch.cli", "corpus", "build", str(config)]
        return processes.run(words, self._folder / f"{label}.log")


def _cannot_annotate() -> str:
    return "" if find_spec("jieba") else "not installed: pip install 'taixue-pretrain[annotate]'"


def _strange(documents: list[str], seed: int = 1) -> list[str]:
    """Texts of the documents' characters in random order."""
    choose = random.Random(seed)
    out = []
    for text in choose.choices(documents, k=_EVALUATION):
        characters = list(text[:400])
        choose.shuffle(characters)
        out.append("".join(characters))
    return out
