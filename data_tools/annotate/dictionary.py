"""The word list and hidden Markov model of the installed jieba distribution (https://github.com/fxsjy/jieba, MIT).

Its files are read and its package is not imported: dict.txt holds one `word frequency tag` per line, finalseg/prob_*.py
the log probabilities of the model as Python dictionaries.
"""

import hashlib
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from math import log
from pathlib import Path
from typing import Any

from taixue.base import UserError

_LIST = "dict.txt"
_MODEL = {name: f"finalseg/prob_{name}.py" for name in ("start", "trans", "emit")}
# jieba's names for begin, middle, end of a word, single character; words_plain.py and words.cc have this order.
_STATES = "BMES"
_NEVER = -3.14e100


def digest() -> str:
    """sha256 of everything that is read here. UserError without jieba."""
    folder = _folder()
    total = hashlib.sha256()
    for name in (_LIST, *_MODEL.values()):
        total.update((folder / name).read_bytes())
    return total.hexdigest()


def content() -> bytes:
    """The lines of the list. UserError without jieba."""
    return (_folder() / _LIST).read_bytes()


def read_words() -> tuple[list[str], list[float], list[str], float]:
    """(words, their log probabilities, their tags, log probability of a character that is no word: frequency 1).

    UserError without jieba.
    """
    fields = content().decode().split()
    frequencies = list(map(int, fields[1::3]))
    total = log(sum(frequencies))
    return fields[::3], [log(frequency) - total for frequency in frequencies], fields[2::3], -total


def read_model() -> dict[str, Any]:
    """start (4,), transitions [from][to] (4, 4), characters and their emissions (characters, 4): log probabilities.

    UserError without jieba.
    """
    start, transitions, emissions = (_table(_folder() / name) for name in _MODEL.values())
    characters = sorted(set().union(*emissions.values()))
    return {
        "characters": characters,
        "emissions": [
            tuple(emissions[state].get(character, _NEVER) for state in _STATES) for character in characters
        ],
        "start": tuple(start[state] for state in _STATES),
        "transitions": tuple(
            tuple(transitions[before].get(after, _NEVER) for after in _STATES) for before in _STATES
        ),
    }


def _folder() -> Path:
    spec = find_spec("jieba")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "annotate.words needs jieba's word list: pip install 'taixue-pretrain[annotate]' (or set words: false "
            "and names: false)"
        )
    return Path(spec.submodule_search_locations[0])


def _table(path: Path) -> dict[str, Any]:
    """P of a module outside its package, whose import would start jieba."""
    spec = spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    table: dict[str, Any] = module.P
    return table
