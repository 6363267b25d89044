"""The whole annotation of a text in one C++ pass (native/annotate.cc), where the extension was built.

The layers and rows of the other modules of this folder are its specification.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import native
from ..native import Texts
from . import entities, words
from .config import AnnotateConfig
from .connectives import REACH, Connectives
from .layered_text import IS_BLANK

# In the order of AnnotationCounts in annotate.h; behind them, for each layer, _KINDS and the spans of 256 kinds.
_COUNTS = [
    "texts",
    "characters",
    "tokens",
    "units",
    "straddling_tokens",
    "clauses",
    "sentences",
    "pairs",
    "words",
]
_KINDS = ("", "_characters", "_exact_in_tokens")


class FusedAnnotator:
    """Annotates batches by the extension. types: names of the entity types, as numbered from 1."""

    def __init__(
        self,
        config: AnnotateConfig,
        types: Sequence[str],
        lexicon: entities.LexiconMatcher,
        connectives: Connectives | None,
    ) -> None:
        extension = native.loaded()
        assert extension is not None
        nothing = np.zeros(0, np.uint8)
        self._annotation: Any = extension.Annotation(
            words.native_cutter() if config.words else None,
            lexicon.matcher and lexicon.matcher.native,
            lexicon.types,
            config.lexicon_on_words,
            entities.name_types(types) if config.names else np.zeros(256, np.uint8),
            connectives and connectives.matcher.native,
            connectives.single if connectives else nothing,
            connectives.clause_only if connectives else nothing,
            connectives.pairs if connectives else nothing,
            REACH,
            config.clauses,
            IS_BLANK,
        )

    def rows(
        self, texts: Texts, lengths: np.ndarray, starts: np.ndarray
    ) -> tuple[np.ndarray, dict[str, int], dict[str, np.ndarray]]:
        """uint8 (N, 4) rows of tokens as Tokenizer.encode_with_starts gives them; counts; spans of each kind, by
        layer, int64 (256,)."""
        rows, counts = self._annotation.rows(texts, np.append(0, np.cumsum(lengths)), starts)
        found = dict(zip(_COUNTS, counts.tolist(), strict=False))
        by_kind = {}
        for layer, part in zip(("entity", "connective"), np.split(counts[len(_COUNTS) :], 2), strict=True):
            found |= zip((layer + name for name in _KINDS), part.tolist(), strict=False)
            by_kind[layer] = part[len(_KINDS) :]
        return rows, found, by_kind
