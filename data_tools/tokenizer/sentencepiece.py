"""T5 vocabulary: SentencePiece unigram, with sentinels above it.

Ids: <pad> 0, </s> 1, <unk> 2, the learned pieces, then <extra_id_99> ... <extra_id_0>: the first sentinel has
the highest id, as in Hugging Face's T5Tokenizer. spiece.model holds no sentinels, so text cannot spell one.

The same sample, configuration and sentencepiece version give the same bytes: the unigram trainer draws
nothing at random when it is given all sentences, and adds its counts in `threads` fixed parts (other counts
of threads round differently). Ids equal Hugging Face's but for ties: where two segmentations have the same
score ("——|—", "—|——"), sentencepiece 0.2.3 and the tokenizers library may choose differently
(measured: 11 of 6,000 documents).
"""

import hashlib
import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from taixue.base import UserError
from taixue.base.files import canonical_json, readable_json

from .. import native
from . import charsmap
from .base import SpecialIds, Tokenizer
from .config import TokenizerTrainConfig

MODEL_FILE = "spiece.model"
_SAME_IDS_AS = "0.2.3"  # sentencepiece; other versions break ties between equal scores differently
_SENTENCE_CHARACTERS = 1000
_SPACE = "\u2581"
_SENTINEL = re.compile(r"<extra_id_\d+>")


