"""What every tokenizer of Taixue offers, whatever library does the work."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..native.plain.rules import Texts
from ..native.plain.text import strings

NONE = -1
_UNUSED = re.compile(r"\[unused\d+\]")


@dataclass(frozen=True)
class SpecialIds:
    """Ids with a meaning of their own; -1 where the kind has none. sentinels: <extra_id_0> first (t5)."""

    pad: int
    eos: int
    unk: int
    mask: int = NONE
    cls: int = NONE
    sep: int = NONE
    sentinels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Tokenizer(ABC):
    """Text to ids and back.

    Special tokens written out in a text (`</s>`, `<extra_id_0>`, `[MASK]`) are ordinary text here and never
    become special ids: whoever writes a text must not be able to fake a mask or the end of a document. For
    BERT, transformers gives the same ids with split_special_tokens=True; its T5Tokenizer has no such mode.
    sha256: digest of everything the ids depend on except the library's version, which is in library.
    """

    kind: Literal["t5", "bert"]
    sha256: str
    library: str
    vocab_size: int
    special: SpecialIds
    special_names: dict[int, str] = field(repr=False)

    @property
    def pad_id(self) -> int:
        return self.special.pad

    @property
    def eos_id(self) -> int:
        """Ends every document of a corpus: </s> or [SEP]."""
        return self.special.eos

    @property
    def unk_id(self) -> int:
        return self.special.unk

    @property
    def mask_id(self) -> int:
        return self.special.mask

    @property
    def cls_id(self) -> int:
        return self.special.cls

    @property
    def sep_id(self) -> int:
        return self.special.sep

    @property
    def sentinel_ids(self) -> tuple[int, ...]:
        return self.special.sentinels

    @property
    def special_ids(self) -> tuple[int, ...]:
        """Ids that stand for no text, ascending; [unusedN] among them."""
        return tuple(sorted(self.special_names))

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """One int32 (N,) array per text, without any special token."""

    def by_library(self) -> "Tokenizer":
        """This tokenizer without any faster way of our own: what the library says."""
        return self

    def encode_joined(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
        """The ids of `encode`, all texts (str or UTF-8) one after another, eos_id behind each: int32 (N,); and how many
        each text has with its eos, int64 (texts,)."""
        rows = self.encode(strings(texts))
        eos = np.array([self.eos_id], np.int32)
        parts = [part for row in rows for part in (row, eos)]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows)) + 1
        return np.concatenate([np.zeros(0, np.int32), *parts]), lengths

    def encode_with_starts(self, texts: Texts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`encode_joined`, and the character of its text that each token starts at, int32 (N,).

        A token that begins with white space may start anywhere in it; with the space that SentencePiece puts before a
        text, at -1. eos_id starts at the end of its text.
        """
        texts = strings(texts)
        found = [self._with_starts(text) for text in texts]
        tokens = [part for ids, _ in found for part in (ids, [self.eos_id])]
        starts = [part for (_, own), text in zip(found, texts, strict=True) for part in (own, [len(text)])]
        lengths = np.fromiter((len(ids) + 1 for ids, _ in found), np.int64, len(found))
        return (
            np.concatenate([np.zeros(0), *tokens]).astype(np.int32),
            lengths,
            np.concatenate([np.zeros(0), *starts]).astype(np.int32),
        )

    @abstractmethod
    def _with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """Ids and starts of one text as the library gives them."""

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Text of ids; special ids and ids outside the vocabulary appear by name."""
        parts: list[str] = []
        run: list[int] = []
        for number in map(int, ids):
            if 0 <= number < self.vocab_size and number not in self.special_names:
                run.append(number)
            else:
                parts += [self._text(run), self._name(number)]
                run = []
        return " ".join(part for part in [*parts, self._text(run)] if part)

    def pieces(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """The piece of each id. Ids outside the vocabulary are shown as <id N>."""
        return [self._name(number) for number in map(int, ids)]

    def _name(self, number: int) -> str:
        if number in self.special_names:
            return self.special_names[number]
        return self._piece(number) if 0 <= number < self.vocab_size else f"<id {number}>"

    @abstractmethod
    def _text(self, ids: list[int]) -> str:
        """Text of ordinary ids."""

    @abstractmethod
    def _piece(self, number: int) -> str:
        """Piece of an ordinary id."""


def unused_names(vocabulary: dict[str, int]) -> dict[int, str]:
    """Placeholders [unused1], [unused2], ... of a BERT vocabulary."""
    return {number: piece for piece, number in vocabulary.items() if _UNUSED.fullmatch(piece)}
