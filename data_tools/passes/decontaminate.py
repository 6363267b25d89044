"""Takes the documents that share text with an evaluation set out of a shard, and lists them."""

from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
import orjson

from taixue.base import files

from .. import native
from ..config import DecontaminateConfig
from .contamination import EvaluationSets
from .cut import InputShard

CONTAMINATED_FOLDER = "decontaminated"
_EXCERPT = 200


class Decontamination:
    """Of one shard; without evaluation sets every text is clear."""

    def __init__(self, shard: InputShard) -> None:
        self._shard, self._config = shard, shard.config.decontaminate
        self._listed: list[dict[str, object]] = []
        self.counts = Counter({"documents": 0, "bytes": 0})

    def are_clear(self, texts: native.Texts) -> np.ndarray:
        """Which texts share nothing with the evaluation sets, bool (N,)."""
        clear = np.ones(len(texts), bool)
        if self._config is not None:
            clear[[place for place, *_ in _evaluation_sets(self._config).find(texts)]] = False
        return clear

    def take(self, texts: native.Texts, sizes: np.ndarray, first: int) -> np.ndarray:
        """are_clear; the others are counted and listed. first: number of the first text in the shard."""
        clear = np.ones(len(texts), bool)
        if self._config is None:
            return clear
        for place, file, begin, end in _evaluation_sets(self._config).find(texts):
            text = texts[place]
            text = text.decode() if isinstance(text, bytes) else text
            clear[place] = False
            self._listed.append(
                {
                    "document": first + place,
                    "evaluation": file,
                    "shared": text[begin:end],
                    "text": text[:_EXCERPT],
                }
            )
        self.counts.update(documents=int((~clear).sum()), bytes=int(sizes[~clear].sum()))
        return clear

    def publish(self) -> None:
        """Write the list."""
        if self._config is None:
            return
        path = contaminated_path(self._shard)
        path.parent.mkdir(exist_ok=True)
        files.remove_temporaries(path)
        files.write(path, b"".join(orjson.dumps(line) + b"\n" for line in self._listed))


def contaminated_path(shard: InputShard) -> Path:
    """List of the documents of a shard that share an n-gram with an evaluation set."""
    return shard.output / CONTAMINATED_FOLDER / f"{shard.base}.jsonl"


@lru_cache(maxsize=1)
def _evaluation_sets(config: DecontaminateConfig) -> EvaluationSets:
    return EvaluationSets(config)
