"""The report of a vocabulary counts every ordinary piece and every character once."""

from collections import Counter
from pathlib import Path

import orjson
import pytest

from taixue.data_tools.tokenizer import coverage
from taixue.data_tools.tokenizer.store import load_tokenizer

TEXTS = ["今天天气很好，我们去公园。", "龘龘 学习 ABC 123", ""]


@pytest.mark.parametrize("kind", ["t5", "bert"])
def test_facts(kind: str, t5_folder: Path, bert_folder: Path) -> None:
    tokenizer = load_tokenizer(t5_folder if kind == "t5" else bert_folder)
    facts = coverage.describe(tokenizer, TEXTS)
    pieces = sum(sum(lengths.values()) for lengths in facts["pieces"].values())
    assert pieces == tokenizer.vocab_size - len(tokenizer.special_ids)
    assert facts["sample"]["tokens"] == sum(map(len, tokenizer.encode(TEXTS)))
    assert facts["sample"]["characters"] == sum(map(len, TEXTS))
    found = Counter("".join(TEXTS).replace(" ", ""))
    missing = [one for one in found if tokenizer.unk_id in tokenizer.encode([one])[0]]
    assert facts["characters"]["missing"]["龘"] == 2
    assert set(facts["characters"]["missing"]) == set(missing)
    lost = sum(found[one] for one in missing)
    assert facts["characters"]["covered"] == pytest.approx(1 - lost / found.total())


def test_a_trained_folder_holds_its_report(t5_folder: Path) -> None:
    facts = orjson.loads((t5_folder / "vocabulary.json").read_bytes())
    assert facts["sample"]["unused"] < 400
    assert "hanzi" in facts["pieces"]
