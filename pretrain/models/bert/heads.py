"""The heads of a BERT as data: adding one is a field of HeadsConfig and a row of AUXILIARY. No torch here.

Masked tokens (mlm) and answers of the knowledge decoder (answer) go to the LM head and are no classifiers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, NonNegativeInt

from taixue.base.section import Section

SMOOTHING = 0.1
"""Label smoothing of the auxiliary heads: their labels are another model's guesses."""


class HeadsConfig(Section):
    """Auxiliary heads of a BERT: the number of classes of each, 0 for no such head. Left out of exports."""

    pos: NonNegativeInt = Field(0, description="part of speech of each token")
    ne: NonNegativeInt = Field(0, description="entity type of each token")
    relation: NonNegativeInt = Field(0, description="relation class of a removed connective, from [CLS]")


@dataclass(frozen=True)
class Head:
    """A linear classifier and its loss."""

    name: str
    """Of its loss; of an auxiliary head, also its field in HeadsConfig."""
    module: str
    """Path of its nn.Linear in the model."""
    labels: str
    """Key of its labels in a batch, IGNORE where nothing is predicted."""
    reads: Literal["tokens", "pooled"]
    """Its input: the final state of each token (B, S, D), labels (B, S), or the pooled state of [CLS] (B, D),
    labels (B,)."""
    smoothing: float = SMOOTHING
    title: str = ""
    """What it is called in words, for cards."""
    switch: str = ""
    """The objective's switch that makes its labels."""
    names: str = ""
    """Key of the sidecars' schema that lists its classes, and what they are, for messages."""
    words: str = ""


SENTENCE_ORDER = Head("sop", "sop_head", "sop_labels", "pooled", smoothing=0.0)
"""Which of two segments came first; every BERT has it."""

AUXILIARY = (
    Head("pos", "heads.pos", "pos_labels", "tokens",
         title="part-of-speech", switch="tag_labels", names="pos", words="parts of speech"),
    Head("ne", "heads.ne", "ne_labels", "tokens",
         title="entity", switch="tag_labels", names="entity", words="entity types"),
    Head("relation", "heads.relation", "relation_labels", "pooled",
         title="connective-relation", switch="relation_labels", names="relation", words="relations"),
)  # fmt: skip


def auxiliary(config: HeadsConfig) -> Iterator[tuple[Head, int]]:
    """Auxiliary heads of a model and their numbers of classes."""
    classes = config.model_dump()
    return ((head, classes[head.name]) for head in AUXILIARY if classes[head.name])


def losses(config: HeadsConfig, knowledge: bool) -> dict[str, str]:
    """Losses that the last slice returns, in order -> the key of their labels."""
    heads = [SENTENCE_ORDER, *(head for head, _ in auxiliary(config))]
    named = {"mlm": "labels"} | {head.name: head.labels for head in heads}
    return named | {"answer": "answer_labels"} if knowledge else named
