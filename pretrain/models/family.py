"""The record of a model family: everything that the rest of Taixue asks of a model, in one place. No torch here.

A family is a folder beside this file and one line in __init__.py; a user's own is `taixue.register(FAMILY)`. Functions
of a record import torch when they are called, never before, so that configurations, help and plans need none.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from taixue.base.registry import UnionRegistry
from taixue.base.section import Section

from .hugging_face import HuggingFace

if TYPE_CHECKING:
    from torch import Tensor, nn

Config = TypeVar("Config", bound=Section)
Lengths = tuple[int, int]
"""Tokens of a sample: (source or sequence, target). Of an encoder, which has no target: the positions that its LM head
sees, see label_positions.py; 0: all."""


class Table(NamedTuple):
    """Rows of an embedding, or classes of a head, that number what the annotation names; 0: not in the model."""

    names: str
    """Key of the sidecars' schema that lists the names."""
    words: str
    """What they are, for messages."""
    rows: int


class Switch(NamedTuple):
    """What an objective's switch must be for a model. because: how the model says so, for messages."""

    value: bool
    because: str


@dataclass(frozen=True)
class Setting:
    """What the checks of a family must know of the rest of a run."""

    input_length: int
    sentence_order: bool
    tp: int
    sequence_parallel: bool
    knowledge: str
    """Folder of entity vectors; empty: none."""
    mentions: int
    answer_tokens: int


class Small(NamedTuple):
    """What a model in a shape that is cheap on a CPU must fit: pipeline ranks of two stages each, heads, positions."""

    ranks: int
    heads: int
    positions: int


@dataclass(frozen=True)
class Step:
    """How one rank runs a stage forward: what decides how much it keeps for backward.

    samples: of a micro-batch. sharded_sequence: norms and residuals are split over tp, too. recompute: "none",
    "selective" (matrix products are kept) or "full" (a layer's inputs are). fused: the kernels compute, else the
    reference, which keeps what PyTorch does. Dropout is off.
    """

    samples: int
    lengths: Lengths
    tp: int = 1
    sharded_sequence: bool = False
    element_bytes: int = 2
    recompute: str = "none"
    fused: bool = True


@dataclass(frozen=True)
class Continuing:
    """How a published model is usually pretrained on: a section `optimizer`, and the name of a schedule."""

    optimizer: Mapping[str, Any]
    schedule: str


@dataclass(frozen=True)
class Costs(Generic[Config]):
    """What models of a family cost, as formulas; see <family>/costs.py."""

    layers: Callable[[Config], int]
    """Layers that pipeline stages share out."""
    parameters: Callable[[Config, range], int]
    """Elements of the parameters of the slice `layers`, on one rank without tensor parallelism."""
    forward_flops: Callable[[Config, Lengths], tuple[float, ...]]
    """For one sample, by layer, the head included in the last: 2 per weight and token, 4 per score and head dim."""
    kept_bytes: Callable[[Config, range, Step], int]
    """What the slice `layers` keeps between forward and backward of one micro-batch, on one rank; no parameters."""


@dataclass(frozen=True)
class Family(Generic[Config]):
    """One kind of model. Config: its section of a configuration.

    Every section has the fields family, vocab_size, d_model, d_ff, num_heads, dropout and features.
    """

    name: str
    config: type[Config]
    objectives: tuple[str, ...]
    """Kinds of objectives that train it, the usual one first."""
    tokenizer: str
    """Kind of tokenizer that it reads."""
    costs: Costs[Config]
    plan: Mapping[str, str]
    """How it is split over tensor-parallel ranks: module path -> role, see sharding.py."""
    build: Callable[[Config, range | None], "nn.Module"]
    """The slice of these layers (None: the whole), weights as PyTorch makes them."""
    init: Callable[[str, tuple[int, ...], Config, int], "Tensor"]
    """The fp32 starting value of the parameter of this name and shape; the last is the seed."""
    losses: Callable[[Config], Mapping[str, str]]
    """Losses that the last slice returns, in order -> the key of their labels in a batch."""
    pad: Callable[[Mapping[str, "Tensor"], int], dict[str, "Tensor"]]
    """The batch with every length that ranks share out extended to a multiple; what is added changes no loss."""
    outputs: Mapping[str, tuple[str, str]]
    """Name of states -> (module of the last slice whose first input they are, entry of the batch whose length they
    have); "states" are the final ones, as the head is given them."""
    problems: Callable[[Config, Setting], Iterator[str]]
    """What a configuration of this family contradicts, each with both numbers and a legal value."""
    switches: Callable[[Config], Mapping[str, Switch]]
    """Switches of the objective that follow from the model."""
    tables: Callable[[Config], Mapping[str, Table]]
    """By key of the section."""
    bare: Callable[[Config], Config]
    """The same without all that learns from annotation or knowledge."""
    small: Callable[[Config, Small], Config]
    """The same options, dropout too, in a small shape: what `taixue verify` runs."""
    probe: Callable[[Config, int, int, Lengths], dict[str, "Tensor"]]
    """A made-up batch of so many samples for step s: every input and label that the configuration knows."""
    hf: HuggingFace[Config]
    continuing: Continuing = Continuing(
        {"name": "adamw", "lr": 5e-5, "betas": [0.9, 0.999], "weight_decay": 0.01}, "linear"
    )
    """What `taixue import` proposes."""
    longest: Callable[[Config], int | None] = lambda config: None
    """Most tokens that it can read; None: any number."""
    knowledge_width: Callable[[Config], int] = lambda config: 0
    """Size of the entity vectors that it takes; 0: none."""
    label_positions: bool = False
    """Whether batches may hold label_positions, see label_positions.py."""
    fp16: str = ""
    """Why fp16 does not do; empty: it does."""


FAMILIES: UnionRegistry[Family[Any]] = UnionRegistry("model family", Family, "family")
