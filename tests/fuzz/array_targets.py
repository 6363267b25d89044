"""What is fuzzed of arrays: masking with the ids of a damaged shard, files between passes."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from taixue import UserError
from taixue.data_tools.passes import components, record, runs, texts
from taixue.data_tools.passes.index import PARAGRAPH_COLUMNS
from taixue.data_tools.tokenizer import charsmap
from taixue.pretrain.objectives.native import masking
from taixue.pretrain.objectives.native.plain import (
    masked_windows,
    span_windows,
    token_tags,
    unit_spans,
    units,
)

_RULES = masking.UnitRules((3, 2, 2, 1, 1), pairs=1 << 63, relation=True)


def mask_windows(payload: bytes, one: int, two: int, folder: Path) -> None:
    """Windows with any ids: marks and spans as the plain twins have them; ValueError for an id that is none."""
    vocabulary, stride, batch = 1 + one, 4 + two % 4, 1 + two // 4 % 3
    numbers = np.frombuffer(payload, np.uint8)
    length = len(numbers) // (batch * (1 + stride))
    if length < 1:
        return
    tokens = numbers[: batch * length].reshape(batch, length).astype(np.int32) - (two >> 7)
    rows = numbers[batch * length :][: batch * length * stride].reshape(batch, length, stride).copy()
    keys = np.arange(batch, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    special = (np.arange(vocabulary) % 5 == 0).astype(np.uint8)
    is_legal = bool(((tokens >= 0) & (tokens < vocabulary)).all())
    noise, spans = 1 + length // 4, 1 + length // 8
    share = (1 + two % 7) / 8
    _refused_or_same(
        lambda: masking.choose_tokens(tokens, keys, special, share),
        lambda: units.choose_tokens(tokens, keys, special, share),
        is_legal,
    )
    _refused_or_same(
        lambda: masking.choose_units(tokens, rows, keys, special, share, _RULES),
        lambda: units.choose_units(tokens, rows, keys, special, share, _RULES),
        is_legal,
    )
    _refused_or_same(
        lambda: masking.unit_spans(tokens, rows, keys, special, noise, spans, _RULES),
        lambda: unit_spans.unit_spans(tokens, rows, keys, special, noise, spans, _RULES),
        is_legal,
    )
    marks = rows[:, :, 0].astype(np.int32) - (two >> 6)
    ordinary = np.arange(two % 3, dtype=np.int32)
    order = keys if one & 1 else None
    chosen = (tokens, marks, keys, order, None, ordinary, (1, 2, 3))
    with suppress(ValueError):  # no ordinary token
        _same_arrays(masking.lay_out_mlm(*chosen, (1, 2), True), masked_windows.lay_out_mlm(*chosen, (1, 2)))
    _tags(rows, tokens.astype(np.int64) - 1, one, two)


def _tags(rows: np.ndarray, index: np.ndarray, one: int, two: int) -> None:
    masked = (index % 3 == 0).astype(np.uint8) if one & 2 else None
    roles = (1, 2, 4 + two % 5) if one & 4 else None
    with suppress(ValueError):  # an index or a role outside the rows
        made = masking.token_features(rows, index, masked, bool(one & 8), bool(one & 16), roles)
        if index.min(initial=0) >= -1:
            theirs = token_tags.token_features(rows, index, masked, bool(one & 8), bool(one & 16), roles)
            _same_arrays(made, theirs)
        masking.token_labels(rows, index, masked, bool(one & 8))


def place_spans(payload: bytes, one: int, two: int, folder: Path) -> None:
    """Spans of any lengths at any places: ValueError, or what the plain twin makes."""
    numbers = np.frombuffer(payload, np.int8).astype(np.int64)
    spans, width, source, target = 1 + one % 4, 1 + one // 4 % 16, 1 + two % 24, 1 + two // 24
    if len(numbers) < 4 + 2 * spans:
        return
    begins, tail = numbers[None, :3], numbers[None, 3:4]
    noise, text = numbers[None, 4 : 4 + spans], numbers[None, 4 + spans : 4 + 2 * spans]
    tokens = np.arange(width, dtype=np.int32)[None]
    sentinels = np.arange(90, 90 + spans if two & 1 else 90)
    sizes = {"input_ids": source, "labels": target, "decoder_input_ids": target, "index": source}
    ours, theirs = ({name: np.zeros((1, size), np.int64) for name, size in sizes.items()} for _ in range(2))
    rest = (sentinels, (int(numbers[-1]), 1, 0), (None, None))
    with suppress(ValueError):
        masking.lay_out_spans(tokens, begins, (noise, text, tail), *rest, ours)
        span_windows.lay_out_spans(tokens, begins, (noise, text, tail), *rest, theirs)
        _same_arrays(ours, theirs)
    with suppress(ValueError):
        made = masking.compositions(np.arange(2, dtype=np.uint64), int(numbers[0]), int(numbers[1]))
        assert (made.sum(axis=1) == numbers[0]).all()
        assert made.min() >= 1


def read_work(payload: bytes, one: int, two: int, folder: Path) -> None:
    """Files between the passes: all that they say they hold, or UserError."""
    path, lengths = folder / "a.paragraph", folder / "a.length"
    path.write_bytes(payload)
    lengths.write_bytes(payload[: 4 * (one % 8)])
    with suppress(UserError):
        found = runs.RunFile(path, PARAGRAPH_COLUMNS)
        rows = list(found.slices(0, runs.END))
        assert sum(len(part["hash"]) for part in rows) <= found.count()
        [*found.slices(one << 56, two << 56)]
    with suppress(UserError):
        for batch, sizes in texts.read_texts(path, lengths):
            assert len(batch) == len(sizes)
            assert [len(batch[number]) for number in range(len(batch))] == sizes.tolist()
            with suppress(IndexError, ValueError):
                batch.select(np.frombuffer(payload[: 8 * (two % 8)], np.int64))
    with suppress(UserError):
        for pairs in components.read_pairs([path]):
            assert pairs.shape[1] == 2
    assert isinstance(record.read(path), dict)
    record.is_finished(path, "stamp")


def read_rules(payload: bytes, one: int, two: int, folder: Path) -> None:
    """A charsmap: its rules, or ValueError."""
    with suppress(ValueError):
        for left, right in charsmap.rules(payload):
            assert isinstance(left, str)
            assert isinstance(right, str)


def _refused_or_same(ours: Callable[[], object], theirs: Callable[[], object], is_legal: bool) -> None:
    try:
        made = ours()
    except ValueError:
        assert not is_legal
        return
    assert is_legal
    _same_arrays(made, theirs())


def _same_arrays(ours: object, theirs: object) -> None:
    if isinstance(ours, dict):
        assert isinstance(theirs, dict)
        assert ours.keys() == theirs.keys()
        ours, theirs = tuple(ours.values()), tuple(theirs[name] for name in ours)
    for one, other in zip(_tuple(ours), _tuple(theirs), strict=True):
        np.testing.assert_array_equal(one, other)


def _tuple(arrays: object) -> tuple[object, ...]:
    return arrays if isinstance(arrays, tuple) else (arrays,)


ARRAY_TARGETS = (mask_windows, place_spans, read_work, read_rules)
