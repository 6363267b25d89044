"""Mentions of a graph's entities in a batch: which are injected, with which triple, and what is to be decoded.

An entity's name is found as the tokens that the tokenizer makes of it: the longest name from left to right, beginning
and ending where words do when the batch says where. The native keyword matcher does it on token ids written as
characters, so a corpus needs no further annotation, and the graph can change without building it again.
"""

from dataclasses import dataclass

import numpy as np

from taixue.base import UserError, rng
from taixue.data_tools import native
from taixue.data_tools.tokenizer.base import Tokenizer

from ..config.schema import KnowledgeConfig, RunConfig
from ..models import FAMILIES
from ..objectives.base import IGNORED
from .vectors import Vectors, load_vectors

_MENTIONS, _TRIPLES = 11, 12  # streams of a sample's key
_FIRST_CHARACTER = 0x10000  # token id 0 as a character: behind the surrogates
_LEAST_TOKENS = 2  # a single token names too many things


@dataclass(frozen=True)
class Links:
    """Mentions in windows, in order: row, begin, end (of tokens), entity; int64 (M,) each."""

    row: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    entity: np.ndarray


class Linker:
    """Finds entities in windows of token ids."""

    def __init__(self, names: tuple[str, ...], tokenizer: Tokenizer) -> None:
        """UserError when no name has at least two tokens that the vocabulary knows."""
        self.tokens = tokenizer.encode(list(names))
        usable = [
            entity
            for entity, ids in enumerate(self.tokens)
            if len(ids) >= _LEAST_TOKENS and tokenizer.unk_id not in ids
        ]
        if not usable:
            raise UserError(
                f"knowledge.vectors: none of the {len(names)} entities has at least {_LEAST_TOKENS} tokens that "
                "the vocabulary knows; no mention of any could be found"
            )
        self._entities = np.array(usable)
        self._matcher = native.KeywordMatcher([_characters(self.tokens[entity]) for entity in usable])

    def __call__(self, tokens: np.ndarray, words: np.ndarray | None = None) -> Links:
        """Mentions in windows (B, S); words (B, S): the number of the word at each position, 0 for none."""
        found = self._matcher.longest([_characters(row) for row in tokens])
        row = np.repeat(np.arange(len(tokens)), np.diff(found.offsets))
        begin, end = found.values["begin"].astype(np.int64), found.values["end"].astype(np.int64)
        entity = self._entities[found.values["word"]]
        keep = np.ones(len(row), bool)
        if words is not None:
            edges = np.pad(words[:, 1:] != words[:, :-1], ((0, 0), (1, 1)), constant_values=True)
            keep = edges[row, begin] & edges[row, end]
        return Links(row[keep], begin[keep], end[keep], entity[keep])


