"""What is fuzzed: readers, text functions beside their plain twins, and the files of vocabularies and shards.

An input is a choice (three bytes) and a payload. A target raises nothing but what it is documented to raise, whatever
the payload; what it returns has the properties of its contract.
"""

import bz2
import gzip
import lzma
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import zstandard

from taixue import UserError
from taixue.data_tools import native, read
from taixue.data_tools.annotate import words
from taixue.data_tools.annotate.layered_text import Characters
from taixue.data_tools.read import ReadOptions
from taixue.data_tools.shards import indexed, manifest, sidecar
from taixue.data_tools.tokenizer import weights
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..data_tools.native.conftest import plain
from .array_targets import ARRAY_TARGETS

FORMATS = (".jsonl", ".txt", ".csv", ".tsv", ".parquet", ".arrow", ".warc", ".wet")
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda raw: gzip.compress(raw, 1),
    ".zst": zstandard.compress,
    ".bz2": lambda raw: bz2.compress(raw, 1),
    ".xz": lambda raw: lzma.compress(raw, preset=0),
}
FIELDS = ("text", "text", "meta.body", "{title}\n{text}")
ENCODINGS = ("auto", "auto", "auto", "utf-8", "gb18030", "big5", "utf-16", "hz", "latin-1")
LIMITS = (1 << 20, 64)
RULES = [
    native.NormalizeRules(),
    native.NormalizeRules(html=True, keep_fullwidth_punctuation=False),
    native.NormalizeRules(nfkc=False, whitespace=False, html=True),
]


def run(data: bytes, folder: Path) -> None:
    """One input. An exception is a finding."""
    kind, choice, more, payload = data[:1], data[1:2], data[2:3], data[3:]
    one, two = (value[0] if value else 0 for value in (choice, more))
    TARGETS[(kind[0] if kind else 0) % len(TARGETS)](payload, one, two, folder)


