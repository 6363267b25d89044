"""Writes the page configuration.md from the schemas: every key with its type, default and meaning.

It walks pydantic models and knows no key by name, so that new keys, new sections and registered kinds appear by
themselves.
"""

import inspect
import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from taixue.base.section import Section
from taixue.data_tools.config import CorpusBuildConfig, TokenizerTrainConfig
from taixue.pretrain.config.schema import RunConfig

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PAGE = "configuration.md"
ROOTS: dict[str, tuple[str, type[BaseModel]]] = {
    "run": ("A run: `taixue train CONFIG`", RunConfig),
    "corpus": ("A corpus: `taixue corpus build CONFIG`", CorpusBuildConfig),
    "tokenizer": ("A tokenizer: `taixue tokenizer train CONFIG`", TokenizerTrainConfig),
}
INTRODUCTION = """
# Configuration

A configuration is a YAML file that says only what differs from its bases and from the defaults below. `base:` names
a preset or a file, or several in a list, of which later ones win. Every key is also a flag with its path as the
name: `--optimizer.lr 1e-3`, `--data.sources.0.weight 2`. Unknown keys are errors. `taixue COMMAND CONFIG --help`
shows the same with the values of that configuration.

This page is made from the schema. A key whose type is several kinds of section takes the kind that the named key of
the section chooses, e.g. `family` of `model`.
"""

PLAIN = {int: "integer", float: "number", str: "text", bool: "true or false", types.NoneType: "null"}
BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}"}
SIZES = {"min_length": "at least {} long", "max_length": "at most {} long", "pattern": "matching `{}`"}


@dataclass
class Place:
    """Where a section class stands. kind: the key and value that choose it among several, as in ("family", "t5")."""

    path: str
    anchor: str
    kind: tuple[str, str] | None
    inside: list[str]
    """Kinds of the section above that have it."""


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """mkdocs calls it before it reads the pages."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=page()))
    return files


def page() -> str:
    """The page, in Markdown."""
    lines = [INTRODUCTION]
    for name, (title, root) in ROOTS.items():
        places = _places(root, name)
        lines.append(f"## {title} {{ #{name} }}\n")
        for cls, place in places.items():
            lines += _section(cls, place, places, name)
    return "\n".join(lines)


def without_meaning() -> list[str]:
    """Keys that no description, and no docstring of their section, explains: Class.key."""
    classes = {cls: None for name, (_, root) in ROOTS.items() for cls in _places(root, name)}
    return [
        f"{cls.__name__}.{key}"
        for cls in classes
        for key, info in cls.model_fields.items()
        if not _meaning(cls, key, info)
    ]


def _places(root: type[BaseModel], name: str) -> dict[type[BaseModel], Place]:
    """Every section class from `root` down, in the order of reading, with the first place where it stands."""
    places = {root: Place(name, name, None, [])}
    _visit(root, places)
    return places


def _visit(cls: type[BaseModel], places: dict[type[BaseModel], Place]) -> None:
    above = places[cls]
    inside = [above.kind[1]] if above.kind else []
    for key, info in cls.model_fields.items():
        sections = list(_sections(info.annotation))
        chooser = _chooser(info, sections)
        for section in sections:
            if section in places:
                places[section].inside += [kind for kind in inside if kind not in places[section].inside]
                continue
            kind = (chooser, str(section.model_fields[chooser].default)) if chooser else None
            path = f"{above.path}.{key}"
            anchor = f"{path}.{kind[1]}" if kind else path
            if anchor in (place.anchor for place in places.values()):
                anchor = anchor.replace(above.path, above.anchor, 1)
            places[section] = Place(path, anchor, kind, list(inside))
            _visit(section, places)


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The section classes named in a type, in order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)


def _chooser(info: FieldInfo, sections: list[type[BaseModel]]) -> str | None:
    """The key that tells the kinds of a field's section apart; None where there is one kind only."""
    if isinstance(info.discriminator, str):
        return info.discriminator
    shared = [key for key in sections[0].model_fields if _is_fixed(sections[0], key)] if sections else []
    return shared[0] if shared else None


def _is_fixed(cls: type[BaseModel], key: str) -> bool:
    """Whether the key only names the kind of its section: a Literal of one value, its default."""
    annotation = cls.model_fields[key].annotation
    return get_origin(annotation) is Literal and get_args(annotation) == (cls.model_fields[key].default,)


