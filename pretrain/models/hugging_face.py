"""What a family says about its Hugging Face form: names, config.json, and how an export is proven. No torch here."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from taixue.base import UserError
from taixue.base.section import PretrainingOnly, Section, marked

if TYPE_CHECKING:
    from torch import Tensor

Config = TypeVar("Config", bound=Section)
Fields = tuple[tuple[str, str, Any], ...]
"""Rows: field of ours, field of HF's, HF's default (used when an old config.json leaves it out)."""


@dataclass(frozen=True)
class NameMap:
    """One table of parameter names, ours -> HF's, read in both directions; and what HF files may hold besides or lack.

    {i} stands for a layer number, {x} for one word that both names share. Tables are complete: a parameter that no
    row names cannot be exported, a tensor that no row names cannot be imported.
    """

    rows: Mapping[str, str]
    copies: Mapping[str, str] = field(default_factory=dict)
    """HF names that may repeat another HF tensor (tied weights): copy -> original."""
    unused: frozenset[str] = frozenset()
    """HF names that old files hold and no computation uses."""
    may_lack: tuple[str, ...] = ()
    """Prefixes of our names, each of a part that an HF file may lack as a whole; it then starts as in a new run."""
    inside: str = ""
    """What HF names begin with in models with heads, and lack in the file of a model without: "bert."."""
    wrapped: str = ""
    """What HF names begin with in some models for tasks, and not in the one that is read: "transformer."."""
    of_tasks: tuple[str, ...] = ()
    """Prefixes of HF names that belong to heads for tasks; they are left behind."""

    def to_hf(self, name: str) -> str:
        """HF's name of our parameter `name`."""
        translated = _translate(name, self._forward)
        assert translated is not None, f"no row of the table names {name}"
        return translated

    def from_hf(self, name: str) -> str | None:
        """Our name of HF's parameter `name`; None when the table has no row for it."""
        return _translate(name, self._backward)

    @cached_property
    def _forward(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(ours), hf) for ours, hf in self.rows.items()]

    @cached_property
    def _backward(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(hf), ours) for ours, hf in self.rows.items()]


def _pattern(row: str) -> re.Pattern[str]:
    escaped = re.escape(row).replace(r"\{i\}", r"(?P<i>\d+)").replace(r"\{x\}", r"(?P<x>\w+)")
    return re.compile(escaped)


def _translate(name: str, rows: list[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, target in rows:
        if match := pattern.fullmatch(name):
            return target.format(**match.groupdict())
    return None


@dataclass(frozen=True)
class HuggingFace(Generic[Config]):
    """The Hugging Face form of a family."""

    reads: tuple[str, ...]
    """The values of model_type whose folders are read."""
    model_type: Callable[[Config], str]
    """What is written; a key of `classes`."""
    classes: Mapping[str, str]
    """model_type -> class of transformers."""
    auto_class: str
    """Class of transformers that loads any of them, for the proof."""
    names: Callable[[Config], NameMap]
    to_config: Callable[[Config, int, int], dict[str, Any]]
    """Contents of config.json, but for what all families share, from the ids of padding and of the text's end."""
    from_config: Callable[[Mapping[str, Any], Mapping[str, "Tensor"], str], Config]
    """Our section for the contents of a config.json and the weights beside it; the last is the file, for messages.
    UserError on what we cannot be."""
    generation: Callable[[Config, int, int], dict[str, Any] | None]
    """Contents of generation_config.json from the same ids; None: it has none."""
    inputs: tuple[str, ...]
    """Entries of a batch, besides input_ids and attention_mask, that HF's model takes, too: what an export is proven
    with, of a made-up batch (Family.probe), so that whatever the section allows can be proven."""
    outputs: tuple[str, ...]
    """Attributes of what the HF model returns that equal what ours returns, in order."""
    left_out: Callable[[Config], list[str]]
    """What a model was trained with and its folder lacks, in words."""
    example: Callable[[Config, bool], str]
    """How the exported model is used, as Markdown for its card; the second: trained with sentence order."""
    complete: Callable[[Config, Mapping[str, "Tensor"]], Mapping[str, "Tensor"]] = lambda config, tensors: (
        tensors
    )
    """Tensors of a folder with those that its writer left out because they repeat another."""
    named_by: tuple[str, ...] = ()
    """Classes of transformers, besides those of `classes`, that read what is written: an export of a run that started
    from a folder of one of them names it again."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Of config.json, where the folder that a run started from said nothing else."""
    right_since: str = "5.0"
    """A version of transformers from which on its model is known to compute what the format says."""


def is_extra(section: type[Section], name: str) -> bool:
    """Whether the parameter `name` of a model of this section serves pretraining only and is in no HF model."""
    parts = {part for mark in marked(section, PretrainingOnly).values() for part in mark.parts}
    return not parts.isdisjoint(name.split("."))


def present(parts: Iterable[tuple[str, object]]) -> list[str]:
    """The words whose number or switch is not 0."""
    return [words for words, number in parts if number]


def ours(raw: Mapping[str, Any], rows: Fields) -> dict[str, Any]:
    """Our fields, from the contents of a config.json."""
    return {name: raw.get(theirs, default) for name, theirs, default in rows}


def theirs(config: Section, rows: Fields) -> dict[str, Any]:
    """HF's fields, from our section."""
    return {hf: getattr(config, name) for name, hf, _ in rows}


def validated(section: type[Config], values: dict[str, Any], rows: Fields, where: str) -> Config:
    """The section of these values. UserError with all that is wrong, by HF's names, and what would be needed."""
    try:
        return section(**values)
    except ValidationError as error:
        names = {name: hf for name, hf, _ in rows}
        lines = []
        for e in error.errors():
            path = ".".join(map(str, e["loc"]))
            lines.append(f"{names.get(path, path)} is {e['input']!r}; {e['msg'][:1].lower()}{e['msg'][1:]}")
        another = any(e["type"] == "literal_error" for e in error.errors())
        needed = ". Another kind of model needs a family of its own (docs/extending.md)" if another else ""
        raise UserError(f"{where}: {'; '.join(lines)}{needed}") from None
