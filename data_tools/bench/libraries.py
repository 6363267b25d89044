"""Libraries that do what a step of data_tools.native does, or the nearest that there is; of those that are installed.

A rival gets str, as a library does; ours would need no str at all. So the time to make them and to take its result
back into a batch is left out, in the rival's favour.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..native import PERSONAL
from ..native.plain import characters, personal

Step = Callable[[list[str]], Any]
_SENTENCE = r"(?s)[^。！？!?…｡\n]*[。！？!?…｡\n]+[”’」』）》】〉〕］)\]]*\s*|.+"
_NO_WORD = re.compile(r"\W+")
# Every match of the patterns holds one of these: RE2 has no look-behind and no back references.
_CANDIDATE = (
    rf"(?i:https?://|ftp://|www\.)|[{personal.LOCAL}]@[A-Za-z0-9\-]"
    r"|[0-9]{7}|[0-9]{4}[\- ][0-9]{4}|[0-9]\.[0-9]{1,3}\.[0-9]"
)


@dataclass(frozen=True)
class Lists:
    """What some of the steps look for."""

    spiece_model: bytes
    words: Sequence[str]


@dataclass(frozen=True)
class Rival:
    """step: the one of ours that it stands beside. make: ImportError without the module.

    differs: what its result is not; "" where it is the same.
    """

    step: str
    module: str
    install: str
    make: Callable[[Lists], Step]
    differs: str = ""
    does: str = ""

    @property
    def name(self) -> str:
        """As the table shows it, below the step."""
        return f"  {self.install}{self.does and ', '}{self.does}"

    @property
    def is_installed(self) -> bool:
        return find_spec(self.module.split(".")[0]) is not None


def _grams(text: str) -> list[str]:
    text = _NO_WORD.sub("", text.lower())
    return [text[at : at + 5] for at in range(len(text) - 4)]


def _rensa(lists: Lists) -> Step:
    rensa: Any = import_module("rensa")

    def sketch(text: str) -> Any:
        made = rensa.RMinHash(112, 1)
        made.update(_grams(text))
        return made.digest()

    return lambda batch: [sketch(text) for text in batch]


def _gaoya(lists: Lists) -> Step:
    gaoya: Any = import_module("gaoya.minhash")
    settings = {"analyzer": "char", "lowercase": True, "ngram_range": (5, 5)}

    def insert(batch: list[str]) -> None:
        index = gaoya.MinHashStringIndex(
            hash_size=32, jaccard_threshold=0.75, num_bands=14, band_size=8, **settings
        )
        for number, text in enumerate(batch):
            index.insert_document(number, text)

    return insert


def _xxhash(lists: Lists) -> Step:
    xxhash: Any = import_module("xxhash")
    table = characters.identity()

    def hashed(text: str) -> bytes:
        words = text.translate(table).split(" ")
        return bytes(xxhash.xxh3_128_digest(" ".join(filter(None, words)).encode()))

    return lambda batch: [hashed(text) for text in batch]


def _raw_lines(lists: Lists) -> Step:
    xxhash: Any = import_module("xxhash")
    return lambda batch: [
        [xxhash.xxh3_128_digest(line.encode()) for line in text.split("\n")] for text in batch
    ]


def _re2(lists: Lists) -> Step:
    return judged_by_re(import_module("re2").compile)


def judged_by_re(compile_pattern: Callable[[str], Any]) -> Step:
    """Personal data by `re`, in texts in which another engine found what could be some."""
    candidate = compile_pattern(_CANDIDATE)
    kinds = tuple(PERSONAL)
    return lambda batch: [
        personal.mask_personal([text], kinds)[0][0] if candidate.search(text) else text for text in batch
    ]


def _ahocorasick_rs(lists: Lists) -> Step:
    ahocorasick_rs: Any = import_module("ahocorasick_rs")
    words = list(dict.fromkeys(lists.words))
    found = ahocorasick_rs.AhoCorasick(
        words,
        matchkind=ahocorasick_rs.MatchKind.LeftmostLongest,
        implementation=ahocorasick_rs.Implementation.ContiguousNFA,  # the fastest of its three here
    ).find_matches_as_indexes
    return lambda batch: [found(text) for text in batch]


def _pyahocorasick(lists: Lists) -> Step:
    ahocorasick: Any = import_module("ahocorasick")
    automaton = ahocorasick.Automaton()
    for number, word in enumerate(lists.words):
        automaton.add_word(word, (number, len(word)))
    automaton.make_automaton()
    return lambda batch: [list(automaton.iter(text)) for text in batch]


def _normalizer(lists: Lists) -> Step:
    sentencepiece: Any = import_module("sentencepiece")
    normalize = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc").normalize
    return lambda batch: [normalize(text) for text in batch]


def _lexbor(lists: Lists) -> Step:
    lexbor: Any = import_module("selectolax.lexbor")
    return lambda batch: [lexbor.LexborHTMLParser(text).text(separator="\n") for text in batch]


def _resiliparse(lists: Lists) -> Step:
    html2text: Any = import_module("resiliparse.extract.html2text")
    return lambda batch: [html2text.extract_plain_text(text, main_content=False) for text in batch]


def _hanzi(lists: Lists) -> Step:
    compute: Any = import_module("pyarrow.compute")
    array = import_module("pyarrow").array
    return lambda batch: compute.count_substring_regex(array(batch), r"\p{Han}")


def _sentencepiece(lists: Lists) -> Step:
    sentencepiece: Any = import_module("sentencepiece")
    processor = sentencepiece.SentencePieceProcessor(model_proto=lists.spiece_model)
    return lambda batch: processor.encode(batch, return_type="numpy", num_threads=1)


def _nfkc(lists: Lists) -> Step:
    return lambda batch: [unicodedata.normalize("NFKC", text) for text in batch]


def _sentence_ends(lists: Lists) -> Step:
    sentence = re.compile(_SENTENCE)
    return lambda batch: [[found.end() for found in sentence.finditer(text)] for text in batch]


_NO_REMNANTS = "a parser of pages: 若 x<a 且 y>b becomes 若 xb"
RIVALS = (
    Rival("normalize", "unicodedata", "unicodedata", _nfkc, "NFKC only; white space stays", "NFKC"),
    Rival(
        "normalize",
        "sentencepiece",
        "sentencepiece",
        _normalizer,
        "line ends and full width go",
        "nmt_nfkc",
    ),
    Rival("normalize, HTML too", "selectolax.lexbor", "selectolax", _lexbor, _NO_REMNANTS),
    Rival("normalize, HTML too", "resiliparse.extract.html2text", "resiliparse", _resiliparse, _NO_REMNANTS),
    Rival("text statistics", "pyarrow.compute", "pyarrow", _hanzi, "1 of 22 counts", r"\p{Han}"),
    Rival("exact hash", "xxhash", "xxhash", _xxhash, "other numbers", "of the same form"),
    Rival("paragraph hashes", "xxhash", "xxhash", _raw_lines, "of raw lines: no one form", "of lines"),
    Rival("MinHash bands", "rensa", "rensa", _rensa, "n-grams made in Python; no bands"),
    Rival("MinHash bands", "gaoya.minhash", "gaoya", _gaoya, "white space and punctuation count; an index"),
    Rival("personal data", "re2", "google-re2", _re2, does="to find texts for re"),
    Rival("sentences, clauses", "re", "re", _sentence_ends, "no clauses, no 3.5"),
    Rival("keywords, all", "ahocorasick", "pyahocorasick", _pyahocorasick),
    Rival("keywords, longest", "ahocorasick_rs", "ahocorasick_rs", _ahocorasick_rs),
    Rival("unigram ids", "sentencepiece", "sentencepiece", _sentencepiece),
)
