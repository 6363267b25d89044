"""Which character of its text each token starts at, for every kind of tokenizer.

SentencePiece gives ids at 35 MB/s but ids with offsets at a fraction of that. So the offsets are computed from the
ids: normalisation turns nearly every character into a fixed number of characters, whatever stands beside it, and the
tokens of a text cover its normalised form without gaps. Texts for which the sum does not come out, or which hold
characters that join with their neighbours (combining marks), go through the library one by one.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from .tokenizer_base import Tokenizer
from .tokenizer_sentencepiece import SentencePieceTokenizer
from .tokenizer_wordpiece import BertTokenizer, HubTokenizer

_SPACE = "\u2581"
_UNSEEN, _JOINS = -2, -1
_IS_SPACE = 100


class TokenStarts:
    """Computes offsets for one tokenizer. slow: texts so far that needed the library."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.slow = 0
        self._tokenizer = tokenizer
        self._spiece = _SentencePiece(tokenizer) if isinstance(tokenizer, SentencePieceTokenizer) else None

    def __call__(self, texts: Sequence[str], ids: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Per text int64 (tokens,): the first character of each token; ids as tokenizer.encode gives them.

        A token that begins with white space starts there; with the space that SentencePiece puts before a text, at
        -1.
        """
        if self._spiece is not None:
            starts, exact = self._spiece.starts(texts, ids)
            for k in np.flatnonzero(~exact).tolist():
                self.slow += 1
                starts[k] = self._spiece.library_starts(texts[k])
            return starts
        if isinstance(self._tokenizer, BertTokenizer):
            return self._tokenizer.encoder.starts(texts)
        assert isinstance(self._tokenizer, HubTokenizer)
        encodings = self._tokenizer.hub.encode_batch(list(texts), add_special_tokens=False)
        return [np.array([begin for begin, _ in one.offsets], np.int64) for one in encodings]


class _SentencePiece:
    def __init__(self, tokenizer: SentencePieceTokenizer) -> None:
        from sentencepiece import sentencepiece_model_pb2 as model_pb2

        self._processor: Any = tokenizer.processor
        spec = model_pb2.ModelProto.FromString(  # type: ignore[attr-defined]
            self._processor.serialized_model_proto()
        ).normalizer_spec
        self._is_usual = spec.add_dummy_prefix and spec.remove_extra_whitespaces and spec.escape_whitespaces
        size = tokenizer.vocab_size
        pieces = [self._processor.id_to_piece(k) for k in range(self._processor.vocab_size())]
        self._lengths = np.zeros(size, np.int64)
        self._lengths[: len(pieces)] = [len(piece) for piece in pieces]
        self._is_byte = np.zeros(size, bool)
        self._is_byte[: len(pieces)] = [self._processor.is_byte(k) for k in range(len(pieces))]
        self._unknown = self._processor.unk_id()
        self._characters = {piece for piece in pieces if len(piece) == 1}
        # Per code point: how many normalised characters it becomes; and whether that one is no piece of its own.
        self._counts = np.full(0x110000, _UNSEEN, np.int16)
        self._strange = np.zeros(0x110000, bool)

    def starts(self, texts: Sequence[str], ids: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
        """(starts of each text, which of them are right, bool (texts,))."""
        if not texts:
            return [], np.zeros(0, bool)
        # A line end before each text: the run of white space there becomes the one that begins its first token.
        points = np.frombuffer(("\n" + "\n".join(texts)).encode("utf-32-le"), np.uint32)
        sizes = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
        begins = np.cumsum(sizes) - sizes
        counts = self._look_up(points).astype(np.int64)
        joins = np.add.reduceat(counts == _JOINS, begins) > 0
        np.maximum(counts, 0, out=counts)
        # Of a run of white space only the last counts, and none at the end.
        present = np.flatnonzero(counts)
        is_space = counts[present] == _IS_SPACE
        counts[present[is_space]] = 0
        last = np.flatnonzero(is_space[:-1] & ~is_space[1:])
        counts[present[last]] = 1
        origin = np.repeat(np.arange(len(points)), counts)
        per_text = np.add.reduceat(counts, begins)

        flat = np.concatenate(ids) if ids else np.zeros(0, np.int32)
        tokens = np.fromiter(map(len, ids), np.int64, len(ids))
        owner = np.repeat(np.arange(len(texts)), tokens)
        lengths = self._lengths[flat]
        exact = ~joins & self._is_usual
        unknown = np.flatnonzero(flat == self._unknown)
        if len(unknown):
            exact &= self._fill_unknown(lengths, unknown, owner, points[origin], origin, begins)
        np.logical_and.at(exact, owner[self._is_byte[flat]], False)
        exact &= np.bincount(owner, lengths, len(texts)).astype(np.int64) == per_text
        first = np.cumsum(per_text) - per_text
        before = np.cumsum(lengths) - lengths
        token_first = np.cumsum(tokens) - tokens
        inside = before - np.concatenate([before, [0]])[np.minimum(token_first, len(before))][owner]
        place = np.minimum(first[owner] + inside, max(len(origin) - 1, 0))
        found = origin[place] - begins[owner] - 1 if len(origin) else np.zeros(0, np.int64)
        return np.split(found, token_first[1:]), exact

    def _fill_unknown(
        self,
        lengths: np.ndarray,
        unknown: np.ndarray,
        owner: np.ndarray,
        points: np.ndarray,
        origin: np.ndarray,
        begins: np.ndarray,
    ) -> np.ndarray:
        """Set the lengths of unknown tokens: runs of characters that are no piece; which texts that works for."""
        strange = self._strange[points]
        edges = np.diff(strange.astype(np.int8), prepend=0, append=0)
        run_starts, run_ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        run_owner = np.searchsorted(begins, origin[run_starts], "right") - 1
        runs = np.bincount(run_owner, minlength=len(begins))
        wanted = np.bincount(owner[unknown], minlength=len(begins))
        works = runs == wanted
        lengths[unknown[works[owner[unknown]]]] = (run_ends - run_starts)[works[run_owner]]
        return works

    def library_starts(self, text: str) -> np.ndarray:
        """Starts of one text by sentencepiece's own offsets."""
        mapping = self._processor.encode(text, return_type="offset_mapping")
        starts = np.array([begin for begin, _ in mapping["offsets"]], np.int64)
        if len(starts) and mapping["pieces"][0].startswith(_SPACE):
            starts[0] = -1
        return starts

    def _look_up(self, points: np.ndarray) -> np.ndarray:
        counts = self._counts[points]
        unseen = np.unique(points[counts == _UNSEEN])
        for point in unseen.tolist():
            self._counts[point], self._strange[point] = self._classify(chr(point))
        return self._counts[points] if len(unseen) else counts

    def _classify(self, character: str) -> tuple[int, bool]:
        """(count, strange)."""
        whole = self._processor.normalize(f"a{character}a")
        middle = whole[2:-1] if whole.startswith(f"{_SPACE}a") and whole.endswith("a") else "?"
        if middle == _SPACE:
            return _IS_SPACE, False
        joins = any(map(unicodedata.combining, unicodedata.normalize("NFKD", character) + middle))
        jamo = 0x1100 <= ord(character) < 0x1200 or 0x0900 <= ord(character) < 0x1100
        if _SPACE in middle or jamo or (joins and len(middle) != 1) or unicodedata.combining(character):
            return _JOINS, False
        if len(middle) > 1 and any(one not in self._characters for one in middle):
            return _JOINS, False
        return len(middle), len(middle) == 1 and middle not in self._characters
