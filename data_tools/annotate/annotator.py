"""All annotators in their order: words, clauses, entities, connectives, other tools', then the rows of the tokens."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np

from taixue.base import UserError
from taixue.base.files import canonical_json

from .. import native
from ..native.plain.text import strings
from ..shards import sidecar
from . import entities, project, words
from .config import AnnotateConfig
from .connectives import Connectives
from .connectives import table as connectives_table
from .external import Overlay, open_external
from .fused import FusedAnnotator
from .layered_text import Characters, Layers


class Annotator:
    """Annotates batches of tokenized texts.

    dtype: of a token's row. schema: what the sidecar's header says. UserError for lexicons and external files that
    cannot be used, and for packages that are missing.
    """

    def __init__(self, config: AnnotateConfig) -> None:
        self.config = config
        self._counts: Counter[str] = Counter()
        self._external = open_external(config.external.inputs) if config.external else None
        labels = self._external.labels if self._external else {}
        self._connectives = _connectives() if config.connectives else None
        types = list(dict.fromkeys(lexicon.type for lexicon in config.lexicons))
        types += [name for name in entities.NAME_TYPES if config.names and name not in types]
        self._types = _with(types, labels.get("entity", ()))
        tags = _with(words.TAGS if config.words else [], labels.get("pos", ()))
        relations = _with(
            self._connectives.relations if self._connectives else [], labels.get("relation", ())
        )
        self._lexicon = entities.open_lexicons(config.lexicons, self._types, config.lexicon_on_words)
        columns = list(sidecar.BASE_COLUMNS)
        if labels.get("arc"):
            columns += sidecar.HEAD_COLUMNS
        if labels.get("role"):
            columns += sidecar.ROLE_COLUMNS
        names = {
            "pos": tags,
            "entity": self._types,
            "relation": relations,
            "arc": list(labels.get("arc", ())),
            "role": list(labels.get("role", ())),
        }
        for name, values in names.items():
            if len(values) > 255:
                raise UserError(f"annotation: {len(values)} different labels for {name}; at most 255 fit")
        self.schema: dict[str, Any] = {
            "columns": [list(column) for column in columns],
            **{name: ["", *values] for name, values in names.items()},
            "made_by": self._made_by(),
        }
        self.dtype = sidecar.row_dtype(self.schema)
        numbers = {name: {value: k for k, value in enumerate(values, 1)} for name, values in names.items()}
        self._overlay = Overlay(self._external, numbers) if self._external else None

    def stamp(self) -> dict[str, Any]:
        """Everything the rows depend on, beside texts and tokens."""
        return {
            "config": self.config.model_dump(mode="json"),
            "schema": hashlib.sha256(canonical_json(self.schema)).hexdigest(),
            "lexicons": [_file_digest(lexicon.path) for lexicon in self.config.lexicons],
            "external": self._external.digest if self._external else "",
        }

    @cached_property
    def fused(self) -> FusedAnnotator | None:
        """Does everything in one pass; None without the extension, and where other tools' records come in."""
        if self._overlay or not native.is_native():
            return None
        return FusedAnnotator(self.config, self._types, self._lexicon, self._connectives)

    def annotate(self, texts: native.Texts, lengths: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Rows (N,) of dtype for the tokens of texts as Tokenizer.encode_with_starts gives them; zeros for each eos."""
        if not len(texts):
            return np.zeros(0, self.dtype)
        if self.fused:
            raw, counts, kinds = self.fused.rows(texts, lengths, starts)
            if not self.config.words:
                del counts["words"]
            self._counts.update(counts)
            self._count_kinds(kinds)
            return raw.view(self.dtype).reshape(-1)
        is_end = np.zeros(len(starts), bool)
        is_end[np.cumsum(lengths) - 1] = True
        characters = Characters(strings(texts))
        layers = self.layers(characters)
        tokens = project.Tokens(characters, lengths - 1, starts[~is_end])
        rows = np.zeros(len(starts), self.dtype)
        rows[~is_end] = found = project.rows(characters, tokens, layers, self.dtype)
        self._count(characters, tokens, layers, found)
        return rows

    def layers(self, characters: Characters) -> Layers:
        """What the annotators find, by character."""
        config, layers = self.config, Layers()
        size = len(characters)
        if config.words:
            layers.word_starts, layers.pos = words.words(characters)
        if config.clauses or config.connectives:
            layers.clause_starts, layers.sentence_starts = _boundaries(characters)
        layers.entities = self._lexicon(characters, layers.word_starts)
        if config.names and layers.word_starts is not None and layers.pos is not None:
            layers.entities = entities.names(layers.word_starts, layers.pos, self._types, layers.entities)
        if self._connectives and layers.clause_starts is not None and layers.sentence_starts is not None:
            layers.connectives, layers.firsts, layers.seconds = self._connectives(
                characters, layers.word_starts, layers.clause_starts, layers.sentence_starts
            )
        if not config.clauses:
            layers.clause_starts = layers.sentence_starts = None
        if self._overlay:
            names = self.dtype.names or ()
            if layers.word_starts is None:
                layers.word_starts, layers.pos = np.ones(size, bool), np.zeros(size, np.uint8)
            if "head" in names:
                layers.heads, layers.arcs = np.full(size, -1, np.int64), np.zeros(size, np.uint8)
            if "role1" in names:
                layers.roles = np.zeros((3, size), np.uint8)
            self._overlay(characters, layers, self._counts)
        return layers

    def counts(self) -> dict[str, Any]:
        """What was found so far; `merge` adds several up."""
        return dict(self._counts) | ({"external_uses": self._overlay.uses()} if self._overlay else {})

    def _count(
        self, characters: Characters, tokens: project.Tokens, layers: Layers, rows: np.ndarray
    ) -> None:
        counts = self._counts
        flags = rows["flags"]
        counts["texts"] += len(characters.texts)
        counts["characters"] += int((characters.ends - characters.begins).sum())
        counts["tokens"] += len(rows)
        for name, bit in (
            ("units", sidecar.UNIT),
            ("straddling_tokens", sidecar.STRADDLES),
            ("clauses", sidecar.CLAUSE),
            ("sentences", sidecar.SENTENCE),
            ("pairs", sidecar.PAIR_FIRST),
        ):
            counts[name] += int(((flags & bit) != 0).sum())
        if layers.word_starts is not None:
            counts["words"] += int(layers.word_starts.sum()) - len(characters.texts) - 1
        kinds = {}
        for name, spans in (("entity", layers.entities), ("connective", layers.connectives)):
            counts[name] += len(spans.starts)
            counts[f"{name}_characters"] += int((spans.ends - spans.starts).sum())
            counts[f"{name}_exact_in_tokens"] += project.exactly_covered(spans, tokens, len(characters))
            kinds[name] = np.bincount(spans.kinds, minlength=256)
        self._count_kinds(kinds)

    def _count_kinds(self, kinds: Mapping[str, np.ndarray]) -> None:
        """Add the spans of each kind, by layer."""
        for name, numbers in kinds.items():
            values = self.schema["entity" if name == "entity" else "relation"]
            for kind in np.flatnonzero(numbers).tolist():
                self._counts[f"{name}: {values[kind]}"] += int(numbers[kind])

    def _made_by(self) -> dict[str, str]:
        made: dict[str, str] = {}
        if self.config.words:
            made["words"] = words.library()
        if self._connectives:
            listed = canonical_json(connectives_table())
            made["connectives"] = f"list {hashlib.sha256(listed).hexdigest()[:12]}"
        if self.config.lexicons:
            made["lexicons"] = f"{len(self._lexicon.terms)} terms"
        return made


def merge(counts: Iterable[dict[str, Any]]) -> dict[str, int]:
    """The counts of several annotators of one configuration together, sorted by name; but for external_uses, which
    `external.together` adds up."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update({name: count for name, count in one.items() if name != "external_uses"})
    return dict(sorted(total.items()))


@cache
def _connectives() -> Connectives:
    return Connectives()


def _boundaries(characters: Characters) -> tuple[np.ndarray, np.ndarray]:
    """(clause_starts, sentence_starts), bool (C,): behind every end of one, and where texts begin."""
    sentences, clauses = native.segment(list(characters.texts))
    out = []
    for ragged in (clauses, sentences):
        starts = np.zeros(len(characters) + 1, bool)
        counts = np.diff(ragged.offsets)
        starts[ragged.values + np.repeat(characters.begins, counts)] = True
        # The last end of a text is its length, the place of the line end behind it.
        starts[characters.ends] = False
        starts[characters.begins[characters.ends > characters.begins]] = True
        out.append(starts[:-1])
    return out[0], out[1]


def _with(values: Sequence[str], more: Sequence[str]) -> list[str]:
    return [*values, *(value for value in more if value not in values)]


def _file_digest(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
