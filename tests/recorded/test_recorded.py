"""What Taixue computes is what it computed: corpora, samples, first weights, five steps of training, exports.

A change that is meant to change nothing leaves recorded.json alone. One that is meant to is recorded by
`python -m tests.recorded`, and the differences of recorded.json are part of its review.

Nothing depends on the number of cores. torch draws the last bits of normal numbers in another way on processors without
AVX2, where first weights and what follows from them are not compared. A new release of sentencepiece, tokenizers or
jieba may learn or cut otherwise: then tokenizer/ or corpus/ fail first, and the rest with them.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from .computed import ITEMS, Home

RECORDED = Path(__file__).with_name("recorded.json")
DRAWS_AS_RECORDED = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


def recorded() -> dict[str, Any]:
    return json.loads(RECORDED.read_bytes()) if RECORDED.exists() else {}


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("recorded"))


@pytest.mark.parametrize("name", ITEMS)
def test_recorded(name: str, home: Home) -> None:
    if not name.startswith(("tokenizer/", "corpus/", "samples/")) and not DRAWS_AS_RECORDED:
        pytest.skip("torch draws other first weights without AVX2")
    # An exported weight is rounded to fp32, where one unit in the last place is 6e-8.
    tolerance = 1e-6 if name.startswith("export/") else 1e-12
    now, before = json.loads(json.dumps(ITEMS[name](home))), recorded()[name]
    assert differences(now, before, tolerance) == {}


def test_nothing_else_is_recorded() -> None:
    assert recorded().keys() == ITEMS.keys()


def differences(now: Any, before: Any, tolerance: float, where: str = "") -> dict[str, tuple[Any, Any]]:
    """Where two JSON values differ: place -> (now, before). Floats may differ by the relative tolerance."""
    if isinstance(now, dict) and isinstance(before, dict) and now.keys() == before.keys():
        pairs = [(f"{where}/{key}", now[key], before[key]) for key in now]
    elif isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        pairs = [(f"{where}/{index}", *pair) for index, pair in enumerate(zip(now, before, strict=True))]
    elif isinstance(now, float) and isinstance(before, float):
        # The gradient of a key's bias is zero but for rounding, so what is learned there (1e-15) is noise.
        same = now == pytest.approx(before, rel=tolerance, abs=tolerance / 1000)
        return {} if same else {where: (now, before)}
    else:
        return {} if now == before and type(now) is type(before) else {where: (now, before)}
    return {
        place: pair
        for each in pairs
        for place, pair in differences(each[1], each[2], tolerance, each[0]).items()
    }
