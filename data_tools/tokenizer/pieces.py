"""The tokenizer files of a changed vocabulary, and where each new id comes from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from taixue.base import UserError
from taixue.base.files import readable_json

from .base import Tokenizer
from .sentencepiece import MODEL_FILE, SentencePieceTokenizer, hub_tokenizer
from .wordpiece import HUB_FILE, VOCABULARY_FILE, BertTokenizer, bert_pipeline

_SPACE = "\u2581"
_NORMAL = 1
_RESERVED = re.compile(r"<extra_id_\d+>|.*\0.*", re.DOTALL)  # sentinels of any number; what no piece may hold
_LATIN = re.compile(r"[A-Za-z]")


@dataclass(frozen=True)
class Change:
    """A vocabulary made from another one.

    origin: for each new id the old ids whose rows it is the mean of. added, dropped: pieces; skipped: word -> reason.
    files: the tokenizer's files by name.
    """

    origin: list[list[int]]
    files: dict[str, bytes] = field(repr=False)
    added: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def extended(folder: Path, tokenizer: Tokenizer, words: Sequence[str]) -> Change:
    """The vocabulary with words added. UserError for a kind of tokenizer that cannot be changed."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        return _extended_t5(folder, tokenizer, words)
    if isinstance(tokenizer, BertTokenizer):
        return _extended_bert(folder, tokenizer, words)
    raise UserError(f"{folder}: only a tokenizer with spiece.model or vocab.txt can be changed")


def trimmed(folder: Path, tokenizer: Tokenizer, counts: np.ndarray, least: int) -> Change:
    """The vocabulary without pieces that occur less than `least` times. counts int64 (ids,).

    Special pieces, single characters and bytes stay: what is left can spell whatever could be spelled before.
    """
    if isinstance(tokenizer, SentencePieceTokenizer):
        proto = _proto(tokenizer)
        kept = [
            k
            for k, piece in enumerate(proto.pieces)
            if piece.type != _NORMAL or len(piece.piece.lstrip(_SPACE)) <= 1 or counts[k] >= least
        ]
        pieces = [proto.pieces[k] for k in kept]
        chosen = set(kept)
        dropped = [piece.piece for k, piece in enumerate(proto.pieces) if k not in chosen]
        del proto.pieces[:]
        proto.pieces.extend(pieces)
        return Change(
            [[k] for k in kept] + _above(tokenizer, len(kept) + len(dropped)),
            _t5_files(folder, tokenizer, proto),
            dropped=dropped,
        )
    if isinstance(tokenizer, BertTokenizer):
        names = tokenizer.pieces(range(tokenizer.vocab_size))
        special = set(tokenizer.special_names)
        kept = [
            k
            for k, name in enumerate(names)
            if (k in special and not name.startswith("[unused"))
            or len(name.removeprefix("##")) == 1
            or counts[k] >= least
        ]
        chosen = set(kept)
        return Change(
            [[k] for k in kept],
            _bert_files(folder, [names[k] for k in kept]),
            dropped=[name for k, name in enumerate(names) if k not in chosen],
        )
    raise UserError(f"{folder}: only a tokenizer with spiece.model or vocab.txt can be changed")


def _extended_t5(folder: Path, tokenizer: SentencePieceTokenizer, words: Sequence[str]) -> Change:
    """New pieces go behind the old ones, sentinels above them move up.

    A piece's score, its log probability, is that of the least likely piece that spelled the word before: a word is
    not more frequent than its parts, and any single piece beats several, whose scores add up.
    """
    proto = _proto(tokenizer)
    scores = {piece.piece: piece.score for piece in proto.pieces}
    old = len(proto.pieces)
    origin = [[k] for k in range(old)]
    added: list[str] = []
    skipped: dict[str, str] = {}
    special = {
        *tokenizer.special_names.values(),
        *(piece.piece for piece in proto.pieces if piece.type != _NORMAL),
    }
    for word in dict.fromkeys(words):
        text = tokenizer.processor.normalize(word).strip(_SPACE)
        if text in special or word in special or _RESERVED.fullmatch(text):
            skipped[word] = "is a special token or holds U+0000"
            continue
        if not text or _SPACE in text:
            skipped[word] = "white space alone" if not text else "several words"
            continue
        # Latin words mostly follow a space, which is part of the piece then.
        forms = [text, _SPACE + text] if _LATIN.match(text) else [text]
        for form in forms:
            if form in scores:
                skipped[word] = "is a piece already"
                continue
            ids = tokenizer.encode([text])[0].tolist()
            if form == text and ids and tokenizer.pieces(ids[:1]) == [_SPACE]:
                ids = ids[1:]
            if tokenizer.unk_id in ids:
                skipped[word] = "holds characters that are unknown"
                continue
            pieces = tokenizer.pieces(ids)
            score = min(scores[piece] for piece in pieces)
            proto.pieces.add(piece=form, score=score, type=_NORMAL)
            scores[form] = score
            origin.append(ids)
            added.append(form)
    return Change(
        origin + _above(tokenizer, old), _t5_files(folder, tokenizer, proto), added=added, skipped=skipped
    )


