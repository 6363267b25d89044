"""SentencePiece's normalisation rules, and the same without some characters.

nmt_nfkc, its default, is NFKC and so makes ，？！（） half-width; a model trained on that can never write them.
`fullwidth_rules` are its rules without those that touch the punctuation Chinese text is written with.

A precompiled charsmap is the size of a double array (4 bytes), the double array of the rules' left sides in UTF-8
(Yata's darts-clone: unit = label, offset, has-leaf; leaf = value), and the right sides as C strings.
"""

from collections.abc import Iterator

import numpy as np

from ..native.plain.characters import FULLWIDTH_PUNCTUATION

_BASE = "nmt_nfkc"


def fullwidth_rules() -> str:
    """TSV for sentencepiece's normalization_rule_tsv: code points in hex, a tab, what they turn into."""
    from sentencepiece import SentencePieceNormalizer
    from sentencepiece import sentencepiece_model_pb2 as model_pb2

    model = SentencePieceNormalizer(rule_name=_BASE).serialized_model_proto()
    spec = model_pb2.ModelProto.FromString(model).normalizer_spec  # type: ignore[attr-defined]
    kept = set(FULLWIDTH_PUNCTUATION)
    lines = [
        f"{_hex(left)}\t{_hex(right)}"
        for left, right in rules(spec.precompiled_charsmap)
        if not kept & set(left)
    ]
    return "\n".join(lines) + "\n"


def rules(charsmap: bytes) -> Iterator[tuple[str, str]]:
    """All (text, replacement), in the order of the UTF-8 bytes of the text."""
    size = int.from_bytes(charsmap[:4], "little")
    units, replacements = np.frombuffer(charsmap[4 : 4 + size], "<u4"), charsmap[4 + size :]
    labels = np.arange(1, 256, dtype=np.uint32)
    waiting = [(b"", _offset(int(units[0])), False)]
    while waiting:
        key, node, has_leaf = waiting.pop()
        if has_leaf:
            begin = int(units[node]) & 0x7FFFFFFF
            yield key.decode(), replacements[begin : replacements.index(b"\0", begin)].decode()
        children = node ^ labels
        children = children[children < len(units)]
        children = children[units[children] & 0x800000FF == children ^ node]
        for child in children[::-1].tolist():
            unit = int(units[child])
            waiting.append((key + bytes([child ^ node]), child ^ _offset(unit), bool(unit >> 8 & 1)))


def _offset(unit: int) -> int:
    return unit >> 10 << (unit >> 6 & 8)


def _hex(text: str) -> str:
    return " ".join(f"{ord(character):X}" for character in text)
