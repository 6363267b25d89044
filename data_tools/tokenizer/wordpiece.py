"""BERT vocabulary: one token per Chinese character, WordPiece pieces for everything written in letters.

Ids: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4, characters by code point, their ## forms where a word can
go on, learned pieces, and [unusedN] up to the size asked for. The same sample gives the same bytes: the
trainer of the tokenizers library numbers unknown characters in random order, so it is given all of them beforehand.

The class here runs any tokenizer of the tokenizers library, so it also serves T5 folders without spiece.model.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from taixue.base import UserError
from taixue.base.files import canonical_json, readable_json

from ..native import Texts
from ..native.plain.text import strings
from .base import SpecialIds, Tokenizer, unused_names
from .character_encoder import CharacterEncoder
from .config import TokenizerTrainConfig

VOCABULARY_FILE = "vocab.txt"
HUB_FILE = "tokenizer.json"
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class HubTokenizer(Tokenizer):
    """A tokenizer run by the tokenizers library."""

    hub: Any = field(repr=False, compare=False)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        encodings = self.hub.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, np.int32) for encoding in encodings]

    def _with_starts(self, text: str) -> tuple[list[int], list[int]]:
        encoding = self.hub.encode(text, add_special_tokens=False)
        return encoding.ids, [begin for begin, _ in encoding.offsets]

    def _text(self, ids: list[int]) -> str:
        return str(self.hub.decode(ids, skip_special_tokens=False))

    def _piece(self, number: int) -> str:
        return str(self.hub.id_to_token(number))


@dataclass(frozen=True)
class BertTokenizer(HubTokenizer):
    """The same ids as HubTokenizer, ten to twenty times as fast on Chinese text."""

    encoder: CharacterEncoder = field(repr=False, compare=False)

    def by_library(self) -> HubTokenizer:
        return HubTokenizer(**{own.name: getattr(self, own.name) for own in fields(HubTokenizer)})

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        return self.encoder(texts)

    def encode_joined(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
        return self.encoder.joined(strings(texts), self.eos_id)[:2]

    def encode_with_starts(self, texts: Texts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.encoder.joined(strings(texts), self.eos_id)


def load_bert(folder: Path, settings: dict[str, Any]) -> BertTokenizer:
    """Load vocab.txt, or tokenizer.json's vocabulary; settings: tokenizer_config.json."""
    vocabulary = _bert_vocabulary(folder)
    missing = [name for name in _SPECIAL if name not in vocabulary]
    if missing:
        raise UserError(f"{folder}: a BERT vocabulary needs {', '.join(missing)}")
    options: dict[str, Any] = {
        "handle_chinese_chars": bool(settings.get("tokenize_chinese_chars", True)),
        "strip_accents": settings.get("strip_accents"),
        "lowercase": bool(settings.get("do_lower_case", True)),
    }
    pad, unk, cls, sep, mask = (vocabulary[name] for name in _SPECIAL)
    names = unused_names(vocabulary) | {vocabulary[name]: name for name in _SPECIAL}
    identity = canonical_json([sorted(vocabulary.items(), key=lambda item: item[1]), options])
    hub = _text_only(bert_pipeline(vocabulary, **options))
    return BertTokenizer(
        kind="bert",
        sha256=hashlib.sha256(identity).hexdigest(),
        library=_library(),
        vocab_size=max(vocabulary.values()) + 1,
        special=SpecialIds(pad, sep, unk, mask, cls, sep),
        special_names=names,
        hub=hub,
        encoder=CharacterEncoder(hub),
    )


def load_t5(folder: Path) -> HubTokenizer:
    """Load a T5 folder that has tokenizer.json but no spiece.model."""
    path = folder / HUB_FILE
    content = path.read_bytes()
    vocabulary, described = _unigram(path, content)
    missing = [name for name in ("<pad>", "</s>", "<unk>") if name not in vocabulary]
    if missing:
        raise UserError(f"{path}: a T5 vocabulary needs {', '.join(missing)}")
    names = [f"<extra_id_{k}>" for k in range(len(vocabulary)) if f"<extra_id_{k}>" in vocabulary]
    pad, eos, unk = (vocabulary[name] for name in ("<pad>", "</s>", "<unk>"))
    special = SpecialIds(pad, eos, unk, sentinels=tuple(vocabulary[name] for name in names))
    return HubTokenizer(
        kind="t5",
        sha256=hashlib.sha256(content).hexdigest(),
        library=_library(),
        vocab_size=max(vocabulary.values()) + 1,
        special=special,
        special_names={vocabulary[name]: name for name in ("<pad>", "</s>", "<unk>", *names)},
        hub=_text_only(_without_special_pieces(path, described, {"<pad>", "</s>", *names})),
    )


def _unigram(path: Path, content: bytes) -> tuple[dict[str, int], dict[str, Any]]:
    """(vocabulary, the whole file) of a tokenizer.json; UserError for other models, ids that lie far apart, damage."""
    from tokenizers import Tokenizer as Hub

    try:
        described: dict[str, Any] = orjson.loads(content)
        model = described["model"]
        if model["type"] != "Unigram" or not all(
            isinstance(score, (int, float)) for _, score in model["vocab"]
        ):
            raise ValueError(f"a Unigram model is expected, not {model['type']!r}")
        if not isinstance(model.get("unk_id"), int):
            raise ValueError(f"unk_id, the place of <unk>, is {model.get('unk_id')!r:.40}")
        return _dense(Hub.from_str(content.decode()).get_vocab()), described
    except BaseException as error:  # the library raises bare Exception, and panics are of BaseException
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise UserError(f"{path}: not a tokenizer file: {type(error).__name__}: {error}") from None


