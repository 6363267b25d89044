"""Sample k is a function of (seed, k): any batch, any split over ranks; every epoch is every window once."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from taixue import UserError
from taixue.data_tools.shards.corpus import open_corpus
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.pretrain.config.schema import (
    BertConfig,
    DataConfig,
    MlmConfig,
    RunConfig,
    SourceConfig,
    SpanCorruptionConfig,
)
from taixue.pretrain.data import TrainingData, open_data
from taixue.pretrain.objectives import build_objective

from ...data_tools.texts import make_corpus, make_texts


def _open(run: RunConfig) -> TrainingData:
    tokenizer = load_tokenizer(run.data.tokenizer)
    return open_data(run, tokenizer, build_objective(run.objective, tokenizer))


def _with(run: RunConfig, **changes: object) -> RunConfig:
    return run.model_copy(update=changes)


def _sources(run: RunConfig, *sources: SourceConfig) -> RunConfig:
    return _with(run, data=run.data.model_copy(update={"sources": sources}))


def test_a_sample_is_the_same_in_every_batch(run: RunConfig) -> None:
    data = _open(run)
    whole = data.batch(range(64))
    for part in (range(16, 32), np.array([63, 0, 17, 17])):
        for name, value in data.batch(part).items():
            np.testing.assert_array_equal(value, whole[name][np.asarray(part)])
    again = _open(run)
    assert again.fingerprint == data.fingerprint
    other = _open(_with(run, seed=4))
    assert other.fingerprint != data.fingerprint
    assert not np.array_equal(other.batch(range(64))["labels"], whole["labels"])


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_id_outside_the_vocabulary_is_an_error(
    run: RunConfig, corpus: Path, tmp_path: Path, split: str
) -> None:
    folder = tmp_path / "corpus"
    shutil.copytree(corpus, folder)
    ids = load_tokenizer(run.data.tokenizer).vocab_size
    for path in folder.glob(f"{split}-*.bin"):
        tokens = np.fromfile(path, np.uint16)
        tokens[:] = ids
        tokens.tofile(path)
    data = _open(_sources(run, SourceConfig(corpus=str(folder))))
    read = data.batch if split == "train" else data.validation()["web"].__getitem__
    with pytest.raises(
        UserError, match=rf"source (web|news): token id {ids}, but the tokenizer has {ids} ids"
    ):
        read(range(2))


def _windows(data: TrainingData, samples: range) -> list[tuple[int, ...]]:
    """The raw windows behind samples, put together again from inputs and targets."""
    batch = data.batch(samples)
    rows = []
    for source, labels in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), strict=True):
        spans: dict[int, list[int]] = {}
        for token in labels[:-1]:
            if token >= 380:
                current = spans.setdefault(token, [])
            else:
                current.append(token)
        rows.append(tuple(token for part in source[:-1] for token in spans.get(part, [part])))
    return rows


def test_an_epoch_is_every_window_once_in_another_order_each_time(run: RunConfig, corpus: Path) -> None:
    run = _sources(run, SourceConfig(corpus=str(corpus), source="web"))
    data = _open(run)
    shards = open_corpus(corpus, "train").shards_of("web")
    assert len(shards) > 1
    tokens = np.concatenate([shard.reader.tokens for shard in shards])
    length = data.objective.raw_length
    count = len(tokens) // length
    expected = Counter(tuple(row) for row in tokens[: count * length].reshape(count, length).tolist())
    first, second = _windows(data, range(count)), _windows(data, range(count, 2 * count))
    assert Counter(first) == Counter(second) == expected
    assert first != second
    # The same window is corrupted differently in the next epoch.
    masked = data.batch(range(2 * count))["labels"]
    places = {row: index for index, row in enumerate(first)}
    assert any(not np.array_equal(masked[places[row]], masked[count + i]) for i, row in enumerate(second))


def test_sources_come_in_proportion_to_their_tokens_or_weights(run: RunConfig, corpus: Path) -> None:
    data = _open(run)
    assert data.source_names == ("web", "news")
    sizes = [source.train.tokens for source in data.sources]
    counts = np.bincount(data.sources_of(range(1000)), minlength=2)
    np.testing.assert_allclose(counts, np.array(sizes) / sum(sizes) * 1000, atol=2)

    chosen = [SourceConfig(corpus=str(corpus), source=name, weight=1.0) for name in ("news", "web")]
    data = _open(_sources(run, *chosen))
    assert data.source_names == ("news", "web")
    assert np.bincount(data.sources_of(range(1000))).tolist() == [500, 500]


def test_sources_of_two_corpora_may_have_the_same_name(
    run: RunConfig, corpus: Path, tmp_path: Path, t5_folder: Path
) -> None:
    other = make_corpus(tmp_path / "other", t5_folder, {"web": make_texts(20, seed=5)})
    data = _open(_sources(run, SourceConfig(corpus=str(corpus)), SourceConfig(corpus=str(other))))
    assert data.source_names == ("corpus/web", "news", "other/web")


def test_validation_is_the_same_for_every_seed(run: RunConfig) -> None:
    first, second = _open(run), _open(_with(run, seed=99))
    assert tuple(first.validation()) == ("web", "news")
    for source, held_out in first.validation().items():
        assert len(held_out) == 5
        for name, value in held_out[range(5)].items():
            np.testing.assert_array_equal(value, second.validation()[source][range(5)][name])
            np.testing.assert_array_equal(value[2:4], held_out[range(2, 4)][name])
    every = _open(_with(run, eval_windows=10_000)).validation()
    assert len(every["news"]) == len(first.sources[1].held_out)


def test_held_out_windows_are_not_trained_on(run: RunConfig) -> None:
    data = _open(_with(run, eval_windows=10_000))
    rows = {source.name: source for source in data.sources}
    for name, windows in data.validation().items():
        count = len(windows)
        held_out = np.empty((count, data.objective.raw_length), np.int32)
        rows[name].held_out.gather(np.arange(count), held_out)
        train = np.empty((len(rows[name].train), data.objective.raw_length), np.int32)
        rows[name].train.gather(np.arange(len(train)), train)
        assert not set(map(bytes, held_out)) & set(map(bytes, train))


def test_bert_data(tmp_path: Path, bert_folder: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", bert_folder, {"a": make_texts(50)})
    run = RunConfig(
        model=BertConfig(vocab_size=400),
        data=DataConfig(tokenizer=str(bert_folder), sources=(SourceConfig(corpus=str(corpus)),)),
        objective=MlmConfig(input_length=32),
    )
    batch = _open(run).batch(range(8))
    assert {name: value.shape for name, value in batch.items()} == {
        "input_ids": (8, 32),
        "token_type_ids": (8, 32),
        "labels": (8, 32),
        "sop_labels": (8,),
    }
    assert (batch["input_ids"][:, 0] == 2).all()
    other = make_corpus(tmp_path / "other", bert_folder, {"a": make_texts(5)}, validation_fraction=0)
    listing = (other / "corpus.json").read_text()
    (other / "corpus.json").write_text(listing.replace(load_tokenizer(bert_folder).sha256, "0" * 64))
    with pytest.raises(UserError, match="ids were made by another tokenizer"):
        _open(_sources(run, SourceConfig(corpus=str(other))))


def test_what_does_not_fit_is_refused(run: RunConfig, corpus: Path, tmp_path: Path, t5_folder: Path) -> None:
    small = run.model.model_copy(update={"vocab_size": 399})
    with pytest.raises(UserError, match=r"model\.vocab_size 399 is smaller than the tokenizer's 400"):
        _open(_with(run, model=small))
    with pytest.raises(UserError, match=r"data\.sources is empty"):
        _open(_sources(run))
    with pytest.raises(UserError, match="1 of 2 have a weight"):
        _open(
            _sources(
                run,
                SourceConfig(corpus=str(corpus), source="web", weight=1.0),
                SourceConfig(corpus=str(corpus), source="news"),
            )
        )
    with pytest.raises(UserError, match="source corpus/web is named twice"):
        _open(_sources(run, SourceConfig(corpus=str(corpus), source="web"), SourceConfig(corpus=str(corpus))))
    with pytest.raises(UserError, match="no source 'books'; it has web, news"):
        _open(_sources(run, SourceConfig(corpus=str(corpus), source="books")))
    with pytest.raises(UserError, match=r"no corpus\.json"):
        _open(_sources(run, SourceConfig(corpus=str(tmp_path))))
    few = make_corpus(tmp_path / "few", t5_folder, {"a": make_texts(2, words=4)}, validation_fraction=0)
    longer = SpanCorruptionConfig(input_length=135)
    with pytest.raises(UserError, match=r"source 'a' has \d+ training tokens, one window needs 149"):
        _open(_with(_sources(run, SourceConfig(corpus=str(few))), objective=longer))
    none = make_corpus(tmp_path / "none", t5_folder, {"a": make_texts(20)}, validation_fraction=0)
    run = _sources(run, SourceConfig(corpus=str(none)))
    with pytest.raises(UserError, match=r"no source holds out more than 0; build the corpus with a larger"):
        _open(run)
    assert _open(_with(run, eval_every=0)).validation() == {}


def test_a_truncated_shard_is_refused(run: RunConfig, corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(corpus, copy)
    path = copy / "train-web-00000.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(UserError, match=r"train-web-00000\.bin: \d+ bytes, but its index announces \d+"):
        _open(_sources(run, SourceConfig(corpus=str(copy))))
