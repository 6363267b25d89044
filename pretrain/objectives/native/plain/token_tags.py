"""Twin of token_tags.cc: what the annotation says about each input position."""

import numpy as np

from taixue.data_tools.shards import sidecar

FLAGS, POS, ENTITY = range(3)  # columns of every sidecar
IGNORED = -100


def token_features(
    rows: np.ndarray,
    index: np.ndarray,
    masked: np.ndarray | None,
    hide_tags: bool,
    hide_groups: bool,
    roles: tuple[int, ...] | None,
) -> dict[str, np.ndarray]:
    """See masking.token_features."""
    nowhere = index < 0
    inside = np.zeros_like(nowhere) if masked is None else masked.astype(bool)
    hidden, alone = nowhere | (inside & hide_tags), nowhere | (inside & hide_groups)
    flags = rows[..., FLAGS]
    features = {
        "pos_ids": _at(rows[..., POS], index, hidden),
        "word_groups": _at(np.cumsum((flags & sidecar.UNIT) != 0, axis=1) + 1, index, alone),
        "clause_groups": _at(np.cumsum((flags & sidecar.CLAUSE) != 0, axis=1) + 1, index, alone),
    }
    if roles is not None:
        features["role_ids"] = np.stack([_at(rows[..., role], index, hidden) for role in roles], axis=-1)
    return features


def token_labels(
    rows: np.ndarray, index: np.ndarray, masked: np.ndarray | None, only_masked: bool
) -> dict[str, np.ndarray]:
    """See masking.token_labels."""
    ignored = index < 0
    ignored = ignored | (_at(rows[..., FLAGS] & sidecar.STRADDLES, index, ignored) != 0)
    ignored |= _at(rows[..., POS], index, index < 0) == 0
    if masked is None:
        ignored[:] = True
    elif only_masked:
        ignored |= masked == 0
    return {
        "pos_labels": _at(rows[..., POS], index, ignored, IGNORED),
        "ne_labels": _at(rows[..., ENTITY], index, ignored, IGNORED),
    }


def _at(values: np.ndarray, index: np.ndarray, without: np.ndarray, nothing: int = 0) -> np.ndarray:
    """int64 (B, S): values (B, N) at index, `nothing` where `without`."""
    found = np.take_along_axis(values, np.maximum(index, 0), axis=1).astype(np.int64)
    found[without] = nothing
    return found