class Mentions:
    """Adds knowledge to batches of masked-language modelling. Thread-safe; nothing changes after construction.

    Arrays, for W mentions, vectors of width K and at most L tokens of an answer:
      mentions          int64 (B, S)       number 1 ... W of the injected mention that holds the position, 0: none
      knowledge         float32 (B, S, K)  at these positions the entity as its triple has it: t - r or h + r
      mention_relations float32 (B, W, K)  the step from the mention to the other entity: r or -r
      answer_labels     int64 (B, W, L)    tokens of the other entity, -100 behind them
    """

    def __init__(
        self, config: KnowledgeConfig, vectors: Vectors, linker: Linker, frequency: np.ndarray
    ) -> None:
        """frequency (E,): mentions of each entity per million tokens. UserError when none is rare and linked."""
        self._config, self._vectors, self._linker = config, vectors, linker
        rows = _by_entity(vectors.graph.triples, len(vectors.graph.entities))
        self._order, self._first, self._degree = rows
        self._rare = self._long_tail(frequency)
        if not self._rare.any():
            raise UserError(
                f"knowledge.rare_per_million: no entity of {config.vectors} occurs in the text, and less than "
                f"{config.rare_per_million:g} times in a million tokens; the rarest that does: "
                f"{frequency[frequency > 0].min(initial=np.inf):.1f}"
            )

    @property
    def digest(self) -> str:
        """Of the vectors' files."""
        return self._vectors.digest

    @property
    def entities(self) -> int:
        """Entities that are injected."""
        return int(self._rare.sum())

    def _long_tail(self, frequency: np.ndarray) -> np.ndarray:
        """bool (E,): DKPLM's long-tail entities: rare in the text, and of those the best connected."""
        rare = np.flatnonzero((frequency > 0) & (frequency < self._config.rare_per_million))
        ranked = rare[np.argsort(-self._degree[rare], kind="stable")]
        chosen = np.zeros(len(frequency), bool)
        chosen[ranked[: int(np.ceil(len(ranked) * self._config.rare_share))]] = True
        return chosen

    def __call__(self, batch: dict[str, np.ndarray], keys: np.ndarray) -> dict[str, np.ndarray]:
        """The batch (B, S) with the arrays above. keys uint64 (B,): of the samples; row b depends on row b alone.

        Mentions with a masked token are left as they are. Of several, and of an entity's triples, the key decides.
        """
        labels = batch["labels"]
        predicted = labels != IGNORED
        original = np.where(predicted, labels, batch["input_ids"])
        links = self._linker(original, batch.get("word_groups"))
        masked = np.pad(predicted.cumsum(1), ((0, 0), (1, 0)))
        free = masked[links.row, links.end] == masked[links.row, links.begin]
        candidates = np.flatnonzero(free & self._rare[links.entity])
        drawn = rng.draw_at(rng.derive(keys, _MENTIONS)[links.row[candidates]], links.begin[candidates])
        candidates = candidates[np.lexsort((drawn, links.row[candidates]))]
        rows = links.row[candidates]
        place = np.arange(len(rows)) - np.searchsorted(rows, rows)
        kept = place < self._config.mentions
        return batch | self._arrays(links, candidates[kept], place[kept], labels.shape, keys)

    def _arrays(
        self, links: Links, chosen: np.ndarray, place: np.ndarray, shape: tuple[int, ...], keys: np.ndarray
    ) -> dict[str, np.ndarray]:
        graph, width = self._vectors.graph, self._vectors.width
        places, longest = self._config.mentions, self._config.answer_tokens
        numbers = np.zeros(shape, np.int64)
        knowledge = np.zeros((*shape, width), np.float32)
        relations = np.zeros((shape[0], places, width), np.float32)
        answers = np.full((shape[0], places, longest), IGNORED)
        rows, begins, entities = links.row[chosen], links.begin[chosen], links.entity[chosen]
        drawn = rng.draw_at(rng.derive(keys, _TRIPLES)[rows], begins)
        which = self._first[entities] + rng.below(drawn, self._degree[entities])
        for row, begin, end, entity, number, triple in zip(
            rows, begins, links.end[chosen], entities, place, self._order[which], strict=True
        ):
            head, relation, tail = graph.triples[triple]
            is_head = entity == head
            other, sign = (tail, 1) if is_head else (head, -1)
            step = sign * self._vectors.relations[relation]
            numbers[row, begin:end] = number + 1
            knowledge[row, begin:end] = self._vectors.entities[other] - step
            relations[row, number] = step
            answer = self._linker.tokens[other][:longest]
            answers[row, number, : len(answer)] = answer
        return {
            "mentions": numbers,
            "knowledge": knowledge,
            "mention_relations": relations,
            "answer_labels": answers,
        }


def open_knowledge(run: RunConfig, tokenizer: Tokenizer, windows: np.ndarray) -> Mentions:
    """The knowledge of a run; windows (N, S) of its training text tell how rare entities are. UserError."""
    vectors = load_vectors(run.knowledge.vectors)
    wanted = FAMILIES.of(run.model).knowledge_width(run.model)
    if vectors.width != wanted:
        raise UserError(
            f"model.knowledge_width: {wanted}, but the vectors in {run.knowledge.vectors} have width {vectors.width}; "
            f"set it to {vectors.width}"
        )
    linker = Linker(vectors.graph.entities, tokenizer)
    counts = np.bincount(linker(windows).entity, minlength=len(vectors.graph.entities))
    return Mentions(run.knowledge, vectors, linker, counts * (1e6 / windows.size))


def _by_entity(triples: np.ndarray, entities: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the triples ordered by the entity that is their head or tail, where each begins, and how many."""
    ends = triples[:, ::2].T.ravel()
    degree = np.bincount(ends, minlength=entities)
    return np.argsort(ends, kind="stable") % len(triples), np.cumsum(degree) - degree, degree


def _characters(ids: np.ndarray) -> str:
    """Token ids as a string of as many characters."""
    return (np.asarray(ids).astype("<u4") + np.uint32(_FIRST_CHARACTER)).tobytes().decode("utf-32-le")
