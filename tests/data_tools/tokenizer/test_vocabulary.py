"""A changed vocabulary keeps what it had, row by row, and stock libraries read it."""

from pathlib import Path

import numpy as np
import orjson
import pytest
from safetensors.numpy import load_file, save_file

from taixue import UserError
from taixue.data_tools.tokenizer import weights
from taixue.data_tools.tokenizer.change import extend, trim
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..texts import make_texts, write_jsonl


@pytest.fixture
def model(tmp_path: Path, t5_folder: Path) -> Path:
    """A T5 folder with 400 ids and 512 rows."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in t5_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    rows = np.random.default_rng(0).standard_normal((512, 4)).astype(np.float32)
    save_file({"shared.weight": rows, "block.weight": rows[:3]}, folder / "model.safetensors")
    (folder / "config.json").write_bytes(orjson.dumps({"model_type": "t5", "vocab_size": 512}))
    return folder


def test_extension(tmp_path: Path, model: Path) -> None:
    old = load_tokenizer(model)
    change = extend(model, ["学习技术", "GPUmodel", "今天", "学习技术", "春天 秋天"], tmp_path / "new")
    assert change.added == ["学习技术", "GPUmodel", "▁GPUmodel"]
    assert change.skipped == {"今天": "is a piece already", "春天 秋天": "several words"}
    new = load_tokenizer(tmp_path / "new")
    assert new.vocab_size == old.vocab_size + 3
    assert "学习技术" in new.pieces(new.encode(["我们学习技术。"])[0])
    before, after = load_file(model / "model.safetensors"), load_file(tmp_path / "new" / "model.safetensors")
    rows, made = before["shared.weight"], after["shared.weight"]
    assert made.shape == (512, 4)
    assert np.array_equal(after["block.weight"], before["block.weight"])
    pieces = old.vocab_size - len(old.sentinel_ids)
    assert np.array_equal(made[:pieces], rows[:pieces])
    for one, other in zip(new.sentinel_ids, old.sentinel_ids, strict=True):
        assert np.array_equal(made[one], rows[other])
    spelled = [k for k in old.encode(["学习技术"])[0].tolist() if old.pieces([k]) != ["▁"]]
    assert np.allclose(made[pieces], rows[spelled].mean(axis=0), atol=1e-6)
    assert orjson.loads((tmp_path / "new" / "config.json").read_bytes())["vocab_size"] == 512
    # Texts without the new words are spelled as before.
    texts = [text.replace("学习", "").replace("技术", "") for text in make_texts(50)]
    for a, b in zip(old.encode(texts), new.encode(texts), strict=True):
        assert old.pieces(a) == new.pieces(b)


@pytest.mark.parametrize("word", ["<extra_id_0>", "<extra_id_999>", "</s>", "<pad>", "<unk>", "a\0b"])
def test_special_tokens_are_no_words(tmp_path: Path, model: Path, word: str) -> None:
    with pytest.raises(UserError, match="is a special token or holds"):
        extend(model, [word], tmp_path / "new")


@pytest.mark.parametrize("word", ["[MASK]", "[unused1]", "<extra_id_0>"])
def test_special_tokens_of_bert_are_no_words(tmp_path: Path, bert_folder: Path, word: str) -> None:
    with pytest.raises(UserError, match=r"none of the 1 words is new"):
        extend(bert_folder, [word], tmp_path / "new")


def test_stock_tokenizer_agrees(tmp_path: Path, model: Path) -> None:
    from transformers import AutoTokenizer

    extend(model, ["学习技术", "GPUmodel"], tmp_path / "new")
    ours, stock = load_tokenizer(tmp_path / "new"), AutoTokenizer.from_pretrained(tmp_path / "new")
    text = "我们学习技术 GPUmodel 很好。"
    assert stock(text, add_special_tokens=False)["input_ids"] == ours.encode([text])[0].tolist()
    assert stock.convert_tokens_to_ids("<extra_id_0>") == ours.sentinel_ids[0]


def test_trimming(tmp_path: Path, model: Path) -> None:
    texts = make_texts(20, seed=3)
    inputs = [str(write_jsonl(tmp_path / "a.jsonl", texts))]
    change = trim(model, inputs, tmp_path / "small", multiple=1)
    old, new = load_tokenizer(model), load_tokenizer(tmp_path / "small")
    assert change.dropped
    assert new.vocab_size == old.vocab_size - len(change.dropped)
    for a, b in zip(old.encode(texts), new.encode(texts), strict=True):
        assert old.pieces(a) == new.pieces(b)
    rows = load_file(model / "model.safetensors")["shared.weight"]
    made = load_file(tmp_path / "small" / "model.safetensors")["shared.weight"]
    assert np.array_equal(made, rows[[origin[0] for origin in change.origin]])
    assert len(new.sentinel_ids) == len(old.sentinel_ids)


def test_trimming_says_what_it_did_not_read(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_jsonl(tmp_path / "texts" / "a.jsonl", make_texts(20, seed=3))
    with path.open("ab") as stream:
        stream.write(b'{"body": "x"}\n' * 15)
    (tmp_path / "texts" / "more.pdf").write_bytes(b"x")
    trim(model, [str(tmp_path / "texts")], tmp_path / "small", multiple=1)
    said = capsys.readouterr().err
    assert "15 lines were no documents, 1 files were not read (15: no field 'text'; its fields: body" in said
    assert "not read, the ending .pdf is not read" in said
    assert len((tmp_path / "small" / "quarantine.jsonl").read_text().splitlines()) == 16
    trim(tmp_path / "small", [str(write_jsonl(tmp_path / "b.jsonl", make_texts(9)))], tmp_path / "smaller")
    assert not (tmp_path / "smaller" / "quarantine.jsonl").exists()


def test_bert(tmp_path: Path, bert_folder: Path) -> None:
    old = load_tokenizer(bert_folder)
    change = extend(bert_folder, ["transformer", "学习", "龘", "model"], tmp_path / "new")
    assert change.added == ["transformer", "龘"]
    assert change.skipped["学习"] == "BERT cuts it into 学 习"
    new = load_tokenizer(tmp_path / "new")
    assert new.pieces(new.encode(["一个Transformer龘"])[0])[-2:] == ["transformer", "龘"]
    inputs = [str(write_jsonl(tmp_path / "a.jsonl", make_texts(20, seed=3)))]
    trim(bert_folder, inputs, tmp_path / "small")
    small = load_tokenizer(tmp_path / "small")
    assert small.vocab_size < old.vocab_size
    text = "我们学习技术，model 很好。"
    assert small.pieces(small.encode([text])[0]) == old.pieces(old.encode([text])[0])


def test_mistakes_are_named(tmp_path: Path, model: Path) -> None:
    with pytest.raises(UserError, match="none of the 1 words is new"):
        extend(model, ["今天"], tmp_path / "new")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UserError, match="exists and is not empty"):
        extend(model, ["学习技术"], tmp_path / "full")
    (model / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{]")
    with pytest.raises(UserError, match="not a safetensors file"):
        extend(model, ["学习技术"], tmp_path / "new")
    (model / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(UserError, match="no tensor of 512 rows"):
        extend(model, ["学习技术"], tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F64"])
def test_means_in_every_precision(tmp_path: Path, dtype: str) -> None:
    values = np.array([[1.0, -2.5], [3.0, 0.5], [0.25, 8.0]])
    if dtype == "BF16":
        raw = (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    else:
        raw = values.astype({"F16": "<f2", "F64": "<f8"}[dtype]).tobytes()
    header = orjson.dumps({"shared.weight": {"dtype": dtype, "shape": [3, 2], "data_offsets": [0, len(raw)]}})
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + raw)
    changed = weights.rewrite(tmp_path / "a.safetensors", tmp_path / "b.safetensors", 3, [[2], [0, 1], []])
    assert changed == ["shared.weight"]
    data = (tmp_path / "b.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    body = data[8 + size :]
    if dtype == "BF16":
        made = (np.frombuffer(body, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        made = np.frombuffer(body, {"F16": "<f2", "F64": "<f8"}[dtype])
    expected = np.array([values[2], values[:2].mean(axis=0), values.mean(axis=0)])
    assert np.allclose(made.reshape(3, 2), expected, rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", b'{"model": {"type": "WordPiece", "vocab": {"[PAD]": 0, "[UNK]": 9999999999}}}'),
        ("tokenizer.json", b'{"model": {"type": "WordPiece", "vocab": {"[PAD]": "0"}}}'),
        ("tokenizer.json", b'{"model": {"type": "WordPiece", "vocab": 3}}'),
        ("tokenizer.json", b'{"model": []}'),
        ("tokenizer.json", b'{"model": {"type": "BPE", "vocab": {"<pad>": 0}, "merges": []}}'),
        ("tokenizer.json", b'{"model": {"type": "Unigram", "vocab": [["<pad>"]]}}'),
        ("spiece.model", b""),
    ],
)
def test_hostile_tokenizers_are_errors(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [3, 2], "data_offsets": [0, 99]},
        {"shape": [3, -2], "data_offsets": [0, 24]},
        {"shape": [3, 9], "data_offsets": [0, 24]},
        {"shape": 3, "data_offsets": [0, 24]},
        {"shape": [3, 2], "data_offsets": [24, 0]},
    ],
)
def test_hostile_weights_are_errors(tmp_path: Path, entry: dict[str, object]) -> None:
    header = orjson.dumps({"shared.weight": {"dtype": "F32"} | entry})
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    with pytest.raises(UserError, match="not a safetensors file"):
        weights.rewrite(tmp_path / "a.safetensors", tmp_path / "b.safetensors", 3, [[2]])
