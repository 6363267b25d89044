"""What the annotation says about each input position: features for the embeddings, labels for tagging heads.

Tags were made from the whole text, so that of a masked token gives its word class away: it is hidden by default. Word
and clause numbers of masked tokens stay by default; they tell how long a masked word is, as [MASK] tokens do.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from taixue.data_tools.shards import sidecar

from .base import IGNORED
from .config import MlmConfig, ObjectiveSection
from .unit_rules import require

ROLES = ("role1", "role2", "role3")


class Features:
    """Arrays of objective.features. shapes is final once the schema is known."""

    def __init__(self, config: ObjectiveSection, length: int) -> None:
        self._config, self._length = config, length
        self._has_roles = False

    def annotated(self, schema: Mapping[str, Any]) -> None:
        """UserError when there are no parts of speech."""
        require(schema, "pos", "objective.features: true")
        self._has_roles = any(name == ROLES[0] for name, _ in schema["columns"])

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
            ("pos_ids", "word_groups", "clause_groups"), (self._length,)
        )
        return shapes | ({"role_ids": (self._length, len(ROLES))} if self._has_roles else {})

    def __call__(
        self, rows: np.ndarray, index: np.ndarray, masked: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """Features of input positions (B, S), from structured rows (B, N) and the position's place in the window,
        index (B, S), -1 for those without a token; masked bool (B, S).

        pos_ids: part of speech, 0 for none. word_groups, clause_groups: number of the word and the clause, from 1.
        role_ids (B, S, 3): roles for up to three predicates, where the sidecars have them.
        """
        hidden, alone = index < 0, index < 0
        if masked is not None and self._config.hide_masked_tags:
            hidden = hidden | masked
        if masked is not None and self._config.hide_masked_groups:
            alone = alone | masked
        flags = rows["flags"]
        features = {
            "pos_ids": _at(rows["pos"], index, hidden),
            "word_groups": _at(np.cumsum((flags & sidecar.UNIT) != 0, axis=1) + 1, index, alone),
            "clause_groups": _at(np.cumsum((flags & sidecar.CLAUSE) != 0, axis=1) + 1, index, alone),
        }
        if self._has_roles:
            features["role_ids"] = np.stack([_at(rows[role], index, hidden) for role in ROLES], axis=-1)
        return features


def tag_labels(
    config: MlmConfig, rows: np.ndarray, index: np.ndarray, masked: np.ndarray
) -> dict[str, np.ndarray]:
    """pos_labels, ne_labels int64 (B, S): number of the part of speech and of the entity type (0: in no entity) of each
    token, -100 for tokens of several words and those without a word; where the input holds tags, -100 for all whose
    tag it shows."""
    nowhere = index < 0
    straddles = _at(rows["flags"] & sidecar.STRADDLES, index, nowhere) != 0
    is_wordless = _at(rows["pos"], index, nowhere) == 0
    ignored = nowhere | straddles | is_wordless
    if config.features and not config.hide_masked_tags:
        ignored = np.ones_like(ignored)
    elif config.features:
        ignored |= ~masked
    return {
        "pos_labels": _at(rows["pos"], index, ignored, IGNORED),
        "ne_labels": _at(rows["entity"], index, ignored, IGNORED),
    }


def document_numbers(tokens: np.ndarray, eos: int) -> np.ndarray:
    """int64 (B, N), from 1: the document of each token; eos is its document's last."""
    ends = tokens == eos
    return np.cumsum(ends, axis=1) - ends + 1


def _at(values: np.ndarray, index: np.ndarray, without: np.ndarray, nothing: int = 0) -> np.ndarray:
    """int64 (B, S): values (B, N) at index, `nothing` where `without`."""
    found = np.take_along_axis(values, np.maximum(index, 0), axis=1).astype(np.int64)
    found[without] = nothing
    return found
