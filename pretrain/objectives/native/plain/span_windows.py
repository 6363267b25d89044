"""Twin of span_windows.cc: from drawn spans to T5's input and target; masking.py says what each argument is."""

from collections.abc import Mapping

import numpy as np

from taixue.base import rng


def lay_out_spans(
    tokens: np.ndarray,
    begins: np.ndarray,
    spans: tuple[np.ndarray, np.ndarray, np.ndarray],
    sentinels: np.ndarray,
    ids: tuple[int, int, int],
    numbers: tuple[np.ndarray | None, np.ndarray | None],
    out: Mapping[str, np.ndarray],
) -> None:
    """ValueError when a stretch does not fit."""
    mode, eos, start = ids
    documents, shift = numbers
    for row, (window, first, first_target) in enumerate(begins.tolist()):
        noise, text, tail = (lengths[row].tolist() for lengths in spans)
        segment = np.zeros(tokens.shape[1], np.int64) if documents is None else documents[row]
        # (ids, place of the token that each stands for, whether it is one)
        source, target, place = [], [], window
        for k, (before, length) in enumerate(zip(text, noise, strict=True)):
            source += [(int(tokens[row, p]), p, True) for p in range(place, place + before)]
            place += before
            if len(sentinels):
                source.append((int(sentinels[k]), place, False))
                target.append((int(sentinels[k]), place))
            target += [(int(tokens[row, p]), p) for p in range(place, place + length)]
            place += length
        source += [(int(tokens[row, p]), p, True) for p in range(place, place + tail[0])]
        if mode >= 0:
            source.insert(0, (mode, source[0][1], False))
        source.append((eos, source[-1][1], False))
        target.append((eos, target[-1][1]))
        if (
            first + len(source) > out["input_ids"].shape[1]
            or first_target + len(target) > out["labels"].shape[1]
        ):
            raise ValueError("spans that do not fit the window or the arrays")
        here, there = (
            np.s_[row, first : first + len(source)],
            np.s_[row, first_target : first_target + len(target)],
        )
        out["input_ids"][here] = [number for number, _, _ in source]
        out["labels"][there] = [number for number, _ in target]
        if "index" in out:
            out["index"][here] = [p if is_token else -1 for _, p, is_token in source]
        begin = np.arange(len(target)) == 0
        if shift is not None:
            out["segments"][here] = segment[[p for _, p, _ in source]] + shift[row]
            out["decoder_segments"][there] = ends = segment[[p for _, p in target]] + shift[row]
            begin[1:] = ends[1:] != ends[:-1]
        out["decoder_input_ids"][there] = np.where(begin, start, np.roll(out["labels"][there], 1))


def compositions(keys: np.ndarray, total: int, parts: int) -> np.ndarray:
    """Cut behind parts - 1 of the total - 1 inner places."""
    edges = np.empty((len(keys), parts + 1), np.int64)
    edges[:, 0], edges[:, -1] = 0, total
    edges[:, 1:-1] = rng.random_subset(keys, total - 1, parts - 1) + 1
    return np.diff(edges, axis=1)
