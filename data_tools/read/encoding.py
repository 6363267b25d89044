"""Which encoding a file's lines, or a page, are in, and their text.

Decided once for a file, from samples all over it: a short line shows nothing by itself, and lines of GBK are valid
UTF-8 by chance. Chinese shows itself by its commonest characters: 600 of them make up about 75 % of any text (prose,
reviews, poetry; simplified or traditional) when it is read in its encoding, and less than 10 % when it is read in
another. Latin text shows itself by single bytes beyond ASCII between its letters. What shows nothing is UTF-8.

UTF-16 and UTF-32 come here as UTF-8 (wide.py).

Every name is read as the largest set that carries it, as browsers do: gb2312 and gbk as GB18030 with the euro sign at
80, big5 as Big5-HKSCS with ETEN's and Microsoft's characters, latin-1 and ascii as Windows-1252.
"""

import codecs
import re
from collections import Counter
from collections.abc import Callable, Iterable

from taixue.base import UserError

AUTO = "auto"
UTF8 = "utf-8"
_GB, _BIG5, _LATIN = "gb18030", "big5", "cp1252"
_CHINESE = (_GB, _BIG5)
_PYTHON = {_BIG5: "big5hkscs"}  # where its name is another
_SUPERSETS = {
    "utf-8-sig": UTF8,
    **dict.fromkeys(("gb2312", "gbk"), _GB),
    **dict.fromkeys(("big5hkscs", "cp950"), _BIG5),
    **dict.fromkeys(("ascii", "iso8859-1"), _LATIN),
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "tis-620": "cp874",
    "iso8859-9": "cp1254",
}
# Of Python's codecs those of text, in which a line end is the byte 0A.
_OF_LINES = frozenset(
    [
        UTF8,
        _GB,
        _BIG5,
        *_SUPERSETS,
        *_SUPERSETS.values(),
        "hz",
        "johab",
        "euc_jp",
        "euc_jis_2004",
        "iso2022_jp",
    ]
    + [
        f"cp{number}"
        for number in (437, 737, 775, 850, 852, 855, 857, 858, 860, 861, 862, 863, 864, 865, 866, 869)
    ]
    + [f"cp{number}" for number in (932, 949, 874, *range(1250, 1259))]
    + [f"iso8859-{number}" for number in (*range(2, 12), *range(13, 17))]
    + ["koi8-r", "koi8-u", "kz1048", "ptcp154", "shift_jis_2004", "shift_jisx0213"]
    + ["mac-roman", "mac-cyrillic", "mac-greek", "mac-latin2", "mac-turkish"]
)
_WIDE = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"})
_LABELS = {"x-gbk": "gbk", "gb-2312": "gb2312", "cn-gb": "gb2312", "x-x-big5": "big5", "cn-big5": "big5"}
_LABELS |= {"x-sjis": "shift_jis", "x-euc-jp": "euc_jp", "x-cp1252": "cp1252"}

