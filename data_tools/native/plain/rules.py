"""What the functions of this package are asked for and what they give: shared by C++ and plain twins."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np


class Texts(Protocol):
    """A list or tuple of str and bytes, or a batch."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int, /) -> str | bytes: ...
    def __iter__(self) -> Iterator[str | bytes]: ...


# One row of text_stats per document. Every field is 8 bytes wide, in this order in C++ too (stats.cc).
STATS = np.dtype(
    [
        *(
            (name, np.int64)
            for name in (
                "bytes",  # UTF-8
                "characters",
                "hanzi",
                "latin",
                "digits",
                "punctuation",
                "symbols",  # also numbers that are no decimal digits
                "whitespace",
                "kana",
                "hangul",
                "letters",  # of other scripts
                "traditional",  # hanzi that simplified Chinese does not use
                "replacement",  # U+FFFD
                "lines",  # lines with something on them, counted without the white space around them
                "end_punctuation_lines",
                "bullet_lines",
                "ellipsis_lines",
                "duplicate_lines",  # equal to a line before
                "duplicate_line_characters",
            )
        ),
        ("mean_line", np.float64),  # characters of a line
        ("duplicate_line_share", np.float64),
        (
            "repetition",
            np.float64,
        ),  # share of character n-grams that occur more than once, white space left out
    ]
)

# Kinds of personal data, in the order in which they are tried at a place, with what takes their place.
PERSONAL = {
    "url": "[URL]",
    "email": "[EMAIL]",
    "id": "[ID]",
    "card": "[CARD]",
    "mobile": "[PHONE]",
    "landline": "[PHONE]",
    "ip": "[IP]",
}

# HTML elements, obsolete ones too: what is left of their tags is removed, a block's becomes a line end.
_BLOCKS = (
    "address article aside blockquote body br center dd details dialog dir div dl dt fieldset figcaption figure footer"
    " form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li main marquee menu nav ol optgroup option p"
    " pre script search section select style summary table tbody td template tfoot th thead title tr ul"
)
_INLINE = (
    "a abbr acronym applet area audio b base basefont bdi bdo bgsound big blink button canvas caption cite code col"
    " colgroup data datalist del dfn em embed font frame i iframe image img input ins kbd keygen label link map mark"
    " meta meter nobr noembed noframes noscript object output param picture progress q rb rp rt rtc ruby s samp slot"
    " small source span strike strong sub sup svg textarea time track tt u var video wbr"
)
# Of these a tag without attributes and without an end is one all the same: nothing else is called like that.
_PLAIN = (
    "blockquote br center dd div dl dt em fieldset figcaption h1 h2 h3 h4 h5 h6 hr kbd li nobr noscript ol p pre strong"
    " tbody td tfoot th thead tr tt ul wbr"
)
# Attributes without a value.
_FLAGS = (
    "allowfullscreen async autofocus autoplay checked compact controls declare default defer disabled hidden inert"
    " ismap itemscope loop multiple muted nohref nomodule noresize noshade novalidate nowrap open playsinline readonly"
    " required reversed selected"
)
BLOCKS, INLINE = frozenset(_BLOCKS.split()), frozenset(_INLINE.split())
PLAIN, FLAGS = frozenset(_PLAIN.split()), frozenset(_FLAGS.split())


@dataclass(frozen=True)
class NormalizeRules:
    """What normalize does, in this order.

    html: entities become characters (once), tags of known elements and comments go; see html.py. nfkc: compatibility
    forms (full-width letters and digits, ligatures, circled numbers) become usual ones, but for Chinese punctuation
    when keep_fullwidth_punctuation, and for the characters in keep. control: control, zero-width and format
    characters go. whitespace: none at the ends; a run becomes one space, or its line ends, at most two.
    """

    nfkc: bool = True
    keep_fullwidth_punctuation: bool = True
    keep: str = ""
    control: bool = True
    whitespace: bool = True
    html: bool = False


class Ragged(NamedTuple):
    """Rows of different lengths: row k is values[offsets[k]:offsets[k + 1]]."""

    values: np.ndarray
    offsets: np.ndarray  # int64 (N + 1,)

    def rows(self) -> list[np.ndarray]:
        """The rows, as views."""
        return np.split(self.values, self.offsets[1:-1]) if len(self.offsets) > 1 else []


# One match of a keyword: characters [begin, end) of its text, and which word.
MATCH = np.dtype([("begin", np.int32), ("end", np.int32), ("word", np.int32)])


@dataclass(frozen=True)
class UnigramModel:
    """What a unigram spiece.model says: pieces with scores and types, and how text is normalised."""

    pieces: list[bytes] = field(repr=False)
    scores: np.ndarray = field(repr=False)  # float32
    types: np.ndarray = field(
        repr=False
    )  # uint8: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte
    charsmap: bytes = field(repr=False)
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool
    escape_whitespaces: bool
    whitespace_as_suffix: bool
    byte_fallback: bool
