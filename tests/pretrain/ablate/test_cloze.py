"""Cases are the units of held-out text; scores are the model's own probabilities, whatever stands beside a case."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from torch import nn

from taixue import UserError
from taixue.data_tools.config import TokenizerTrainConfig
from taixue.data_tools.shards import sidecar
from taixue.data_tools.tokenizer.store import Tokenizer, load_tokenizer, train
from taixue.pretrain.ablate.cloze import Cloze, score
from taixue.pretrain.ablate.probes import from_chid, from_windows
from taixue.pretrain.config.schema import BertConfig, T5Config
from taixue.pretrain.models import build_model

SCHEMA: dict[str, Any] = {"pos": ["", "n", "i", "x"]}
WORDS = [
    "春天",
    "来了",
    ",",
    "山水",
    "画卷",
    "徐徐",
    "展开",
    "人人",
    "喜气洋洋",
    "。",
    "学生",
    "读书",
    "写字",
    "城市",
    "火车",
    "天空",
    "月亮",
    "今天",
]


@pytest.fixture(scope="session", params=["bert", "t5"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    draw = random.Random(1)
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "text.txt").write_text(
        "\n".join("".join(draw.sample(WORDS, 9)) for _ in range(200)), encoding="utf-8"
    )
    config = TokenizerTrainConfig(
        kind=request.param, inputs=(str(folder / "text.txt"),), output=str(folder / "out"), vocab_size=70,
        sentinels=20, threads=1,
    )  # fmt: skip
    return load_tokenizer(str(train(config)))


def model_for(tokenizer: Tokenizer) -> nn.Module:
    torch.manual_seed(1)
    shape: dict[str, Any] = {"vocab_size": 136, "d_model": 16, "d_ff": 24, "num_heads": 2, "dropout": 0.0}
    config = (
        BertConfig(**shape, num_layers=2, max_positions=64)
        if tokenizer.kind == "bert"
        else T5Config(**shape, d_kv=8, num_encoder_layers=2, num_decoder_layers=2)
    )
    model = build_model(config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def case(answer: list[int], kind: str = "word", before: int = 9, after: int = 4) -> Cloze:
    sides = np.arange(before) + 40, np.arange(after) + 60
    return Cloze(kind, *sides, (np.array(answer),), 0)


def test_units_are_cut_out_whole_and_by_type() -> None:
    #           unit: word n, idiom of two, mark, entity of two words, connective, word at the end of the window
    flags = [1, 1, 0, 1, 1 | sidecar.ENTITY, 1, 1 | sidecar.CONNECTIVE, 1, 0, 1]
    rows = np.zeros((2, 10), [("flags", "u1"), ("pos", "u1"), ("entity", "u1"), ("connective", "u1")])
    rows["flags"] = flags
    rows["pos"] = [1, 2, 2, 3, 1, 1, 1, 1, 1, 1]
    rows["entity"][:, 4:6] = 1
    rows["connective"][:, 6] = 2
    tokens = np.arange(20).reshape(2, 10)
    found = [(c.kind, c.answers[0].tolist()) for c in from_windows(tokens, rows, SCHEMA, ("i",), 100)]
    assert sorted(found) == sorted([
        (kind, [row * 10 + k for k in unit])
        for row in (0, 1)
        for kind, unit in (("word", [0]), ("idiom", [1, 2]), ("entity", [4, 5]), ("connective", [6]), ("word", [7, 8]))
    ])  # fmt: skip
    for cloze in from_windows(tokens, rows, SCHEMA, ("i",), 100):
        whole = np.concatenate([cloze.before, cloze.answers[0], cloze.after])
        assert (whole == tokens[whole[0] // 10]).all()
    few = from_windows(tokens, rows, SCHEMA, ("i",), 1)
    assert sorted(c.kind for c in few) == ["connective", "entity", "idiom", "word"]


def test_scores_are_the_models_probabilities(tokenizer: Tokenizer) -> None:
    model, cloze = model_for(tokenizer), case([50, 51])
    if tokenizer.kind == "bert":
        ids = [
            tokenizer.cls_id,
            *cloze.before,
            tokenizer.mask_id,
            tokenizer.mask_id,
            *cloze.after,
            tokenizer.sep_id,
        ]
        row = torch.tensor([ids])
        logits = model(input_ids=row, token_type_ids=torch.zeros_like(row))[0][0, 10:12]
    else:
        blank = tokenizer.sentinel_ids[0]
        row = torch.tensor([[*cloze.before, blank, *cloze.after, tokenizer.eos_id]])
        target = torch.tensor([[tokenizer.pad_id, blank, 50]])
        logits = model(input_ids=row, decoder_input_ids=target)[0, 1:3]
    expected = -logits.log_softmax(-1)[[0, 1], [50, 51]].mean().item()
    alone = score(model, tokenizer, [cloze], 64)["word"]
    assert alone.loss == pytest.approx(expected, rel=1e-5)
    best = case(logits.argmax(-1).tolist())
    if tokenizer.kind == "bert":
        assert score(model, tokenizer, [best], 64)["word"].accuracy == 1
    # beside longer and shorter cases, hence padded: the same
    beside = [case([70, 71, 72], "entity", 30, 20), cloze, case([44], "idiom", 2, 0)]
    assert score(model, tokenizer, beside, 64)["word"].loss == pytest.approx(expected, rel=1e-4)


def test_of_several_answers_the_most_probable_counts(tokenizer: Tokenizer) -> None:
    model = model_for(tokenizer)
    answers = tuple(np.array([k, k + 1]) for k in range(50, 57))
    losses = [score(model, tokenizer, [case(a.tolist())], 64)["word"].loss for a in answers]
    best = int(np.argmin(losses))
    several = [Cloze("chid", case([1]).before, case([1]).after, answers, right) for right in range(7)]
    assert score(model, tokenizer, several, 64)["chid"].accuracy == pytest.approx(1 / 7)
    assert score(model, tokenizer, several[best : best + 1], 64)["chid"].accuracy == 1
    alike = Cloze("chid", case([1]).before, case([1]).after, (answers[0],) * 4, 2)
    assert score(model, tokenizer, [alike], 64)["chid"].accuracy == 1 / 4


def test_long_contexts_are_cut_around_the_gap(tokenizer: Tokenizer) -> None:
    long = case([50], before=50, after=50)
    left = 14 if tokenizer.kind == "bert" else 15
    short = Cloze("word", long.before[-left:], long.after[:15], long.answers, 0)
    model = model_for(tokenizer)
    one, other = (score(model, tokenizer, [c], 32)["word"].loss for c in (long, short))
    assert one == pytest.approx(other)


def test_chid_is_read_or_refused_by_line(tokenizer: Tokenizer, tmp_path: Path) -> None:
    record = {
        "candidates": ["喜气洋洋", "山水画卷"],
        "content": "人人#idiom#,春天来了。",
        "answer": 0,
        "id": 1,
    }
    (tmp_path / "train_0.json").write_bytes(orjson.dumps(record) + b"\n")
    (tmp_path / "dev_0.json").write_bytes(orjson.dumps(record) + b"\n")
    (cloze,) = from_chid(tmp_path, tokenizer)
    assert len(cloze.answers) == 2
    assert tokenizer.decode(cloze.answers[0]).replace(" ", "") == "喜气洋洋"
    (tmp_path / "dev_1.json").write_bytes(b"\n" + orjson.dumps(record | {"answer": 2}))
    with pytest.raises(UserError, match=r"dev_1.json, line 1"):
        from_chid(tmp_path, tokenizer)
    (tmp_path / "dev_1.json").write_bytes(orjson.dumps(record | {"answer": 2}))
    with pytest.raises(UserError, match=r"line 1: no case .*an answer that is no candidate"):
        from_chid(tmp_path, tokenizer)
    with pytest.raises(UserError, match="no train"):
        from_chid(tmp_path / "nowhere", tokenizer)
