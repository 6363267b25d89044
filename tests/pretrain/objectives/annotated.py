"""Windows with annotation as an annotator would write it: words of one to four tokens, entities, connectives."""

from functools import cache
from typing import Any

import numpy as np

from taixue.data_tools.shards import sidecar

SCHEMA: dict[str, Any] = {
    "columns": [list(column) for column in sidecar.BASE_COLUMNS],
    "pos": ["", "n", "v", "i", "x"],
    "entity": ["", "person", "place"],
    "relation": ["", "cause", "contrast"],
}

_SHARES = [0.01, 0.07, 0.05, 0.12, 0.05, 0.7]


@cache
def windows(
    batch: int, length: int, seed: int = 0, lowest: int = 5, vocabulary: int = 1000, end: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """(tokens int32 (B, N), rows (B, N)): a document end about every 100 tokens, a clause about every 12. Windows come
    again after the 40th."""
    if batch > 40:
        distinct = windows(40, length, seed, lowest, vocabulary, end)
        tokens, rows = (np.resize(part, (batch, length)) for part in distinct)
        return tokens, rows
    random = np.random.default_rng(seed)
    total = batch * length
    rows = np.zeros(total, sidecar.row_dtype(SCHEMA))
    tokens = random.integers(lowest, vocabulary, total).astype(np.int32)
    place, begins_clause, open_pair = 0, True, False
    while place < total:
        kind = random.choice(["end", "mark", "connective", "entity", "idiom", "word"], p=_SHARES)
        size = 1 if kind in ("end", "mark") else int(random.choice([1, 1, 1, 2, 2, 3, 4]))
        word = rows[place : place + size]
        flags = sidecar.UNIT | (sidecar.CLAUSE if begins_clause else 0)
        begins_clause = kind in ("end", "mark")
        if kind == "end":
            tokens[place] = end
        elif kind == "mark":
            word["pos"] = 4
        else:
            word["pos"] = 3 if kind == "idiom" else random.integers(1, 3)
        if kind == "entity":
            word["entity"], flags = random.integers(1, 3), flags | sidecar.ENTITY
        elif kind == "connective":
            word["connective"] = 1 if open_pair else random.integers(1, 3)
            flags |= sidecar.CONNECTIVE
            if open_pair:
                flags, open_pair = flags | sidecar.PAIR_SECOND, False
            elif word["connective"][0] == 1:
                flags, open_pair = flags | sidecar.PAIR_FIRST, True
        word["flags"][0] = flags
        place += size
    return tokens.reshape(batch, length), rows.reshape(batch, length)
