"""Annotation reaches the objective beside its tokens, whatever the ranks; what does not fit is refused at the start."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from taixue import UserError
from taixue.data_tools.shards import sidecar
from taixue.data_tools.shards.corpus import open_corpus
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.pretrain.config.schema import BertConfig, DataConfig, MlmConfig, RunConfig, SourceConfig
from taixue.pretrain.data import Loader, TrainingData, check_digests, open_data
from taixue.pretrain.objectives import build_objective

from ...data_tools.texts import make_corpus, make_texts

SAMPLE = Path(__file__).parents[3] / "data_tools/sample"


def _open(run: RunConfig) -> TrainingData:
    tokenizer = load_tokenizer(run.data.tokenizer)
    return open_data(run, tokenizer, build_objective(run.objective, tokenizer))


@pytest.fixture(scope="session")
def annotated(tmp_path_factory: pytest.TempPathFactory, bert_folder: Path) -> Path:
    """The sample that comes along, with words, names, connectives and clauses."""
    texts = [
        orjson.loads(line)["text"] for path in sorted(SAMPLE.glob("*.jsonl")) for line in path.open("rb")
    ]
    folder = tmp_path_factory.mktemp("annotated") / "corpus"
    sources = {"first": texts[::2], "second": texts[1::2]}
    return make_corpus(folder, bert_folder, sources, shard_bytes=20_000, annotate={})


def _run(corpus: Path, tokenizer: Path, **objective: Any) -> RunConfig:
    return RunConfig(
        seed=3,
        eval_windows=5,
        model=BertConfig(vocab_size=512),
        data=DataConfig(tokenizer=str(tokenizer), sources=(SourceConfig(corpus=str(corpus)),)),
        objective=MlmConfig(input_length=64, **({"masking": "knowledge"} | objective)),
    )


def test_rows_lie_beside_their_tokens(annotated: Path, bert_folder: Path) -> None:
    data = _open(_run(annotated, bert_folder))
    shards = open_corpus(annotated, "train").shards
    tokens = np.concatenate([shard.reader.tokens for shard in shards]).astype(np.int32)
    rows = np.concatenate([sidecar.Reader(annotated / shard.entry.name).rows for shard in shards])
    both: set[bytes] = set()
    for name in data.source_names:
        mine = [shard.entry.source == name for shard in shards for _ in range(shard.entry.tokens)]
        length = data.objective.raw_length
        count = sum(mine) // length * length
        pairs = zip(
            tokens[mine][:count].reshape(-1, length), rows[mine][:count].reshape(-1, length), strict=True
        )
        both |= {token.tobytes() + row.tobytes() for token, row in pairs}
    found, found_rows = data.windows(range(200))
    assert found_rows is not None
    for token, row in zip(found, found_rows, strict=True):
        assert token.tobytes() + row.tobytes() in both


def test_samples_are_the_same_on_any_ranks_and_after_resume(annotated: Path, bert_folder: Path) -> None:
    run = _run(annotated, bert_folder, features=True, tag_labels=True, relation_labels=True)
    data = _open(run)
    whole = data.batch(range(24))
    assert {name: array.shape[1:] for name, array in whole.items()} == data.objective.shapes
    for world in (1, 2, 4):
        for prefetch in (0, 2):
            parts = []
            for rank in range(world):
                with Loader(_open(run), 8, rank, world, first_step=1, prefetch=prefetch) as loader:
                    parts.append(next(loader)[1])
            for name, array in whole.items():
                np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), array[8:16])
    evaluated = next(iter(data.validation().values()))[range(2)]
    assert evaluated.keys() == whole.keys()


def test_a_run_without_annotation_stays_what_it_was(annotated: Path, bert_folder: Path) -> None:
    """Keys that came later do not change the fingerprint of a run that does not use them; annotation does."""
    plain = _open(_run(annotated, bert_folder, masking="token"))
    assert (
        plain.fingerprint
        == _open(_run(annotated, bert_folder, masking="token", ngrams=(0.4, 0.3, 0.2, 0.1))).fingerprint
    )
    assert plain.windows(range(2))[1] is None
    assert _open(_run(annotated, bert_folder)).fingerprint != plain.fingerprint


def test_missing_annotation(corpus: Path, tmp_path: Path, bert_folder: Path) -> None:
    folder = make_corpus(tmp_path / "corpus", bert_folder, {"web": make_texts(20)})
    with pytest.raises(UserError, match=r"has no annotation, .* `annotate:` section"):
        _open(_run(folder, bert_folder))
    _open(_run(folder, bert_folder, masking="token"))


def _broken(annotated: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the corpus, and the first training shard's sidecar."""
    folder = tmp_path / "corpus"
    shutil.copytree(annotated, folder)
    entry = open_corpus(folder, "train").shards[0].entry
    return folder, folder / f"{entry.name}.ann"


