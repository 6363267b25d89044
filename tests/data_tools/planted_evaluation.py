"""Recall of evaluation rows planted into clean documents, and clean documents removed.

python -m tests.data_tools.planted_evaluation --evaluation FOLDER --clean FILE.jsonl.gz ...
"""

import argparse
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from taixue.data_tools import read
from taixue.data_tools.config import DecontaminateConfig
from taixue.data_tools.passes.contamination import EvaluationSets, texts_of

_SENTENCE_END = re.compile("(?<=[。！？\n])")
_MARKS = "，。！？；：、,.!?;:"
_HANZI = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产"
Change = Callable[[str, random.Random], str]


def verbatim(text: str, _: random.Random) -> str:
    return text


def edited(text: str, draw: random.Random) -> str:
    """Another punctuation, and a character changed, left out or put in; two from 40 letters on, three from 80."""
    characters = [draw.choice(_MARKS) if character in _MARKS else character for character in text]
    for _ in range(1 + min(sum(map(str.isalnum, text)) // 40, 2)):
        letters = [place for place, character in enumerate(characters) if character.isalnum()]
        if not letters:
            break
        place = draw.choice(letters)
        kind = draw.randrange(3)
        characters[place : place + (kind < 2)] = [] if kind == 1 else [draw.choice(_HANZI)]
    return "".join(characters)


def traditional() -> Change:
    import opencc

    converter = opencc.OpenCC("s2t")
    return lambda text, _: str(converter.convert(text))


def planted(document: str, texts: list[str], draw: random.Random) -> str:
    """The document with the texts between two of its sentences, each on a line of its own."""
    sentences = _SENTENCE_END.split(document)
    place = draw.randrange(len(sentences) + 1)
    return "\n".join(["".join(sentences[:place]), *texts, "".join(sentences[place:])])


def recall(sets: EvaluationSets, rows: list[list[str]], clean: list[str], change: Change, seed: int) -> float:
    """Share of the rows that are found, each in a clean document."""
    draw = random.Random(seed)
    documents = [planted(draw.choice(clean), [change(text, draw) for text in row], draw) for row in rows]
    return len(sets.find(documents)) / len(rows)


def evaluation_rows(folder: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """Of each set below the folder, the texts of its rows, labels left out."""
    for place in sorted({path.parent for path in read.find_files([str(folder)])}):
        paths = [path for path in read.find_files([str(place)]) if "unlabeled" not in path.name]
        rows = [row for path in paths for row in texts_of(path, [*read.rows(path)], ())]
        yield place.name, [row for row in rows if row]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluation", type=Path, required=True)
    parser.add_argument("--clean", nargs="+", required=True)
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    sets = EvaluationSets(DecontaminateConfig(inputs=(str(settings.evaluation),), preset="fewclue"))
    clean: list[str] = []
    for name in settings.clean:
        texts = [*read.documents(read.whole(Path(name)), "text", lambda _: None)]
        found = sets.find(texts)
        clean += texts
        print(
            f"{Path(name).name}: {len(found)} of {len(texts):,} documents removed ({len(found) / len(texts):.4%})"
        )
        for text, owner, begin, end in found[:5]:
            print(f"    {sets.names[owner]}: {texts[text][max(begin - 5, 0) : end + 5]!r}")
    removed = {text for text, *_ in sets.find(clean)}
    clean = [text for number, text in enumerate(clean) if number not in removed]
    changes = {"verbatim": verbatim, "traditional": traditional(), "edited": edited}
    for unit in ("rows", "texts of 6 units and more"):
        print(f"{unit:28} {'number':>8}", *(f"{name:>12}" for name in changes))
        for name, rows in evaluation_rows(settings.evaluation):
            chosen = rows
            if unit != "rows":
                chosen = [[text] for row in rows for text in row if sum(map(str.isalnum, text)) >= 6]
                chosen = [
                    [text] for [text] in chosen if re.search("[\u4e00-\u9fff]{6}", re.sub(r"\W", "", text))
                ]
            shares = [recall(sets, chosen, clean, change, settings.seed) for change in changes.values()]
            print(f"{name:28} {len(chosen):8,}", *(f"{share:12.4f}" for share in shares))


if __name__ == "__main__":
    main()