_COMMON_TEXT = """
的一是不了有人在我这个大为中和时上到能来以看好用对就生可多国本很要出分还小后子么也过会家下都新年发你自作行得说方地学没实动点书现们成
于间性面理最他高天心文更体事全法机化开度如比经电之主业情里进去前内定者而种与感合提想其真结美力同日然果道但无明样女手服等车务什系些让
相那公所房量网意关重特通着当影应部知工太读长品加活题觉只数水外价场老因三给起信次入表问解及位程常完物平市被产容从月己友制店打单式别视
正资游将并流直错名第基计爱区较身回金代两原话设线做期安统买优质建论利气何酒变强再件星喜快台保非儿少她已交二西接东员目展欢万观民选住模
世教型该记功路值精推战收格此头色户算才验海装界图客故写总门据风热每怎口差几效管元复放又受评联男光费十带专类处各级导神反商像钱随吃传史
近便增使节考片运却研把持速城字语白析术戏深标见孩究技历求或向清音立包师供候难超款频显宝空由态报思需吗吧具整走造微且认张社率达司组版改
测离玩乐這個爲時來對國還後麼過會發說學沒實動點書現們於間體機開經電業裏進內種與結無樣車務讓網關當應讀長題覺數價場給問產從單別視資遊將
並錯計愛區較兩話設線統買優質論氣變強臺兒東員歡萬觀選該記戰頭戶驗裝圖寫總門據風熱幾復評聯費帶專類處級導錢隨喫傳節運卻語術戲標見歷師難
頻顯寶態報嗎認張達組測離樂山春首花雲詩未君歸江雨今秋南四玉千夜寒五古王欲石青誰朝林亦李雪聲香送落黄百寄飛歌陽九似六聞言莫遠草塵梅居望
州韻笑盡句馬釋夢舊龍仙猶吾先坐須竹陳歲獨溪云诗归谁声飞阳闻远尘韵尽马释梦旧龙犹须陈岁独為裡
，。、；：？！“”‘’（）《》【】—…·「」『』
"""
_COMMON = re.compile(f"[\u3000{''.join(_COMMON_TEXT.split())}]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_LEAST_COMMON, _LEAST_SHARE, _MARGIN = 6, 0.3, 2
_ENOUGH = 1 << 17  # bytes of a sample that are asked which encoding they are in
_ASCII = bytes(range(0x80))
_LOOKED_AT = 256  # characters of a line that are asked whether it is in another encoding than its file
_LATIN_USUAL = re.compile(r"[À-ÖØ-öø-ÿŒœŠšŽžŸ€£§©®°·«»‘’“”–—…¡¿ºª´¨•™½¼¾²³]")
_LATIN_ALONE = re.compile(rb"(?<![\x80-\xff])[\x80-\xff]{1,2}(?![\x80-\xff])")
_LEAST_LATIN, _LATIN_SHARE, _LATIN_PART = 3, 0.9, 0.5

# Characters that Python's codec has in the private use area, or otherwise than the world.
_OTHERWISE = {
    _GB: "\ue78d︐\ue78e︒\ue78f︑\ue790︓\ue791︔\ue792︕\ue793︖\ue794︗\ue795︘\ue796︙\ue7c7ḿ"
    "\ue816\U00020087\ue817\U00020089\ue818\U000200cc\ue81e龴\ue826龵\ue82b龶\ue82c龷\ue831\U000215d7\ue832龸\ue83b\U0002298f\ue843龹\ue854龺"
    "\ue855\U000241fe\ue864龻",
    _BIG5: "•‧､﹑‾¯∼～♁⊕☉⊙¥￥¢￠£￡",
}
_REPLACED = {
    name: dict(zip(map(ord, pairs[::2]), pairs[1::2], strict=True)) for name, pairs in _OTHERWISE.items()
}
_IS_OTHERWISE = {name: re.compile(f"[{pairs[::2]}]") for name, pairs in _OTHERWISE.items()}

_HEAD = 4096
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_MARKS = (("utf-8", codecs.BOM_UTF8), ("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE))
_REPLACEABLE = (
    50  # a page with at most one fault in so many characters beyond ASCII is kept, with marks in their place
)


def _euro(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError) and error.object[error.start] == 0x80:
        return "€", error.start + 1
    raise error


def _of_microsoft(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        pair = error.object[error.start : error.start + 2]
        try:
            return pair.decode("cp950"), error.start + 2
        except UnicodeDecodeError:
            pass
    raise error


_ERRORS = {_GB: "taixue-gb18030", _BIG5: "taixue-big5"}
codecs.register_error(_ERRORS[_GB], _euro)
codecs.register_error(_ERRORS[_BIG5], _of_microsoft)


def codec(label: str) -> str:
    """The codec that text of this name is read with; "" when the name is none of a known encoding of text."""
    label = label.strip().lower()
    try:
        name = codecs.lookup(_LABELS.get(label, label)).name
    except (LookupError, ValueError):
        return ""
    return _SUPERSETS.get(name, name) if name in _OF_LINES or name in _WIDE else ""


def fault_of(label: str) -> str:
    """What is wrong with the name of an encoding of files; "" when nothing is."""
    if label == AUTO or codec(label):
        return ""
    from difflib import get_close_matches

    legal = {"".join(filter(str.isalnum, name)): name for name in sorted(_OF_LINES | _WIDE)}
    near = get_close_matches("".join(filter(str.isalnum, label.lower())), legal, 3, 0.6)
    meant = f"; near it: {', '.join(legal[name] for name in near)}" if near else ""
    usual = "auto, utf-8, utf-16, gb18030, big5"
    return f"encoding {label!r} is no encoding of text{meant}; legal: {usual}, and what Python names"


def decode(data: bytes, name: str) -> str:
    """The text of bytes in an encoding that `codec` named. UnicodeDecodeError where they are not in it."""
    text = data.decode(_PYTHON.get(name, name), _ERRORS.get(name, "strict"))
    if name in _REPLACED and _IS_OTHERWISE[name].search(text):
        text = text.translate(_REPLACED[name])
    return text


def guess(data: bytes) -> str:
    """The encoding of bytes that are not UTF-8: that of Chinese or of Latin text, "" when they show none."""
    return _guess(data.split(b"\n"))


def of_lines(samples: Iterable[bytes]) -> tuple[str, str]:
    """The encoding of a file by whole lines from all over it, many in a sample; and that of the lines that are not in
    it, "" when they show none."""
    valid, others = 0, []
    for sample in samples:
        if sample.isascii():
            continue
        if _is_text(sample, UTF8):
            valid += len(sample)
            continue
        for line in sample.split(b"\n"):
            if not _is_text(line, UTF8):
                others.append(line)
            elif not line.isascii():
                valid += len(line)
    shown = _guess(others) if others else ""
    return (UTF8, shown) if valid > sum(map(len, others)) else (shown or UTF8, "")


def of_page(header: str, body: bytes) -> str:
    """The encoding of a page, or of another text that was sent as a whole; "" when nothing says or shows it.

    header: the Content-Type it came with. In this order: a byte order mark; what the bytes show; what the header or the
    page's beginning name (servers' defaults are wrong more often than pages), where the bytes are in it.
    """
    for name, mark in _MARKS:
        if body.startswith(mark):
            return name
    named = []
    for place in (header.encode("utf-8", "replace"), body[:_HEAD]):
        if found := _CHARSET.search(place):
            named.append(codec(found[1].decode("ascii")))
    if len(named) == 2 and named[1] in _WIDE:
        named[1] = UTF8  # it could not have been found in it
    named = [name for name in dict.fromkeys(named) if name]
    if body.isascii():
        stateful = [name for name in named if name in ("hz", "iso2022_jp")]
        return (stateful or [name for name in named if name not in _WIDE] or [UTF8])[0]
    if _is_text(body, UTF8):
        legacy = [name for name in named if name in _CHINESE]
        return next((name for name in legacy if not _is_rather_utf8(body, name)), UTF8)
    shown = guess(body)
    others = [name for name in named if name not in (UTF8, _LATIN)]
    # Nearly all bytes are in Windows-1252: that it was named says little.
    candidates = [
        shown if shown in _CHINESE else "",
        UTF8,
        *others,
        *(name for name in named if name == _LATIN),
        shown,
    ]
    return next((name for name in candidates if name and _is_nearly(body, name)), "")


class Decoder:
    """Decodes lines of a file; counts those that were not UTF-8 by encoding.

    samples: gives whole lines from all over the file; asked once, when the encoding is "auto". wide: that of a file of
    UTF-16 or UTF-32, whose lines come as UTF-8 (wide.py). first: the encoding of the file.
    UserError for an encoding that `fault_of` finds fault with.
    """

    def __init__(
        self, encoding: str, samples: Callable[[], Iterable[bytes]], counts: Counter[str], wide: str = ""
    ) -> None:
        if fault := fault_of(encoding):
            raise UserError(fault)
        self._counts, self.wide = counts, wide
        self._is_fixed = encoding != AUTO
        if wide:
            self.first, self._second = wide, ""
        else:
            self.first, self._second = (codec(encoding), "") if self._is_fixed else of_lines(samples())

    def __call__(self, line: bytes) -> tuple[str, str]:
        """(text, "") or ("", reason)."""
        if self.wide:
            text, fault = self._decode(line, UTF8)
            if fault:
                return "", f"invalid {self.wide}: half of a pair of surrogates"
            self._counts[self.wide] += 1
            return text, ""
        text, fault = self._decode(line, self.first)
        if self._is_fixed or (not fault and (self.first == UTF8 or line.isascii())):
            return text, fault
        other = self._other(line, text, bool(fault))
        if not other and not fault:
            self._counts[self.first] += 1
            return text, ""
        if other:
            told, also = self._decode(line, other)
            if not also:
                if other != UTF8:
                    self._counts[other] += 1
                return told, ""
        return "", fault

    def _other(self, line: bytes, text: str, is_faulty: bool) -> str:
        """The encoding of a line that is not, or looks as if it were not, in that of the file."""
        if self.first != UTF8:
            if _is_text(line, UTF8) and (
                is_faulty or self.first == _LATIN or _is_rather_utf8(line, self.first)
            ):
                return UTF8
            if self.first == _LATIN or (not is_faulty and not _is_doubtful(text[:_LOOKED_AT])):
                return ""
        found = _guess([line])
        return found if found in _CHINESE else self._second

    def page(self, header: str, body: bytes) -> tuple[str, str]:
        """The same for a page, in its own encoding. Bytes that are not in it become U+FFFD where they are few."""
        name = (self.first if self._is_fixed else of_page(header, body)) or UTF8
        text, fault = self._decode(body, name)
        if fault and _is_nearly(body, name):
            text, fault = body.decode(_PYTHON.get(name, name), "replace"), ""
            self._counts["bytes replaced by U+FFFD"] += text.count("\ufffd")
        if not fault and name != UTF8 and not body.isascii():
            self._counts[name] += 1
        return text.removeprefix("\ufeff"), fault

    @staticmethod
    def _decode(line: bytes, name: str) -> tuple[str, str]:
        try:
            return decode(line, name), ""
        except UnicodeDecodeError as error:
            shown = "UTF-8" if name == UTF8 else name
            return "", f"invalid {shown} at byte {error.start + 1} of the line"


def _is_text(data: bytes, name: str) -> bool:
    try:
        decode(data, name)
    except UnicodeDecodeError:
        return False
    return True


def _is_nearly(data: bytes, name: str) -> bool:
    """Whether all but a few of the characters beyond ASCII are in the encoding."""
    if _is_text(data, name):
        return True
    text = data.decode(_PYTHON.get(name, name), "replace")
    return text.count("\ufffd") * _REPLACEABLE <= len(_BEYOND_ASCII.findall(text))


def _is_rather_utf8(line: bytes, name: str) -> bool:
    """Whether a line that is valid UTF-8 is that, and not in another encoding."""
    text = line.decode()
    if all(character >= "\u0800" for character in _BEYOND_ASCII.findall(text)):
        return True
    try:
        other = decode(line, name)
    except UnicodeDecodeError:
        return True
    return commonest(text) > commonest(other)


def _is_doubtful(text: str) -> bool:
    beyond = len(_BEYOND_ASCII.findall(text))
    return beyond >= 16 and commonest(text) < _LEAST_SHARE * beyond


def commonest(text: str) -> int:
    """How many of the commonest Chinese characters a text has."""
    return len(_COMMON.findall(text))


def _guess(lines: list[bytes]) -> str:
    """Of lines none of which is UTF-8; so many of them as it takes."""
    lines = lines[:: max(sum(map(len, lines)) // _ENOUGH, 1)]
    counts = sorted((_commonness(lines, name), name) for name in _CHINESE)
    (_, second, _), (share, common, _) = counts[0][0], counts[1][0]
    if common >= _LEAST_COMMON and share >= _LEAST_SHARE and common >= _MARGIN * second:
        return counts[1][1]
    return _LATIN if _is_latin(lines) else ""


def _commonness(lines: list[bytes], name: str) -> tuple[float, int, int]:
    """(share of the commonest characters, how many, of how many); a line that is not in the encoding has none."""
    common = total = 0
    for line in lines:
        try:
            text = decode(line, name)
        except UnicodeDecodeError:
            total += len(line.translate(None, _ASCII)) // 2
        else:
            total += len(_BEYOND_ASCII.findall(text))
            common += commonest(text)
    return common / max(total, 1), common, total


def _is_latin(lines: list[bytes]) -> bool:
    data = b"\n".join(lines)
    beyond = len(data.translate(None, _ASCII))
    letters = sum(chr(byte).isalpha() for byte in data if byte < 0x80)
    text = data.decode(_LATIN, "replace")
    usual = len(_LATIN_USUAL.findall(text))
    alone = sum(map(len, _LATIN_ALONE.findall(data)))
    return (
        beyond >= _LEAST_LATIN
        and usual >= _LATIN_SHARE * beyond
        and alone >= _LATIN_SHARE * beyond
        and beyond <= _LATIN_PART * letters
    )
