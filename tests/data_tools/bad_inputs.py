"""Files as they should not be, and what a build says of each: `python -m tests.data_tools.bad_inputs FOLDER`.

Every case is a folder of inputs. The command runs the real `taixue corpus build` on each of them, once with
damaged: stop and once with damaged: skip, and prints what it said, what it put into quarantine, and what it kept.
"""

import argparse
import gzip
import lzma
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from taixue.data_tools.bench import processes

from .texts import make_texts, make_tokenizer

GOOD = make_texts(40)
# Root reads what chmod forbids, unless it gives up that power.
_POWERS = "-dac_override,-dac_read_search"
_MORTAL = ("setpriv", "--bounding-set", _POWERS, "--inh-caps", _POWERS)
_TEXT = "这是一个用来试验编码的简短中文句子，里面有常用的汉字，也有标点符号。"
_TRADITIONAL = "這是一個用來試驗編碼的簡短中文句子，裡面有常用的漢字，也有標點符號。"


@dataclass(frozen=True)
class Case:
    """make(folder, megabytes of a long line) fills the folder of inputs."""

    name: str
    make: Callable[[Path, int], None]


def jsonl(texts: Sequence[str] = GOOD) -> bytes:
    return b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts)


def _write(name: str, raw: bytes) -> Callable[[Path, int], None]:
    def make(folder: Path, long: int) -> None:
        (folder / "a-good.jsonl").write_bytes(jsonl())
        (folder / name).write_bytes(raw)

    return make


def _mixed(folder: Path, long: int) -> None:
    lines = [_TEXT.encode(), _TEXT.encode("gb18030"), _TRADITIONAL.encode("big5"), b"\xff\xfe\x80 broken"]
    (folder / "mixed.txt").write_bytes(b"\n".join(lines))


def _utf16(folder: Path, long: int) -> None:
    (folder / "a-good.jsonl").write_bytes(jsonl())
    (folder / "utf16.txt").write_bytes("\n".join(GOOD).encode("utf-16")[:-1])


def _long_line(folder: Path, long: int) -> None:
    with (folder / "long.jsonl").open("wb") as stream:
        stream.write(jsonl(GOOD[:20]) + b'{"text": "')
        for _ in range(long):
            stream.write(b"x" * 1_000_000)
        stream.write(b'"}\n' + jsonl(GOOD[20:]))


def _null_bytes(folder: Path, long: int) -> None:
    lines = [b'{"text": "a\x00b"}', b'{"text": "a\\u0000b, with text around it"}', b"\x00" * 20]
    (folder / "nulls.jsonl").write_bytes(jsonl() + b"\n".join(lines))
    (folder / "nulls.txt").write_bytes("前面的文字\0后面的文字\n".encode() + b"\x00" * 20 + b"\n")
    (folder / "nulls.csv").write_bytes(b"id,text\n1,a\x00b\n2,good text\n")


def _surrogates(folder: Path, long: int) -> None:
    lines = [b'{"text": "\\ud800"}', b'{"text": "ok \\udfff no"}', b'{"text": "\xed\xa0\x80"}']
    (folder / "surrogates.jsonl").write_bytes(jsonl() + b"\n".join(lines))
    (folder / "surrogates.txt").write_bytes(b"good line\n\xed\xa0\x80\n")


def _empty(folder: Path, long: int) -> None:
    for name in ("a.txt", "b.jsonl", "c.csv", "d.parquet", "e.warc", "f.jsonl.gz", "g.txt.zst", "h.txt.xz"):
        (folder / name).write_bytes(b"")
    (folder / "z-good.jsonl").write_bytes(jsonl())


def _empty_inside(folder: Path, long: int) -> None:
    (folder / "f.jsonl.gz").write_bytes(gzip.compress(b""))
    (folder / "g.txt.zst").write_bytes(zstandard.compress(b""))
    (folder / "h.txt.xz").write_bytes(lzma.compress(b""))
    (folder / "i.csv").write_bytes(b"id,text\n")
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), folder / "j.parquet")
    (folder / "z-good.jsonl").write_bytes(jsonl())


def _all_empty(folder: Path, long: int) -> None:
    (folder / "a.txt").write_bytes(b"\n \n")


def _unreadable(folder: Path, long: int) -> None:
    (folder / "a-good.jsonl").write_bytes(jsonl())
    (folder / "b-locked.jsonl").write_bytes(jsonl())
    (folder / "b-locked.jsonl").chmod(0)


def _unreadable_folder(folder: Path, long: int) -> None:
    (folder / "a-good.jsonl").write_bytes(jsonl())
    (folder / "locked").mkdir()
    (folder / "locked").chmod(0)


def _pipe(folder: Path, long: int) -> None:
    (folder / "a-good.jsonl").write_bytes(jsonl())
    os.mkfifo(folder / "b-pipe.jsonl")


def _folder_named_file(folder: Path, long: int) -> None:
    (folder / "a-good.jsonl").write_bytes(jsonl())
    (folder / "b-folder.jsonl").mkdir()
    (folder / "b-folder.jsonl" / "inside.jsonl").write_bytes(jsonl(make_texts(5, seed=9)))


def _no_field(folder: Path, long: int) -> None:
    (folder / "a-good.jsonl").write_bytes(jsonl())
    (folder / "b-other.jsonl").write_bytes(jsonl().replace(b'"text"', b'"content"'))


def _some_without_field(folder: Path, long: int) -> None:
    (folder / "a.jsonl").write_bytes(jsonl() + b'{"content": "x"}\n{"text": 3}\n{"text": null}\n[]\n"text"\n')


