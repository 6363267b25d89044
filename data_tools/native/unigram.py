"""SentencePiece's unigram encoder: ours in C++, or its plain twin."""

from typing import Any

import numpy as np

from taixue.base import UserError

from .buffer import byte_counts
from .extension import loaded
from .plain.rules import Ragged, Texts
from .plain.text import strings
from .plain.unigram import Unigram as PlainUnigram
from .spiece import read_model


class Unigram:
    """SentencePiece unigram encoding with the ids of sentencepiece 0.2.3 (its C++ code, not its options).

    Covers every setting of the model: its charsmap, user-defined symbols, white space rules, byte fallback.
    UserError when the bytes are no unigram spiece.model.
    """

    # Bytes of a text: SentencePiece and we count places in 32 bits.
    LONGEST = 1 << 29

    def __init__(self, spiece_model: bytes) -> None:
        self._content = spiece_model
        model = read_model(spiece_model)
        self.size = len(model.pieces)
        extension = loaded()
        self._plain = PlainUnigram(model) if extension is None else None
        self._native: Any = None
        if extension is not None:
            flags = [model.add_dummy_prefix, model.remove_extra_whitespaces, model.escape_whitespaces]
            flags += [model.whitespace_as_suffix, model.byte_fallback]
            try:
                self._native = extension.Unigram(
                    model.pieces, model.scores.tolist(), model.types.tolist(), model.charsmap, flags
                )
            except ValueError as error:
                raise UserError(f"spiece.model: {error}") from None

    def encode(
        self, texts: Texts, append: int = -1, dtype: type[np.int32] | type[np.uint16] = np.int32
    ) -> tuple[Ragged, np.ndarray]:
        """(ids of each text, bool (N,) exact). `append` (the id of </s>) ends each row when it is not negative.

        Rows that are not exact are empty: texts too long for this encoder, which the caller gives to
        sentencepiece. UserError when dtype is uint16 and the vocabulary too large for it.
        """
        if dtype is np.uint16 and max(self.size, append + 1) > 1 << 16:
            raise UserError(f"{max(self.size, append + 1)} ids do not fit in 16 bits; the limit is 65536")
        exact = self._fits(texts)
        if not exact.all():
            texts = [text if fits else "" for text, fits in zip(texts, exact, strict=True)]
        if self._plain:
            rows = self._plain.encode(strings(texts), append, np.dtype(dtype))
        else:
            encode = self._native.encode_uint16 if dtype is np.uint16 else self._native.encode_int32
            rows = Ragged(*encode(texts, append))
        return rows, exact

    def encode_with_starts(self, texts: Texts, append: int) -> tuple[Ragged, np.ndarray, np.ndarray]:
        """`encode` with, after the ids, the first character of its text that each id stands for, int32 (N,).

        -1 for the space that is put before a text, the number of its characters for `append`. Of a run of white space
        it is the first, of the bytes of one character that character.
        """
        exact = self._fits(texts)
        if not exact.all():
            texts = [text if fits else "" for text, fits in zip(texts, exact, strict=True)]
        if self._plain:
            rows, starts = self._plain.encode_with_starts(strings(texts), append)
        else:
            *ragged, starts = self._native.encode_with_starts(texts, append)
            rows = Ragged(*ragged)
        return rows, starts, exact

    def _fits(self, texts: Texts) -> np.ndarray:
        return byte_counts(texts) <= self.LONGEST

    def check(self, texts: Texts) -> list[int]:
        """Numbers of the texts whose ids differ from those of the sentencepiece library; [] is what it must be."""
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor(model_proto=self._content)
        rows, exact = self.encode(texts)
        expected = processor.encode(strings(texts), return_type="numpy", num_threads=1)
        pairs = enumerate(zip(rows.rows(), expected, exact.tolist(), strict=True))
        return [number for number, (ours, theirs, sure) in pairs if sure and not np.array_equal(ours, theirs)]
