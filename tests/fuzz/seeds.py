"""Inputs to begin with: a good file of every format, text of every kind."""

import io
from collections.abc import Iterator
from itertools import product

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from taixue.data_tools.shards import sidecar

from .targets import FORMATS, TARGETS

_TEXTS = [
    "第一篇：今天天气很好，我们去北京。",
    "Second, with “quotes” & <b>tags</b>&nbsp;13812345678 a@b.cn",
    "華國龍\n①㎡ｶﾞé\u0301\u200b１２３",
]


def seeds() -> Iterator[bytes]:
    """Inputs for targets.run."""
    for number, (ending, raw) in product(range(4), _files()):
        one = FORMATS.index(ending) + 8 * number + 40
        for two in (0, 1, 2, 3, 32, 100):
            yield bytes([0, one, two]) + raw
    for encoding in ("gb18030", "big5", "utf-16"):
        yield bytes([0, 1, 0]) + "\n".join(_TEXTS).encode(encoding, "ignore")
    for number, target in enumerate(TARGETS):
        if target.__name__ in ("clean_text", "hash_text", "cut_words"):
            yield bytes([number, 1, 255]) + "\n".join(_TEXTS).encode() + b"\xff" + _TEXTS[1].encode()
        elif target.__name__ == "read_vocabulary":
            yield bytes([number, 0, 0]) + _vocabulary()
        elif target.__name__ == "read_index":
            yield bytes([number, 0, 5]) + _index()
        elif target.__name__ == "read_sidecar":
            yield bytes([number, 0, 0]) + _sidecar()
        elif target.__name__ == "read_manifest":
            yield bytes([number, 0, 0]) + _MANIFEST
        elif target.__name__ == "read_tokenizer":
            yield bytes([number, 0, 0]) + _hub(
                "Unigram", [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["一", -1.0]]
            )
            pieces = dict(zip(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "一"), range(6), strict=True))
            yield bytes([number, 0, 0]) + _hub("WordPiece", pieces)
            yield bytes([number, 1, 0]) + _vocabulary()
            yield bytes([number, 2, 0]) + "\n".join(pieces).encode()
        elif target.__name__ == "read_tensors":
            yield bytes([number, 0, 0]) + _tensors()
        elif target.__name__ == "mask_windows":
            for one, two in product((30, 255), (0, 5, 130)):
                yield bytes([number, one, two]) + bytes(place * 7 % 29 for place in range(240))
        elif target.__name__ == "place_spans":
            yield bytes([number, 61, 201]) + bytes([0, 0, 0, 3, 1, 2, 2, 1, 5])
        elif target.__name__ == "read_work":
            yield bytes([number, 2, 1]) + b"\x03\0\0\0\x05\0\0\0" + b"".join(_runs())
            yield bytes([number, 1, 1]) + b"\x04\0\0\0"
        elif target.__name__ == "read_rules":
            yield bytes([number, 0, 0]) + _charsmap()


def _files() -> list[tuple[str, bytes]]:
    records = [{"text": text, "title": "t", "meta": {"body": text}} for text in _TEXTS]
    table = pa.Table.from_pylist(records)
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet, row_group_size=2)
    with pa.ipc.new_stream(arrow, table.schema) as stream:
        stream.write_table(table)
    page = _TEXTS[0].encode()
    record = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n"
    web = record % (len(page), page)
    rows = b'title,text\nt,"one, ""two""\nthree"\nu,' + page + b"\n"
    return [
        (".jsonl", b"".join(orjson.dumps(entry) + b"\n" for entry in records) + b'{"text": "\\ud800"}\n[]\n'),
        (".txt", "\r\n".join(_TEXTS).encode() + b"\nbad \xff\x00\n"),
        (".csv", rows),
        (".tsv", rows.replace(b",", b"\t")),
        (".parquet", parquet.getvalue()),
        (".arrow", arrow.getvalue()),
        (".warc", web + b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 2\r\n\r\nab\r\n\r\n" + web),
        (".wet", web + web),
    ]


def _vocabulary() -> bytes:
    """A unigram spiece.model of five pieces, as a protocol buffer."""
    kinds = {"<unk>": 2, "<s>": 3, "\u2581": 1, "一": 1, "一a": 1}
    entries = [
        b"\x0a"
        + bytes([len(piece.encode())])
        + piece.encode()
        + b"\x15"
        + np.float32(-k).tobytes()
        + b"\x18"
        + bytes([kind])
        for k, (piece, kind) in enumerate(kinds.items())
    ]
    return b"".join(b"\x0a" + bytes([len(entry)]) + entry for entry in entries) + b"\x12\x02\x18\x01"


def _index() -> bytes:
    lengths, boundaries = np.array([2, 3], "<i4"), np.arange(3, dtype="<i8")
    offsets = np.array([0, 4], "<i8")
    header = b"MMIDIDX\0\0" + (1).to_bytes(8, "little") + b"\x08"
    counts = (2).to_bytes(8, "little") + (3).to_bytes(8, "little")
    return header + counts + lengths.tobytes() + offsets.tobytes() + boundaries.tobytes()


_MANIFEST = orjson.dumps(
    {
        "tokenizer": {"sha256": "a", "kind": "t5", "library": "b", "vocab_size": 9, "eos_id": 1},
        "shards": [
            {
                "name": "train-a-00000",
                "split": "train",
                "source": "a",
                "documents": 1,
                "tokens": 2,
                "bytes": 3,
            }
            | {"bin_sha256": "0", "idx_sha256": "0", "ann_sha256": ""}
        ],
    }
)


def _sidecar() -> bytes:
    header = orjson.dumps(
        {"columns": sidecar.BASE_COLUMNS, "pos": ["", "n"], "entity": [""], "relation": [""]}
    )
    head = b"TXANN\0\0\0" + b"".join(number.to_bytes(4, "little") for number in (1, 4))
    head += b"".join(number.to_bytes(8, "little") for number in (3, len(header)))
    body = head.ljust(64, b"\0") + header
    return body + bytes(-len(body) % 64) + bytes([1, 1, 0, 0] * 3)


def _hub(kind: str, vocabulary: object) -> bytes:
    model = {"type": kind, "vocab": vocabulary, "unk_id": 2, "unk_token": "[UNK]"}
    return orjson.dumps({"version": "1.0", "added_tokens": [], "model": model})


def _tensors() -> bytes:
    header = orjson.dumps({"shared.weight": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}})
    return len(header).to_bytes(8, "little") + header + bytes(24)


def _runs() -> list[bytes]:
    """Two runs of paragraphs: hash, document, number; the rows of each; how many runs."""
    return [np.arange(2 * count, dtype="<u8").tobytes() for count in (2, 4)] + [
        np.array([2, 4, 2], "<u8").tobytes()
    ]


def _charsmap() -> bytes:
    """One rule, a to b: node 0 leads by 'a' to a unit with a leaf, whose value is the place of b."""
    units = np.zeros(256, "<u4")
    units[0] = 1 << 10
    units[1 ^ ord("a")] = ord("a") | 1 << 8 | 2 << 10
    units[1 ^ ord("a") ^ 2] = 1 << 31
    return (4 * len(units)).to_bytes(4, "little") + units.tobytes() + b"b\0"