def _section(
    cls: type[BaseModel], place: Place, places: Mapping[type[BaseModel], Place], root: str
) -> Iterator[str]:
    if place.path != root:
        kind = f", {place.kind[0]}: {place.kind[1]}" if place.kind else ""
        yield f"### {place.path.removeprefix(f'{root}.')}{kind} {{ #{place.anchor} }}\n"
    if cls.__doc__ and cls.__doc__ != Section.__doc__:
        yield f"{_escaped(inspect.cleandoc(cls.__doc__))}\n"
    if place.inside:
        yield f"Of {', '.join(f'`{kind}`' for kind in place.inside)}.\n"
    own_first = sorted(cls.model_fields, key=lambda key: key not in inspect.get_annotations(cls))
    headings = {other.anchor for other in places.values()}
    for key in own_first:
        info = cls.model_fields[key]
        anchor = f"{place.anchor}.{key}"
        name = f"#{anchor} " if anchor not in headings else ""
        words = _type(info.annotation, info.metadata, places)
        words += "" if _is_fixed(cls, key) else _default(info)
        yield f"`{key}`{{ {name}.key }} {words}\n:   {_meaning(cls, key, info) or '—'}\n"


def _meaning(cls: type[BaseModel], key: str, info: FieldInfo) -> str:
    """The description; for a section, the first sentence of its docstring; for the name of a kind, what it is."""
    if info.description:
        return _escaped(info.description)
    if _is_fixed(cls, key):
        return "names the kind of this section"
    sections = list(_sections(info.annotation))
    if len(sections) > 1:
        return "one of these kinds of section"
    documented = inspect.cleandoc(sections[0].__doc__ or "") if sections else ""
    return _escaped(" ".join(documented.split("\n\n")[0].split()))


def _type(annotation: Any, metadata: list[Any], places: Mapping[type[BaseModel], Place]) -> str:
    """A type in words, its bounds included."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, *more = arguments
        return _type(inner, [item for one in more for item in _bounds(one)], places)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        place = places[annotation]
        return f"section [{place.kind[1] if place.kind else place.path.partition('.')[2]}](#{place.anchor})"
    if origin is Literal:
        text = " or ".join(f"`{value}`" if value != "" else '`""`' for value in arguments)
    elif origin in (Union, types.UnionType):
        text = " or ".join(_type(argument, [], places) for argument in arguments)
    elif origin is tuple and arguments[-1] is Ellipsis:
        text = f"list of {_type(arguments[0], [], places)}"
    elif origin is tuple:
        text = f"list of {len(arguments)}: {', '.join(_type(argument, [], places) for argument in arguments)}"
    elif origin is dict:
        text = f"mapping from {_type(arguments[0], [], places)} to {_type(arguments[1], [], places)}"
    else:
        text = PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)))
    return " ".join([text, ", ".join(_limits(metadata))]).strip()


def _bounds(item: Any) -> list[Any]:
    return item.metadata if isinstance(item, FieldInfo) else [item]


def _limits(metadata: list[Any]) -> Iterator[str]:
    for item in metadata:
        for table in (BOUNDS, SIZES):
            for name, words in table.items():
                if getattr(item, name, None) is not None:
                    limit = getattr(item, name)
                    yield words.format(f"{limit:g}" if isinstance(limit, float) else limit)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "; **required**"
    value = info.get_default(call_default_factory=True)
    chooser = _chooser(info, list(_sections(info.annotation)))
    if chooser and isinstance(value, BaseModel):
        return f"; default `{getattr(value, chooser)}`"
    if isinstance(value, BaseModel):
        return "" if value == type(value)() else f"; default `{_text(value)}`"
    return f"; default `{_text(value)}`"


def _text(value: Any) -> str:
    """As it would stand in YAML."""
    if isinstance(value, str) and value:
        return value
    plain = json.dumps(_without_types(value), ensure_ascii=False)
    return plain.replace('"', "") if isinstance(value, tuple | BaseModel) and value else plain


def _without_types(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    return [_without_types(item) for item in value] if isinstance(value, tuple) else value


def _escaped(text: str) -> str:
    """Prose of the schema in Markdown: what looks like HTML or emphasis is neither; code in backquotes stays."""
    parts = text.split("`")
    for index in range(0, len(parts), 2):
        for mark in "*_[]|^":
            parts[index] = parts[index].replace(mark, f"\\{mark}")
        parts[index] = parts[index].replace("<", "&lt;")
    return "`".join(parts)
