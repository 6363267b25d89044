"""Words and parts of speech by jieba's dictionary and hidden Markov model (see dictionary.py).

Tags are jieba's (ICTCLAS style): n noun, v verb, nr person, ns place, ... A word has the tag that the dictionary gives
it. Of others, digits are m, with Latin letters eng, two or three hanzi of which the first is a frequent surname nr,
other hanzi n, the rest (punctuation, white space) x. `native/words.cc` does the work where the
extension was built, else its twin in words_plain.py, with the same results.
"""

from functools import cache
from typing import Any

import numpy as np

from .. import native
from . import dictionary
from .layered_text import Characters
from .words_plain import WordCutter

# In this order, with 0 for "none"; new ones go to the end, so that numbers keep their meaning.
_TAGS = """
n nr nrt nrfg ns nt nz ng v vn vd vg vi vq a ad an ag d dg df m mq mg q r rr rz rg t tg f s b p c u uj ul uz ug ud
uv y e o h k i j l z zg g x eng
"""
TAGS = _TAGS.split()
_NUMBERS = {tag: number for number, tag in enumerate(TAGS, 1)}
PERSON, PLACE, ORGANISATION = ("nr", "nrt", "nrfg"), ("ns",), ("nt",)

_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任沈姚卢傅钟姜崔谭廖范汪陆石韦贾夏付方邹熊"
    "孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向汤欧阮霍"
)


def words(characters: Characters) -> tuple[np.ndarray, np.ndarray]:
    """(word_starts bool (C,), pos uint8 (C,)): where words start, and the tag of the word of each character."""
    starts, pos = _cutter().run(characters.points)
    starts = starts.astype(bool)
    # No word reaches over the line ends between texts, but \r\n would.
    outside = np.append(0, characters.ends)
    starts[outside] = True
    pos[outside] = 0
    starts[characters.begins] = True
    return starts, pos


def tag_numbers(names: tuple[str, ...]) -> list[int]:
    """Numbers of tags."""
    return [_NUMBERS[name] for name in names]


def library() -> str:
    """What made the words; part of what a shard is made from. UserError without jieba."""
    return f"jieba's dictionary, {dictionary.digest()[:12]}"


def plain_cutter() -> WordCutter:
    """The twin."""
    words, scores, tags, single = dictionary.read_words()
    return WordCutter(words, scores, [_NUMBERS[tag] for tag in tags], single, **_model())


@cache
def native_cutter() -> Any:
    """The C++ cutter, made once per process: about 0.15 s."""
    extension = native.loaded()
    assert extension is not None
    return extension.WordCutter(dictionary.content(), TAGS, *_model().values())


def _model() -> dict[str, Any]:
    """What cuts and tags words that the dictionary lacks: the last arguments of both cutters, in their order."""
    return {
        **dictionary.read_model(),
        "surnames": _SURNAMES,
        "unknown_tags": [_NUMBERS[tag] for tag in ("m", "eng", "nr", "n", "x")],
    }


@cache
def _cutter() -> Any:
    return native_cutter() if native.is_native() else plain_cutter()