def _above(tokenizer: SentencePieceTokenizer, pieces: int) -> list[list[int]]:
    """Origins of the ids above the model's pieces: sentinels that are not in the model."""
    return [[k] for k in range(pieces, tokenizer.vocab_size)]


def _proto(tokenizer: SentencePieceTokenizer) -> Any:
    from sentencepiece import sentencepiece_model_pb2 as model_pb2

    return model_pb2.ModelProto.FromString(  # type: ignore[attr-defined]
        tokenizer.processor.serialized_model_proto()
    )


def _t5_files(folder: Path, tokenizer: SentencePieceTokenizer, proto: Any) -> dict[str, bytes]:
    proto.trainer_spec.vocab_size = len(proto.pieces)
    content = proto.SerializeToString(deterministic=True)
    inside = tokenizer.processor.vocab_size() == tokenizer.vocab_size
    sentinels = 0 if inside else len(tokenizer.sentinel_ids)
    out = {MODEL_FILE: content}
    if (folder / HUB_FILE).is_file():
        out[HUB_FILE] = hub_tokenizer(content, sentinels)
    return out


def _extended_bert(folder: Path, tokenizer: BertTokenizer, words: Sequence[str]) -> Change:
    """New pieces go behind the old ones. Chinese words cannot be added: BERT cuts them into characters first."""
    names = tokenizer.pieces(range(tokenizer.vocab_size))
    known = set(names)
    origin = [[k] for k in range(len(names))]
    added: list[str] = []
    skipped: dict[str, str] = {}
    special = set(tokenizer.special_names.values())
    for word in dict.fromkeys(words):
        if word in special or _RESERVED.fullmatch(word):
            skipped[word] = "is a special token or holds U+0000"
            continue
        cut = tokenizer.hub.pre_tokenizer.pre_tokenize_str(tokenizer.hub.normalizer.normalize_str(word))
        ids = tokenizer.encode([word])[0].tolist()
        if len(cut) != 1:
            skipped[word] = (
                "BERT cuts it into " + " ".join(part for part, _ in cut) if cut else "nothing left"
            )
        elif cut[0][0] in known:
            skipped[word] = "is a piece already"
        else:
            names.append(cut[0][0])
            known.add(cut[0][0])
            origin.append(ids)
            added.append(cut[0][0])
    return Change(origin, _bert_files(folder, names), added=added, skipped=skipped)


def _bert_files(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    out = {VOCABULARY_FILE: "".join(f"{name}\n" for name in names).encode()}
    if (folder / HUB_FILE).is_file():
        path = folder / "tokenizer_config.json"
        settings: dict[str, Any] = orjson.loads(path.read_bytes()) if path.is_file() else {}
        hub = bert_pipeline(
            {name: number for number, name in enumerate(names)},
            bool(settings.get("tokenize_chinese_chars", True)),
            settings.get("strip_accents"),
            bool(settings.get("do_lower_case", True)),
        )
        out[HUB_FILE] = hub.to_str().encode()
    return out


def described(change: Change, before: int, after: int) -> bytes:
    """vocabulary_change.json: what was done, for people and scripts."""
    return readable_json(
        {
            "ids_before": before,
            "ids_after": after,
            "added": change.added,
            "dropped": len(change.dropped),
            "skipped": change.skipped,
        }
    )