def read_file(payload: bytes, one: int, two: int, folder: Path) -> None:
    """A file of any format, whole, packed, cut off or with a bit changed: documents, rejected lines, or UserError."""
    ending = FORMATS[one % 8]
    packer = list(PACKERS)[one // 8 % 5] if ending not in (".parquet", ".arrow") else ""
    raw = payload
    if packer and one // 40 % 4:
        raw = PACKERS[packer](payload)
        place = two * len(raw) // 256
        if one // 40 % 4 == 2:
            raw = raw[:place]
        elif one // 40 % 4 == 3:
            raw = raw[:place] + bytes([raw[place] ^ 1 << one % 7]) + raw[place + 1 :]
    path = folder / f"a{ending}{packer}"
    path.write_bytes(raw)
    options = ReadOptions(FIELDS[two % 4], ENCODINGS[two // 4 % 8], "stop", LIMITS[two // 32 % 2])
    stopped, found, rejected = _documents(path, options)
    assert not stopped or str(path) in stopped, stopped
    skipping = ReadOptions(options.text_field, options.encoding, "skip", options.max_document_bytes)
    fault, more_found, more_rejected = _documents(path, skipping)
    assert not fault, fault
    assert more_found[: len(found)] == found
    if not stopped:
        assert (more_found, more_rejected) == (found, rejected)
    if ending in (".jsonl", ".txt") and not packer and not fault:
        _in_pieces(path, skipping, two, more_found)


def _documents(path: Path, options: ReadOptions) -> tuple[str, list[str], list[tuple[int, str]]]:
    return _of(read.whole(path), options)


def _of(piece: read.Piece, options: ReadOptions) -> tuple[str, list[str], list[tuple[int, str]]]:
    """(message of the UserError or "", documents, rejected lines)."""
    rejected: list[read.Rejected] = []
    texts: list[str] = []
    fault = ""
    try:
        for text in read.documents(piece, options, rejected.append, Counter()):
            texts.append(text)
    except UserError as error:
        fault = str(error)
    for text in texts:
        assert text.strip(), "an empty document"
        text.encode()  # no lone surrogate
    assert all(line.line >= 0 and line.reason and line.file == piece.path for line in rejected)
    return fault, texts, [(line.line, line.reason) for line in rejected]


def _in_pieces(path: Path, options: ReadOptions, two: int, expected: list[str]) -> None:
    size = path.stat().st_size
    cut = two * size // 256
    texts: list[str] = []
    for begin, end in ((0, cut), (cut, size)):
        if begin < end:
            texts += _of(read.Piece(str(path), begin, end), options)[1]
    assert texts == expected


def clean_text(payload: bytes, one: int, two: int, folder: Path) -> None:
    """Normalisation, masking, hashes and boundaries, beside the plain twins."""
    texts = _texts(payload)
    rules = RULES[one % len(RULES)]
    kinds = [kind for number, kind in enumerate(native.PERSONAL) if two >> number & 1]
    _same(lambda: native.normalize(texts, rules))
    _same(lambda: native.mask_personal(texts, kinds or tuple(native.PERSONAL)))
    _same(lambda: native.text_stats(texts, 1 + one % 16))
    _same(lambda: native.segment(texts))
    done = native.normalize(texts, rules)
    assert not rules.nfkc or native.normalize(done, native.NormalizeRules()) is not None
    with suppress(ValueError):  # bytes that are not UTF-8
        native.normalize([payload])


def hash_text(payload: bytes, one: int, two: int, folder: Path) -> None:
    """What copies are found by, beside the plain twins."""
    texts = _texts(payload)
    _same(lambda: native.exact_hash(texts))
    _same(lambda: native.paragraph_hashes(texts))
    _same(lambda: native.minhash_bands(texts, 1 + one % 8, 12, 3, two))
    listed = list(dict.fromkeys(word for text in texts for word in text.split()))[: 1 + one % 32]
    _same(lambda: _matches(listed, texts))
    for function in (native.exact_hash, native.text_stats, native.segment, native.mask_personal):
        with suppress(ValueError):
            function([payload])


def cut_words(payload: bytes, one: int, two: int, folder: Path) -> None:
    """Words: they start where texts start, and every character has a tag."""
    texts = _texts(payload)
    characters = Characters(texts)
    starts, tags = words.words(characters)
    assert len(starts) == len(tags) == len(characters)
    assert starts[characters.begins].all()
    assert tags.max(initial=0) <= len(words.TAGS)


def read_vocabulary(payload: bytes, one: int, two: int, folder: Path) -> None:
    """A spiece.model: an encoder whose ids are in the vocabulary, or UserError."""
    with suppress(UserError):
        unigram = native.Unigram(payload)
        rows, _ = unigram.encode(["一 a\n１", "", "<s>"])
        assert rows.values.size == 0 or (rows.values.min() >= 0 and rows.values.max() < unigram.size)


def read_index(payload: bytes, one: int, two: int, folder: Path) -> None:
    """An .idx beside a .bin: tables that agree, or UserError."""
    (folder / "a.idx").write_bytes(payload)
    (folder / "a.bin").write_bytes(bytes(2 * two))
    with suppress(UserError):
        reader = indexed.Reader(folder / "a")
        reader.check_tables()
        assert sum(len(reader.document(number)) for number in range(len(reader.lengths))) == len(
            reader.tokens
        )


def read_sidecar(payload: bytes, one: int, two: int, folder: Path) -> None:
    """An .ann: rows of a known type that can be read to the last byte, or UserError."""
    (folder / "a.ann").write_bytes(payload)
    with suppress(UserError):
        reader = sidecar.Reader(folder / "a")
        assert not reader.rows.dtype.hasobject
        assert all(isinstance(name, str) for key in ("pos", "entity", "role") for name in reader.names(key))
        reader.rows.tobytes()
        reader.rows.tolist()


def read_manifest(payload: bytes, one: int, two: int, folder: Path) -> None:
    """corpus.json and a shard's manifest, or UserError."""
    (folder / manifest.CORPUS_FILE).write_bytes(payload)
    for read_one in (
        lambda: manifest.read_corpus(folder),
        lambda: manifest.read_shard(folder / manifest.CORPUS_FILE),
    ):
        with suppress(UserError):
            read_one()


def read_tokenizer(payload: bytes, one: int, two: int, folder: Path) -> None:
    """A folder of one hostile file: a tokenizer whose ids are in its vocabulary, or UserError."""
    own = folder / "tokenizer"
    own.mkdir(exist_ok=True)
    for path in own.iterdir():
        path.unlink()
    (own / ("tokenizer.json", "spiece.model", "vocab.txt")[one % 3]).write_bytes(payload)
    with suppress(UserError):
        tokenizer = load_tokenizer(own)
        ids, _ = tokenizer.encode_joined(["一 a\n１", "", "<s>"])
        assert ids.min() >= 0
        assert ids.max() < tokenizer.vocab_size


def read_tensors(payload: bytes, one: int, two: int, folder: Path) -> None:
    """Rows of a safetensors file changed, or UserError."""
    (folder / "a.safetensors").write_bytes(payload)
    with suppress(UserError):
        weights.rewrite(folder / "a.safetensors", folder / "b.safetensors", 3, [[2], [0, 1], []])


def _matches(listed: list[str], texts: list[str]) -> tuple[object, ...]:
    matcher = native.KeywordMatcher(listed)
    return matcher.find_all(texts), matcher.longest(texts), matcher.counts(texts)


def _texts(payload: bytes) -> list[str]:
    """The payload as UTF-8 as far as it goes, cut at bytes that no UTF-8 has."""
    return [part.decode("utf-8", "replace") for part in payload.split(b"\xff")]


def _same(function: Callable[[], object]) -> None:
    """Beside the plain twin where the extension is there."""
    ours = function()
    if native.is_native() and not os.environ.get("TAIXUE_FUZZ_FAST"):
        with plain():
            theirs = function()
        assert _equal(ours, theirs), f"\nC++    {ours!r}\nPython {theirs!r}"


def _equal(ours: object, theirs: object) -> bool:
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(map(_equal, ours, theirs))
    if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
        return ours.dtype == theirs.dtype and ours.tolist() == theirs.tolist()
    return bool(ours == theirs)


TARGETS = (read_file, read_file, read_file, clean_text, hash_text, cut_words, read_vocabulary, read_index)
TARGETS += (read_sidecar, read_manifest, read_tokenizer, read_tensors, *ARRAY_TARGETS)
