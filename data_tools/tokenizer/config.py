"""Configuration of `taixue tokenizer train`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from taixue.base.section import Section, Seed, Width

from ..read.config import Inputs


class TokenizerTrainConfig(Section):
    """What `taixue tokenizer train` learns, from what, and where it is written.

    t5: SentencePiece unigram; `vocab_size` counts everything, the sentinels too.
    bert: every Chinese character that is frequent enough, and WordPiece pieces (##) for Latin words.
    """

    kind: Literal["t5", "bert"] = Field("t5", description="what is learned: see above")
    inputs: Inputs
    output: str = Field(min_length=1, description="tokenizer folder to write; must not exist yet or be empty")
    text_field: str = Field("text", description="field of a jsonl line that holds the document")
    vocab_size: Width = Field(32128, description="ids in the folder; 21128 is usual for Chinese BERT")
    sentinels: Annotated[int, Field(ge=0, le=10_000)] = Field(
        100, description="t5: number of <extra_id_k>, the highest ids"
    )
    character_coverage: Annotated[float, Field(gt=0.9, le=1.0)] = Field(
        0.9995, description="part of the characters of the sample that gets a token; the rest becomes unk"
    )
    normalization: Literal["nmt_nfkc", "nmt_nfkc-fullwidth"] = Field(
        "nmt_nfkc",
        description="t5: sentencepiece's NFKC makes ，？！（） half-width, as mT5 and Mengzi do; fullwidth keeps them",
    )
    byte_fallback: bool = Field(False, description="t5: rare characters become bytes instead of unk")
    lowercase: bool = Field(True, description="bert: lower-case Latin letters and strip their accents")
    sample_bytes: PositiveInt = Field(
        32_000_000, description="text learned from, drawn evenly over all inputs"
    )
    seed: Seed = Field(1, description="which documents are drawn")
    threads: PositiveInt = Field(4, description="t5: part of the result: sums are taken over so many parts")
