"""Takes the documents that share text with an evaluation set out of a shard, and lists them."""

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from taixue.base import files

from .. import native
from ..clean.config import NormalizeConfig
from ..config import DecontaminateConfig
from .contamination import EvaluationSets
from .cut import InputShard

CONTAMINATED_FOLDER = "decontaminated"
_EXCERPT = 200


class Decontamination:
    """Of one shard; without evaluation sets every text is clear."""

    def __init__(self, shard: InputShard) -> None:
        self._shard, config = shard, shard.config
        self._sets: EvaluationSets | None = None
        if config.decontaminate is not None:
            self._sets = _evaluation_sets(config.decontaminate, config.normalize)
        self._listed: list[dict[str, object]] = []
        self._hits: Counter[int] = Counter()  # documents by evaluation file
        self._counts = Counter({"documents": 0, "bytes": 0})

    def are_clear(self, texts: native.Texts) -> np.ndarray:
        """Which texts share nothing with the evaluation sets, bool (N,)."""
        clear = np.ones(len(texts), bool)
        if self._sets is not None:
            clear[[place for place, *_ in self._sets.find(texts)]] = False
        return clear

    def take(self, texts: native.Texts, sizes: np.ndarray, first: int) -> np.ndarray:
        """are_clear; the others are counted and listed. first: number of the first text in the shard."""
        clear = np.ones(len(texts), bool)
        if self._sets is None:
            return clear
        for place, owner, begin, end in self._sets.find(texts):
            self._hits[owner] += 1
            text = texts[place]
            text = text.decode() if isinstance(text, bytes) else text
            clear[place] = False
            self._listed.append(
                {
                    "document": first + place,
                    "evaluation": self._sets.files[owner],
                    "shared": text[begin:end],
                    "text": text[:_EXCERPT],
                }
            )
        self._counts.update(documents=int((~clear).sum()), bytes=int(sizes[~clear].sum()))
        return clear

    def facts(self) -> dict[str, Any]:
        """Documents and bytes taken, and contamination.COUNTS by evaluation set."""
        sets = self._sets.counts(self._hits) if self._sets else {}
        return dict(self._counts) | {"evaluation sets": sets}

    def publish(self) -> None:
        """Write the list."""
        if self._sets is None:
            return
        path = contaminated_path(self._shard)
        path.parent.mkdir(exist_ok=True)
        files.remove_temporaries(path)
        files.write(path, b"".join(orjson.dumps(line) + b"\n" for line in self._listed))


def contaminated_path(shard: InputShard) -> Path:
    """List of the documents of a shard that share an n-gram with an evaluation set."""
    return shard.output / CONTAMINATED_FOLDER / f"{shard.base}.jsonl"


@lru_cache(maxsize=1)
def _evaluation_sets(config: DecontaminateConfig, normalize: NormalizeConfig | None) -> EvaluationSets:
    return EvaluationSets(config, [normalize] if normalize else [])
