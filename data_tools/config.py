"""Configuration of `taixue corpus build`, composed of the sections of its rooms, and of `taixue tokenizer train`."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from taixue.base.section import Section, Seed

from .annotate.config import AnnotateConfig
from .clean.config import FilterConfig, NormalizeConfig
from .read.config import Inputs, ReadConfig
from .tokenizer.config import TokenizerTrainConfig

__all__ = [
    "CorpusBuildConfig",
    "CorpusSourceConfig",
    "DecontaminateConfig",
    "DeduplicateConfig",
    "TokenizerTrainConfig",
]


Copies = Literal["documents", "paragraphs", "near"]


class DeduplicateConfig(Section):
    """What counts as a copy. Of each group of copies one document stays: the one whose source is listed first, then
    the longest, then the first. What is left of a document without its repeated paragraphs meets the filters again.

    Two documents are near copies when the Jaccard similarity of their character n-grams, estimated from `permutations`
    minima, is at least `similarity`; pairs are found by bands: the chance that a pair of similarity s is looked at is
    1 - (1 - s^(permutations/bands))^bands. The default finds 99.5 % of the pairs at 0.8.
    """

    documents: bool = Field(
        True, description="remove documents with equal text (after cleaning), but for what tokenizers ignore"
    )
    paragraphs: bool = Field(
        False, description="remove paragraphs (lines) that occurred before, in the whole corpus"
    )
    paragraph_characters: PositiveInt = Field(20, description="shorter paragraphs are never removed")
    near: bool = Field(True, description="remove near copies of documents")
    ngram: PositiveInt = Field(
        5, description="characters per n-gram, counting letters, digits and hanzi only"
    )
    similarity: Annotated[float, Field(ge=0.3, le=1.0)] = Field(
        0.68, description="lowest estimated Jaccard similarity of near copies"
    )
    permutations: Annotated[int, Field(ge=8, le=1024)] = Field(108, description="minima per document")
    bands: PositiveInt = Field(18, description="must divide permutations")
    memory_mb: Annotated[int, Field(ge=16)] = Field(
        1024,
        description="bound of a worker's index in memory (MB of 10^6 bytes); decides the number of parts",
    )
    seed: Seed = Field(1, description="of the hashes of near copies")

    @model_validator(mode="after")
    def _bands_fit(self) -> "DeduplicateConfig":
        if self.permutations % self.bands:
            raise ValueError(f"bands {self.bands} must divide permutations {self.permutations}")
        if not (self.documents or self.paragraphs or self.near):
            raise ValueError("documents, paragraphs and near are all off; leave `deduplicate` out instead")
        return self


class DecontaminateConfig(Section):
    """Documents that hold a text of an evaluation set are listed and removed.

    Both are compared in one form: a unit is a Chinese character or a word of Latin letters and digits; case, width,
    traditional script, punctuation and white space do not count. A text of `ngram` units or more is found by any
    `ngram` of them in a row; one shorter than two n-grams also as a whole clause (from 6 units on) or line (from 3 on),
    where one unit may differ (in lines from 4 units on, in clauses from 8; two from 20); one of 1 or 2 only as a whole
    document.
    """

    inputs: Inputs
    fields: tuple[str, ...] = Field(
        (), description="fields compared; none: every string in the record but labels"
    )
    exclude: tuple[str, ...] = Field((), description="files whose name contains one of these are left out")
    ngram: Annotated[int, Field(ge=4)] = Field(13, description="units that must be equal, in order")
    preset: Literal["", "fewclue"] = Field(
        "", description="fewclue: inputs are FewCLUE folders, without their unlabelled files"
    )


class CorpusSourceConfig(ReadConfig):
    """One named part of a corpus, e.g. news, which may be cleaned in its own way."""

    normalize: NormalizeConfig | bool | None = Field(
        None, description="in place of the corpus's normalize; false: none"
    )
    filters: FilterConfig | bool | None = Field(
        None, description="in place of the corpus's filters; false: none"
    )
    deduplicate: tuple[Copies, ...] = Field(
        ("documents", "paragraphs", "near"),
        description="copies that its documents are compared for, among all sources that do so, where the corpus's "
        "deduplicate has them; []: its documents neither go nor make others go",
    )

    @field_validator("normalize", "filters")
    @classmethod
    def _true_says_nothing(cls, value: Section | bool | None) -> Section | bool | None:
        if value is True:
            raise ValueError(
                "should be a section, or false for none of it; leave it out for what the corpus has"
            )
        return value


class CorpusBuildConfig(Section):
    """What `taixue corpus build` turns into token shards, and where it writes them."""

    tokenizer: str = Field(min_length=1, description="tokenizer folder")
    sources: Annotated[tuple[CorpusSourceConfig, ...], Field(min_length=1)]
    output: str = Field(min_length=1, description="corpus folder; a second run does only what is missing")
    validation_fraction: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.01, description="part of the documents held out, chosen by a hash of the tokens"
    )
    shard_bytes: PositiveInt = Field(
        256_000_000, description="input bytes per shard (decompressed, estimated)"
    )
    normalize: NormalizeConfig | None = None
    filters: FilterConfig | None = None
    deduplicate: DeduplicateConfig | None = None
    decontaminate: DecontaminateConfig | None = None
    annotate: AnnotateConfig | None = None
    shuffle: bool = Field(
        False, description="deal the documents of a source to its shards in a random order given by seed"
    )
    workers: NonNegativeInt = Field(
        0,
        description="processes on this machine; 0: one per core. On Ray: tasks at one time; 0: as it has room",
    )
    wait_minutes: Annotated[float, Field(ge=0)] = Field(
        30, description="how long a rank waits for the others without seeing anything of them"
    )
    seed: Seed = Field(1, description="which documents are held out, and the order of a shuffle")

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[CorpusSourceConfig, ...]) -> tuple[CorpusSourceConfig, ...]:
        names = [source.name for source in sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are called {', '.join(twice)}; names must differ")
        return sources

    def of(self, source: CorpusSourceConfig) -> "CorpusBuildConfig":
        """This configuration with the sections that the source has in place of it."""
        own = {"normalize": source.normalize, "filters": source.filters}
        said = {name: section or None for name, section in own.items() if section is not None}
        return self.model_copy(update=said)

    def copies(self, source: CorpusSourceConfig) -> frozenset[Copies]:
        """The kinds of copies that a source's documents are compared for: those it asks for, of those looked for."""
        section = self.deduplicate
        return frozenset(kind for kind in source.deduplicate if section and getattr(section, kind))