def test_misaligned_annotation(annotated: Path, tmp_path: Path, bert_folder: Path) -> None:
    folder, path = _broken(annotated, tmp_path)
    reader = sidecar.Reader(path.with_suffix(""))
    rows = np.array(reader.rows)
    with sidecar.Writer(path.with_suffix(""), reader.schema) as writer:
        writer.add(rows[:-3])
        writer.finish()
    with pytest.raises(
        UserError, match=rf"{len(rows) - 3} rows for {len(rows)} tokens: it belongs to another shard"
    ):
        _open(_run(folder, bert_folder))


@pytest.mark.parametrize(
    ("column", "flag", "message"),
    [
        ("entity", sidecar.ENTITY, "the entity at token 1 has no length"),
        ("connective", sidecar.CONNECTIVE, "the connective at token 1 has no length"),
        ("flags", 0, "its first token begins no unit"),
        ("overlap", 0, "the entity at token 2 overlaps another"),
    ],
)
def test_units_that_are_none(
    annotated: Path, tmp_path: Path, bert_folder: Path, column: str, flag: int, message: str
) -> None:
    folder, path = _broken(annotated, tmp_path)
    reader = sidecar.Reader(path.with_suffix(""))
    rows = np.array(reader.rows)
    if column == "overlap":
        rows["entity"][:3], rows["flags"][:3] = [1, 1, 2], [sidecar.UNIT | sidecar.ENTITY, 0, 0]
    elif column == "flags":
        rows["flags"][0] = 0
    else:
        rows[column][:3], rows["flags"][:3] = 0, [sidecar.UNIT, sidecar.UNIT | flag, sidecar.UNIT]
    with sidecar.Writer(path.with_suffix(""), reader.schema) as writer:
        writer.add(rows)
        writer.finish()
    run = _run(folder, bert_folder)
    with pytest.raises(UserError, match=message):
        _open(run)
    with pytest.raises(UserError, match=r"\.ann: its bytes have changed"):
        check_digests(run, 0, 1)


def test_names_of_several_corpora_are_one_list(annotated: Path, tmp_path: Path, bert_folder: Path) -> None:
    """Corpora with other lexicons: a name has one number, whatever its number in a corpus."""
    lexicon = tmp_path / "list"
    lexicon.write_text("天气\n学习\n", "utf-8")
    settings = {"lexicons": [{"path": str(lexicon), "type": "topic"}], "lexicon_on_words": False}
    other = make_corpus(tmp_path / "other", bert_folder, {"web": make_texts(80)}, annotate=settings)
    run = _run(annotated, bert_folder)
    sources = (*run.data.sources, SourceConfig(corpus=str(other)))
    data = _open(run.model_copy(update={"data": run.data.model_copy(update={"sources": sources})}))
    first, second = (
        sidecar.Reader(folder / open_corpus(folder, "train").shards[0].entry.name)
        for folder in (annotated, other)
    )
    entity = data.schema["entity"]
    assert entity == [*first.names("entity"), "topic"] != second.names("entity")
    rows = data.sources[-1].train_rows
    assert rows is not None
    out = np.zeros((1, rows.length, second.rows.itemsize), np.uint8)
    rows.gather(np.array([0]), out)
    made, stored = out[0].view(second.rows.dtype)[:, 0], second.rows[: rows.length]
    assert (stored["entity"] > 0).any()
    names = second.names("entity")
    assert [entity[k] for k in made["entity"]] == [names[k] for k in stored["entity"]]
    for column in ("flags", "pos", "connective"):
        assert np.array_equal(made[column], stored[column])
