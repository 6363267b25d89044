"""Configuration of `taixue tokenizer train` and `taixue corpus build`: frozen; unknown keys are errors.

`inputs` is a list of files, folders (every .jsonl, .json, .txt below them, also .gz and .zst) and glob
patterns.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator

Inputs = Annotated[tuple[str, ...], Field(min_length=1, description="files, folders or glob patterns")]


class Section(BaseModel):
    """Base of every section: immutable, strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())


class TokenizerTrainConfig(Section):
    """What `taixue tokenizer train` learns, from what, and where it is written.

    t5: SentencePiece unigram; `vocab_size` counts everything, the sentinels too.
    bert: every Chinese character that is frequent enough, and WordPiece pieces (##) for Latin words.
    """

    kind: Literal["t5", "bert"] = "t5"
    inputs: Inputs
    output: str = Field(min_length=1, description="tokenizer folder to write; must not exist yet or be empty")
    text_field: str = Field("text", description="field of a jsonl line that holds the document")
    vocab_size: PositiveInt = Field(32128, description="ids in the folder; 21128 is usual for Chinese BERT")
    sentinels: NonNegativeInt = Field(100, description="t5: number of <extra_id_k>, the highest ids")
    character_coverage: Annotated[float, Field(gt=0.9, le=1.0)] = Field(
        0.9995, description="part of the characters of the sample that gets a token; the rest becomes unk"
    )
    byte_fallback: bool = Field(False, description="t5: rare characters become bytes instead of unk")
    lowercase: bool = Field(True, description="bert: lower-case Latin letters and strip their accents")
    sample_bytes: PositiveInt = Field(
        32_000_000, description="text learned from, drawn evenly over all inputs"
    )
    seed: NonNegativeInt = Field(1, description="which documents are drawn")
    threads: PositiveInt = Field(4, description="t5: part of the result: sums are taken over so many parts")


class CorpusSourceConfig(Section):
    """One named part of a corpus, e.g. news."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="becomes part of the shards' names"
    )
    inputs: Inputs
    text_field: str = Field("text", description="field of a jsonl line that holds the document")


class CorpusBuildConfig(Section):
    """What `taixue corpus build` turns into token shards, and where it writes them."""

    tokenizer: str = Field(min_length=1, description="tokenizer folder")
    sources: Annotated[tuple[CorpusSourceConfig, ...], Field(min_length=1)]
    output: str = Field(min_length=1, description="corpus folder; a second run does only what is missing")
    validation_fraction: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.01, description="part of the documents held out, chosen by a hash of the text"
    )
    shard_bytes: PositiveInt = Field(
        256_000_000, description="input bytes per shard (decompressed, estimated)"
    )
    workers: NonNegativeInt = Field(0, description="processes on this machine; 0: one per core")
    seed: NonNegativeInt = Field(1, description="which documents are held out")

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[CorpusSourceConfig, ...]) -> tuple[CorpusSourceConfig, ...]:
        names = [source.name for source in sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are called {', '.join(twice)}; names must differ")
        return sources
