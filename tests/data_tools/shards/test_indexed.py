"""The shard files are Megatron's, byte for byte, and damage is found."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder

from taixue import UserError
from taixue.data_tools.shards.corpus import open_corpus
from taixue.data_tools.shards.indexed import Reader, Writer, index_size, token_dtype
from taixue.data_tools.shards.manifest import CORPUS_FILE, CorpusManifest, TokenizerRecord, write


def _write(prefix: Path, documents: list[list[int]], dtype: np.dtype, batch: int = 2) -> None:
    with Writer(prefix, dtype) as writer:
        for begin in range(0, len(documents), batch):
            part = documents[begin : begin + batch]
            tokens = np.array([token for document in part for token in document], np.int32)
            writer.add(tokens, np.array([len(document) for document in part]))
        written = writer.finish()
    assert (written.documents, written.tokens) == (len(documents), sum(map(len, documents)))


@given(
    documents=st.lists(st.lists(st.integers(0, 65_000), max_size=9), min_size=1, max_size=7),
    large=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_bytes_equal_megatrons(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]], large: bool
) -> None:
    folder = tmp_path_factory.mktemp("indexed")
    dtype = token_dtype(70_000 if large else 100)
    _write(folder / "ours", documents, dtype)
    theirs = IndexedDatasetBuilder(str(folder / "theirs.bin"), dtype=dtype.type)
    for document in documents:
        theirs.add_document(torch.tensor(document, dtype=torch.int64), [len(document)])
    theirs.finalize(str(folder / "theirs.idx"))
    for suffix in (".bin", ".idx"):
        assert (folder / f"ours{suffix}").read_bytes() == (folder / f"theirs{suffix}").read_bytes()
    assert (folder / "ours.idx").stat().st_size == index_size(len(documents))

    reader = Reader(folder / "ours")
    reader.check_tables()
    assert [reader.document(number).tolist() for number in range(len(documents))] == documents
    if any(documents):
        dataset = IndexedDataset(str(folder / "ours"))
        assert [dataset[number].tolist() for number in range(len(documents))] == documents


def test_dtype_follows_megatrons_rule() -> None:
    assert (token_dtype(65_499), token_dtype(65_500)) == (np.uint16, np.int32)


def test_leaving_without_finish_leaves_nothing(tmp_path: Path) -> None:
    with Writer(tmp_path / "a", np.dtype(np.uint16)) as writer:
        writer.add(np.arange(3), np.array([3]))
    assert list(tmp_path.iterdir()) == []


def test_damage_is_found(tmp_path: Path) -> None:
    prefix = tmp_path / "a"
    documents = [[1, 2, 3], [4, 5]]

    def damaged(suffix: str, change: slice | int, content: bytes = b"") -> None:
        _write(prefix, documents, np.dtype(np.uint16))
        path = prefix.with_suffix(suffix)
        raw = bytearray(path.read_bytes())
        if isinstance(change, int):
            raw[change : change + len(content)] = content
        else:
            raw = raw[change]
        path.write_bytes(bytes(raw))
        Reader(prefix).check_tables()

    with pytest.raises(UserError, match=r"a\.bin: 8 bytes, but its index announces 10"):
        damaged(".bin", slice(None, -2))
    with pytest.raises(UserError, match=r"a\.idx: 81 bytes, but its header announces 82"):
        damaged(".idx", slice(None, -1))
    with pytest.raises(UserError, match=r"a\.idx: truncated: 9 bytes, the header alone has 34"):
        damaged(".idx", slice(None, 9))
    with pytest.raises(UserError, match="not a Megatron index of version 1"):
        damaged(".idx", 0, b"X")
    with pytest.raises(UserError, match="not a Megatron index of version 1"):
        damaged(".idx", 9, b"\x02")
    with pytest.raises(UserError, match="contradict"):
        damaged(".idx", 34, b"\x02")
    prefix.with_suffix(".bin").unlink()
    with pytest.raises(UserError, match=r"a\.bin: missing"):
        Reader(prefix)


def test_types_that_no_ids_have_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "a", [[1, 2], [3]], np.dtype(np.int32))
    raw = (tmp_path / "a.idx").read_bytes()
    (tmp_path / "a.idx").write_bytes(raw[:17] + b"\7" + raw[18:])
    with pytest.raises(UserError, match="tokens of float32; ids are whole numbers"):
        Reader(tmp_path / "a")


def test_a_corpus_without_shards_is_an_error(tmp_path: Path) -> None:
    record = TokenizerRecord(sha256="a", kind="t5", library="b", vocab_size=9, eos_id=1)
    write(tmp_path / CORPUS_FILE, CorpusManifest(tokenizer=record, shards=()))
    with pytest.raises(UserError, match="lists no shards; at least 1 is needed"):
        open_corpus(tmp_path, "train")