@dataclass(frozen=True)
class SentencePieceTokenizer(Tokenizer):
    """T5 tokenizer on the sentencepiece library; about ten times the speed of the tokenizers library."""

    processor: Any = field(repr=False, compare=False)
    has_shortcut: bool = field(default=True, repr=False, compare=False)

    @cached_property
    def unigram(self) -> native.Unigram | None:
        """Our own encoder, some times faster still, where it was built, for unigram models and the version of the
        library whose ids it gives; else None."""
        if not self.has_shortcut or not native.is_native() or self.library != f"sentencepiece {_SAME_IDS_AS}":
            return None
        try:
            return native.Unigram(self.processor.serialized_model_proto())
        except UserError:  # not a unigram model
            return None

    def by_library(self) -> "SentencePieceTokenizer":
        return replace(self, has_shortcut=False)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        return self.processor.encode(list(texts), return_type="numpy", num_threads=1)

    def encode_joined(self, texts: native.Texts) -> tuple[np.ndarray, np.ndarray]:
        if self.unigram is not None:
            rows, exact = self.unigram.encode(texts, append=self.eos_id)
            if exact.all():
                return rows.values, np.diff(rows.offsets)
        return super().encode_joined(texts)

    def encode_with_starts(self, texts: native.Texts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self.unigram is not None:
            rows, starts, exact = self.unigram.encode_with_starts(texts, self.eos_id)
            if exact.all():
                return rows.values, np.diff(rows.offsets), starts
        return super().encode_with_starts(texts)

    def _with_starts(self, text: str) -> tuple[list[int], list[int]]:
        mapping = self.processor.encode(text, return_type="offset_mapping")
        starts = [begin for begin, _ in mapping["offsets"]]
        if starts and mapping["pieces"][0].startswith(_SPACE):
            starts[0] = -1
        return mapping["ids"], starts

    def _text(self, ids: list[int]) -> str:
        return str(self.processor.decode(ids))

    def _piece(self, number: int) -> str:
        return str(self.processor.id_to_piece(number))


def load(folder: Path, sentinels: int) -> SentencePieceTokenizer:
    """Load spiece.model; with no sentinels inside it, `sentinels` of them follow it. UserError when damaged."""
    import sentencepiece

    path = folder / MODEL_FILE
    content = path.read_bytes()
    try:
        if not content:  # the library would take it for "no model yet"
            raise RuntimeError("empty")
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    except RuntimeError:
        raise UserError(f"{path}: not a SentencePiece model ({len(content)} bytes)") from None
    size = processor.vocab_size()
    inside = _sentinels(processor)
    if inside:  # what a text spells is text
        processor = sentencepiece.SentencePieceProcessor(model_proto=_without(content, inside))
    ids = inside or tuple(range(size + sentinels - 1, size - 1, -1))
    pad = processor.pad_id()
    if min(pad, processor.eos_id(), processor.unk_id()) < 0:
        raise UserError(f"{path}: a T5 vocabulary needs <pad>, </s> and <unk>; one of them is missing")
    special = SpecialIds(pad, processor.eos_id(), processor.unk_id(), sentinels=ids)
    names = {number: processor.id_to_piece(number) for number in range(size) if processor.is_control(number)}
    names |= {special.unk: processor.id_to_piece(special.unk)}
    names |= {number: f"<extra_id_{k}>" for k, number in enumerate(ids)}
    return SentencePieceTokenizer(
        kind="t5",
        sha256=hashlib.sha256(content + canonical_json(ids)).hexdigest(),
        library=f"sentencepiece {sentencepiece.__version__}",
        vocab_size=max([size, *(number + 1 for number in ids)]),
        special=special,
        special_names=names,
        processor=processor,
    )


def _sentinels(processor: Any) -> tuple[int, ...]:
    """Ids of the sentinels that are pieces of the model, <extra_id_0> first; mT5's begin with a space."""
    names = ([f"{space}<extra_id_{k}>" for space in ("", _SPACE)] for k in range(processor.vocab_size()))
    found = (max(processor.piece_to_id(both), key=lambda n: n != processor.unk_id()) for both in names)
    return tuple(takewhile(lambda number: number != processor.unk_id(), found))


def _without(model: bytes, ids: tuple[int, ...]) -> bytes:
    """The model, which never gives these pieces."""
    from sentencepiece import sentencepiece_model_pb2 as model_pb2

    proto = model_pb2.ModelProto.FromString(model)  # type: ignore[attr-defined]
    for number in ids:
        proto.pieces[number].type = model_pb2.ModelProto.SentencePiece.Type.UNUSED  # type: ignore[attr-defined]
    return bytes(proto.SerializeToString(deterministic=True))


def learn(texts: Sequence[str], config: TokenizerTrainConfig) -> dict[str, bytes]:
    """Train on texts; return the files of the folder by name. UserError when vocab_size does not fit the texts."""
    import sentencepiece

    model = io.BytesIO()
    try:
        with _normalization(config) as normalization:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=_sentences(texts),
                model_writer=model,
                model_type="unigram",
                vocab_size=config.vocab_size - config.sentinels,
                character_coverage=config.character_coverage,
                byte_fallback=config.byte_fallback,
                num_threads=config.threads,
                max_sentence_length=8 * _SENTENCE_CHARACTERS,
                pad_id=0,
                eos_id=1,
                unk_id=2,
                bos_id=-1,
                pad_piece="<pad>",
                minloglevel=2,
                **normalization,
            )
    except RuntimeError as error:
        raise _explained(error, config) from None
    content = _without_path(model.getvalue())
    return {
        MODEL_FILE: content,
        "tokenizer.json": hub_tokenizer(content, config.sentinels),
        "tokenizer_config.json": readable_json(
            {
                # T5Tokenizer would put a space behind every sentinel; the generic class runs tokenizer.json as it is.
                "tokenizer_class": "PreTrainedTokenizerFast",
                "extra_ids": config.sentinels,
                "pad_token": "<pad>",
                "eos_token": "</s>",
                "unk_token": "<unk>",
                "additional_special_tokens": [f"<extra_id_{k}>" for k in range(config.sentinels)],
                "model_max_length": 1_000_000_000,
            }
        ),
    }


@contextmanager
def _normalization(config: TokenizerTrainConfig) -> Iterator[dict[str, Any]]:
    """The trainer's arguments for it; rules of our own go through a file."""
    if config.normalization == "nmt_nfkc":
        yield {"normalization_rule_name": config.normalization}
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".tsv") as file:
        file.write(charsmap.fullwidth_rules())
        file.flush()
        yield {"normalization_rule_tsv": file.name}


