"""The file that everything is measured on.

Recombined text flatters neither caches nor deduplication as repeated files would: documents are made of sentences of
one source, drawn at random, with other digits and other names of places. Copies are planted whose similarity is known.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from .. import read

_SENTENCE = re.compile(r"[^。！？!?\n]*[。！？!?\n]+|[^。！？!?\n]+")
_PLACES_TEXT = """
北京 上海 天津 重庆 广州 深圳 杭州 南京 武汉 成都 西安 长沙 沈阳 大连 济南 青岛 郑州 合肥 福州 厦门 昆明 贵阳 南宁 兰州
西宁 银川 太原 石家庄 哈尔滨 长春 南昌 海口 拉萨 苏州 无锡 宁波 中国 美国 日本 英国 法国 德国 俄罗斯 韩国 印度 巴西
"""
_PLACES = _PLACES_TEXT.split()
_CHANGED = re.compile("|".join([r"\d", *sorted(_PLACES, key=len, reverse=True)]))
_LINES = 4  # sentences per line, about
_PLANTED = 0.12  # copies for each document
_EXACT = 0.2  # of the planted
# Parts of a copy that are replaced by other text; the last ones make it a document of its own (Jaccard below 0.5).
_EDITS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.12, 0.3, 0.4)
_RUN = 8  # characters replaced in one place
NGRAM = 5


@dataclass(frozen=True)
class Planted:
    """A document that was made of another one, and the Jaccard similarity of their character n-grams."""

    copy: int
    of: int
    jaccard: float


@dataclass(frozen=True)
class File:
    """A .jsonl file and what is known of it."""

    path: Path
    text_field: str
    documents: list[str]
    megabytes: float
    planted: tuple[Planted, ...] = ()

    def facts(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "path": str(self.path),
            "documents": len(self.documents),
            "megabytes": self.megabytes,
            "planted": len(self.planted),
        }

    def first(self, megabytes: float) -> list[str]:
        """The first documents, until they are that much text."""
        size, out = 0.0, []
        for text in self.documents:
            if size >= megabytes * 1e6:
                break
            out.append(text)
            size += len(text.encode())
        return out

    def part(self, megabytes: float, path: Path) -> tuple[Path, float]:
        """(a file of the first documents, its MB of text): the whole file when it is not larger."""
        if self.megabytes <= megabytes:
            return self.path, self.megabytes
        texts = self.first(megabytes)
        write(path, texts, self.text_field)
        return path, size_of(texts)


def from_file(path: Path, text_field: str) -> File:
    """The user's own file as it is."""
    texts = list(read.documents(read.whole(path), text_field, lambda rejected: None))
    return File(path, text_field, texts, size_of(texts))


def recombine(sources: Sequence[Sequence[str]], megabytes: float, path: Path, seed: int = 1) -> File:
    """Write about so much text, in documents made of sentences: each of one source, drawn in proportion to the root of
    its size.

    The same texts and seed give the same file. Most documents have 100 to 2,500 characters, with a median near 500.
    """
    choose = random.Random(seed)
    pools = [[sentence for text in texts for sentence in _SENTENCE.findall(text)] for texts in sources]
    pools = [pool for pool in pools if pool]
    weights = [sum(map(len, pool)) ** 0.5 for pool in pools]
    texts: list[str] = []
    size, limit = 0, megabytes * 1e6 / (1 + _PLANTED)
    while size < limit:
        (pool,) = choose.choices(pools, weights)
        texts.append(_document(pool, choose))
        size += len(texts[-1].encode())
    planted: list[tuple[int, int, float]] = []
    for of in choose.sample(range(len(texts)), int(len(texts) * _PLANTED)):
        copy = texts[of]
        if choose.random() >= _EXACT:
            copy = _edited(copy, choose.choice(_EDITS), texts, choose)
        planted.append((len(texts), of, jaccard(copy, texts[of])))
        texts.append(copy)
    order = list(range(len(texts)))
    choose.shuffle(order)
    places = {before: now for now, before in enumerate(order)}
    texts = [texts[before] for before in order]
    write(path, texts, "text")
    pairs = tuple(Planted(places[copy], places[of], similarity) for copy, of, similarity in planted)
    return File(path, "text", texts, size_of(texts), pairs)


def write(path: Path, texts: Sequence[str], text_field: str) -> None:
    """One object per line."""
    with path.open("wb") as stream:
        for text in texts:
            stream.write(orjson.dumps({text_field: text}) + b"\n")


def size_of(texts: Sequence[str]) -> float:
    """MB of UTF-8."""
    return sum(len(text.encode()) for text in texts) / 1e6


def jaccard(one: str, other: str) -> float:
    """Similarity of the sets of character n-grams; by brute force."""
    first, second = ngrams(one), ngrams(other)
    return len(first & second) / max(len(first | second), 1)


def ngrams(text: str) -> set[str]:
    """Of letters, digits and hanzi, in lower case; a shorter text is one."""
    counted = "".join(filter(str.isalnum, text.lower()))
    return {counted[k : k + NGRAM] for k in range(max(len(counted) - NGRAM + 1, 1))}


def _document(pool: Sequence[str], choose: random.Random) -> str:
    wanted = min(max(choose.lognormvariate(6.2, 0.8), 30), 20_000)
    parts: list[str] = []
    length = 0
    while length < wanted:
        sentence = choose.choice(pool)
        if not sentence.endswith("\n") and choose.random() * _LINES < 1:
            sentence += "\n"
        parts.append(sentence)
        length += len(sentence)

    def other(found: re.Match[str]) -> str:
        return choose.choice("0123456789") if len(found[0]) == 1 else choose.choice(_PLACES)

    return _CHANGED.sub(other, "".join(parts)).strip() or "。"


def _edited(text: str, part: float, texts: Sequence[str], choose: random.Random) -> str:
    characters = list(text)
    for _ in range(max(1, int(len(characters) * part / _RUN))):
        place = choose.randrange(len(characters))
        other = choose.choice(texts)
        begin = choose.randrange(len(other))
        characters[place : place + _RUN] = other[begin : begin + _RUN]
    return "".join(characters)
