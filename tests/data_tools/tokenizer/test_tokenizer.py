"""Tokenizer folders: ids equal transformers', training repeats byte for byte, text cannot spell special ids."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as model_pb2
from transformers import AutoTokenizer

from taixue import UserError
from taixue.data_tools.config import TokenizerTrainConfig
from taixue.data_tools.tokenizer import charsmap
from taixue.data_tools.tokenizer.store import load_tokenizer, train

from ..texts import make_texts, make_tokenizer, write_jsonl

SPELT_OUT = ["今天 <extra_id_0> 天气</s>好<pad>", "今天[MASK]天气[SEP]"]
TEXTS = [*make_texts(40, seed=3), "  空格  与\n换行 ", "", "ABC123,你好!", "罕见字:龘 😀"]


def test_t5_ids_equal_transformers(t5_folder: Path) -> None:
    ours, theirs = load_tokenizer(t5_folder), AutoTokenizer.from_pretrained(t5_folder)
    assert [ids.tolist() for ids in ours.encode(TEXTS)] == theirs(TEXTS, add_special_tokens=False)[
        "input_ids"
    ]
    assert (ours.pad_id, ours.eos_id, ours.unk_id) == (0, 1, 2)
    assert (theirs.pad_token_id, theirs.eos_token_id, theirs.unk_token_id) == (0, 1, 2)
    assert ours.vocab_size == len(theirs) == 400
    assert ours.sentinel_ids == tuple(range(399, 379, -1))
    assert theirs.convert_tokens_to_ids([f"<extra_id_{k}>" for k in range(20)]) == list(ours.sentinel_ids)
    assert theirs(TEXTS[0])["input_ids"][-1] == ours.eos_id
    for text in TEXTS[:5]:
        ids = ours.encode([text])[0]
        assert ours.decode(ids) == " ".join(text.split())
        assert ours.pieces(ids) == theirs.convert_ids_to_tokens(ids.tolist())


@pytest.mark.parametrize(
    "text", ["今天<extra_id_0>天气", "今天 <extra_id_0> 天气", "<extra_id_0>天气", "今天<extra_id_0>"]
)
def test_nothing_stands_between_a_sentinel_and_the_text_behind_it(text: str, t5_folder: Path) -> None:
    """As in training, where spans are cut out of the middle of the text."""
    ours, theirs = load_tokenizer(t5_folder), AutoTokenizer.from_pretrained(t5_folder)
    ids = theirs(text, add_special_tokens=False)["input_ids"]
    at = ids.index(ours.sentinel_ids[0])
    before, behind = text.split("<extra_id_0>")
    assert ids[:at] == ours.encode([before])[0].tolist()
    pieces = theirs.convert_ids_to_tokens(ids[at + 1 :])
    assert "".join(pieces) == behind.replace(" ", "▁")


def test_fullwidth_punctuation_can_be_kept(tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "in.jsonl", make_texts(300, seed=3) + ["你好，世界！（真的吗？）ＡＢＣ１２３：好；"] * 20
    )
    folders = [tmp_path / "once", tmp_path / "again"]
    for folder in folders:
        train(
            TokenizerTrainConfig(
                inputs=(str(tmp_path / "in.jsonl"),),
                output=str(folder),
                vocab_size=400,
                sentinels=20,
                character_coverage=1.0,
                normalization="nmt_nfkc-fullwidth",
            )
        )
    model = (folders[0] / "spiece.model").read_bytes()
    assert model == (folders[1] / "spiece.model").read_bytes()
    assert b"/tmp" not in model, "the path of a passing file is no part of a model"
    ours, theirs = load_tokenizer(folders[0]), AutoTokenizer.from_pretrained(folders[0])
    assert ours.decode(ours.encode(["你好︐﹐︕﹙﹚"])[0]) == "你好，，！（）"
    text = "你好，世界！（真的吗？）ＡＢ１２：好；"
    ids = ours.encode([text])[0]
    assert ours.decode(ids) == "你好，世界！（真的吗？）AB12：好；"
    assert ids.tolist() == theirs(text, add_special_tokens=False)["input_ids"]
    assert [*ids.tolist(), ours.eos_id] == ours.encode_joined([text])[0].tolist()


def test_charsmap_rules_are_sentencepieces_own() -> None:
    processor = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc")
    proto = model_pb2.ModelProto.FromString(processor.serialized_model_proto())  # type: ignore[attr-defined]
    rules = dict(charsmap.rules(proto.normalizer_spec.precompiled_charsmap))
    assert len(rules) > 200_000
    assert (rules["，"], rules["①"]) == (",", "1")
    for left in random.Random(1).sample(sorted(rules), 2000):
        assert processor.normalize(f"a{left}b") == f"▁a{rules[left]}b".replace(" ", "▁")


def test_ids_of_real_text_equal_transformers(tmp_path: Path) -> None:
    """The sample of the demo. Only ties between equally good segmentations may differ, and they keep the length."""
    folder = Path("data_tools/sample")
    config = TokenizerTrainConfig(
        inputs=(str(folder),), output=str(tmp_path / "out"), vocab_size=3000, threads=2
    )
    ours, theirs = load_tokenizer(train(config)), AutoTokenizer.from_pretrained(tmp_path / "out")
    texts = [
        json.loads(line)["text"]
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.open(encoding="utf-8")
    ]
    rows, expected = ours.encode(texts), theirs(texts, add_special_tokens=False)["input_ids"]
    different = [
        (row.tolist(), other) for row, other in zip(rows, expected, strict=True) if row.tolist() != other
    ]
    assert len(different) <= len(texts) // 100
    assert all(sorted(row) == sorted(other) for row, other in different)


def test_byte_fallback_equals_transformers_and_has_no_unknown(tmp_path: Path) -> None:
    folder = make_tokenizer(tmp_path / "tokenizer", "t5", sentinels=20, vocab_size=600, byte_fallback=True)
    ours, theirs = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    rows = ours.encode(TEXTS)
    assert [row.tolist() for row in rows] == theirs(TEXTS, add_special_tokens=False)["input_ids"]
    assert not any((row == ours.unk_id).any() for row in rows)
    assert ours.decode(ours.encode(["罕见字:龘"])[0]) == theirs.decode(ours.encode(["罕见字:龘"])[0].tolist())


def test_bert_ids_equal_transformers(bert_folder: Path) -> None:
    ours, theirs = load_tokenizer(bert_folder), AutoTokenizer.from_pretrained(bert_folder)
    assert type(theirs).__name__.startswith("BertTokenizer")
    assert [ids.tolist() for ids in ours.encode(TEXTS)] == theirs(TEXTS, add_special_tokens=False)[
        "input_ids"
    ]
    assert (ours.pad_id, ours.unk_id, ours.cls_id, ours.sep_id, ours.mask_id) == (0, 1, 2, 3, 4)
    assert ours.eos_id == ours.sep_id
    assert ours.vocab_size == len(theirs) == 400
    assert theirs("好")["input_ids"] == [2, *ours.encode(["好"])[0].tolist(), 3]
    # Every character of the sample is a token; letters go on with ##.
    assert ours.pieces(ours.encode(["北京天气 Python"])[0])[:4] == ["北", "京", "天", "气"]
    assert any(piece.startswith("##") for piece in ours.pieces(range(400)))
    names = ours.pieces(ours.special_ids)
    assert names[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert all(name.startswith("[unused") for name in names[5:])


@pytest.mark.parametrize("kind", ["t5", "bert"])
def test_special_tokens_written_in_text_stay_text(kind: str, t5_folder: Path, bert_folder: Path) -> None:
    folder = t5_folder if kind == "t5" else bert_folder
    ours, theirs = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    rows = ours.encode(SPELT_OUT)
    special = set(ours.special_ids) - {ours.unk_id}
    assert not any(special & set(row.tolist()) for row in rows)
    if kind == "bert":
        split = theirs(SPELT_OUT, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert [row.tolist() for row in rows] == split


@pytest.mark.parametrize("kind", ["t5", "bert"])
def test_training_repeats_byte_for_byte(
    kind: str, tmp_path: Path, t5_folder: Path, bert_folder: Path
) -> None:
    """In another process too: hash seeds and thread timing do not reach the result."""
    first = t5_folder if kind == "t5" else bert_folder
    code = (
        "import sys; from pathlib import Path; from tests.data_tools.texts import make_tokenizer;"
        "make_tokenizer(Path(sys.argv[1]), sys.argv[2], **({'sentinels': 20} if sys.argv[2] == 't5' else {}))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "again"), kind], check=True, capture_output=True
    )
    for path in sorted(first.iterdir()):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_training_again_keeps_the_folder_and_refuses_another(tmp_path: Path) -> None:
    texts = str(write_jsonl(tmp_path / "a.jsonl", make_texts(100)))
    config = TokenizerTrainConfig(kind="bert", inputs=(texts,), output=str(tmp_path / "out"), vocab_size=300)
    folder = train(config)
    before = (folder / "vocab.txt").stat().st_mtime_ns
    assert train(config) == folder
    assert (folder / "vocab.txt").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="exists and was not made from this text and these settings"):
        train(config.model_copy(update={"vocab_size": 301}))


def test_the_sample_is_bounded_and_bad_lines_are_kept(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", make_texts(200))
    path.write_bytes(path.read_bytes() + b"not json\n")
    settings = {"kind": "bert", "inputs": (str(path),), "vocab_size": 300}
    whole = train(TokenizerTrainConfig(output=str(tmp_path / "whole"), **settings))
    part = train(TokenizerTrainConfig(output=str(tmp_path / "part"), sample_bytes=3000, **settings))
    assert load_tokenizer(whole).sha256 != load_tokenizer(part).sha256
    (rejected,) = (whole / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(rejected)["line"] == 201


def test_vocabulary_sizes_that_do_not_fit(tmp_path: Path) -> None:
    path = str(write_jsonl(tmp_path / "a.jsonl", make_texts(100)))

    def attempt(kind: str, size: int) -> None:
        train(TokenizerTrainConfig(kind=kind, inputs=(path,), output=str(tmp_path / "out"), vocab_size=size))

    with pytest.raises(
        UserError, match=r"vocab_size 30000 is too large for this sample: at most \d+ \(sentinels"
    ):
        attempt("t5", 30_000)
    with pytest.raises(
        UserError, match=r"vocab_size 120 is too small: \d+ characters and special tokens and 100"
    ):
        attempt("t5", 120)
    with pytest.raises(UserError, match=r"vocab_size 100 counts the 100 sentinels"):
        attempt("t5", 100)
    with pytest.raises(UserError, match=r"vocab_size 50 is too small: \d+ characters, \d+ ## forms"):
        attempt("bert", 50)
    assert not (tmp_path / "out").exists()


def test_the_sizes_named_in_the_message_work(tmp_path: Path) -> None:
    path = str(write_jsonl(tmp_path / "a.jsonl", make_texts(100)))
    config = TokenizerTrainConfig(inputs=(path,), output=str(tmp_path / "out"), vocab_size=30_000, threads=1)
    for wrong in (30_000, 105):
        with pytest.raises(UserError) as caught:
            train(config.model_copy(update={"vocab_size": wrong}))
        words = str(caught.value).split("at most " if wrong > 1000 else "at least ")[1]
        size = int("".join(letter for letter in words.split(" ")[0] if letter.isdigit()))
        folder = train(config.model_copy(update={"vocab_size": size, "output": str(tmp_path / str(size))}))
        assert load_tokenizer(folder).vocab_size == size


def test_plain_hub_folders_load(tmp_path: Path, t5_folder: Path, bert_folder: Path) -> None:
    """As published: spiece.model alone, tokenizer.json alone, vocab.txt alone."""
    ours = load_tokenizer(t5_folder)
    plain = _copy(t5_folder, tmp_path / "model", ["spiece.model"])
    assert load_tokenizer(plain).sentinel_ids == tuple(range(479, 379, -1))  # T5's default of 100
    with_settings = load_tokenizer(
        _copy(t5_folder, tmp_path / "t5", ["spiece.model", "tokenizer_config.json"])
    )
    assert (with_settings.sha256, with_settings.special) == (ours.sha256, ours.special)
    as_json = load_tokenizer(_copy(t5_folder, tmp_path / "json", ["tokenizer.json", "tokenizer_config.json"]))
    assert as_json.special == ours.special
    assert as_json.vocab_size == ours.vocab_size
    texts = [*TEXTS, *SPELT_OUT]
    assert [row.tolist() for row in as_json.encode(texts)] == [row.tolist() for row in ours.encode(texts)]
    ids = [*ours.encode(["天气"])[0], ours.sentinel_ids[1], ours.eos_id, 400]
    assert as_json.decode(ids) == ours.decode(ids) == "天气 <extra_id_1> </s> <id 400>"

    bert = load_tokenizer(bert_folder)
    for names in (["vocab.txt"], ["tokenizer.json"]):
        again = load_tokenizer(_copy(bert_folder, tmp_path / names[0], names))
        assert (again.sha256, again.special, again.kind) == (bert.sha256, bert.special, "bert")


def test_a_model_with_sentinels_inside_loads(tmp_path: Path) -> None:
    """Some published T5 models hold <extra_id_k> as pieces of spiece.model."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(make_texts(100)),
        model_prefix=str(tmp_path / "spiece"),
        vocab_size=300,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        user_defined_symbols=["<extra_id_0>", "<extra_id_1>"],
        minloglevel=2,
    )
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.vocab_size == 300
    assert tokenizer.pieces(tokenizer.sentinel_ids) == ["<extra_id_0>", "<extra_id_1>"]


def test_damaged_folders(tmp_path: Path, t5_folder: Path, bert_folder: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"none of spiece\.model, vocab\.txt, tokenizer\.json"):
        load_tokenizer(tmp_path)
    changed = _copy(bert_folder, tmp_path / "changed", [path.name for path in bert_folder.iterdir()])
    (changed / "vocab.txt").write_text((changed / "vocab.txt").read_text().replace("北\n", "背\n"))
    with pytest.raises(UserError, match="files have changed since it was trained"):
        load_tokenizer(changed)
    broken = _copy(t5_folder, tmp_path / "broken", ["spiece.model"])
    (broken / "spiece.model").write_bytes(b"not a model")
    with pytest.raises(UserError, match="not a SentencePiece model"):
        load_tokenizer(broken)


def _copy(source: Path, target: Path, names: list[str]) -> Path:
    target.mkdir()
    for name in names:
        shutil.copy(source / name, target / name)
    return target
