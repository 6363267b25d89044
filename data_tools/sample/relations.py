"""Facts of the world and the ways to put them into words (facts/*.yaml), and what of both is held out.

Held out are wordings, which no made text uses for any fact, and pairs: each of the other wordings is kept from about a
fifth of the facts. Every fact is told in the wordings that are left.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

FACTS = Path(__file__).parent / "facts"
_PAIRS_HELD_OUT = 5  # one in so many


@dataclass(frozen=True)
class Sentence:
    """A fact (a, b) of a relation in one wording, which holds {a} and {b}."""

    relation: str
    wording: str
    a: str
    b: str

    def __str__(self) -> str:
        return self.wording.format(a=self.a, b=self.b)

    @property
    def is_held_out(self) -> bool:
        """Whether this wording, one of training, is kept from this fact."""
        digest = hashlib.sha256("\t".join((self.relation, self.a, self.wording)).encode()).digest()
        return int.from_bytes(digest[:4], "big") % _PAIRS_HELD_OUT == 0

    @property
    def has_one_blank(self) -> bool:
        """Whether b is named once, so that nothing but the fact tells it."""
        return self.wording.count("{b}") == 1

    def with_blank(self, blank: str) -> str:
        """The sentence without its b."""
        return self.wording.format(a=self.a, b=blank)


@dataclass(frozen=True)
class Relation:
    """types: of entity, of a and of b. facts: the b of each a, of which it has one. wordings: of training."""

    name: str
    types: tuple[str, str]
    facts: dict[str, str]
    wordings: tuple[str, ...]
    held_out: tuple[str, ...]

    def told(self, a: str) -> list[Sentence]:
        """What training text says of a."""
        return [sentence for sentence in self._all(a, self.wordings) if not sentence.is_held_out]

    def held_out_pairs(self) -> Iterator[Sentence]:
        """Facts in wordings that tell only others."""
        return (one for a in self.facts for one in self._all(a, self.wordings) if one.is_held_out)

    def in_held_out_wordings(self) -> Iterator[Sentence]:
        """All facts in all wordings that training text never has."""
        return (one for a in self.facts for one in self._all(a, self.held_out))

    @property
    def most_frequent(self) -> str:
        """The answer of who knows the relation and no fact: of equally frequent ones the first."""
        return Counter(self.facts.values()).most_common(1)[0][0]

    def _all(self, a: str, wordings: tuple[str, ...]) -> list[Sentence]:
        return [Sentence(self.name, wording, a, self.facts[a]) for wording in wordings]


@cache
def relations() -> dict[str, Relation]:
    """All relations, by name, in alphabetical order."""
    return {path.stem: _read(path) for path in sorted(FACTS.glob("*.yaml"))}


def _read(path: Path) -> Relation:
    content = yaml.safe_load(path.read_text("utf-8"))
    first, second = content["types"]
    facts = {str(a): str(b) for a, b in content["facts"].items()}
    return Relation(path.stem, (first, second), facts, tuple(content["wordings"]), tuple(content["held_out"]))
