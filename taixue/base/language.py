"""Words of pages in English and in Chinese: a page holds both, and who reads it switches. Messages stay English.

What is the same in both (names, numbers, texts of others) is a str, what is said in words a Both; both are plain text
until html() or svg() escapes them.
"""

from html import escape
from typing import NamedTuple

ENGLISH, CHINESE = "en", "zh"


class Both(NamedTuple):
    """One text in both languages."""

    en: str
    zh: str


Text = str | Both


def html(text: Text) -> str:
    """For HTML, escaped."""
    return _marked("span", text)


def svg(text: Text) -> str:
    """For the inside of an SVG's <text>, escaped."""
    return _marked("tspan", text)


def _marked(tag: str, text: Text) -> str:
    if isinstance(text, str):
        return escape(text)
    pairs = zip((ENGLISH, CHINESE), text, strict=True)
    return "".join(f'<{tag} lang="{language}">{escape(words)}</{tag}>' for language, words in pairs)


STYLE = """
:root:has(#chinese:checked) [lang=en],:root:not(:has(#chinese:checked)) [lang=zh]{display:none}
.language{float:right;color:var(--soft);font-size:13px}.language label{margin-left:10px;cursor:pointer}
"""
SWITCH = (
    '<form class="language"><label><input type="radio" name="language" id="english" checked> English</label>'
    '<label><input type="radio" name="language" id="chinese"> 中文</label></form>'
)
SCRIPT = """
{const zh=document.getElementById("chinese"),en=document.getElementById("english"),key="taixue-language";
const say=()=>{document.documentElement.lang=zh.checked?"zh":"en"};let kept=null;
try{kept=localStorage.getItem(key)}catch{}
(location.hash==="#zh"||location.hash!=="#en"&&(kept||navigator.language||"").startsWith("zh")?zh:en).checked=true;say();
for(const one of [zh,en])one.addEventListener("change",()=>{say();
try{localStorage.setItem(key,zh.checked?"zh":"en")}catch{}})}
"""
"""The switch works without it; it remembers the choice, and begins with the browser's language or #zh, #en."""
