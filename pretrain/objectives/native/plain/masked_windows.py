"""Twin of masked_windows.cc: from chosen tokens to BERT's input.

A chosen token becomes [MASK] with probability 0.8, a random ordinary token with 0.1, and stays with 0.1; the draw is
the token's own or, for the types in per_unit, that of its unit's first token. What was taken out (RELATION) is [MASK].
"""

from collections.abc import Collection, Sequence

import numpy as np

from taixue.base.rng import below_32, number_at

from .units import RELATION

IGNORED = -100


def lay_out_mlm(
    tokens: np.ndarray,
    marks: np.ndarray,
    replacement_keys: np.ndarray,
    order_keys: np.ndarray | None,
    replaced: np.ndarray | None,
    ordinary: np.ndarray,
    ids: Sequence[int],
    per_unit: Collection[int],
) -> dict[str, np.ndarray]:
    """input_ids, token_type_ids, labels, index int64 (B, S) and swapped int64 (B,); index: place in the window, -1 for
    [CLS] and [SEP]. replaced int32 (B, N): what stands for chosen tokens, in place of the draw."""
    if replaced is None and not len(ordinary):
        raise ValueError("no ordinary token to replace others with")
    mask, cls, sep = ids
    out: dict[str, list[list[int]]] = {
        name: [] for name in ("input_ids", "token_type_ids", "labels", "index")
    }
    swaps = []
    for row, window in enumerate(tokens.tolist()):
        chosen, key = marks[row].tolist(), int(replacement_keys[row])
        corrupted = list(window)
        for place, value in enumerate(chosen):
            if not value:
                continue
            if value & 7 == RELATION:
                corrupted[place] = mask
            elif replaced is not None:
                corrupted[place] = int(replaced[row, place])
            else:
                number = number_at(key, place)
                action = below_32(number_at(key, (value >> 3) - 1) if value & 7 in per_unit else number, 10)
                if action < 8:
                    corrupted[place] = mask
                elif action == 8:
                    corrupted[place] = int(ordinary[below_32(number >> 32, len(ordinary))])
        segments, swapped = [range(len(window))], 0
        if order_keys is not None:
            number, quarter = number_at(int(order_keys[row]), 0), len(window) // 4
            cut = quarter + below_32(number, len(window) - 2 * quarter + 1)
            swapped = below_32(number >> 32, 2)
            segments = [range(cut), range(cut, len(window))][:: -1 if swapped else 1]
        swaps.append(swapped)
        index, types = [-1], [0]
        for kind, segment in enumerate(segments):
            index += [*segment, -1]
            types += [kind] * (len(segment) + 1)
        input_ids = [sep if place < 0 else corrupted[place] for place in index]
        out["input_ids"].append([cls, *input_ids[1:]])
        out["token_type_ids"].append(types)
        out["labels"].append([window[p] if p >= 0 and chosen[p] else IGNORED for p in index])
        out["index"].append(index)
    return {name: np.array(value, np.int64) for name, value in out.items()} | {
        "swapped": np.array(swaps, np.int64)
    }
