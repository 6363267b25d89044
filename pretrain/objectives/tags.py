"""What the annotation says about each input position: features for the embeddings, labels for tagging heads.

Tags were made from the whole text, so that of a masked token gives its word class away: it is hidden by default. Word
and clause numbers of masked tokens stay by default; they tell how long a masked word is, as [MASK] tokens do.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .config import MlmConfig, ObjectiveSection
from .native import masking
from .unit_rules import as_bytes, require

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
        config = self._config
        roles = tuple(offset_of(rows.dtype, role) for role in ROLES) if self._has_roles else None
        return masking.token_features(
            as_bytes(rows),
            index,
            None if masked is None else masked.view(np.uint8),
            config.hide_masked_tags,
            config.hide_masked_groups,
            roles,
        )


def tag_labels(
    config: MlmConfig, rows: np.ndarray, index: np.ndarray, masked: np.ndarray
) -> dict[str, np.ndarray]:
    """pos_labels, ne_labels int64 (B, S): number of the part of speech and of the entity type (0: in no entity) of each
    token, -100 for tokens of several words and those without a word; where the input holds tags, -100 for all whose
    tag it shows."""
    shows = config.features and not config.hide_masked_tags
    return masking.token_labels(
        as_bytes(rows), index, None if shows else masked.view(np.uint8), only_masked=bool(config.features)
    )


def offset_of(dtype: np.dtype, column: str) -> int:
    """Bytes before a column in a row."""
    assert dtype.fields is not None
    return int(dtype.fields[column][1])


def document_numbers(tokens: np.ndarray, eos: int) -> np.ndarray:
    """int64 (B, N), from 1: the document of each token; eos is its document's last."""
    ends = tokens == eos
    return np.cumsum(ends, axis=1) - ends + 1