def _without_path(model: bytes) -> bytes:
    """The model without the name of the file its normalisation rules were read from."""
    from sentencepiece import sentencepiece_model_pb2 as model_pb2

    proto = model_pb2.ModelProto.FromString(model)  # type: ignore[attr-defined]
    if not proto.normalizer_spec.normalization_rule_tsv:
        return model
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    return bytes(proto.SerializeToString(deterministic=True))


def _sentences(texts: Sequence[str]) -> Iterator[str]:
    """Lines of the texts, long ones in parts: the trainer drops what is longer than its limit."""
    for text in texts:
        for line in text.splitlines():
            for begin in range(0, len(line), _SENTENCE_CHARACTERS):
                yield line[begin : begin + _SENTENCE_CHARACTERS]


def _explained(error: RuntimeError, config: TokenizerTrainConfig) -> UserError:
    message = str(error)
    if high := re.search(r"Vocabulary size too high.*?<= (\d+)", message, re.S):
        return UserError(
            f"vocab_size {config.vocab_size} is too large for this sample: at most "
            f"{int(high[1]) + config.sentinels} (sentinels included); lower vocab_size or give more text"
        )
    if low := re.search(r"smaller than required_chars\.? (\d+) vs (\d+)", message):
        return UserError(
            f"vocab_size {config.vocab_size} is too small: {low[2]} characters and special tokens and "
            f"{config.sentinels} sentinels need at least {int(low[2]) + config.sentinels + 1}; raise "
            f"vocab_size or lower character_coverage ({config.character_coverage})"
        )
    return UserError(f"sentencepiece could not learn a vocabulary of {config.vocab_size}: {message.strip()}")


def hub_tokenizer(model: bytes, sentinels: int) -> bytes:
    """tokenizer.json: sentencepiece's pipeline, and sentinels that may stand inside a word: the model's own, or so many
    behind its pieces.

    In training a span is cut out of the middle of the text, so nothing is put behind its sentinel. transformers'
    T5Tokenizer starts a new word there, which Chinese text, having no spaces, would never have shown the model.
    """
    from sentencepiece import sentencepiece_model_pb2 as model_pb2
    from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers import Tokenizer as HubTokenizer

    proto = model_pb2.ModelProto.FromString(model)  # type: ignore[attr-defined]
    byte_fallback = proto.trainer_spec.byte_fallback
    vocabulary = [(_without_space(piece.piece), piece.score) for piece in proto.pieces]
    names = [piece for piece, _ in vocabulary if _SENTINEL.fullmatch(piece)]
    if not names:
        names = [f"<extra_id_{k}>" for k in reversed(range(sentinels))]
        vocabulary += [(name, 0.0) for name in names]
    hub = HubTokenizer(models.Unigram(vocabulary, unk_id=2, byte_fallback=byte_fallback))
    hub.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(left=False, right=True),  # a space before a sentinel belongs to the sentinel
        ]
    )
    space: dict[str, Any] = {"replacement": "▁", "prepend_scheme": "first", "split": True}
    hub.pre_tokenizer = pre_tokenizers.Metaspace(**space)
    metaspace = decoders.Metaspace(**space)
    hub.decoder = decoders.Sequence([decoders.ByteFallback(), metaspace]) if byte_fallback else metaspace
    hub.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)]
    )
    hub.add_special_tokens(["<pad>", "</s>", "<unk>", *(AddedToken(name, lstrip=True) for name in names)])
    return hub.to_str().encode()


def _without_space(piece: str) -> str:
    """mT5's sentinels as everyone writes them."""
    return piece.removeprefix(_SPACE) if _SENTINEL.fullmatch(piece.removeprefix(_SPACE)) else piece
