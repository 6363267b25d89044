"""The data of a run: sample k is a pure function of (run.seed, k)."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from taixue.base import UserError, files, rng
from taixue.data_tools.shards import manifest
from taixue.data_tools.shards.corpus import Corpus, open_corpus
from taixue.data_tools.tokenizer.base import Tokenizer

from ..config.schema import ObjectiveConfig, RunConfig, SourceConfig
from ..knowledge import open_knowledge
from ..models import FAMILIES
from ..objectives.base import Objective
from ..objectives.config import DERIVED
from .annotation import Annotation, restored
from .feature_dropout import FeatureDropout, check_tables
from .order import Mixture, permute
from .windows import Windows

# Streams of the run's key; validation has a key of its own, so that runs with other seeds compare.
_ORDER, _MASKS = 1, 2
Change = Callable[[dict[str, np.ndarray], np.ndarray], dict[str, np.ndarray]]
"""From an objective's arrays and the samples' keys to what the model is fed while it is trained."""

_COUNTED = 4096  # windows that tell how often entities are named
_VALIDATION_KEY = np.uint64(0x7461697875650001)
_FIRST_KEYS = {"kind", "input_length", "noise_density", "mean_span_length", "free_edges"}
_FIRST_KEYS |= {"mask_probability", "sentence_order"}


@dataclass(frozen=True)
class Source:
    """One source of the mixture. corpus: its folder's name; weight: its part of the samples, relative to the
    others; digests: of its training shards (and their annotation, where it is used). rows: where the objective needs
    annotation, the same windows of the sidecars."""

    name: str
    corpus: str
    weight: float
    train: Windows
    held_out: Windows
    digests: tuple[str, ...]
    train_rows: Windows | None = None
    held_out_rows: Windows | None = None


class TrainingData:
    """Windows over corpora as Data (seam.py). Made by `open_data`; thread-safe, nothing changes after construction.

    vocabulary: ids of the tokenizer; UserError for a window with others, before it is masked.
    schema: what the annotation's rows mean (annotate/sidecar.py), {} where it is not read. changes: to batches that are
    trained on, in order.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        objective: Objective,
        seed: int,
        eval_windows: int,
        identity: object,
        vocabulary: int,
        annotation: Annotation | None = None,
        changes: Sequence[Change] = (),
    ) -> None:
        self.sources = tuple(sources)
        self.objective = objective
        self.schema: Mapping[str, Any] = annotation.schema if annotation else {}
        self.changes = tuple(changes)
        self._row = annotation.dtype if annotation else None
        self._mixture = Mixture([source.weight for source in sources])
        self._eval_windows = eval_windows
        self._vocabulary = vocabulary
        self.fingerprint = hashlib.sha256(files.canonical_json(identity)).hexdigest()
        run_key = rng.mix(np.array([seed % 2**64], np.uint64))
        self._mask_key = rng.derive(run_key, _MASKS)
        self._order_keys = rng.derive(rng.derive(run_key, _ORDER), np.arange(len(sources)))

    @property
    def source_names(self) -> tuple[str, ...]:
        return tuple(source.name for source in self.sources)

    def batch(self, samples: range | np.ndarray) -> dict[str, np.ndarray]:
        """The objective's arrays for global sample numbers (B,), in their order."""
        numbers = np.asarray(samples, dtype=np.int64)
        tokens, rows = self.windows(numbers)
        keys = self.mask_keys(numbers)
        arrays = self.objective(tokens, keys, rows)
        for change in self.changes:
            arrays = change(arrays, keys)
        return arrays

    def mask_keys(self, samples: range | np.ndarray) -> np.ndarray:
        """The key that the objective is given for each sample, uint64 (B,)."""
        return rng.derive(self._mask_key, np.asarray(samples, dtype=np.int64))

    def windows(self, samples: range | np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """What the objective is given for global sample numbers (B,): tokens int32 (B, raw_length), and structured
        annotation rows (B, raw_length) where it needs them."""
        source, window = self._locate(np.asarray(samples, dtype=np.int64))
        tokens, rows = self._empty(len(window))
        for index, part in enumerate(self.sources):
            mine = np.flatnonzero(source == index)
            if len(mine):
                part.train.gather(window[mine], tokens, mine)
                if part.train_rows is not None:
                    part.train_rows.gather(window[mine], rows, mine)
        self._check(tokens, lambda row: self.sources[source[row]])
        return tokens, restored(rows, self._row) if self._row else None

    def _check(self, tokens: np.ndarray, owner: Callable[[int], Source]) -> None:
        """UserError for an id that the vocabulary does not have; owner: of a row."""
        if tokens.size and tokens.view(np.uint32).max() >= self._vocabulary:  # below 0 is above all, too
            row, place = np.argwhere(tokens.view(np.uint32) >= self._vocabulary)[0].tolist()
            source = owner(row)
            raise UserError(
                f"corpus {source.corpus}, source {source.name}: token id {tokens[row, place]}, but the tokenizer has "
                f"{self._vocabulary} ids (0 to {self._vocabulary - 1}): a .bin is damaged; data.check_digests: true "
                "says which, `taixue corpus build` makes it again"
            )

    def _empty(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Room for windows (count, raw_length) and for the bytes of their rows."""
        shape = (count, self.objective.raw_length)
        size = self._row.itemsize if self._row else 0
        return np.empty(shape, np.int32), np.empty((*shape, size), np.uint8)

    def sources_of(self, samples: range | np.ndarray) -> np.ndarray:
        """Index into source_names of each sample, int64 (B,)."""
        return self._mixture(np.asarray(samples, dtype=np.int64))[0]

    def validation(self) -> dict[str, "HeldOutWindows"]:
        """Of each source that holds out any, at most run.eval_windows windows."""
        return {
            source.name: HeldOutWindows(
                self, source.name, min(self._eval_windows, len(source.held_out)), source.weight
            )
            for source in self.sources
            if len(source.held_out)
        }

    def held_out_windows(
        self, source: str, indices: range | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """As `windows`, of held-out windows (B,)."""
        part = self._source(source)
        numbers = np.asarray(indices, dtype=np.int64)
        tokens, rows = self._empty(len(numbers))
        chosen = permute(numbers, len(part.held_out), rng.derive(_VALIDATION_KEY, 0))
        part.held_out.gather(chosen, tokens)
        if part.held_out_rows is not None:
            part.held_out_rows.gather(chosen, rows)
        self._check(tokens, lambda row: part)
        return tokens, restored(rows, self._row) if self._row else None

    def _source(self, name: str) -> Source:
        return self.sources[self.source_names.index(name)]

    def _locate(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B,) samples -> source (B,), window within the source (B,)."""
        source, number = self._mixture(samples)
        window = np.empty_like(number)
        for index, part in enumerate(self.sources):
            rows = source == index
            epoch, place = np.divmod(number[rows], len(part.train))
            window[rows] = permute(place, len(part.train), rng.derive(self._order_keys[index], epoch))
        return source, window


@dataclass(frozen=True)
class HeldOutWindows:
    """The first `size` held-out windows of a source, as its objective makes them."""

    data: TrainingData
    source: str
    size: int
    weight: float

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, numbers: range | np.ndarray) -> dict[str, np.ndarray]:
        """The objective's arrays for these windows (B,). The same for every run, whatever its seed."""
        chosen = np.asarray(numbers, dtype=np.int64)
        tokens, rows = self.data.held_out_windows(self.source, chosen)
        return self.data.objective(tokens, rng.derive(_VALIDATION_KEY, chosen + 1), rows)


def open_data(
    run: RunConfig, tokenizer: Tokenizer, objective: Objective, with_rows: bool = False
) -> TrainingData:
    """Open the corpora of a run. UserError when they do not fit the tokenizer, the model or the objective, or hold too
    little. with_rows: read the annotation, whether the objective needs it or not.
    """
    if tokenizer.vocab_size > run.model.vocab_size:
        raise UserError(
            f"model.vocab_size {run.model.vocab_size} is smaller than the tokenizer's {tokenizer.vocab_size} "
            f"({run.data.tokenizer}); at least {tokenizer.vocab_size} is needed"
        )
    if not run.data.sources:
        raise UserError(
            "data.sources is empty; name at least one corpus folder, e.g. data.sources: [{corpus: corpus}]"
        )
    given = [source for source in run.data.sources if source.weight is not None]
    if 0 < len(given) < len(run.data.sources):
        raise UserError(
            f"data.sources: {len(given)} of {len(run.data.sources)} have a weight; give all of them one, or none"
        )
    annotation = Annotation() if objective.needs_annotation or with_rows else None
    length = objective.raw_length
    sources = [part for entry in run.data.sources for part in _open(entry, tokenizer, length, annotation)]
    sources = _with_distinct_names(sources)
    if run.eval_every and not any(len(source.held_out) for source in sources):
        most = max(source.held_out.tokens for source in sources)
        raise UserError(
            f"evaluation needs a held-out window of {objective.raw_length} tokens, but no source holds out more than "
            f"{most}; build the corpus with a larger validation_fraction, or set eval_every: 0"
        )
    identity: dict[str, object] = {
        "version": 1,
        "seed": run.seed,
        "tokenizer": tokenizer.sha256,
        "objective": _identity(run.objective),
        "sources": [[source.name, source.weight, source.digests] for source in sources],
    }
    if annotation is not None and objective.needs_annotation:
        objective.annotated(annotation.schema)
        check_tables(FAMILIES.of(run.model).tables(run.model), annotation.schema)
    made = partial(
        TrainingData,
        sources,
        objective,
        run.seed,
        run.eval_windows,
        vocabulary=tokenizer.vocab_size,
        annotation=annotation,
    )
    changes: list[Change] = []
    if run.knowledge.vectors:
        windows, _ = made(identity).windows(range(_COUNTED))
        knowledge = open_knowledge(run, tokenizer, windows)
        identity["knowledge"] = [run.knowledge.model_dump(exclude={"vectors"}), knowledge.digest]
        changes.append(knowledge)
    if "pos_ids" in objective.shapes and run.model.features.dropout:
        identity["feature_dropout"] = run.model.features.dropout
        changes.append(FeatureDropout(run.model.features.dropout))
    return made(identity, changes=changes)


def _identity(objective: ObjectiveConfig) -> dict[str, object]:
    """What an objective's configuration says. Keys that came later count only where they are not at their default, so
    that what a run was before they came still is the same."""
    defaults = type(objective)().model_dump() | dict.fromkeys(DERIVED, False)
    return {
        name: value
        for name, value in objective.model_dump().items()
        if name in _FIRST_KEYS or value != defaults[name]
    }


def check_digests(run: RunConfig, rank: int, world: int) -> None:
    """Compare the digests of every world-th shard of the run's corpora. UserError naming the first that differs."""
    folders = [Path(folder) for folder in dict.fromkeys(source.corpus for source in run.data.sources)]
    shards = [(folder, shard) for folder in folders for shard in manifest.read_corpus(folder).shards]
    for folder, shard in shards[rank::world]:
        manifest.verify_digests(folder, [shard])


def _with_distinct_names(sources: list[Source]) -> list[Source]:
    """Sources of two corpora that share a name get the folder's name in front."""
    names = Counter(source.name for source in sources)
    sources = [
        replace(source, name=f"{source.corpus}/{source.name}") if names[source.name] > 1 else source
        for source in sources
    ]
    twice = [name for name, count in Counter(source.name for source in sources).items() if count > 1]
    if twice:
        raise UserError(f"data.sources: source {', '.join(twice)} is named twice")
    return sources


def _open(
    entry: SourceConfig, tokenizer: Tokenizer, length: int, annotation: Annotation | None
) -> list[Source]:
    """The sources of one entry; several share its weight in proportion to their tokens."""
    train, held_out = open_corpus(entry.corpus, "train"), open_corpus(entry.corpus, "validation")
    made_by = train.manifest.tokenizer
    if made_by.sha256 != tokenizer.sha256:
        raise UserError(
            f"{entry.corpus}: its ids were made by another tokenizer ({made_by.kind}, {made_by.vocab_size} ids, digest "
            f"{made_by.sha256[:12]}) than the model's, data.tokenizer ({tokenizer.kind}, {tokenizer.vocab_size} ids, "
            f"digest {tokenizer.sha256[:12]}); use that tokenizer or build the corpus again"
        )
    names = (entry.source,) if entry.source else train.source_names
    windows = {name: _windows(train, name, length) for name in names}
    for name, found in windows.items():
        if not len(found):
            raise UserError(
                f"{entry.corpus}: source {name!r} has {found.tokens} training tokens, one window needs {length}; "
                "build the corpus from more text or shorten objective.input_length"
            )
    total = sum(found.tokens for found in windows.values())
    weight = total if entry.weight is None else entry.weight
    several = entry.source is None and len(names) > 1
    return [
        Source(
            name=name,
            corpus=train.folder.resolve().name,
            weight=weight * windows[name].tokens / total if several else weight,
            train=windows[name],
            held_out=_windows(held_out, name, length),
            digests=_digests(train, name, annotation),
            train_rows=Windows(annotation.open(train, name), length) if annotation else None,
            held_out_rows=Windows(annotation.open(held_out, name), length) if annotation else None,
        )
        for name in names
    ]


def _digests(corpus: Corpus, source: str, annotation: Annotation | None) -> tuple[str, ...]:
    entries = [shard.entry for shard in corpus.shards_of(source)]
    tokens = tuple(entry.bin_sha256 for entry in entries)
    return tokens + tuple(entry.ann_sha256 for entry in entries) if annotation else tokens


def _windows(corpus: Corpus, source: str, length: int) -> Windows:
    return Windows([shard.reader.tokens for shard in corpus.shards_of(source)], length)
