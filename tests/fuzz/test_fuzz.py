"""A few seconds of what `python -m tests.fuzz` does for minutes; and what it has found."""

import random
from pathlib import Path

import pytest

from taixue import UserError
from taixue.data_tools.tokenizer.store import load_tokenizer

from .seeds import seeds
from .targets import TARGETS, run


def test_seeds_and_their_mutants(tmp_path: Path) -> None:
    choose = random.Random(1)
    start = list(seeds())
    assert {data[0] % len(TARGETS) for data in start} >= {0, 3, 4, 5, 6, 7}
    for data in start:
        run(data, tmp_path)
    for _ in range(400):
        data, other = choose.sample(start, 2)
        low, high = sorted(choose.choices(range(len(data)), k=2))
        cut = choose.randrange(len(other))
        run(data[:low] + other[cut : cut + choose.randrange(20)] + data[high:], tmp_path)


@pytest.mark.parametrize("target", range(len(TARGETS)))
def test_nothing_at_all(tmp_path: Path, target: int) -> None:
    for rest in (b"", b"\0", b"\0\0", b"\xff\xff\xff\xff"):
        run(bytes([target]) + rest, tmp_path)


def test_a_unigram_model_without_the_id_of_unknown_pieces(tmp_path: Path) -> None:
    (seed,) = (data for data in seeds() if b"Unigram" in data)
    (tmp_path / "tokenizer.json").write_bytes(seed[3:].replace(b'"unk_id"', b'"[unk_id"'))
    with pytest.raises(UserError, match=r"unk_id, the place of <unk>, is None"):
        load_tokenizer(tmp_path)