def _table_without_field(folder: Path, long: int) -> None:
    (folder / "a-good.jsonl").write_bytes(jsonl())
    pq.write_table(pa.table({"content": ["x"]}), folder / "b.parquet")


def _csv_without_field(folder: Path, long: int) -> None:
    (folder / "a-good.jsonl").write_bytes(jsonl())
    (folder / "b.csv").write_bytes(b"id,content\n1,x\n")


def _loops(folder: Path, long: int) -> None:
    (folder / "a-good.jsonl").write_bytes(jsonl())
    (folder / "sub").mkdir()
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "sub" / "again.jsonl").symlink_to(folder / "a-good.jsonl")


def _broken_link(folder: Path, long: int) -> None:
    (folder / "a-good.jsonl").write_bytes(jsonl())
    (folder / "self.jsonl").symlink_to(folder / "self.jsonl")


_ROWS = b'id,text\n1,good\n2\n3,"a" b\n4,\n5,\xff\xfe\n6,fine\n7,"never closed\n'
_WEB = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: text/plain\r\nContent-Length: 900\r\n\r\ncut off"
CASES = (
    Case("truncated gz", _write("b.jsonl.gz", gzip.compress(jsonl(make_texts(900)))[:-2000])),
    Case("truncated zst", _write("b.jsonl.zst", zstandard.compress(jsonl(make_texts(900)))[:-2000])),
    Case("truncated xz", _write("b.jsonl.xz", lzma.compress(jsonl(make_texts(900)))[:-2000])),
    Case(
        "one bit of a gz changed",
        _write("b.jsonl.gz", gzip.compress(jsonl())[:60] + b"!" + gzip.compress(jsonl())[61:]),
    ),
    Case("no gz at all", _write("b.jsonl.gz", jsonl())),
    Case("truncated jsonl", _write("b.jsonl", jsonl(make_texts(9, seed=3))[:-30])),
    Case("truncated parquet", _write("b.parquet", b"PAR1" + bytes(100))),
    Case("truncated WARC", _write("b.warc", _WEB)),
    Case("bad csv rows", _write("b.csv", _ROWS)),
    Case("mixed encodings", _mixed),
    Case("UTF-16 that is cut off", _utf16),
    Case("a line of 100 MB", _long_line),
    Case("null bytes", _null_bytes),
    Case("lone surrogates", _surrogates),
    Case("empty files", _empty),
    Case("files with nothing inside", _empty_inside),
    Case("nothing but white space", _all_empty),
    Case("unreadable file", _unreadable),
    Case("unreadable folder", _unreadable_folder),
    Case("a pipe", _pipe),
    Case("a folder called .jsonl", _folder_named_file),
    Case("a file without the text field", _no_field),
    Case("lines without the text field", _some_without_field),
    Case("parquet without the text field", _table_without_field),
    Case("csv without the text field", _csv_without_field),
    Case("symlink loop", _loops),
    Case("link to itself", _broken_link),
)


@dataclass(frozen=True)
class Outcome:
    """What a build did: its exit status, the last line it said, lines in quarantine, documents kept, MB of memory."""

    status: int
    said: str
    quarantine: list[dict[str, object]]
    documents: int
    peak_mb: float


def build(case: Case, folder: Path, tokenizer: Path, damaged: str, long: int = 1) -> Outcome:
    """Run `taixue corpus build` on one case in a new folder."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    case.make(inputs, long)
    source = {"name": "s", "inputs": [str(inputs)], "damaged": damaged}
    config = {
        "tokenizer": str(tokenizer),
        "sources": [source],
        "output": str(folder / "corpus"),
        "workers": 1,
    }
    (folder / "c.yaml").write_bytes(orjson.dumps(config | {"validation_fraction": 0}))
    words = [sys.executable, "-m", "taixue.launch.cli", "corpus", "build", str(folder / "c.yaml")]
    if os.geteuid() == 0:
        words = [*_MORTAL, *words]
    status, used = processes.measure(words, folder / "log", {"COLUMNS": "400"}, 120)
    lines = [line for line in (folder / "log").read_text().splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith("taixue:")), lines[-1] if lines else "")
    quarantine = [
        orjson.loads(line)
        for path in sorted((folder / "corpus" / "quarantine").glob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]
    kept = folder / "corpus" / "corpus.json"
    documents = (
        sum(shard["documents"] for shard in orjson.loads(kept.read_bytes())["shards"])
        if kept.is_file()
        else 0
    )
    return Outcome(status, said, quarantine, documents, used.peak_mb)


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.data_tools.bad_inputs", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--long", type=int, default=100, help="MB of the long line")
    parser.add_argument("names", nargs="*", help="cases (default: all)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(options.folder / "tokenizer", "t5", sentinels=20)
    for number, case in enumerate(CASES):
        if options.names and case.name not in options.names:
            continue
        for damaged in ("stop", "skip"):
            place = options.folder / f"{number:02d}-{damaged}"
            outcome = build(case, place, tokenizer, damaged, options.long)
            print(
                f"\n{case.name}, damaged: {damaged}: status {outcome.status}, {outcome.documents} documents kept, "
                f"{outcome.peak_mb:.0f} MB\n    {outcome.said.replace(str(place / 'inputs'), 'inputs')}"
            )
            for line in outcome.quarantine[:6]:
                print(
                    f"    quarantine: {str(line['file']).replace(str(place / 'inputs'), 'inputs')}, "
                    f"line {line['line']}: {line['reason']}"
                )
            if len(outcome.quarantine) > 6:
                print(f"    ... {len(outcome.quarantine)} lines in quarantine")


if __name__ == "__main__":
    main()
