"""Hot loops of corpus work: in C++ where the extension was built, else in plain Python with the same results.

Texts are str, or bytes of valid UTF-8; anything else is a ValueError (UnicodeError). Functions work on whole batches
and let other threads run. TAIXUE_NATIVE=off chooses the plain twins (native/plain), which are the specification.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from types import ModuleType
from typing import Any, cast

import numpy as np

from taixue.base import UserError

from .buffer import are_blank, are_equal, batch, byte_counts, gather, joined
from .extension import is_native, loaded, status
from .plain import characters, hashes, personal, stats
from .plain import html as plain_html
from .plain import normalize as plain_normalize
from .plain import segment as plain_segment
from .plain.keywords import KeywordMatcher as PlainKeywordMatcher
from .plain.match_units import tables as unit_tables
from .plain.ngrams import Ngrams as PlainNgrams
from .plain.rules import BLOCKS, FLAGS, INLINE, MATCH, PERSONAL, PLAIN, STATS, NormalizeRules, Ragged, Texts
from .plain.text import Batch, strings
from .unigram import Unigram

__all__ = [
    "MATCH",
    "NO_SHINGLE",
    "PERSONAL",
    "STATS",
    "Batch",
    "KeywordMatcher",
    "Ngrams",
    "NormalizeRules",
    "Ragged",
    "Texts",
    "Unigram",
    "are_blank",
    "are_equal",
    "batch",
    "byte_counts",
    "exact_hash",
    "gather",
    "is_native",
    "joined",
    "loaded",
    "mask_personal",
    "minhash_bands",
    "normalize",
    "paragraph_hashes",
    "segment",
    "status",
    "strings",
    "text_stats",
    "token_hash",
]

NO_SHINGLE = hashes.NO_SHINGLE
_DEFAULT_RULES = NormalizeRules()
# Numbers of normalize.h's actions.
_SPACE_RUN, _NEWLINE, _RETURN, _DROP, _REPLACE, _JOINING = range(1, 7)
_LONGER, _NOTHING = 0x80000000, 0xFFFFFFFF  # exact.h's


def normalize(texts: Texts, rules: NormalizeRules = _DEFAULT_RULES) -> Texts:
    """Texts after the rules: a batch of a batch, else a list of str, in which a text that stays as it is is the same
    object."""
    extension = loaded()
    if extension is None:
        return _like(texts, [plain_normalize.normalize(text, rules) for text in strings(texts)])
    if isinstance(texts, extension.Batch):
        return _normalize_batch(extension, cast(Batch, texts), rules)
    if rules.html:
        texts = _html(extension).run(texts)
    done = _normalizer(extension, rules).run(texts)
    whole = [number for number, text in enumerate(done) if text is None]
    if whole:
        for number, text in zip(whole, _normalize_whole(extension, texts, whole, rules), strict=True):
            done[number] = text
    return cast(list[str], done)


def _normalize_batch(extension: ModuleType, texts: Batch, rules: NormalizeRules) -> Batch:
    if rules.html:
        texts = extension.gather([_html(extension).run(texts)])
    done, found = _normalizer(extension, rules).run_batch(texts)
    whole = found.tolist()
    if whole:
        places = np.arange(len(texts))
        places[whole] = np.arange(len(texts), len(texts) + len(whole))
        done = extension.gather([done, _normalize_whole(extension, texts, whole, rules)]).select(places)
    return cast(Batch, done)


def _normalize_whole(
    extension: ModuleType, texts: Texts, whole: list[int], rules: NormalizeRules
) -> list[str]:
    """The texts with these numbers, which the short way of NFKC cannot do."""
    folded = [plain_normalize.compatibility(text, rules) for text in strings([texts[k] for k in whole])]
    again = NormalizeRules(nfkc=False, control=rules.control, whitespace=rules.whitespace)
    return cast(list[str], _normalizer(extension, again).run(folded))


def _like(texts: Texts, made: list[str]) -> Texts:
    return Batch([text.encode() for text in made]) if isinstance(texts, Batch) else made


def text_stats(texts: Texts, ngram: int = 13) -> np.ndarray:
    """STATS (N,): what filters decide on. repetition is about n-grams of `ngram` characters; 0: it is not counted."""
    if ngram < 0:
        raise UserError(f"ngram is {ngram}; it must be at least 0")
    extension = loaded()
    if extension is None:
        return stats.text_stats(strings(texts), ngram)
    rows: np.ndarray = extension.text_stats(texts, ngram)
    return rows.view(STATS).reshape(-1)


def exact_hash(texts: Texts) -> np.ndarray:
    """uint64 (N, 2): a 128-bit hash of what counts in each text; plain/hashes.py says what does."""
    extension = loaded()
    return hashes.exact_hash(strings(texts)) if extension is None else _identity(extension).exact_hash(texts)


def paragraph_hashes(texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """uint64 (M, 3) and int64 offsets (N + 1,): one row for each line of text.split("\\n").

    The hash of the line as exact_hash gives it, (0, 0) when nothing in it counts; and the characters of the line, white
    space too.
    """
    extension = loaded()
    if extension is None:
        return hashes.paragraph_hashes(strings(texts))
    found: tuple[np.ndarray, np.ndarray] = _identity(extension).paragraph_hashes(texts)
    return found


def token_hash(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """uint64 (N,): a hash of the tokens of each document.

    tokens: integers below 2^31, all documents one after another; lengths: int64 (N,). ValueError when there are fewer
    tokens than the lengths say.
    """
    if len(tokens) < lengths.sum():
        raise ValueError(f"{len(tokens)} tokens, but lengths of {lengths.sum()}")
    extension = loaded()
    if extension is None:
        return hashes.token_hash(tokens, lengths)
    found: np.ndarray = extension.token_hash(tokens, lengths)
    return found


def minhash_bands(
    texts: Texts, ngram: int = 5, permutations: int = 112, bands: int = 14, seed: int = 1
) -> np.ndarray:
    """uint64 (N, bands): LSH band hashes of the MinHash of each text's character n-grams.

    The minima are those of fast similarity sketching (Dahlgaard, Knudsen, Thorup 2017): as good as independent
    permutations, at the cost of one. Two texts of Jaccard similarity s share a band with probability
    1 - (1 - s^r)^bands, r = permutations / bands (Broder 1997; Leskovec, Rajaraman, Ullman, Mining of Massive
    Datasets, 3.4). Only letters, digits and hanzi count, ASCII letters in lower case; a shorter text is one n-gram. A
    text without any has NO_SHINGLE in all bands:
    it equals nothing.
    """
    for name, value in (("ngram", ngram), ("permutations", permutations), ("bands", bands)):
        _at_least_one(name, value)
    if permutations % bands:
        raise UserError(f"permutations ({permutations}) must be a multiple of bands ({bands})")
    extension = loaded()
    if extension is None:
        return hashes.minhash_bands(strings(texts), ngram, permutations, bands, seed)
    return extension.minhash_bands(texts, _round_keys(permutations, seed), ngram, bands)


def mask_personal(texts: Texts, kinds: Sequence[str] = tuple(PERSONAL)) -> tuple[Texts, np.ndarray]:
    """Texts with personal data of these kinds replaced (PERSONAL says by what), and int64 (N, len(PERSONAL)) counts.

    A batch of a batch, else a list of str.
    The columns are all of PERSONAL, in its order. UserError for a kind that PERSONAL lacks.
    """
    if unknown := sorted(set(kinds) - set(PERSONAL)):
        raise UserError(f"unknown kind of personal data {unknown[0]!r}; legal: {', '.join(PERSONAL)}")
    extension = loaded()
    if extension is None:
        made, counts = personal.mask_personal(strings(texts), kinds)
        return _like(texts, made), counts
    bits = sum(1 << number for number, kind in enumerate(PERSONAL) if kind in kinds)
    masked: tuple[Texts, np.ndarray] = extension.mask_personal(texts, bits, list(PERSONAL.values()))
    return masked


def segment(texts: Texts) -> tuple[Ragged, Ragged]:
    """Sentence ends and clause ends of each text, int32 character offsets; the last is the text's length.

    They cut a text without loss: closing marks and white space belong to what they follow. A sentence's end is a
    clause's, too.
    """
    extension = loaded()
    if extension is None:
        return plain_segment.segment(strings(texts))
    sentences, clauses = extension.segment(texts)
    return Ragged(*sentences), Ragged(*clauses)


class KeywordMatcher:
    """Finds the words of a list in texts; 350,000 words take about a second to load. MATCH says what a match is.

    A word that is listed twice counts as the first. native: the extension's matcher. UserError for an empty word.
    """

    def __init__(self, words: Sequence[str]) -> None:
        if not all(words):
            raise UserError(
                f"word {next(k for k, word in enumerate(words) if not word)} of the list is empty"
            )
        extension = loaded()
        self.native: Any = None if extension is None else extension.Keywords(list(words))
        self._plain = PlainKeywordMatcher(words) if extension is None else None

    def find_all(self, texts: Texts) -> Ragged:
        """Every occurrence, overlapping ones too, ordered by begin, then end."""
        return self._plain.find_all(strings(texts)) if self._plain else _matches(self.native.all(texts))

    def longest(self, texts: Texts, edges: np.ndarray | None = None) -> Ragged:
        """From left to right the longest word at a place; the search goes on behind it.

        edges: bool, for the characters of every text, and its end, one text after another: whether a word may begin
        and end there. Without them it may everywhere.
        """
        if self._plain:
            return self._plain.longest(strings(texts), edges)
        return _matches(self.native.longest(texts, None if edges is None else edges.view(np.uint8)))

    def counts(self, texts: Texts) -> np.ndarray:
        """int64 (N,): how many matches `longest` finds."""
        return self._plain.counts(strings(texts)) if self._plain else self.native.counts(texts)


def _matches(found: tuple[np.ndarray, np.ndarray]) -> Ragged:
    values, offsets = found
    return Ragged(values.view(MATCH).reshape(-1), offsets)


class Ngrams:
    """Finds n-grams and short texts in other texts; plain/match_units.py says what a unit is, plain/short_texts.py how
    texts of fewer than two n-grams are found as a whole.

    owned: texts looked for, with the number (at least 0) of what they belong to. units: of each of them, in order.
    """

    def __init__(self, ngram: int, owned: Iterable[tuple[Texts, int]]) -> None:
        _at_least_one("ngram", ngram)
        extension = loaded()
        self._native: Any = None if extension is None else extension.Ngrams(*unit_tables(), ngram)
        self._plain = PlainNgrams(ngram) if extension is None else None
        add = self._add_plain if self._native is None else self._native.add
        counts = [add(texts, owner) for texts, owner in owned]
        self.units: np.ndarray = np.concatenate([np.zeros(0, np.int64), *counts])
        if self._native is not None:
            self._native.finish()

    def _add_plain(self, texts: Texts, owner: int) -> np.ndarray:
        assert self._plain is not None
        return self._plain.add(strings(texts), owner)

    def find(self, texts: Texts) -> np.ndarray:
        """int64 (M, 4): of each text that has any, its number, and of what was found first: its first character, last
        + 1, and its first owner. N-grams come before short texts."""
        return self._native.find(texts) if self._plain is None else self._plain.find(strings(texts))


@cache
def _normalizer(extension: ModuleType, rules: NormalizeRules) -> Any:
    actions = np.zeros(characters.POINTS, np.uint32)
    replacements: list[str] = []
    spaces = np.flatnonzero((characters.classes() & 15) == characters.SPACE)
    actions[spaces] = _SPACE_RUN << 24
    for point in spaces.tolist():
        if characters.is_newline(chr(point)):
            actions[point] = (_RETURN if chr(point) == "\r" else _NEWLINE) << 24
    if rules.control:
        actions[_removed()] = _DROP << 24
    if rules.nfkc:
        folding, kept = characters.folding(), set(plain_normalize.kept(rules))
        wide = {chr(point): chr(other) for point, other in plain_normalize.widened(rules).items()}
        for character, folded in (folding.mapped | wide).items():
            if character not in kept:
                actions[ord(character)] = _REPLACE << 24 | len(replacements)
                replacements.append(folded)
        # A kept character is left alone, but nothing may be joined across it: the whole algorithm would not either.
        for character in folding.joining - kept:
            actions[ord(character)] = _JOINING << 24
    return extension.Normalizer(actions, replacements, rules.whitespace)


@cache
def _identity(extension: ModuleType) -> Any:
    becomes = np.arange(characters.POINTS, dtype=np.uint32)
    longer: list[str] = []
    for point, form in characters.identity().items():
        if len(form) == 1:
            becomes[point] = ord(form)
        elif form:
            becomes[point] = _LONGER + len(longer)
            longer.append(form)
        else:
            becomes[point] = _NOTHING
    return extension.Identity(becomes, longer)


@cache
def _removed() -> np.ndarray:
    controls = np.flatnonzero((characters.classes() & 15) == characters.CONTROL)
    return np.concatenate([controls, characters.noncharacters()])


@cache
def _html(extension: ModuleType) -> Any:
    numbered = [plain_html.numeric_entity(point) for point in range(0x80, 0xA0)]
    return extension.Html(plain_html.entities(), numbered, BLOCKS, INLINE, PLAIN, FLAGS)


@cache
def _round_keys(permutations: int, seed: int) -> list[int]:
    return hashes.round_keys(permutations, seed)


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise UserError(f"{name} is {value}; it must be at least 1")
