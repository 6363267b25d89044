"""Configuration of annotation: what is written beside the tokens, and from which lists."""

from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from taixue.base.section import Section


class Lexicon(Section):
    """A list of names or terms: one per line, more after a tab (a frequency) is ignored."""

    path: str = Field(min_length=1, description="file of the list")
    type: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="entity type of its terms, e.g. medicine")
    least_length: PositiveInt = Field(2, description="shorter terms are left out")


class ExternalAnnotation(Section):
    """Annotation made by another tool (LTP, HanLP, ...), by character offset; see annotate/external.py."""

    inputs: Annotated[
        tuple[str, ...], Field(min_length=1, description="plain .jsonl files, folders, patterns")
    ]


class AnnotateConfig(Section):
    """What is written beside the tokens for knowledge-aware objectives (the .ann sidecar)."""

    words: bool = Field(True, description="word boundaries and parts of speech; needs the extra annotate")
    names: bool = Field(True, description="persons, places, organisations by part of speech; needs words")
    lexicons: tuple[Lexicon, ...] = Field((), description="entities by longest match; the first list wins")
    lexicon_on_words: bool = Field(
        True, description="only terms that start and end where words do: the longest of those"
    )
    connectives: bool = Field(True, description="discourse connectives and their relation classes")
    clauses: bool = Field(True, description="starts of clauses and sentences")
    external: ExternalAnnotation | None = None

    @model_validator(mode="after")
    def _words_for_names(self) -> "AnnotateConfig":
        if self.names and not self.words:
            raise ValueError("annotate.names needs annotate.words: true (or set names: false)")
        return self
