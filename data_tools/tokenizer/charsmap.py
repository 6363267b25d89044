"""SentencePiece's normalisation rules, and the same without some characters.

nmt_nfkc, its default, is NFKC and so makes ，？！（） half-width; a model trained on that can never write them.
`fullwidth_rules` are its rules without those that touch the punctuation Chinese text is written with, and its vertical
and small forms become that.

A precompiled charsmap is the size of a double array (4 bytes), the double array of the rules' left sides in UTF-8
(Yata's darts-clone: unit = label, offset, has-leaf; leaf = value), and the right sides as C strings.
"""

from collections.abc import Iterator

import numpy as np

from ..native.plain.characters import FULLWIDTH_OF, FULLWIDTH_PUNCTUATION

_BASE = "nmt_nfkc"
_LONGEST, _MOST = 256, 1 << 22  # bytes of a rule's left side; bytes of all of them


def fullwidth_rules() -> str:
    """TSV for sentencepiece's normalization_rule_tsv: code points in hex, a tab, what they turn into."""
    from sentencepiece import SentencePieceNormalizer
    from sentencepiece import sentencepiece_model_pb2 as model_pb2

    model = SentencePieceNormalizer(rule_name=_BASE).serialized_model_proto()
    spec = model_pb2.ModelProto.FromString(model).normalizer_spec  # type: ignore[attr-defined]
    kept = set(FULLWIDTH_PUNCTUATION)
    wide = {chr(point): chr(other) for point, other in FULLWIDTH_OF.items()}
    lines = [
        f"{_hex(left)}\t{_hex(wide.get(left, right))}"
        for left, right in rules(spec.precompiled_charsmap)
        if not kept & set(left)
    ]
    return "\n".join(lines) + "\n"


def rules(charsmap: bytes) -> Iterator[tuple[str, str]]:
    """All (text, replacement), in the order of the UTF-8 bytes of the text. ValueError for what is none."""
    size = int.from_bytes(charsmap[:4], "little")
    units, replacements = np.frombuffer(charsmap[4 : 4 + size], "<u4"), charsmap[4 + size :]
    places = np.arange(len(units), dtype=np.uint32)
    # A unit whose label leads back to a node is that node's child: children of all nodes, by node, then by label.
    labels = units & 0x800000FF
    children = np.flatnonzero((labels > 0) & (labels < 256))
    children = children[np.lexsort((labels[children], places[children] ^ labels[children]))]
    nodes = places[children] ^ labels[children]
    below = places ^ (units >> 10 << (units >> 6 & 8))  # the node that a unit leads to
    first, end = (np.searchsorted(nodes, below, side).tolist() for side in ("left", "right"))
    order, last_byte = children.tolist(), labels.astype(np.uint8).tobytes()
    waiting = [(b"", 0)] if len(units) else []
    steps = 0
    while waiting:
        key, place = waiting.pop()
        steps += 1  # units may be shared, so that only their number and length tell a circle
        if len(key) > _LONGEST or steps > _MOST:
            raise ValueError(
                f"a rule of more than {_LONGEST} bytes, or more than {_MOST:,} steps to all rules"
            )
        if units[place] >> 8 & 1:  # has a leaf
            if below[place] >= len(units):
                raise ValueError("a leaf lies outside the double array")
            begin = int(units[below[place]]) & 0x7FFFFFFF
            yield key.decode(), replacements[begin : replacements.index(b"\0", begin)].decode()
        found = order[first[place] : end[place]]
        waiting += [(key + last_byte[child : child + 1], child) for child in reversed(found)]


def _hex(text: str) -> str:
    return " ".join(f"{ord(character):X}" for character in text)
