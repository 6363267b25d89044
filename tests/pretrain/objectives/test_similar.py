"""MacBERT's replacement: similar words of the same length 80 %, random ones 10 %, kept 10 %, never [MASK]."""

from pathlib import Path

import numpy as np
import pytest

from taixue import UserError
from taixue.base import rng
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.pretrain.config.schema import MlmConfig
from taixue.pretrain.objectives import build_objective
from taixue.pretrain.objectives.similar import SimilarWords

from ...data_tools.texts import make_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("similar") / "tokenizer", "bert")


def test_shares(folder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(folder)
    table = tmp_path / "similar.tsv"
    table.write_text("北京\t上海 天\n老师\t学生 医生\n", "utf-8")
    ids = {
        word: tokenizer.encode([word])[0].astype(np.int32)
        for word in ("北京", "上海", "老师", "学生", "医生")
    }
    assert len({len(row) for row in ids.values()}) == 1
    length = len(ids["北京"])
    count = 4000
    tokens = np.tile(np.concatenate([ids["北京"], ids["老师"]]), (count, 1))
    marks = np.repeat([[1 << 3, (length + 1) << 3]], length, axis=1).reshape(1, -1).repeat(count, axis=0)
    replace = SimilarWords(str(table), tokenizer, np.arange(5, 100, dtype=np.int32))
    made = replace(tokens, marks.astype(np.int32), rng.derive(np.uint64(1), np.arange(count)))
    first = [row.tobytes() for row in np.ascontiguousarray(made[:, :length])]
    # Random words are those of the table: two of them.
    assert abs(first.count(ids["上海"].tobytes()) / count - 0.8) < 0.03
    assert abs(first.count(ids["北京"].tobytes()) / count - 0.15) < 0.03
    second = [row.tobytes() for row in np.ascontiguousarray(made[:, length:])]
    for word in ("学生", "医生"):
        assert abs(second.count(ids[word].tobytes()) / count - 0.4) < 0.03
    untouched = replace(tokens, np.zeros_like(marks, np.int32), rng.derive(np.uint64(1), np.arange(count)))
    assert (untouched == tokens).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("北京 上海\n", r"similar.tsv:1: expected term<TAB>similar terms"),
        ("\n", "holds no term"),
        (None, "cannot be read"),
    ],
)
def test_bad_tables(folder: Path, tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "similar.tsv"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(UserError, match=message):
        build_objective(MlmConfig(masking="ngram", similar_words=str(path)), load_tokenizer(folder))