def _dense(vocabulary: dict[str, int]) -> dict[str, int]:
    """The vocabulary, whose ids size tables; ValueError when they do not number its pieces."""
    most = 2 * len(vocabulary) + 1000  # some leave gaps
    for piece, number in vocabulary.items():
        if type(number) is not int or not 0 <= number < most:
            raise ValueError(
                f"{piece!r} has the id {number!r:.40}; {len(vocabulary)} pieces are numbered from 0"
            )
    return vocabulary


def _without_special_pieces(path: Path, hub: dict[str, Any], names: set[str]) -> Any:
    """The tokenizer of a unigram whose special pieces match no text: a NUL before the name, ids kept."""
    from tokenizers import Tokenizer as Hub

    vocabulary = [
        ["\0" + piece if piece in names else piece, score] for piece, score in hub["model"]["vocab"]
    ]
    hub = hub | {"added_tokens": [], "model": hub["model"] | {"vocab": vocabulary}}
    try:
        return Hub.from_str(orjson.dumps(hub).decode())
    except Exception as error:  # bare, as above
        raise UserError(f"{path}: not a tokenizer file: {error}") from None


def learn(texts: Sequence[str], config: TokenizerTrainConfig) -> dict[str, bytes]:
    """Train on texts; return the files of the folder by name. UserError when vocab_size is too small."""
    from tokenizers import trainers

    pipeline = bert_pipeline(dict.fromkeys(_SPECIAL, 0), True, None, config.lowercase)
    characters = _characters(texts, pipeline, config.character_coverage)
    continued = [f"##{character}" for character in characters if _joins(character, pipeline)]
    fixed = [*_SPECIAL, *characters, *continued]
    if len(fixed) > config.vocab_size:
        raise UserError(
            f"vocab_size {config.vocab_size} is too small: {len(characters)} characters, {len(continued)} ## "
            f"forms and {len(_SPECIAL)} special tokens need {len(fixed)}; raise vocab_size or lower "
            f"character_coverage ({config.character_coverage})"
        )
    trainer = trainers.WordPieceTrainer(
        vocab_size=config.vocab_size,
        min_frequency=2,
        show_progress=False,
        special_tokens=fixed,
        initial_alphabet=characters,
        limit_alphabet=len(characters),
    )
    pipeline.train_from_iterator(texts, trainer)
    learned = sorted(pipeline.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1])
    names = [piece for piece, _ in learned]
    names += [f"[unused{k}]" for k in range(1, config.vocab_size - len(names) + 1)]
    vocabulary = {name: number for number, name in enumerate(names)}
    hub = bert_pipeline(vocabulary, True, None, config.lowercase)
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": config.lowercase,
        "tokenize_chinese_chars": True,
        "strip_accents": None,
        "model_max_length": 1_000_000_000,
    }
    settings |= dict(
        zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _SPECIAL, strict=True)
    )
    return {
        VOCABULARY_FILE: "".join(f"{name}\n" for name in names).encode(),
        HUB_FILE: hub.to_str().encode(),
        "tokenizer_config.json": readable_json(settings),
    }


def _characters(texts: Sequence[str], pipeline: Any, coverage: float) -> list[str]:
    """The most frequent normalised characters that make up `coverage` of the texts, by code point."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(pipeline.normalizer.normalize_str(text))
    for character in [character for character in counts if character.isspace()]:
        del counts[character]
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    wanted, kept = coverage * counts.total(), 0
    chosen = []
    for character, count in ranked:
        if kept >= wanted:
            break
        chosen.append(character)
        kept += count
    return sorted(chosen)


def _joins(character: str, pipeline: Any) -> bool:
    """Whether the character can stand inside a word: letters do, Chinese characters and punctuation do not."""
    words = pipeline.pre_tokenizer.pre_tokenize_str(pipeline.normalizer.normalize_str("a" + character))
    return len(words) == 1 and len(words[0][0]) == 2


def bert_pipeline(
    vocabulary: dict[str, int], handle_chinese_chars: bool, strip_accents: bool | None, lowercase: bool
) -> Any:
    """The pipeline that transformers' BertTokenizer builds."""
    from tokenizers import Tokenizer as Hub
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

    hub = Hub(models.WordPiece(vocabulary, unk_token="[UNK]"))
    hub.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=handle_chinese_chars,
        strip_accents=strip_accents,
        lowercase=lowercase,
    )
    hub.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    hub.decoder = decoders.WordPiece(prefix="##")
    hub.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    if len(vocabulary) > len(_SPECIAL):
        hub.add_special_tokens(list(_SPECIAL))
    return hub


def _bert_vocabulary(folder: Path) -> dict[str, int]:
    path = folder / VOCABULARY_FILE
    try:
        if path.is_file():
            # Not splitlines: a vocabulary may hold U+2028 and its like as tokens.
            names = [name.rstrip("\r") for name in path.read_text("utf-8").split("\n")]
            while names and not names[-1]:  # blank last lines are no tokens
                names.pop()
            return {name: number for number, name in enumerate(names)}
        path = folder / HUB_FILE
        return _dense(dict(orjson.loads(path.read_bytes())["model"]["vocab"]))
    except (
        UnicodeDecodeError,
        orjson.JSONDecodeError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise UserError(f"{path}: not a BERT vocabulary: {error}") from None


def _text_only(hub: Any) -> Any:
    """Special tokens written out in a text stay text."""
    hub.encode_special_tokens = True
    hub.no_truncation()
    hub.no_padding()
    return hub


def _library() -> str:
    import tokenizers

    return f"tokenizers {tokenizers.__version__}"
